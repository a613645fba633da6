//! wasmtime by itself: a fresh store with an empty WASI context, the handler instantiated and called. The least that an
//! invocation in a fresh sandbox can cost; limits, logs, timeouts and metrics are absent.

use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Enabled, Engine, Inlining, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::Outcome;

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "lambda-handler",
    exports: { default: async },
});

/// A handler that is ready to be instantiated.
pub(crate) struct Raw {
    engine: Engine,
    handler: LambdaHandlerPre<Host>,
}

struct Host {
    ctx: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }
}

impl Raw {
    pub(crate) fn load(code: &[u8]) -> Outcome<Self> {
        let engine = Engine::new(&config())?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        let component = Component::from_binary(&engine, code)?;
        let handler = LambdaHandlerPre::new(linker.instantiate_pre(&component)?)?;
        Ok(Self { engine, handler })
    }

    /// One call in a fresh instance.
    pub(crate) async fn call(&self, event: &str) -> Outcome<String> {
        let host = Host { ctx: WasiCtxBuilder::new().build(), table: ResourceTable::new() };
        let mut store = Store::new(&self.engine, host);
        store.set_hostcall_fuel(64 << 20);
        // The code counts epochs as ours does; nobody ticks.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let context = Context {
            request_id: "059f36b4-87a3-44ab-83d2-661975830a7d".to_owned(),
            function_name: "drain".to_owned(),
            function_version: "$LATEST".to_owned(),
            function_arn: "arn:aws:lambda:us-east-1:000000000000:function:drain".to_owned(),
            deadline_ms: 0,
            memory_limit_mb: 128,
            trace_id: None,
        };
        let instance = self.handler.instantiate_async(&mut store).await?;
        Ok(instance.call_handle(&mut store, event, &context).await??)
    }
}

/// What measured best for small handlers in fresh instances: the same as the sandbox's.
fn config() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(16)
        .total_core_instances(16 * 64)
        .total_memories(16)
        .total_tables(32)
        .total_stacks(16)
        .table_elements(20_000)
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(16 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(false)
        .memory_init_cow(true)
        .async_stack_zeroing(true)
        .compiler_inlining(Inlining::Yes)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
