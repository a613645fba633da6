//! A sandbox, a neighbour in it that is called all the time, and instruments: what it felt, and what the process took.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tower::Service;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};
use wasmill_event::{Account, Fault, Invocation, Payload, Reply};
use wasmill_sandbox::{Code, EngineConfig, Function, FunctionSpec, LoadError, Metrics, Sandbox};

use crate::bounds;
use crate::wat::json;

const ECHO: &str = "(call $ok (local.get $event) (local.get $event-len))";
const MIB: u64 = 1 << 20;

/// One test at a time, from its first line on: they are measured by what the process takes.
pub(crate) struct Turn {
    _guard: MutexGuard<'static, ()>,
}

impl Turn {
    pub(crate) fn take() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        Self { _guard: TURN.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

/// The sandbox with its neighbour.
pub(crate) struct Stage {
    pub(crate) sandbox: Sandbox,
    neighbour: Function,
}

/// What an attack cost.
#[derive(Debug)]
pub(crate) struct Toll {
    latencies: Vec<Duration>,
    resident_mib: u64,
    kept_mib: u64,
    threads: u64,
    open_files: u64,
    /// Lines that reached the log, and their text in bytes.
    pub(crate) lines: u64,
    pub(crate) line_bytes: u64,
}

impl Stage {
    pub(crate) fn new(_: &Turn) -> Self {
        count_lines();
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let config =
            EngineConfig { max_instances: 16, guest_threads: bounds::GUEST_THREADS, ..EngineConfig::default() };
        let sandbox = Sandbox::new(config, metrics).unwrap();
        let neighbour = sandbox.load(FunctionSpec::new("neighbour", json("neighbour", ECHO))).unwrap();
        Self { sandbox, neighbour }
    }

    /// A hostile function of the usual size.
    pub(crate) fn spec(code: Code) -> FunctionSpec {
        FunctionSpec { timeout: bounds::TIMEOUT, memory_mib: bounds::MEMORY_MIB, ..FunctionSpec::new("hostile", code) }
    }

    /// Runs as many copies as there are attackers, all at once, and says how each ended and what it cost.
    pub(crate) async fn attack(&self, name: &str, code: Code) -> (Vec<Result<Reply, Fault>>, Toll) {
        self.attack_as(name, Self::spec(code), "{}").await
    }

    /// The same with the function's terms and the event.
    pub(crate) async fn attack_as(
        &self,
        name: &str,
        spec: FunctionSpec,
        event: &str,
    ) -> (Vec<Result<Reply, Fault>>, Toll) {
        let function = self.sandbox.load(spec).unwrap();
        self.during(name, async {
            let attackers: Vec<_> = (0..bounds::ATTACKERS)
                .map(|_| {
                    let call = call(&function, event);
                    tokio::spawn(call)
                })
                .collect();
            let mut ended = Vec::new();
            for attacker in attackers {
                ended.push(attacker.await.unwrap());
            }
            ended
        })
        .await
    }

    /// Loads hostile code, on a thread where that may block, as the program does it.
    pub(crate) async fn load(&self, name: &str, code: Code) -> (Result<Function, LoadError>, Duration, Toll) {
        let sandbox = self.sandbox.clone();
        let loading = async move {
            let started = Instant::now();
            let loaded = tokio::task::spawn_blocking(move || sandbox.load(Self::spec(code))).await.unwrap();
            (loaded, started.elapsed())
        };
        let ((loaded, took), toll) = self.during(name, loading).await;
        (loaded, took, toll)
    }

    /// Does something while the neighbour is called, and measures.
    pub(crate) async fn during<T>(&self, name: &str, attack: impl Future<Output = T>) -> (T, Toll) {
        // What the first calls ever cost is no attack's fault.
        for _ in 0..20 {
            let _ = call(&self.neighbour, "warm").await.unwrap();
        }
        let (lines, line_bytes) = (LINES.load(Ordering::SeqCst), LINE_BYTES.load(Ordering::SeqCst));
        let meter = Meter::start();
        let over = Arc::new(AtomicBool::new(false));
        let calling = tokio::spawn(call_on(self.neighbour.clone(), Arc::clone(&over)));
        let came_of_it = attack.await;
        over.store(true, Ordering::SeqCst);
        let latencies = calling.await.unwrap();
        let (peak, kept) = meter.stop().await;
        let toll = Toll {
            latencies,
            resident_mib: peak.resident_bytes / MIB,
            kept_mib: kept.resident_bytes / MIB,
            threads: peak.threads,
            open_files: peak.open_files,
            lines: LINES.load(Ordering::SeqCst) - lines,
            line_bytes: LINE_BYTES.load(Ordering::SeqCst) - line_bytes,
        };
        eprintln!("{name:32} {toll}");
        (came_of_it, toll)
    }
}

impl Toll {
    /// Fails unless everything is within what `bounds.rs` allows.
    pub(crate) fn is_bearable(&self) {
        self.is_bearable_while_it_lasts();
        assert!(self.kept_mib <= bounds::RESIDENT_KEPT_MIB, "resident memory was not given back: {self}");
    }

    /// The same, whatever is left of it.
    pub(crate) fn is_bearable_while_it_lasts(&self) {
        self.is_felt_no_more_than_allowed();
        assert!(self.resident_mib <= bounds::RESIDENT_MIB, "resident memory grew too much: {self}");
        assert!(self.threads <= bounds::THREADS, "too many threads: {self}");
        assert!(self.open_files <= bounds::OPEN_FILES, "too many open files: {self}");
    }

    /// The neighbour's part alone.
    pub(crate) fn is_felt_no_more_than_allowed(&self) {
        assert!(self.worst() <= bounds::WORST, "the neighbour waited too long: {self}");
        assert!(self.p99() <= bounds::P99, "the neighbour waited too long too often: {self}");
    }

    /// For attacks that take their time: the neighbour was heard often enough.
    pub(crate) fn neighbour_was_heard(&self) {
        assert!(self.latencies.len() >= bounds::CALLS_MIN, "the neighbour hardly came to answer: {self}");
    }

    fn worst(&self) -> Duration {
        self.latencies.iter().max().copied().unwrap_or_default()
    }

    fn p99(&self) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        // With few calls the last place would be the worst, which has a bound of its own.
        let place = (sorted.len() * 99 / 100).min(sorted.len().saturating_sub(2));
        sorted.get(place).copied().unwrap_or_default()
    }

    /// By how much resident memory grew at most, in MiB.
    pub(crate) fn resident_mib(&self) -> u64 {
        self.resident_mib
    }
}

impl fmt::Display for Toll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { latencies, resident_mib, kept_mib, threads, open_files, lines, .. } = self;
        let (p99, worst) = (self.p99().as_secs_f64() * 1e3, self.worst().as_secs_f64() * 1e3);
        write!(
            f,
            "neighbour {:5} calls, p99 {p99:6.1} ms, worst {worst:6.1} ms; resident +{resident_mib} MiB, kept \
             +{kept_mib} MiB; threads +{threads}, files +{open_files}, {lines} lines",
            latencies.len()
        )
    }
}

