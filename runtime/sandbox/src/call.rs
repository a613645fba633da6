//! One invocation: an instance that rests or a place for a fresh one, the call against the clock, and what came of it.
//!
//! The guest runs as a task of the sandbox's own runtime, or where its caller stands if it is brief (see [`crate::pace`]).
//! Unless the function keeps instances warm nothing of an invocation outlives it: the store goes whether the guest answered,
//! trapped, timed out or was given up by its caller.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinError, JoinHandle};
use wasmill_event::{Fault, FaultKind, Invocation, Payload, Reply, Told, lambda_event};

use crate::error::{Circumstances, backtrace_of, command_failed, fault_of, handler_error, one_line};
use crate::function::FunctionShared;
use crate::host::invocation_environment;
use crate::instance::{Answer, Instance};
use crate::limits::MIB;
use crate::metrics::{Start, Usage};
use crate::output::{Logs, ReplyBuffer};
use crate::world::Context;

/// Calls the function, when there is a place for it. Dropping the future stops the guest at its next tick.
pub(crate) async fn invoke(function: Arc<FunctionShared>, invocation: Invocation, is_observed: bool) -> Observed {
    let runtime = function.sandbox.guest_runtime().clone();
    // A function that keeps instances looks for one when it is its turn on a thread: the one that has just answered there is
    // still in the caches, and few are needed however many calls wait.
    let place = match &function.resting {
        Some(_) => None,
        None => match place(&function).await {
            Ok(place) => Some(place),
            Err(fault) => return Observed::failed(fault),
        },
    };
    let mut guest = Metered::new(function.clone(), run(function.clone(), invocation, place, is_observed));
    if function.pace.is_brief() {
        match where_the_caller_stands(&runtime, &mut guest).await {
            Ok(Some(observed)) => return observed,
            Ok(None) => {}
            Err(panic) => return Observed::failed(panic_fault(&*panic)),
        }
    }
    // The caller's half keeps the function, and with it the runtime, until the guest's half is done.
    let mut guest = AbortOnDrop(runtime.spawn(guest));
    (&mut guest.0).await.unwrap_or_else(|error| Observed::failed(task_fault(error)))
}

/// Runs the guest on its caller's task until it ends; none when it holds the thread for too long and is to go on elsewhere.
/// Whatever the guest starts, timers, sockets or blocking work, it starts on the guests' runtime all the same.
async fn where_the_caller_stands<F: Future<Output = Observed>>(
    runtime: &Handle,
    guest: &mut Metered<F>,
) -> Result<Option<Observed>, Box<dyn Any + Send>> {
    poll_fn(|cx| {
        let slice = {
            let _guests = runtime.enter();
            catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *guest).poll(cx)))
        };
        match slice {
            Err(panic) => Poll::Ready(Err(panic)),
            Ok(Poll::Ready(observed)) => Poll::Ready(Ok(Some(observed))),
            Ok(Poll::Pending) if guest.function.pace.may_go_on(guest.taken) => Poll::Pending,
            Ok(Poll::Pending) => Poll::Ready(Ok(None)),
        }
    })
    .await
}

/// A call, and the processor time that it has taken until now.
struct Metered<F> {
    call: Pin<Box<F>>,
    function: Arc<FunctionShared>,
    taken: Duration,
}

impl<F> Metered<F> {
    fn new(function: Arc<FunctionShared>, call: F) -> Self {
        Self { call: Box::pin(call), function, taken: Duration::ZERO }
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<F::Output> {
        let before = thread_cpu();
        let polled = self.call.as_mut().poll(cx);
        self.taken += thread_cpu().saturating_sub(before);
        if polled.is_ready() {
            self.function.pace.ended(self.taken);
        }
        polled
    }
}

/// The processor time of this thread.
fn thread_cpu() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

/// An invocation, and what there is to say of it beside its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// What came of it.
    pub answer: Result<Reply, Fault>,
    /// The handler's own error as it gave it; the fault has one line of it.
    pub own_error: Option<String>,
    /// From the start of the guest to its end, instantiation included.
    pub duration: Duration,
    /// The most linear memory it had.
    pub memory_peak_bytes: u64,
    /// The last 4 KiB of what it logged.
    pub log_tail: String,
}

impl Observed {
    /// One that did not come to run.
    fn failed(fault: Fault) -> Self {
        Self {
            answer: Err(fault),
            own_error: None,
            duration: Duration::ZERO,
            memory_peak_bytes: 0,
            log_tail: String::new(),
        }
    }
}

/// A place in the pool, as soon as there is one.
async fn place(function: &FunctionShared) -> Result<OwnedSemaphorePermit, Fault> {
    let place = function.sandbox.places(&function.prepared.home, function.places).await;
    place.ok_or_else(|| Fault::new(FaultKind::Host, "the sandbox is closed"))
}

/// Where an invocation takes place.
enum Seat {
    /// In an instance that has answered before.
    Warm(Box<Instance>),
    /// In a fresh one.
    Empty(OwnedSemaphorePermit),
}

impl Seat {
    /// The one that was found, or an instance that rests, or a place for a fresh one.
    async fn find(function: &FunctionShared, found: Option<OwnedSemaphorePermit>) -> Result<Self, Fault> {
        if let Some(place) = found {
            return Ok(Self::Empty(place));
        }
        match function.resting.as_ref().and_then(|resting| resting.take()) {
            Some(instance) => Ok(Self::Warm(Box::new(instance))),
            None => Ok(Self::Empty(place(function).await?)),
        }
    }
}

