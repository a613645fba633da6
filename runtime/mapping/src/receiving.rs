//! The receiving half of a mapping: when to ask for messages, and how they become batches.
//!
//! Without a window a batch is what one receive brought. From a remote queue one long poll asks while it is quiet; each poll
//! that finds something starts another, as long as there are permits, and each that finds nothing ends but the first. With a
//! window there is one open window at a time, filled by as many receives as it takes.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wasmill_queue::{Queue, QueueError, Task, Work};

use crate::batch::Gathered;
use crate::intake::Intake;
use crate::mapping::Turn;
use crate::metrics::Closed;
use crate::permits::{MappingPermits, Permit, Reservation};
use crate::pipeline::Line;
use crate::poll::{Received, Source};

/// SQS's longest wait: an idle mapping costs one call per 20 s.
const LONG_POLL: Duration = Duration::from_secs(20);
/// The wait of a poll that runs beside the first: it ends when it finds nothing.
const SHORT_POLL: Duration = Duration::from_secs(1);
/// A poll's permit is its own for so long: what is there is answered by then. After that it is an idle poll's.
const FIRM_FOR: Duration = Duration::from_millis(200);
/// The most that a window's first receive asks for: how long its messages are is known after it only.
const FIRST_MAX: u32 = 100;
/// The pause after a long poll that did not wait.
const EARLY_PAUSE: Duration = Duration::from_secs(1);
/// Receives at a time that fill one window from a remote queue.
const FILLERS_MAX: usize = 16;

/// What receives for one mapping.
pub(crate) struct Receiving {
    pub(crate) line: Arc<Line>,
    pub(crate) source: Source,
    pub(crate) intake: Intake,
    pub(crate) permits: MappingPermits,
    pub(crate) batch_size: u32,
    pub(crate) window: Duration,
    /// FIFO: a batch per message group.
    pub(crate) per_group: bool,
    pub(crate) stop: CancellationToken,
    pub(crate) trips: TaskTracker,
}

/// The right to start what a receive may bring.
enum Ticket {
    Permit(Permit),
    Reserved(Reservation),
}

impl Ticket {
    fn claim(self) -> Option<Permit> {
        match self {
            Self::Permit(permit) => Some(permit),
            Self::Reserved(reservation) => reservation.claim(),
        }
    }
}

/// What came of asking.
enum Asked {
    Some(Received, Ticket),
    Nothing,
    Failed(QueueError),
    Stopped,
}

impl Receiving {
    /// Receives until told to stop.
    pub(crate) async fn run(self: Arc<Self>, work: Work) {
        if self.window.is_zero() { Arc::clone(&self).poll(work, None).await } else { self.open_windows(work).await }
    }

    /// Asks again and again. With a permit given it is one poll beside the first, and ends when there is nothing.
    async fn poll(self: Arc<Self>, work: Work, mut given: Option<Permit>) {
        let is_first = given.is_none();
        loop {
            let wait = if is_first { LONG_POLL } else { SHORT_POLL };
            match self.ask(&work, self.batch_size, wait, given.take()).await {
                Asked::Some(received, ticket) => {
                    let is_local = received.queue.capabilities().signals_readiness;
                    let permit = ticket.claim();
                    self.take_in(received, permit);
                    // Where there is one batch there may be two. The built-in queue answers at once: one poll is enough.
                    if !is_local && let Some(permit) = self.permits.try_acquire() {
                        self.spawn_poll(permit);
                    }
                }
                Asked::Nothing if is_first => {}
                Asked::Failed(error) if is_first => {
                    if work.rest(self.pause(&error)).await.is_break() {
                        return;
                    }
                }
                Asked::Failed(error) => {
                    self.source.failed(&error);
                    return;
                }
                Asked::Nothing | Asked::Stopped => return,
            }
            if !is_first {
                // Its next permit has to be free at once: whoever waits for one comes first.
                given = self.permits.try_acquire();
                if given.is_none() {
                    return;
                }
            }
        }
    }

