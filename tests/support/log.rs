//! A child's stderr, line by line as it comes: wasmill's JSON log, with the moment at which each line was seen.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use crate::wait::eventually;

/// What the log says of a line that a handler wrote.
const HANDLER_TARGET: &str = "wasmill::handler";

/// How many lines a failed test shows.
const SHOWN_LINES: usize = 80;

/// How long a reader that is behind is waited for.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

/// Waits until there is something to be read, for ever or so long. False: there is not.
fn wait_for_more(stream: &OwnedFd, within: Option<Duration>) -> bool {
    let within = within.and_then(|within| Timespec::try_from(within).ok());
    let mut fds = [PollFd::new(stream, PollFlags::IN)];
    poll(&mut fds, within.as_ref()).is_ok() && fds[0].revents().contains(PollFlags::IN)
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// When the test read it: never before it was written.
    pub seen_at: Instant,
    /// As written.
    pub text: String,
    fields: Value,
}

impl Line {
    fn of(bytes: &[u8], seen_at: Instant) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let fields = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { seen_at, text, fields }
    }

    /// A field's text; empty if there is none.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.fields[name].as_str().unwrap_or_default()
    }

    /// A field's number; none if it is no number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.fields[name].as_u64()
    }

    /// The message, which for a handler's line is the line.
    #[must_use]
    pub fn message(&self) -> &str {
        self.field("message")
    }

    /// Whether a handler wrote it.
    #[must_use]
    pub fn is_of_handler(&self) -> bool {
        self.field("target") == HANDLER_TARGET
    }
}

/// A log that grows. Clones read the same one. Whoever looks sees all that was written before: on a busy machine the thread that
/// reads may be seconds behind, and what it has not read yet would pass for what was never said.
#[derive(Clone, Debug)]
pub struct Log {
    /// Locked from a read until its lines are here: with the lock held and nothing to be read, this is all there is.
    lines: Arc<Mutex<Vec<Line>>>,
    stream: Arc<OwnedFd>,
}

impl Log {
    /// Follows a stream to its end, on a thread of its own.
    pub fn follow(mut stream: impl Read + AsFd + Send + 'static) -> (Self, JoinHandle<()>) {
        let seen = Arc::new(stream.as_fd().try_clone_to_owned().unwrap());
        let log = Self { lines: Arc::default(), stream: seen };
        let writer = log.clone();
        let reader = std::thread::spawn(move || {
            let (mut begun, mut piece) = (Vec::new(), vec![0; 64 << 10]);
            loop {
                wait_for_more(&writer.stream, None);
                let mut lines = writer.lock();
                let length = stream.read(&mut piece).unwrap_or(0);
                let seen_at = Instant::now();
                begun.extend_from_slice(&piece[..length]);
                while let Some(end) = begun.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = begun.drain(..=end).collect();
                    lines.push(Line::of(&line[..end], seen_at));
                }
                if length == 0 {
                    if !begun.is_empty() {
                        lines.push(Line::of(&begun, seen_at));
                    }
                    return;
                }
            }
        });
        (log, reader)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All lines written until now.
    fn caught_up(&self) -> MutexGuard<'_, Vec<Line>> {
        let begun = Instant::now();
        loop {
            let lines = self.lock();
            if !wait_for_more(&self.stream, Some(Duration::ZERO)) {
                return lines;
            }
            drop(lines);
            assert!(begun.elapsed() < CATCH_UP_MAX, "the log is written faster than it can be read");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The lines that `wanted` picks, in order.
    pub fn pick(&self, mut wanted: impl FnMut(&Line) -> bool) -> Vec<Line> {
        self.caught_up().iter().filter(|line| wanted(line)).cloned().collect()
    }

    /// wasmill's own lines whose message contains `part`.
    #[must_use]
    pub fn events(&self, part: &str) -> Vec<Line> {
        self.pick(|line| !line.is_of_handler() && line.message().contains(part))
    }

    /// The lines that handlers of this function wrote.
    #[must_use]
    pub fn said_by(&self, function: &str) -> Vec<Line> {
        self.pick(|line| line.is_of_handler() && line.field("function") == function)
    }

    /// Where handlers of this function wrote exactly this line.
    #[must_use]
    pub fn said(&self, function: &str, text: &str) -> Vec<Line> {
        self.pick(|line| line.is_of_handler() && line.field("function") == function && line.message() == text)
    }

    /// What each invocation of a function wrote: its lines, joined by newlines, by request id.
    #[must_use]
    pub fn said_by_request(&self, function: &str) -> BTreeMap<String, String> {
        let mut said: BTreeMap<String, String> = BTreeMap::new();
        for line in self.said_by(function) {
            said.entry(line.field("request_id").to_owned())
                .and_modify(|text| {
                    text.push('\n');
                    text.push_str(line.message());
                })
                .or_insert_with(|| line.message().to_owned());
        }
        said
    }

    /// Waits until handlers of this function wrote exactly this line `times` times, and gives the lines.
    pub async fn wait_for_said(&self, within: Duration, function: &str, text: &str, times: usize) -> Vec<Line> {
        eventually(within, async || {
            let said = self.said(function, text);
            if said.len() >= times {
                return Ok(said);
            }
            Err(format!("{function} wrote {text:?} {} of {times} times", said.len()))
        })
        .await
    }

    /// Waits for wasmill's own line whose message contains `part`, and gives the first.
    pub async fn wait_for_event(&self, within: Duration, part: &str) -> Line {
        eventually(within, async || {
            self.events(part).into_iter().next().ok_or_else(|| format!("the log has no {part:?}"))
        })
        .await
    }

    /// The last lines, for a test that fails.
    #[must_use]
    pub fn end(&self) -> String {
        let lines = self.lock();
        let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
        let shown = shown.iter().map(|line| line.text.chars().take(1000).collect::<String>());
        shown.collect::<Vec<_>>().join("\n")
    }
}
