//! wasmtime by itself: a WASI context with what the handler needs, the component instantiated and called. Limits, logs, timeouts
//! and metrics are absent: the least that a call can cost.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::{Request, Response};
use wasmtime::component::{Component, ComponentType, Func, InstancePre, Linker, Lower, ResourceTable};
use wasmtime::{
    Config, Enabled, Engine, Inlining, InstanceAllocationStrategy, PoolingAllocationConfig, Store, StoreContextMut,
};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use crate::{Guest, Outcome, read};

/// `types.context` of `wit/handler.wit`.
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
struct Context<'a> {
    #[component(name = "request-id")]
    request_id: &'a str,
    #[component(name = "function-name")]
    function_name: &'a str,
    #[component(name = "function-version")]
    function_version: &'a str,
    #[component(name = "function-arn")]
    function_arn: &'a str,
    #[component(name = "deadline-ms")]
    deadline_ms: u64,
    #[component(name = "memory-limit-mb")]
    memory_limit_mb: u32,
    #[component(name = "trace-id")]
    trace_id: Option<&'a str>,
}

const CONTEXT: Context<'static> = Context {
    request_id: "059f36b4-87a3-44ab-83d2-661975830a7d",
    function_name: "speed",
    function_version: "$LATEST",
    function_arn: "arn:aws:lambda:us-east-1:000000000000:function:speed",
    // The year 2100: a handler may ask how much time is left.
    deadline_ms: 4_102_444_800_000,
    memory_limit_mb: 512,
    trace_id: None,
};

/// As in the sandbox: interpreters are larger.
const SMALL_CODE_BYTES_MAX: usize = 2 << 20;

struct Host {
    ctx: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    no_requests: NoRequests,
    script: Arc<str>,
}

/// The interface is there; nobody asks.
struct NoRequests;

type Sent = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl WasiHttpHooks for NoRequests {
    fn send_request(
        &mut self,
        _request: Request<WasiBody>,
        _options: Option<RequestOptions>,
        _received: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.no_requests, table: &mut self.table, ctx: &mut self.http }
    }
}

/// A handler that is ready to be instantiated, and instances that are kept.
pub(crate) struct Raw {
    engine: Engine,
    pre: InstancePre<Host>,
    environment: Vec<(String, String)>,
    app: Option<PathBuf>,
    script: Arc<str>,
    kept: Mutex<Vec<Instance>>,
}

/// An instance that can be called.
pub(crate) struct Instance {
    store: Store<Host>,
    handle: Func,
}

impl Raw {
    pub(crate) fn load(guest: &Guest) -> Outcome<Self> {
        let code = read(&guest.file)?;
        let engine = Engine::new(&config(code.len() > SMALL_CODE_BYTES_MAX))?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        linker
            .instance("wasmill:handler/script@0.1.0")?
            .func_wrap("source", |store: StoreContextMut<'_, Host>, (): ()| Ok((Arc::clone(&store.data().script),)))?;
        let component = Component::from_binary(&engine, &code)?;
        let pre = linker.instantiate_pre(&component)?;
        let script = guest.script.clone().unwrap_or_else(|| Arc::from(""));
        let (environment, app) = (guest.environment.clone(), guest.app.clone());
        Ok(Self { engine, pre, environment, app, script, kept: Mutex::default() })
    }

    /// One that was kept, or a fresh one.
    pub(crate) async fn kept(&self) -> Outcome<Instance> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match kept {
            Some(instance) => Ok(instance),
            None => self.instance().await,
        }
    }

    pub(crate) fn keep(&self, instance: Instance) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(instance);
    }

    pub(crate) async fn instance(&self) -> Outcome<Instance> {
        let mut builder = WasiCtxBuilder::new();
        builder.envs(&self.environment).allow_blocking_current_thread(true);
        if let Some(app) = &self.app {
            builder.preopened_dir(app, "/app", FsPerms::ReadOnly)?;
        }
        let (ctx, table, http) = (builder.build(), ResourceTable::new(), WasiHttpCtx::new());
        let host = Host { ctx, table, http, no_requests: NoRequests, script: Arc::clone(&self.script) };
        let mut store = Store::new(&self.engine, host);
        store.set_hostcall_fuel(64 << 20);
        // The code counts epochs as ours does; nobody ticks.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let instance = self.pre.instantiate_async(&mut store).await?;
        let handle = instance.get_func(&mut store, "handle").ok_or("there is no export `handle`")?;
        Ok(Instance { store, handle })
    }
}

impl Instance {
    pub(crate) async fn call(&mut self, event: &str) -> Outcome<String> {
        let handle = self.handle.typed::<(&str, Context<'_>), (Result<String, String>,)>(&self.store)?;
        let (reply,) = handle.call_async(&mut self.store, (event, CONTEXT)).await?;
        Ok(reply?)
    }
}

/// The same as the sandbox's.
fn config(is_roomy: bool) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(16)
        .total_core_instances(16 * 64)
        .total_memories(32)
        .total_tables(64)
        .total_stacks(16)
        .max_memories_per_component(8)
        .max_tables_per_component(16)
        .max_core_instances_per_component(64)
        .table_elements(20_000)
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(16 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(is_roomy)
        .memory_init_cow(true)
        .max_wasm_stack(2 << 20)
        .async_stack_size((2 << 20) + (512 << 10))
        .async_stack_zeroing(true)
        .compiler_inlining(if is_roomy { Inlining::No } else { Inlining::Yes })
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