    fn spawn_poll(self: &Arc<Self>, permit: Permit) {
        let work = self.source.timeline().work(Task::Step);
        let poll: futures::future::BoxFuture<'static, ()> = Box::pin(Arc::clone(self).poll(work, Some(permit)));
        self.trips.spawn(poll);
    }

    /// Waits for something to receive, for the right to start it, and receives. Ends early when told to stop, but never in
    /// the middle of a receive.
    async fn ask(&self, work: &Work, max: u32, wait: Duration, given: Option<Permit>) -> Asked {
        let before = async {
            self.source.attributes().await?;
            let queue = self.source.queue();
            let is_local = queue.capabilities().signals_readiness;
            if is_local {
                queue.ready().await;
            }
            // First the quota: no permit is kept while a rate is waited for.
            let given = given.map(Permit::reserve);
            let quota = self.source.quota(max).await;
            let permit = match given.and_then(Reservation::claim) {
                Some(permit) => permit,
                None => self.permits.acquire().await,
            };
            Ok((permit, quota, is_local))
        };
        let ready = work.rest(async {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => None,
                ready = before => Some(ready),
            }
        });
        let (permit, quota, is_local) = match ready.await {
            Some(Ok(ready)) => ready,
            Some(Err(error)) => return Asked::Failed(error),
            None => return Asked::Stopped,
        };
        let wait = if is_local { Duration::ZERO } else { wait };
        let asked_at = Instant::now();
        let mut receive = std::pin::pin!(self.source.receive(quota, wait));
        let early = if is_local {
            Some(receive.as_mut().await)
        } else {
            tokio::select! {
                biased;
                answer = receive.as_mut() => Some(answer),
                () = sleep(FIRM_FOR) => None,
            }
        };
        let (answer, ticket) = match early {
            Some(answer) => (answer, Ticket::Permit(permit)),
            None => {
                let reservation = permit.reserve();
                (receive.await, Ticket::Reserved(reservation))
            }
        };
        match answer {
            Ok(Some(received)) => Asked::Some(received, ticket),
            Ok(None) => {
                drop(ticket);
                self.after_nothing(wait.saturating_sub(asked_at.elapsed())).await;
                Asked::Nothing
            }
            Err(error) => Asked::Failed(error),
        }
    }

    /// Waits a little where a queue that was to wait for messages says earlier that there are none: some services do so
    /// each time, and would be asked in a loop.
    async fn after_nothing(&self, early: Duration) {
        if early.is_zero() {
            return;
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {}
            () = sleep(early.min(EARLY_PAUSE)) => {}
        }
    }

    /// Waits before the next try.
    async fn pause(&self, error: &QueueError) -> std::ops::ControlFlow<()> {
        let pause = self.source.failed(error);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return std::ops::ControlFlow::Break(()),
            () = sleep(pause) => {}
        }
        if *error == QueueError::NoSuchQueue {
            self.source.look_again().await;
        }
        std::ops::ControlFlow::Continue(())
    }

    /// Sorts what was received and starts its trip.
    fn take_in(self: &Arc<Self>, received: Received, permit: Option<Permit>) {
        let queue = Arc::clone(&received.queue);
        if let Some(gathered) = self.sort(received) {
            self.send_off(&queue, permit, gathered);
        }
    }

    /// What of a receive goes on. What does not is settled beside it.
    fn sort(self: &Arc<Self>, received: Received) -> Option<Gathered> {
        let Received { queue, messages, terms, .. } = received;
        let sorted = self.intake.sort(messages, queue.arn(), terms);
        if sorted.done_before.is_some() || sorted.filtered.is_some() {
            let (this, work) = (Arc::clone(self), self.source.timeline().work(Task::Trip));
            self.trips.spawn(async move {
                let _at_work = work;
                let settler = this.line.settler(&*queue);
                this.intake.put_aside(settler, sorted.done_before, sorted.filtered).await;
            });
        }
        Some(sorted.gathered).filter(|gathered| !gathered.is_empty())
    }

    // --- windows

    /// One window after the other. A window opens when the one before it has left; one that passed with nothing in it opens
    /// anew with the next message.
    async fn open_windows(self: Arc<Self>, work: Work) {
        let timeline = self.source.timeline();
        let mut opened_at = timeline.now();
        let mut carried: Option<(Arc<dyn Queue>, Gathered)> = None;
        loop {
            let (queue, mut permit, mut gathered) = match carried.take() {
                Some((queue, gathered)) => {
                    let permit = work.rest(async {
                        tokio::select! {
                            biased;
                            () = self.stop.cancelled() => None,
                            permit = self.permits.acquire_in_hand() => Some(permit),
                        }
                    });
                    (queue, permit.await, gathered)
                }
                None => match self.ask(&work, self.batch_size.min(FIRST_MAX), LONG_POLL, None).await {
                    Asked::Some(received, ticket) => {
                        let queue = Arc::clone(&received.queue);
                        match self.sort(received) {
                            Some(gathered) => (queue, ticket.claim(), gathered),
                            None => continue,
                        }
                    }
                    Asked::Nothing => continue,
                    Asked::Failed(error) => match work.rest(self.pause(&error)).await {
                        std::ops::ControlFlow::Continue(()) => continue,
                        std::ops::ControlFlow::Break(()) => return,
                    },
                    Asked::Stopped => return,
                },
            };
            let now = timeline.now();
            let closes_at = if now < opened_at + self.window { opened_at + self.window } else { now + self.window };
            let closed = self.fill(&work, &mut gathered, closes_at).await;
            self.line.metrics.window_closed(closed);
            carried = gathered.cut(self.batch_size as usize, true).map(|rest| (Arc::clone(&queue), rest));
            self.send_off(&queue, permit.take(), gathered);
            opened_at = timeline.now();
        }
    }

    /// Fills an open window; tells why it closed.
    async fn fill(self: &Arc<Self>, work: &Work, gathered: &mut Gathered, closes_at: Instant) -> Closed {
        let timeline = self.source.timeline();
        let mut fillers = 1;
        loop {
            let mut missing = (self.batch_size as usize).saturating_sub(gathered.len());
            if missing == 0 {
                return Closed::Size;
            }
            if gathered.is_too_long(true) {
                return Closed::Bytes;
            }
            missing = missing.min(gathered.room());
            let left = closes_at.saturating_duration_since(timeline.now());
            if left.is_zero() {
                return Closed::Window;
            }
            let queue = self.source.queue();
            let capabilities = queue.capabilities();
            let quota = async {
                if capabilities.signals_readiness {
                    queue.ready().await;
                }
                self.source.quota(u32::try_from(missing).unwrap_or(u32::MAX)).await
            };
            let quota = work.rest(async {
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => Err(Closed::Early),
                    quota = quota => Ok(quota),
                    () = timeline.sleep_until(closes_at) => Err(Closed::Window),
                }
            });
            let quota = match quota.await {
                Ok(quota) => quota,
                Err(closed) => return closed,
            };
            // Whole seconds are what SQS knows: the last part of one is waited here. Several receives wait for each other,
            // so none of them waits long.
            let longest = if fillers > 1 { SHORT_POLL } else { LONG_POLL };
            let wait = if capabilities.signals_readiness {
                Duration::ZERO
            } else {
                Duration::from_secs(left.as_secs()).min(longest)
            };
            let mut receives = Vec::new();
            let mut asked = 0;
            while asked < quota && receives.len() < fillers {
                let some = (quota - asked).min(capabilities.receive_max);
                // Leased from the moment it is here, however long the others wait.
                receives.push(async move {
                    let received = self.source.receive(some, wait).await?;
                    Ok(received.map(|received| (received.is_full, self.sort(received))))
                });
                asked += some;
            }
            self.source.give_back_quota(quota - asked);
            let (mut all_full, mut is_empty, mut failure) = (true, true, None);
            let asked_at = Instant::now();
            for outcome in futures::future::join_all(receives).await {
                match outcome {
                    Ok(Some((is_full, sorted))) => {
                        all_full &= is_full;
                        is_empty = false;
                        if let Some(more) = sorted {
                            gathered.append(more);
                        }
                    }
                    Ok(None) => all_full = false,
                    // What the others brought is held all the same.
                    Err(error) => failure = Some(error),
                }
            }
            if let Some(error) = failure {
                self.source.failed(&error);
                return Closed::Early;
            }
            if is_empty {
                self.after_nothing(wait.saturating_sub(asked_at.elapsed())).await;
            }
            fillers = if all_full { (fillers * 2).min(FILLERS_MAX) } else { 1 };
            if !all_full && wait.is_zero() && !capabilities.signals_readiness {
                tokio::select! {
                    biased;
                    () = self.stop.cancelled() => return Closed::Early,
                    () = timeline.sleep_until(closes_at) => return Closed::Window,
                }
            }
        }
    }

    // --- trips

    /// Starts the trips. The first batch has the receive's permit; one that was cut off by its size waits for its own,
    /// and on a FIFO queue goes back: its groups are locked by the first.
    fn send_off(&self, queue: &Arc<dyn Queue>, permit: Option<Permit>, mut gathered: Gathered) {
        let mut permit = permit;
        let alone = self.quarantined(&gathered);
        if self.line.is_fifo {
            // What is to be run alone ends the batch in front of it, or is it: its group's order stands.
            let most = match alone.iter().position(|alone| *alone) {
                Some(0) => 1,
                Some(first) => first.min(self.batch_size as usize),
                None => self.batch_size as usize,
            };
            let rest = gathered.cut(most, false);
            let mut batches = if self.per_group { by_group(gathered) } else { vec![gathered] };
            for batch in batches.drain(..) {
                self.spawn_trip(queue, permit.take().map_or(Turn::Waits, Turn::Now), batch);
            }
            if let Some(rest) = rest {
                self.spawn_trip(queue, Turn::Back, rest);
            }
            return;
        }
        let mut next = Some(gathered);
        if alone.contains(&true)
            && let Some(mut others) = next.take()
        {
            let mut suspects = Some(others.split(|index| alone[index]));
            while let Some(mut suspect) = suspects {
                suspects = suspect.cut(1, self.line.windowed);
                self.spawn_trip(queue, permit.take().map_or(Turn::Waits, Turn::Now), suspect);
            }
            next = Some(others).filter(|others| !others.is_empty());
        }
        while let Some(mut batch) = next {
            next = batch.cut(self.batch_size as usize, self.line.windowed);
            self.spawn_trip(queue, permit.take().map_or(Turn::Waits, Turn::Now), batch);
        }
    }

    /// Which messages are to be run alone, as they were there at several deaths of the process.
    fn quarantined(&self, gathered: &Gathered) -> Vec<bool> {
        let witness = &self.line.witness;
        if witness.suspects_nobody() || gathered.len() == 1 {
            return Vec::new();
        }
        gathered.records.iter().map(|record| witness.quarantines(&record.message_id)).collect()
    }

    fn spawn_trip(&self, queue: &Arc<dyn Queue>, turn: Turn, gathered: Gathered) {
        // A batch that is there when the mapping is told to stop still runs if it may at once.
        let turn = match turn {
            Turn::Waits if self.stop.is_cancelled() => Turn::Back,
            turn => turn,
        };
        // Boxed once: it is large, and would be moved with everything that is put around it.
        let trip = Box::pin(Arc::clone(&self.line).trip(Arc::clone(queue), turn, gathered.seal()));
        let (name, work) = (self.line.name.clone(), self.source.timeline().work(Task::Trip));
        self.trips.spawn(async move {
            let _at_work = work;
            if AssertUnwindSafe(trip).catch_unwind().await.is_err() {
                tracing::error!(mapping = name, "a batch's trip panicked: its messages return by their timeout");
            }
        });
    }
}

/// One batch per message group, in the order in which the groups begin.
fn by_group(mut rest: Gathered) -> Vec<Gathered> {
    let mut batches = Vec::new();
    while let Some(first) = rest.held.first() {
        let group = first.system.group_id.clone();
        let others: Vec<bool> = rest.held.iter().map(|held| held.system.group_id != group).collect();
        let next = rest.split(|index| others[index]);
        batches.push(std::mem::replace(&mut rest, next));
    }
    batches
}
