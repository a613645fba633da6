//! Invocations of type `Event`: accepted at once, run in the background, and tried twice more when the function fails, as
//! on AWS. They wait in memory: what waits when the worker stops is lost, and the log says so.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::error::ApiError;
use crate::function_engine::{Call, NotInvoked};
use crate::functions::Inner;
use crate::names::{FunctionRef, LATEST};

const EVENTS_MAX: usize = 1000;
/// What all events that wait may take together.
const EVENTS_MAX_KIB: usize = 64 << 10;
/// Lambda waits a minute after the first failure, and two after the second.
const PAUSE: Duration = Duration::from_secs(60);
const ATTEMPTS: u32 = 3;
/// How long an event that nobody can take is kept.
const AGE_MAX: Duration = Duration::from_secs(6 * 3600);
const REFUSED_PAUSE_FIRST: Duration = Duration::from_secs(1);
const REFUSED_PAUSE_LONGEST: Duration = Duration::from_secs(300);

/// The room for events that wait.
#[derive(Debug)]
pub(crate) struct Events {
    places: Arc<Semaphore>,
    kib: Arc<Semaphore>,
}

struct Event {
    function: String,
    qualifier: String,
    payload: String,
    request_id: String,
    _place: OwnedSemaphorePermit,
    _memory: OwnedSemaphorePermit,
}

/// What is next for an event.
enum Next {
    Done,
    Again(Duration),
    Lost(String),
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(EVENTS_MAX)), kib: Arc::new(Semaphore::new(EVENTS_MAX_KIB)) }
    }

    /// Takes an event over.
    pub(crate) fn accept(
        &self,
        inner: Arc<Inner>,
        function: &FunctionRef,
        payload: &str,
        request_id: &str,
    ) -> Result<(), ApiError> {
        inner.refuse_if_stopping()?;
        let full = |_| ApiError::Throttled { reason: "ConcurrentInvocationLimitExceeded" };
        let kib = u32::try_from(payload.len().div_ceil(1024)).unwrap_or(u32::MAX);
        let event = Event {
            function: function.name.clone(),
            qualifier: function.qualifier.clone().unwrap_or_else(|| LATEST.to_owned()),
            payload: payload.to_owned(),
            request_id: request_id.to_owned(),
            _place: Arc::clone(&self.places).try_acquire_owned().map_err(full)?,
            _memory: Arc::clone(&self.kib).try_acquire_many_owned(kib).map_err(full)?,
        };
        tokio::spawn(run(inner, event));
        Ok(())
    }
}

async fn run(inner: Arc<Inner>, event: Event) {
    let accepted = Instant::now();
    let (mut failures, mut refused_pause) = (0, REFUSED_PAUSE_FIRST);
    loop {
        let next = match inner.stopping.is_cancelled() {
            true => Next::Lost("the worker is stopping".to_owned()),
            false => attempt(&inner, &event, accepted, &mut failures, &mut refused_pause).await,
        };
        let pause = match next {
            Next::Done => return,
            Next::Lost(reason) => {
                let Event { function, qualifier, request_id, .. } = &event;
                tracing::warn!(function, qualifier, request_id, reason, "an asynchronous invocation is given up");
                return;
            }
            Next::Again(pause) => pause,
        };
        tokio::select! {
            biased;
            () = inner.stopping.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn attempt(
    inner: &Inner,
    event: &Event,
    accepted: Instant,
    failures: &mut u32,
    refused_pause: &mut Duration,
) -> Next {
    if inner.check_qualifier(&event.function, Some(&event.qualifier)).is_err() {
        return Next::Lost("the function does not exist any more".to_owned());
    }
    let call = Call {
        function: &event.function,
        qualifier: &event.qualifier,
        request_id: &event.request_id,
        payload: &event.payload,
        wants_log: false,
    };
    let refused = match inner.engine.invoke(call).await {
        Ok(outcome) => {
            let Err(failure) = outcome.answer else { return Next::Done };
            *failures += 1;
            return match *failures {
                ATTEMPTS => Next::Lost(format!("it failed three times: {}: {}", failure.error_type, failure.message)),
                failures => Next::Again(PAUSE * failures),
            };
        }
        Err(refused) => refused,
    };
    if accepted.elapsed() > AGE_MAX {
        return Next::Lost(match refused {
            NotInvoked::Throttled => "the function had no permit for six hours".to_owned(),
            NotInvoked::NotReady(reason) => reason,
        });
    }
    let pause = *refused_pause;
    *refused_pause = (pause * 2).min(REFUSED_PAUSE_LONGEST);
    Next::Again(pause)
}
