//! One invocation: a slot, a fresh store, the call against the clock, and what came of it.
//!
//! The guest runs as a task of the sandbox's own runtime. Nothing of an invocation outlives it: the store goes
//! whether the guest answered, trapped, timed out or was given up by its caller. There is no reuse of instances.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinError, JoinHandle};
use wasmill_event::{Fault, FaultKind, Invocation, Payload, Reply, lambda_event};
use wasmtime::{InstancePre, Store};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::bindings::LambdaHandlerPre;
use crate::bindings::wasmill::handler::types::Context;
use crate::component::Handler;
use crate::error::{Circumstances, command_failed, fault_of, handler_error, one_line};
use crate::function::FunctionShared;
use crate::host::{Host, Streams, invocation_environment};
use crate::limits::{Limiter, MIB};
use crate::metrics::Usage;
use crate::output::{Channel, Logs, ReplyBuffer, Speaker};

/// What a guest may hand to the host in one call besides a response of full length: room for a large write.
const HANDOVER_BYTES: usize = 4 << 20;

/// Calls the function: waits for a slot, then runs the guest on the sandbox's threads. Dropping the future stops the
/// guest at its next tick.
pub(crate) async fn invoke(function: Arc<FunctionShared>, invocation: Invocation) -> Result<Reply, Fault> {
    let slots = function.sandbox.slots();
    let Ok(permit) = slots.acquire_many_owned(function.slots).await else {
        return Err(Fault::new(FaultKind::Host, "the sandbox is closed"));
    };
    let runtime = function.sandbox.guest_runtime().clone();
    // The caller's half keeps the function, and with it the runtime, until the guest's half is done.
    let mut guest = AbortOnDrop(runtime.spawn(run(function.clone(), invocation, permit)));
    (&mut guest.0).await.unwrap_or_else(|error| Err(task_fault(error)))
}

/// A guest's task, stopped when nobody waits for it any more.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn task_fault(error: JoinError) -> Fault {
    let Ok(panic) = error.try_into_panic() else {
        return Fault::new(FaultKind::Host, "the sandbox is shutting down");
    };
    let said = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    Fault::new(FaultKind::Host, one_line(&format!("the runtime panicked during the call: {said}"), 1024))
}

/// The guest's half. The permit is declared first, so that it goes last: after the store has given its slot back.
async fn run(
    function: Arc<FunctionShared>,
    invocation: Invocation,
    permit: OwnedSemaphorePermit,
) -> Result<Reply, Fault> {
    let _permit = permit;
    let spec = &function.spec;
    let Invocation { request_id, payload, trace_id } = invocation;
    let event = match payload {
        Payload::Batch { records, windowed } => lambda_event(&records, windowed),
        Payload::Json(text) => text,
    };
    let running = function.metrics.invocation_started();
    let logs = Logs::new(
        Speaker { request_id: request_id.clone(), function: spec.name.clone(), version: spec.version.clone() },
        &spec.limits,
    );
    let started = Instant::now();
    let deadline_ms = unix_ms_in(spec.timeout);
    let environment = invocation_environment(&function.environment, &request_id, deadline_ms, trace_id.as_deref());
    let context = Context {
        request_id,
        function_name: spec.name.clone(),
        function_version: spec.version.clone(),
        function_arn: spec.arn.clone(),
        deadline_ms,
        memory_limit_mb: spec.memory_mib,
        trace_id,
    };
    let reply = ReplyBuffer::new(spec.limits.reply_bytes);
    let (way_in, stdin, stdout) = match &function.handler {
        Handler::LambdaJson(pre) => (WayIn::LambdaJson { pre, event, context }, None, logs.stream(Channel::Stdout)),
        Handler::CommandComponent(pre) => (WayIn::CommandComponent(pre), Some(event), reply.stream()),
        Handler::CommandModule(pre) => (WayIn::CommandModule(pre), Some(event), reply.stream()),
    };
    let streams = Streams { stdin, stdout, stderr: logs.stream(Channel::Stderr) };
    let memory_bytes_max = u64::from(spec.memory_mib) * MIB;
    let limiter = Limiter::new(memory_bytes_max, spec.limits.table_elements);
    let mut store = Store::new(function.sandbox.engine(), Host::new(&spec.name, &environment, streams, limiter));
    store.limiter(|host| &mut host.limiter);
    store.set_hostcall_fuel(spec.limits.reply_bytes.saturating_add(HANDOVER_BYTES));
    // At every tick the guest gives way to the others on its thread; the timer below is what ends it.
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);

    let answer = tokio::time::timeout(spec.timeout, way_in.call(&mut store)).await;

    let limiter = &store.data().limiter;
    let memory_peak_bytes = limiter.memory_peak_bytes();
    let circumstances =
        Circumstances { memory_bytes_max, refused_bytes: limiter.refused_bytes(), last_words: logs.last_words() };
    drop(store);
    logs.finish();
    let usage = Usage { duration: started.elapsed(), memory_peak_bytes, output_dropped_bytes: logs.dropped_bytes() };
    let outcome = match answer {
        Err(_elapsed) => Err(timed_out(spec.timeout)),
        Ok(answer) => judge(answer, &reply, spec.limits.reply_bytes, &circumstances),
    };
    running.ended(outcome.as_ref().err().map(|fault| fault.kind), usage);
    outcome
}