/// A guest's task, stopped when nobody waits for it any more.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn task_fault(error: JoinError) -> Fault {
    match error.try_into_panic() {
        Ok(panic) => panic_fault(&*panic),
        Err(_stopped) => Fault::new(FaultKind::Host, "the sandbox is shutting down"),
    }
}

fn panic_fault(panic: &(dyn Any + Send)) -> Fault {
    let said = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    Fault::new(FaultKind::Host, one_line(&format!("the runtime panicked during the call: {said}"), 1024))
}

/// The guest's half.
async fn run(
    function: Arc<FunctionShared>,
    invocation: Invocation,
    place: Option<OwnedSemaphorePermit>,
    is_observed: bool,
) -> Observed {
    let seat = match Seat::find(&function, place).await {
        Ok(seat) => seat,
        Err(fault) => return Observed::failed(fault),
    };
    let spec = &function.spec;
    let Invocation { request_id, payload, trace_id, trace, account } = &invocation;
    let start = if matches!(seat, Seat::Warm(_)) { Start::Warm } else { Start::Cold };
    let running = function.metrics.invocation_started(start);
    let started = Instant::now();
    let deadline_ms = unix_ms_in(spec.timeout);
    let context = Context {
        request_id,
        function_name: &spec.name,
        function_version: &spec.version,
        function_arn: &spec.arn,
        deadline_ms,
        memory_limit_mb: spec.memory_mib,
        trace_id: trace_id.as_deref(),
    };
    tracing::debug!(target: REPORT, request_id, function = spec.name, version = spec.version, "START");
    let reply = ReplyBuffer::new(spec.limits.reply_bytes);
    let made = match seat {
        Seat::Warm(instance) => Ok(*instance),
        Seat::Empty(place) => {
            let logs = Logs::new(&spec.name, &spec.version, &spec.limits);
            if function.prepared.handler.is_command() {
                let event = event_text(payload);
                let environment =
                    invocation_environment(&function.environment, request_id, deadline_ms, trace_id.as_deref());
                Instance::new(&function, place, logs, &environment, Some((&event, &reply)))
            } else {
                Instance::new(&function, place, logs, &function.environment, None)
            }
        }
    };
    let mut instance = match made {
        Ok(instance) => instance,
        Err(error) => {
            let fault = Fault::new(FaultKind::Host, one_line(&format!("no sandbox to be had: {error:#}"), 1024));
            running.ended(Some(fault.kind), Usage::default());
            return Observed::failed(fault);
        }
    };
    instance.logs().begin(request_id);

    let call = instance.call(&function, payload, context, trace.as_ref());
    let answer = tokio::time::timeout(spec.timeout, call).await;

    let logs = instance.logs().clone();
    let memory_peak_bytes = instance.memory_bytes();
    let refused_bytes = instance.limiter().refused_bytes();
    let memory_bytes_max = u64::from(spec.memory_mib) * MIB;
    let circumstances = Circumstances { memory_bytes_max, refused_bytes, last_words: logs.last_words() };
    logs.finish();
    // A handler that says it failed is as well as before. After anything else its state is nobody's guess.
    let is_well = matches!(&answer, Ok(Ok(Answer::Returned(_) | Answer::Judged(_)))) && refused_bytes.is_none();
    match &function.resting {
        Some(resting) if is_well => resting.rest(instance, memory_bytes_max),
        _ => drop(instance),
    }
    let usage = Usage { duration: started.elapsed(), memory_peak_bytes, output_dropped_bytes: logs.dropped_bytes() };
    let own_error = match &answer {
        Ok(Ok(Answer::Returned(Err(text)) | Answer::Judged(Err(text)))) if is_observed => Some(text.clone()),
        _ => None,
    };
    let log_tail = logs.tail();
    account.tell(Told {
        code: Some(Arc::clone(&function.code)),
        log_tail: log_tail.strip_suffix('\n').unwrap_or_default().to_owned(),
        backtrace: answer.as_ref().ok().and_then(|answer| answer.as_ref().err()).map(backtrace_of).unwrap_or_default(),
    });
    let outcome = match answer {
        Err(_elapsed) => Err(timed_out(spec.timeout)),
        Ok(answer) => judge(answer, &reply, spec.limits.reply_bytes, &circumstances),
    };
    let kind = outcome.as_ref().err().map(|fault| fault.kind);
    tracing::debug!(target: REPORT, request_id, function = spec.name, version = spec.version, "END");
    tracing::debug!(
        target: REPORT,
        request_id,
        function = spec.name,
        version = spec.version,
        // As many places as Lambda has.
        duration_ms = (usage.duration.as_secs_f64() * 1e5).round() / 100.0,
        memory_size_mb = spec.memory_mib,
        memory_peak_mb = memory_peak_bytes.div_ceil(MIB),
        start = start.as_str(),
        outcome = kind.map_or("success", FaultKind::as_str),
        "REPORT"
    );
    let duration = usage.duration;
    running.ended(kind, usage);
    Observed { answer: outcome, own_error, duration, memory_peak_bytes, log_tail }
}

/// The facts that Lambda writes as START, END and REPORT lines, one event each.
const REPORT: &str = "wasmill::report";

fn event_text(payload: &Payload) -> String {
    match payload {
        Payload::Batch { records, windowed } => lambda_event(records, *windowed),
        Payload::Json(text) => text.clone(),
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
        Ok(Answer::Judged(Ok(verdicts))) => Ok(Reply::Verdicts(verdicts)),
        Ok(Answer::Returned(Err(text)) | Answer::Judged(Err(text))) => Err(handler_error(&text)),
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
