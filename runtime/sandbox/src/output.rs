//! What a guest writes: log lines, bounded and passed on as they come, and the response of a command.
//!
//! A write never blocks the guest and, for logs, never fails: a handler must not break because it talks too much.
//! Nothing here knows who reads the log; each line is one `tracing` event with target `wasmill::handler`.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::limits::Limits;

/// Bytes a guest may hand over in one write. WASI's own streams use this size.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// How much is kept of the end of stderr, for fault messages, and of the log, for whoever asks why an invocation failed.
const TAIL_BYTES: usize = 4 << 10;

/// Which of the guest's two streams a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    Stdout,
    Stderr,
}

impl Channel {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Cuts a stream of bytes into lines. A line longer than the limit comes out in pieces.
#[derive(Debug, Default)]
struct LineSplitter {
    partial: Vec<u8>,
    /// True when a piece of the current line was just emitted and nothing of the line has come since: a newline
    /// that comes now ends that piece, it is no empty line.
    cut: bool,
}

impl LineSplitter {
    fn push(&mut self, mut bytes: &[u8], line_bytes_max: usize, emit: &mut dyn FnMut(&str)) {
        while !bytes.is_empty() {
            let room = line_bytes_max.saturating_sub(self.partial.len()).max(1);
            let line_end = bytes.iter().take(room).position(|byte| *byte == b'\n');
            let (piece, rest, ends) = match line_end {
                Some(end) => (&bytes[..end], &bytes[end + 1..], true),
                None => (&bytes[..room.min(bytes.len())], &bytes[room.min(bytes.len())..], false),
            };
            bytes = rest;
            let only_ends_a_piece = std::mem::take(&mut self.cut) && piece.is_empty();
            if ends && self.partial.is_empty() {
                if !only_ends_a_piece {
                    emit_line(piece, emit);
                }
                continue;
            }
            self.partial.extend_from_slice(piece);
            if ends {
                emit_line(&std::mem::take(&mut self.partial), emit);
            } else if self.partial.len() >= line_bytes_max {
                let keep_from = character_boundary(&self.partial);
                let carried = self.partial.split_off(keep_from);
                self.cut = carried.is_empty();
                emit_line(&std::mem::replace(&mut self.partial, carried), emit);
            }
        }
    }

    /// Emits what is left without a newline.
    fn finish(&mut self, emit: &mut dyn FnMut(&str)) {
        if !self.partial.is_empty() {
            emit_line(&std::mem::take(&mut self.partial), emit);
        }
    }
}

fn emit_line(line: &[u8], emit: &mut dyn FnMut(&str)) {
    emit(&String::from_utf8_lossy(line));
}

/// Where to cut `bytes` so that a character that is not complete yet moves to the next piece. Never 0, so that
/// bytes which are no UTF-8 at all still move on.
fn character_boundary(bytes: &[u8]) -> usize {
    let len = bytes.len();
    for back in 1..=3.min(len.saturating_sub(1)) {
        let byte = bytes[len - back];
        let character_len = match byte {
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
            0x00..=0x7f => 1,
        };
        return if character_len > back { len - back } else { len };
    }
    len
}

/// The end of a text that grows.
#[derive(Debug, Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
        if self.0.len() > 2 * TAIL_BYTES {
            let surplus = self.0.len() - TAIL_BYTES;
            self.0.drain(..surplus);
        }
    }

    fn push_line(&mut self, line: &str) {
        self.push(line.as_bytes());
        self.push(b"\n");
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0[self.0.len().saturating_sub(TAIL_BYTES)..]).into_owned()
    }
}

/// Both streams of one invocation: splitting, the budget they share, and the end of stderr. Pure: lines go where
/// `emit` sends them.
#[derive(Debug)]
struct LineLog {
    stdout: LineSplitter,
    stderr: LineSplitter,
    bytes_left: usize,
    lines_left: usize,
    line_bytes_max: usize,
    dropped_bytes: u64,
    stderr_tail: Tail,
    /// Of the lines that were logged.
    tail: Tail,
    finished: bool,
}

impl LineLog {
    fn new(limits: &Limits) -> Self {
        Self {
            stdout: LineSplitter::default(),
            stderr: LineSplitter::default(),
            bytes_left: limits.log_bytes,
            lines_left: limits.log_lines,
            line_bytes_max: limits.log_line_bytes.max(1),
            dropped_bytes: 0,
            stderr_tail: Tail::default(),
            tail: Tail::default(),
            finished: false,
        }
    }