/// A handler with what it is handed other than by its streams and variables.
enum WayIn<'a> {
    LambdaJson { pre: &'a LambdaHandlerPre<Host>, event: String, context: Context },
    CommandComponent(&'a CommandPre<Host>),
    CommandModule(&'a InstancePre<Host>),
}

/// How a guest ended that did not trap.
enum Answer {
    /// The JSON world returned.
    Returned(Result<String, String>),
    /// A command ended; its response is what it wrote.
    Exited(i32),
}

impl WayIn<'_> {
    /// Instantiates and calls. Instantiation is inside the timeout too: modules may have start functions.
    async fn call(self, store: &mut Store<Host>) -> wasmtime::Result<Answer> {
        match self {
            Self::LambdaJson { pre, event, context } => {
                let instance = pre.instantiate_async(&mut *store).await?;
                Ok(Answer::Returned(instance.call_handle(store, &event, &context).await?))
            }
            Self::CommandComponent(pre) => exit_status(run_component(pre, store).await),
            Self::CommandModule(pre) => exit_status(run_module(pre, store).await),
        }
    }
}

async fn run_component(pre: &CommandPre<Host>, store: &mut Store<Host>) -> wasmtime::Result<i32> {
    let instance = pre.instantiate_async(&mut *store).await?;
    let result = instance.wasi_cli_run().call_run(store).await?;
    Ok(if result.is_ok() { 0 } else { 1 })
}

async fn run_module(pre: &InstancePre<Host>, store: &mut Store<Host>) -> wasmtime::Result<i32> {
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

fn judge(
    answer: wasmtime::Result<Answer>,
    reply: &ReplyBuffer,
    reply_bytes_max: usize,
    circumstances: &Circumstances,
) -> Result<Reply, Fault> {
    if reply.overflowed() {
        return Err(reply_too_large(reply_bytes_max));
    }
    match answer {
        Ok(Answer::Returned(Ok(text))) if text.len() > reply_bytes_max => Err(reply_too_large(reply_bytes_max)),
        Ok(Answer::Returned(Ok(text))) => Ok(Reply::Json(text)),
        Ok(Answer::Returned(Err(text))) => Err(handler_error(&text)),
        Ok(Answer::Exited(0)) => String::from_utf8(reply.take()).map(Reply::Json).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Fault::new(FaultKind::BadReply, format!("the response on stdout is not UTF-8 (byte {at})"))
        }),
        Ok(Answer::Exited(status)) => Err(command_failed(status, circumstances)),
        // wasmtime has no public type for this one: the guest handed over more than `set_hostcall_fuel` allows.
        Err(error) if error.root_cause().to_string().contains("fuel allocated for hostcalls") => {
            Err(reply_too_large(reply_bytes_max))
        }
        Err(error) => Err(fault_of(&error, circumstances)),
    }
}

fn reply_too_large(reply_bytes_max: usize) -> Fault {
    Fault::new(
        FaultKind::ReplyTooLarge,
        format!("the response is longer than the {reply_bytes_max} bytes that the function may answer"),
    )
}

fn timed_out(timeout: Duration) -> Fault {
    Fault::new(FaultKind::Timeout, format!("timed out after {:.2} seconds", timeout.as_secs_f64()))
}

/// Unix time in milliseconds when `timeout` will have passed. Guests are told wall time, as on Lambda; the timeout
/// itself is monotonic.
fn unix_ms_in(timeout: Duration) -> u64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.saturating_add(timeout).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn a_panic_of_the_runtime_is_a_host_fault_with_its_message() {
        let panicked = tokio::spawn(async { panic!("slot {}", 7) }).await.unwrap_err();
        let fault = task_fault(panicked);
        assert_eq!(fault.kind, FaultKind::Host);
        assert_eq!(fault.message, "the runtime panicked during the call: slot 7");
        let abandoned = tokio::spawn(std::future::pending::<()>());
        abandoned.abort();
        assert_eq!(task_fault(abandoned.await.unwrap_err()).message, "the sandbox is shutting down");
    }

    #[test]
    fn a_timeout_reads_as_lambda_prints_it() {
        assert_eq!(timed_out(Duration::from_secs(3)).message, "timed out after 3.00 seconds");
    }
}
