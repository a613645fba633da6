//! Signals, and the ladder they climb: the first SIGTERM or SIGINT asks for a drain, the second stops now.
//!
//! SIGHUP asks for the config to be read again. The only file that sees signals. It decides nothing else: what a drain or a
//! reload is stands where the process's life is run.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The process's signals, from [`Signals::install`] on. Dropping it stops listening, and signals are then ignored.
#[derive(Debug)]
pub(crate) struct Signals {
    ladder: Arc<Ladder>,
    listener: tokio::task::JoinHandle<()>,
}

impl Signals {
    /// Takes over SIGTERM, SIGINT and SIGHUP. From here on none of them ends the process by itself, so install it just before the
    /// part of the process's life that answers them. Needs a tokio runtime.
    pub(crate) fn install() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hang_up = signal(SignalKind::hangup())?;
        let ladder = Arc::new(Ladder::default());
        let listener = tokio::spawn(listen(terminate, interrupt, hang_up, Arc::clone(&ladder)));
        Ok(Self { ladder, listener })
    }

    /// Returns at the first signal, and at once ever after. Any number of tasks may wait.
    pub(crate) async fn drain_requested(&self) {
        self.ladder.drain.cancelled().await;
    }

    /// Returns at the next SIGHUP, or at once if one came since the last return.
    pub(crate) async fn reload_requested(&self) {
        self.ladder.reload.notified().await;
    }

    /// Returns at the second signal, and at once ever after.
    pub(crate) async fn stop_now_requested(&self) {
        self.ladder.stop_now.cancelled().await;
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn listen(mut terminate: Signal, mut interrupt: Signal, mut hang_up: Signal, ladder: Arc<Ladder>) {
    loop {
        let name = tokio::select! {
            biased;
            Some(()) = terminate.recv() => "SIGTERM",
            Some(()) = interrupt.recv() => "SIGINT",
            Some(()) = hang_up.recv() => {
                ladder.reload.notify_one();
                continue;
            }
            else => return,
        };
        match ladder.climb() {
            Rung::Drain => tracing::info!(signal = name, "draining; a second signal stops at once"),
            Rung::StopNow => tracing::warn!(signal = name, "stopping at once"),
            Rung::Top => tracing::debug!(signal = name, "already stopping at once"),
        }
    }
}

/// What a signal leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rung {
    Drain,
    StopNow,
    /// There is nothing harder than stopping now.
    Top,
}

#[derive(Debug, Default)]
struct Ladder {
    drain: CancellationToken,
    stop_now: CancellationToken,
    reload: Notify,
}

impl Ladder {
    /// One signal. Called by one task only.
    fn climb(&self) -> Rung {
        if !self.drain.is_cancelled() {
            self.drain.cancel();
            return Rung::Drain;
        }
        if !self.stop_now.is_cancelled() {
            self.stop_now.cancel();
            return Rung::StopNow;
        }
        Rung::Top
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_ladder_has_two_rungs_and_a_top() {
        let ladder = Ladder::default();
        assert_eq!(ladder.climb(), Rung::Drain);
        assert!(ladder.drain.is_cancelled() && !ladder.stop_now.is_cancelled());
        assert_eq!(ladder.climb(), Rung::StopNow);
        assert!(ladder.stop_now.is_cancelled());
        assert_eq!(ladder.climb(), Rung::Top);
    }

    fn send_to_self(name: &str) {
        let me = std::process::id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", name, &me]).status().unwrap().success());
    }

    #[tokio::test]
    async fn real_signals_drain_and_then_stop() {
        let signals = Signals::install().unwrap();
        let patience = Duration::from_secs(10);
        let soon = Duration::from_millis(50);
        assert!(tokio::time::timeout(soon, signals.drain_requested()).await.is_err(), "drains without a signal");

        send_to_self("TERM");
        tokio::time::timeout(patience, signals.drain_requested()).await.unwrap();
        assert!(tokio::time::timeout(soon, signals.stop_now_requested()).await.is_err(), "one signal stops at once");

        send_to_self("INT");
        tokio::time::timeout(patience, signals.stop_now_requested()).await.unwrap();
        // A late waiter sees both.
        tokio::time::timeout(patience, signals.drain_requested()).await.unwrap();
    }
}