    fn write(&mut self, channel: Channel, bytes: &[u8], emit: &mut dyn FnMut(Channel, &str)) {
        if channel == Channel::Stderr {
            // Also what the log drops: the last words of a guest come last.
            self.stderr_tail.push(bytes);
        }
        let kept = bytes.len().min(self.bytes_left);
        self.bytes_left -= kept;
        self.dropped_bytes += (bytes.len() - kept) as u64;
        let splitter = match channel {
            Channel::Stdout => &mut self.stdout,
            Channel::Stderr => &mut self.stderr,
        };
        let (lines_left, dropped_bytes, tail) = (&mut self.lines_left, &mut self.dropped_bytes, &mut self.tail);
        splitter.push(&bytes[..kept], self.line_bytes_max, &mut |line| {
            if *lines_left > 0 {
                *lines_left -= 1;
                tail.push_line(line);
                emit(channel, line);
            } else {
                *dropped_bytes += line.len() as u64 + 1;
            }
        });
        if self.lines_left == 0 {
            // Nothing that comes will be logged, so it need not be cut into lines either.
            self.bytes_left = 0;
        }
    }

    /// Emits unfinished lines. Returns true the first time.
    fn finish(&mut self, emit: &mut dyn FnMut(Channel, &str)) -> bool {
        let tail = &mut self.tail;
        let mut last = |channel: Channel, line: &str| {
            tail.push_line(line);
            emit(channel, line);
        };
        self.stdout.finish(&mut |line| last(Channel::Stdout, line));
        self.stderr.finish(&mut |line| last(Channel::Stderr, line));
        !std::mem::replace(&mut self.finished, true)
    }

    /// Which of the limits it was that dropped something.
    fn limit_that_was_met(&self, limits: &Limits) -> String {
        if self.lines_left == 0 { format!("{} lines", limits.log_lines) } else { format!("{} bytes", limits.log_bytes) }
    }

    /// The line of stderr that says best what went wrong: a Rust panic with its message, else the last line.
    fn last_words(&self) -> Option<String> {
        let tail = self.stderr_tail.text();
        let lines: Vec<&str> = tail
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("note: run with `RUST_BACKTRACE"))
            .collect();
        let panicked = lines.iter().rposition(|line| line.contains("panicked at "));
        match panicked {
            // std writes `thread 'main' panicked at src/lib.rs:3:5:` and the message on the next line.
            Some(at) => Some(lines[at..lines.len().min(at + 2)].join(" ")),
            None => lines.last().map(|line| (*line).to_owned()),
        }
    }
}

/// The log of an instance, one invocation after the other. Clones write to the same log; lines leave as soon as they are
/// complete.
#[derive(Debug, Clone)]
pub(crate) struct Logs {
    shared: Arc<LogsShared>,
}

#[derive(Debug)]
struct LogsShared {
    function: String,
    version: String,
    limits: Limits,
    state: Mutex<LogState>,
}

/// The invocation that is under way.
#[derive(Debug)]
struct LogState {
    /// Every line carries it.
    request_id: String,
    log: LineLog,
}

impl Logs {
    pub(crate) fn new(function: &str, version: &str, limits: &Limits) -> Self {
        let state = Mutex::new(LogState { request_id: String::new(), log: LineLog::new(limits) });
        let (function, version) = (function.to_owned(), version.to_owned());
        Self { shared: Arc::new(LogsShared { function, version, limits: *limits, state }) }
    }

    /// An invocation begins: from here on the lines are its own, and so is the budget.
    pub(crate) fn begin(&self, request_id: &str) {
        let mut state = self.shared.lock();
        // What came between two invocations belongs to the first.
        state.finish(&self.shared);
        *state = LogState { request_id: request_id.to_owned(), log: LineLog::new(&self.shared.limits) };
    }

    /// The last 4 KiB of the invocation's lines, each with its newline.
    pub(crate) fn tail(&self) -> String {
        self.shared.lock().log.tail.text()
    }

    /// A stream for the guest that ends up in this log.
    pub(crate) fn stream(&self, channel: Channel) -> GuestStream {
        GuestStream { sink: Sink::Log(self.clone(), channel) }
    }

    /// Logs what has no newline yet, and how much was dropped, if anything was. Also happens when the last clone
    /// goes away, so that a guest that was stopped half-way loses no line.
    pub(crate) fn finish(&self) {
        self.shared.lock().finish(&self.shared);
    }

    /// Bytes of output that were dropped.
    pub(crate) fn dropped_bytes(&self) -> u64 {
        self.shared.lock().log.dropped_bytes
    }

    /// What the guest said last on stderr, one line.
    pub(crate) fn last_words(&self) -> Option<String> {
        self.shared.lock().log.last_words()
    }
}

impl LogsShared {
    fn lock(&self) -> MutexGuard<'_, LogState> {
        // A line log is whole between any two statements, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, channel: Channel, bytes: &[u8]) {
        let LogState { request_id, log } = &mut *self.lock();
        log.write(channel, bytes, &mut |channel, line| self.emit(request_id, channel, line));
    }

    fn emit(&self, request_id: &str, channel: Channel, line: &str) {
        let Self { function, version, .. } = self;
        let stream = channel.as_str();
        tracing::info!(target: "wasmill::handler", request_id, function, version, stream, "{line}");
    }
}

