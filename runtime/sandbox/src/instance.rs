//! One instance of a function: its store, its way in, its place in the pool.
//!
//! It is made empty and instantiated by its first call, so that a module's start functions run against the clock too.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use wasmill_event::{Payload, Trace, Verdict, lambda_event};
use wasmtime::Store;
use wasmtime::component::Func;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::component::Handler;
use crate::function::FunctionShared;
use crate::host::{Host, Streams};
use crate::limits::{Limiter, MIB, RESOURCES_PER_INSTANCE};
use crate::output::{Channel, Logs, ReplyBuffer};
use crate::world::{self, Context};

/// What a guest may hand to the host in one call besides a response of full length: room for a large write.
const HANDOVER_BYTES: usize = 4 << 20;

/// A guest, its memory, and what it has been through.
pub(crate) struct Instance {
    /// Declared before the permit, so that the slot is given back before the place is.
    store: Store<Host>,
    /// None until the first call.
    handle: Option<Func>,
    logs: Logs,
    born: Instant,
    calls: u32,
    _place: OwnedSemaphorePermit,
}

/// How a guest ended that did not trap.
pub(crate) enum Answer {
    /// The JSON world returned.
    Returned(Result<String, String>),
    /// The typed world returned.
    Judged(Result<Vec<Verdict>, String>),
    /// A command ended; its response is what it wrote.
    Exited(i32),
}

impl Instance {
    /// An instance for as many calls as its function allows. `environment` is all the guest sees.
    pub(crate) fn new(
        function: &FunctionShared,
        place: OwnedSemaphorePermit,
        logs: Logs,
        environment: &[(impl AsRef<str>, impl AsRef<str>)],
        command: Option<(&str, &ReplyBuffer)>,
    ) -> wasmtime::Result<Self> {
        let spec = &function.spec;
        let stdout = command.map_or_else(|| logs.stream(Channel::Stdout), |(_, reply)| reply.stream());
        let stdin = command.map(|(event, _)| event.to_owned());
        let streams = Streams { stdin, stdout, stderr: logs.stream(Channel::Stderr) };
        let limiter = Limiter::new(u64::from(spec.memory_mib) * MIB, spec.limits.table_elements);
        let disk = match (&function.scratch, spec.ephemeral_storage_mib) {
            (Some(scratch), Some(mib)) => {
                let disk = scratch.disk(&spec.name, mib, function.sandbox.guest_runtime().clone());
                Some(Arc::new(disk.map_err(|error| wasmtime::Error::from(error).context("no /tmp can be made"))?))
            }
            _ => None,
        };
        let host = Host::new(function, environment, streams, limiter, disk)?;
        let mut store = Store::new(function.prepared.home.engine(), host);
        store.limiter(|host| &mut host.limiter);
        store.set_hostcall_fuel(spec.limits.reply_bytes.saturating_add(HANDOVER_BYTES));
        // At every tick the guest gives way to the others on its thread; the caller's timer is what ends it.
        if let Some(table) = store.concurrent_resource_table() {
            table.set_max_capacity(RESOURCES_PER_INSTANCE);
        }
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        Ok(Self { store, handle: None, logs, born: Instant::now(), calls: 0, _place: place })
    }

    /// Calls the guest. After an error, or when the future was dropped, the instance is of no more use.
    pub(crate) async fn call(
        &mut self,
        function: &FunctionShared,
        payload: &Payload,
        context: Context<'_>,
        trace: Option<&Trace>,
    ) -> wasmtime::Result<Answer> {
        self.calls += 1;
        self.store.data_mut().outgoing.begin(trace);
        match &function.prepared.handler {
            Handler::LambdaJson { .. } => {
                let handle = self.handle(&function.prepared.handler).await?;
                let handle = handle.typed::<(&str, Context<'_>), (Result<String, String>,)>(&self.store)?;
                let rendered;
                let event = match payload {
                    Payload::Json(text) => text,
                    Payload::Batch { records, windowed } => {
                        rendered = lambda_event(records, *windowed);
                        &rendered
                    }
                };
                let (reply,) = handle.call_async(&mut self.store, (event, context)).await?;
                Ok(Answer::Returned(reply))
            }
            Handler::Messages { .. } => {
                let Payload::Batch { records, .. } = payload else {
                    return Err(wasmtime::Error::msg("the handler takes messages, and the event is no batch of them"));
                };
                let handle = self.handle(&function.prepared.handler).await?;
                type Judged = (Result<Vec<world::Verdict>, String>,);
                let handle = handle.typed::<(&[world::Message<'_>], Context<'_>), Judged>(&self.store)?;
                let messages = world::messages(records);
                let (verdicts,) = handle.call_async(&mut self.store, (&messages, context)).await?;
                Ok(Answer::Judged(verdicts.map(|verdicts| verdicts.into_iter().map(Verdict::from).collect())))
            }
            Handler::CommandComponent(pre) => exit_status(run_component(pre, &mut self.store).await),
            Handler::CommandModule(pre) => exit_status(run_module(pre, &mut self.store).await),
        }
    }

    /// The exported `handle`, of the instance that is there or is made now.
    async fn handle(&mut self, handler: &Handler) -> wasmtime::Result<Func> {
        if let Some(handle) = self.handle {
            return Ok(handle);
        }
        let (Handler::LambdaJson { pre, export, .. } | Handler::Messages { pre, export }) = handler else {
            return Err(wasmtime::Error::msg("a command has no handle"));
        };
        let instance = pre.instantiate_async(&mut self.store).await?;
        let handle = instance.get_func(&mut self.store, export);
        let handle = handle.ok_or_else(|| wasmtime::Error::msg("the export `handle` is gone"))?;
        self.handle = Some(handle);
        Ok(handle)
    }

    pub(crate) fn logs(&self) -> &Logs {
        &self.logs
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        &self.store.data().limiter
    }

    /// The linear memory it has, in bytes. Wasm memory never shrinks.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.limiter().memory_peak_bytes()
    }

    pub(crate) fn age(&self) -> Duration {
        self.born.elapsed()
    }

    pub(crate) fn calls(&self) -> u32 {
        self.calls
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("calls", &self.calls).field("age", &self.age()).finish_non_exhaustive()
    }
}

async fn run_component(pre: &CommandPre<Host>, store: &mut Store<Host>) -> wasmtime::Result<i32> {
    let instance = pre.instantiate_async(&mut *store).await?;
    let result = instance.wasi_cli_run().call_run(store).await?;
    Ok(if result.is_ok() { 0 } else { 1 })
}

async fn run_module(pre: &wasmtime::InstancePre<Host>, store: &mut Store<Host>) -> wasmtime::Result<i32> {
    let instance = pre.instantiate_async(&mut *store).await?;
    let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
    start.call_async(store, ()).await?;
    Ok(0)
}

/// A command's exit is an error to wasmtime; to us it is an end like returning from `main`.
fn exit_status(ended: wasmtime::Result<i32>) -> wasmtime::Result<Answer> {
    match ended {
        Ok(status) => Ok(Answer::Exited(status)),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(exit) => Ok(Answer::Exited(exit.0)),
            None => Err(error),
        },
    }
}
