//! A progress bar on a terminal; nothing where nobody watches.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

const WIDTH: usize = 24;
const REDRAW_EVERY: Duration = Duration::from_millis(100);

/// One line of stderr, drawn over and over.
#[derive(Debug)]
pub(super) struct Progress {
    total: u64,
    began: Instant,
    drawn: Option<Instant>,
    is_shown: bool,
}

impl Progress {
    pub(super) fn new(total: u64) -> Self {
        Self { total, began: Instant::now(), drawn: None, is_shown: stderr().is_terminal() }
    }

    /// So many are through.
    pub(super) fn at(&mut self, done: u64, what: &str) {
        if !self.is_shown || self.drawn.is_some_and(|drawn| drawn.elapsed() < REDRAW_EVERY) {
            return;
        }
        self.drawn = Some(Instant::now());
        let line = bar(done, self.total, self.began.elapsed());
        let _ = write!(stderr(), "\r\x1b[K{line}  {what}");
    }

    /// Takes the bar away.
    pub(super) fn end(&mut self) {
        if self.is_shown && self.drawn.take().is_some() {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

fn bar(done: u64, total: u64, took: Duration) -> String {
    let total = total.max(done).max(1);
    let filled = usize::try_from(done * WIDTH as u64 / total).unwrap_or(WIDTH);
    let rate = done as f64 / took.as_secs_f64().max(0.001);
    format!("[{}{}] {done}/{total}  {rate:.0}/s", "=".repeat(filled), " ".repeat(WIDTH - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_as_full_as_its_work_is_done_and_never_more() {
        let second = Duration::from_secs(1);
        assert_eq!(bar(0, 10, second), format!("[{}] 0/10  0/s", " ".repeat(24)));
        assert_eq!(bar(5, 10, second), format!("[{}{}] 5/10  5/s", "=".repeat(12), " ".repeat(12)));
        assert_eq!(bar(11, 10, second), format!("[{}] 11/11  11/s", "=".repeat(24)));
        assert_eq!(bar(0, 0, Duration::ZERO), format!("[{}] 0/1  0/s", " ".repeat(24)));
    }
}