impl LogState {
    fn finish(&mut self, shared: &LogsShared) {
        let Self { request_id, log } = self;
        let first = log.finish(&mut |channel, line| shared.emit(request_id, channel, line));
        if first && log.dropped_bytes > 0 {
            let LogsShared { function, version, .. } = shared;
            tracing::warn!(
                target: "wasmill::handler",
                request_id,
                function,
                version,
                "{} bytes of output dropped: an invocation may log {}",
                log.dropped_bytes,
                log.limit_that_was_met(&shared.limits)
            );
        }
    }
}

impl Drop for LogsShared {
    fn drop(&mut self) {
        self.lock().finish(self);
    }
}

/// Collects a command's stdout, its response. Clones share what is collected.
#[derive(Debug, Clone)]
pub(crate) struct ReplyBuffer {
    collected: Arc<Mutex<Collected>>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Collected {
    bytes: Vec<u8>,
    overflowed: bool,
}

impl ReplyBuffer {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { collected: Arc::default(), bytes_max }
    }

    /// A stream for the guest that ends up in this buffer.
    pub(crate) fn stream(&self) -> GuestStream {
        GuestStream { sink: Sink::Reply(self.clone()) }
    }

    /// True when the guest wrote more than it may. Its write trapped: there is no use in letting it go on.
    pub(crate) fn overflowed(&self) -> bool {
        self.lock().overflowed
    }

    /// Takes what was collected.
    pub(crate) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False when `bytes` do not fit: then nothing of them is kept.
    fn write(&self, bytes: &[u8]) -> bool {
        let mut collected = self.lock();
        if bytes.len() > self.bytes_max - collected.bytes.len() {
            collected.overflowed = true;
            return false;
        }
        collected.bytes.extend_from_slice(bytes);
        true
    }
}

/// One of the guest's output streams. Always ready to take a write.
#[derive(Debug, Clone)]
pub(crate) struct GuestStream {
    sink: Sink,
}

#[derive(Debug, Clone)]
enum Sink {
    Log(Logs, Channel),
    Reply(ReplyBuffer),
}

impl GuestStream {
    fn accept(&self, bytes: &[u8]) -> Result<(), &'static str> {
        match &self.sink {
            Sink::Log(logs, channel) => logs.shared.write(*channel, bytes),
            Sink::Reply(reply) => {
                if !reply.write(bytes) {
                    return Err("the response on stdout is longer than the function may answer");
                }
            }
        }
        Ok(())
    }
}