/// One call.
pub(crate) fn call(function: &Function, event: &str) -> impl Future<Output = Result<Reply, Fault>> + Send + 'static {
    let payload = Payload::Json(event.to_owned());
    function.clone().call(Invocation {
        request_id: "r".into(),
        payload,
        trace_id: None,
        trace: None,
        account: Account::default(),
    })
}

async fn call_on(neighbour: Function, over: Arc<AtomicBool>) -> Vec<Duration> {
    let mut latencies = Vec::new();
    // The first call comes before the end is looked for: each attack is felt at least once.
    loop {
        let asked = Instant::now();
        let answer = call(&neighbour, "hi").await;
        latencies.push(asked.elapsed());
        assert!(matches!(&answer, Ok(Reply::Json(text)) if text == "hi"), "the neighbour suffered: {answer:?}");
        if over.load(Ordering::SeqCst) {
            return latencies;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// What the process takes of the machine.
#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    resident_bytes: u64,
    threads: u64,
    open_files: u64,
}

impl Usage {
    fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        let open_files = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        Self { resident_bytes: field("VmRSS:") * 1024, threads: field("Threads:"), open_files }
    }

    fn beyond(self, before: Self) -> Self {
        Self {
            resident_bytes: self.resident_bytes.saturating_sub(before.resident_bytes),
            threads: self.threads.saturating_sub(before.threads),
            open_files: self.open_files.saturating_sub(before.open_files),
        }
    }

    fn or_more(self, other: Self) -> Self {
        Self {
            resident_bytes: self.resident_bytes.max(other.resident_bytes),
            threads: self.threads.max(other.threads),
            open_files: self.open_files.max(other.open_files),
        }
    }
}

/// Looks every few milliseconds, on a thread that no guest can keep busy.
struct Meter {
    before: Usage,
    over: Arc<AtomicBool>,
    looking: JoinHandle<Usage>,
}

impl Meter {
    fn start() -> Self {
        let before = Usage::now();
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let looking = std::thread::spawn(move || {
            let mut peak = Usage::now();
            while !is_over.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(4));
                peak = peak.or_more(Usage::now());
            }
            peak
        });
        Self { before, over, looking }
    }

    /// The most beyond the beginning, and what is left of it now.
    async fn stop(self) -> (Usage, Usage) {
        self.over.store(true, Ordering::SeqCst);
        let mut peak = self.looking.join().unwrap();
        // Its own thread is none of the attack's.
        peak.threads -= 1;
        // What is being taken down is given a moment.
        tokio::time::sleep(Duration::from_millis(100)).await;
        (peak.beyond(self.before), Usage::now().beyond(self.before))
    }
}

static LINES: AtomicU64 = AtomicU64::new(0);
static LINE_BYTES: AtomicU64 = AtomicU64::new(0);

/// Counts the lines of the log and keeps none of them.
fn count_lines() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Counter).unwrap());
}

struct Counter;

impl Subscriber for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("wasmill") && *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut length = Length(0);
        event.record(&mut length);
        LINES.fetch_add(1, Ordering::SeqCst);
        LINE_BYTES.fetch_add(length.0, Ordering::SeqCst);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Renders what it counts, as a log that is written does.
struct Length(u64);

impl Visit for Length {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        self.0 += format!("{value:?}").len() as u64;
    }
}