impl IsTerminal for GuestStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for GuestStream {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for GuestStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.accept(&bytes).map_err(StreamError::trap)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

impl AsyncWrite for GuestStream {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = self.accept(bytes).map(|()| bytes.len());
        Poll::Ready(written.map_err(std::io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Capture {
        log: LineLog,
        lines: Vec<(Channel, String)>,
    }

    impl Capture {
        fn new(log_bytes: usize, log_line_bytes: usize) -> Self {
            let limits = Limits { log_bytes, log_line_bytes, ..Limits::default() };
            Self { log: LineLog::new(&limits), lines: Vec::new() }
        }

        fn write(&mut self, channel: Channel, text: impl AsRef<[u8]>) {
            self.log.write(channel, text.as_ref(), &mut |channel, line| self.lines.push((channel, line.to_owned())));
        }

        fn finish(&mut self) -> bool {
            self.log.finish(&mut |channel, line| self.lines.push((channel, line.to_owned())))
        }

        fn texts(&self) -> Vec<&str> {
            self.lines.iter().map(|(_, line)| line.as_str()).collect()
        }
    }

    #[test]
    fn a_line_leaves_when_its_newline_arrives_and_the_rest_at_the_end() {
        let mut capture = Capture::new(1000, 100);
        capture.write(Channel::Stdout, "one\ntw");
        assert_eq!(capture.texts(), ["one"]);
        capture.write(Channel::Stdout, "o\r\n\nthree");
        assert_eq!(capture.texts(), ["one", "two\r", ""]);
        assert!(capture.finish());
        assert_eq!(capture.texts(), ["one", "two\r", "", "three"]);
        assert!(!capture.finish());
        assert_eq!(capture.lines.len(), 4);
    }

    #[test]
    fn beyond_the_most_lines_nothing_is_logged_and_all_of_it_is_counted() {
        let limits = Limits { log_lines: 3, ..Limits::default() };
        let mut capture = Capture { log: LineLog::new(&limits), lines: Vec::new() };
        capture.write(Channel::Stdout, "1\n2\n");
        capture.write(Channel::Stderr, "3\n4\n");
        capture.write(Channel::Stdout, "5\n");
        assert!(capture.finish());
        assert_eq!(capture.texts(), ["1", "2", "3"]);
        assert_eq!(capture.log.dropped_bytes, 4);
        assert_eq!(capture.log.limit_that_was_met(&limits), "3 lines");
    }

    #[test]
    fn the_two_streams_do_not_mix_within_a_line() {
        let mut capture = Capture::new(1000, 100);
        capture.write(Channel::Stdout, "out");
        capture.write(Channel::Stderr, "err");
        capture.write(Channel::Stdout, "put\n");
        capture.write(Channel::Stderr, "or\n");
        assert_eq!(capture.lines, [(Channel::Stdout, "output".to_owned()), (Channel::Stderr, "error".to_owned())]);
    }

    #[test]
    fn a_long_line_comes_in_pieces_that_split_no_character() {
        let mut capture = Capture::new(1000, 5);
        capture.write(Channel::Stdout, "abcdé€fgh\nij\n");
        assert_eq!(capture.texts(), ["abcd", "é€", "fgh", "ij"]);
        for line in capture.texts() {
            assert!(line.len() <= 5, "{line}");
        }
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_one_piece_and_bytes_that_are_no_text_pass_lossily() {
        let mut capture = Capture::new(1000, 4);
        capture.write(Channel::Stdout, "abcd\n\nef\n");
        assert_eq!(capture.texts(), ["abcd", "", "ef"]);
        capture.write(Channel::Stdout, [0x80u8; 9]);
        capture.finish();
        let lossy: usize = capture.texts()[3..].iter().map(|line| line.chars().count()).sum();
        assert_eq!(lossy, 9, "{:?}", capture.lines);
    }

    #[test]
    fn beyond_the_budget_output_is_counted_and_dropped_on_both_streams_together() {
        let mut capture = Capture::new(10, 100);
        capture.write(Channel::Stdout, "12345\n");
        capture.write(Channel::Stderr, "abcdefgh\n");
        capture.write(Channel::Stdout, "more\n");
        assert_eq!(capture.texts(), ["12345"]);
        capture.finish();
        assert_eq!(capture.texts(), ["12345", "abcd"]);
        assert_eq!(capture.log.dropped_bytes, 5 + 5);
    }

    #[test]
    fn last_words_are_the_panic_and_its_message_even_when_the_log_dropped_them() {
        let mut capture = Capture::new(4, 100);
        capture.write(Channel::Stderr, "warming up\n");
        assert_eq!(capture.log.last_words().as_deref(), Some("warming up"));
        capture.write(
            Channel::Stderr,
            "\nthread 'main' (1) panicked at src/lib.rs:3:5:\nno such order\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
        );
        let said = "thread 'main' (1) panicked at src/lib.rs:3:5: no such order";
        assert_eq!(capture.log.last_words().as_deref(), Some(said));
    }

    #[test]
    fn the_tail_of_stderr_is_bounded() {
        let mut capture = Capture::new(0, 100);
        for _ in 0..1000 {
            capture.write(Channel::Stderr, "0123456789012345678901234567890123456789\n");
        }
        capture.write(Channel::Stderr, "x".repeat(100_000));
        capture.write(Channel::Stderr, "\nlast\n");
        assert!(capture.log.stderr_tail.0.len() <= 2 * TAIL_BYTES);
        assert_eq!(capture.log.last_words().as_deref(), Some("last"));
    }

    #[test]
    fn the_last_lines_of_an_invocation_are_kept_until_the_next() {
        let logs = Logs::new("f", "1", &Limits::default());
        logs.begin("r-1");
        logs.shared.write(Channel::Stdout, b"one\ntwo");
        logs.finish();
        assert_eq!(logs.tail(), "one\ntwo\n");
        logs.begin("r-2");
        for number in 0..3000 {
            logs.shared.write(Channel::Stderr, format!("line {number}\n").as_bytes());
        }
        let tail = logs.tail();
        assert!(tail.len() == TAIL_BYTES && tail.ends_with("line 2998\nline 2999\n"), "{tail}");
        logs.begin("r-3");
        assert_eq!(logs.tail(), "");
    }

    #[test]
    fn a_reply_of_exactly_the_limit_fits_and_one_byte_more_does_not() {
        let reply = ReplyBuffer::new(4);
        assert!(reply.write(b"abc"));
        assert!(!reply.write(b"de"));
        assert!(reply.overflowed());
        let exact = ReplyBuffer::new(4);
        assert!(exact.write(b"abcd"));
        assert!(!exact.overflowed());
        assert_eq!(exact.take(), b"abcd");
    }
}
