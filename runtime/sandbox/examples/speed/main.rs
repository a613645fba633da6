//! What a call of a handler costs in our sandbox, beside the same component called by wasmtime: what `cargo xtask bench invoke`
//! starts and reads.
//!
//! `speed ROUNDS FRESH WARM FILE [APP SCRIPT HANDLER]`: one handler, whose file is FILE; with `-` for what it does not have, APP is a
//! folder that it may read, SCRIPT the file of its script, HANDLER its `_HANDLER`. Cells take turns in each round, and each prints a
//! line: `speed ROUND START WHOSE CPU_US_PER_CALL`. Of each round FRESH calls are in fresh instances, WARM in one that is kept, both
//! `ours` and `raw`; as many again are `alone`: in fresh instances of ours, one at a time.
//!
//! An event of ten records, the same at every call, is handed over as text; the handler logs nothing. Every core is kept busy
//! but by the calls alone, by wasmtime with one call after the other on each. What is counted is the processor time of the whole
//! process. Judging and medians are absent: they are the reader's.

mod raw;

use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tower::ServiceExt as _;
use wasmill_event::{Account, Invocation, Payload, Record, Reply, SystemValue, lambda_event};
use wasmill_sandbox::{Code, EngineConfig, Function, FunctionSpec, Metrics, Mount, Reuse, Sandbox};

use self::raw::Raw;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Records of the event.
const RECORDS: usize = 10;
const BODY_BYTES: usize = 256;
/// Nothing takes so long.
const TIMEOUT: Duration = Duration::from_secs(60);
const MEMORY_MIB: u32 = 512;
/// Calls before the first round, which are not counted.
const WARM_UP: usize = 16;
/// Calls of our sandbox that are under way at once, several as a mapping has: enough that nobody idles.
const IN_FLIGHT: usize = 8;

/// A handler, as the command line names it.
pub(crate) struct Guest {
    pub(crate) file: PathBuf,
    pub(crate) app: Option<PathBuf>,
    pub(crate) script: Option<Arc<str>>,
    pub(crate) environment: Vec<(String, String)>,
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when this fails too.
            let _ = writeln!(std::io::stderr(), "speed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome<()> {
    let mut words = std::env::args().skip(1);
    let mut next = |what: &str| words.next().ok_or_else(|| format!("{what} is missing"));
    let rounds: usize = next("ROUNDS")?.parse()?;
    let (fresh, warm): (usize, usize) = (next("FRESH")?.parse()?, next("WARM")?.parse()?);
    let file = PathBuf::from(next("FILE")?);
    let mut optional = || words.next().filter(|word| word != "-");
    let app = optional().map(PathBuf::from);
    let script = optional().map(std::fs::read_to_string).transpose()?.map(Arc::from);
    let variables = optional().map(|handler| ("_HANDLER".to_owned(), handler));
    let environment = variables.into_iter().chain([("LAMBDA_TASK_ROOT".to_owned(), "/app".to_owned())]).collect();
    let guest = Guest { file, app, script, environment };
    let event: Arc<str> = event().into();

    let sandbox = Sandbox::new(EngineConfig::default(), Metrics::new(&prometheus::Registry::new())?)?;
    let ours_fresh = load(&sandbox, &guest, None).await?;
    let ours_warm = load(&sandbox, &guest, Some(Reuse::default())).await?;
    let raw = Arc::new(Raw::load(&guest)?);
    let callers = std::thread::available_parallelism()?.get();
    for round in 0..=rounds {
        // The first warms up.
        let (fresh, warm) = if round == 0 { (WARM_UP, WARM_UP) } else { (fresh, warm) };
        for turn in 0..5 {
            // Nobody is always the first.
            let (cell, spent, calls) = match (turn + round) % 5 {
                0 => ("fresh ours", ours(&ours_fresh, &event, IN_FLIGHT, fresh).await?, fresh),
                4 => ("alone ours", ours(&ours_fresh, &event, 1, fresh).await?, fresh),
                1 => (
                    "fresh raw",
                    together(callers, fresh, |calls| raw_fresh(Arc::clone(&raw), Arc::clone(&event), calls)).await?,
                    fresh,
                ),
                2 => ("warm ours", ours(&ours_warm, &event, IN_FLIGHT, warm).await?, warm),
                _ => (
                    "warm raw",
                    together(callers, warm, |calls| raw_warm(Arc::clone(&raw), Arc::clone(&event), calls)).await?,
                    warm,
                ),
            };
            if round > 0 {
                let us = spent.as_secs_f64() * 1e6 / calls as f64;
                writeln!(std::io::stdout().lock(), "speed {round} {cell} {us:.2}")?;
            }
        }
    }
    Ok(())
}

/// Calls our sandbox, so many at a time. The processor time it took.
async fn ours(function: &Function, event: &Arc<str>, in_flight: usize, calls: usize) -> Outcome<Duration> {
    together(in_flight, calls, |calls| {
        let (function, event) = (function.clone(), Arc::clone(event));
        async move {
            for _ in 0..calls {
                check(&call(&function, &event).await?)?;
            }
            Ok(())
        }
    })
    .await
}

async fn raw_fresh(raw: Arc<Raw>, event: Arc<str>, calls: usize) -> Outcome<()> {
    for _ in 0..calls {
        check(&raw.instance().await?.call(&event).await?)?;
    }
    Ok(())
}

async fn raw_warm(raw: Arc<Raw>, event: Arc<str>, calls: usize) -> Outcome<()> {
    let mut kept = raw.kept().await?;
    for _ in 0..calls {
        check(&kept.call(&event).await?)?;
    }
    raw.keep(kept);
    Ok(())
}

/// Shares calls among so many tasks. The processor time that all of them took.
async fn together<F>(tasks: usize, calls: usize, mut task: impl FnMut(usize) -> F) -> Outcome<Duration>
where
    F: Future<Output = Outcome<()>> + Send + 'static,
{
    let started = cpu();
    let running: Vec<_> = (0..tasks).map(|number| tokio::spawn(task((calls + number) / tasks))).collect();
    for one in running {
        one.await??;
    }
    Ok(cpu() - started)
}

async fn load(sandbox: &Sandbox, guest: &Guest, reuse: Option<Reuse>) -> Outcome<Function> {
    let spec = FunctionSpec {
        timeout: TIMEOUT,
        memory_mib: MEMORY_MIB,
        environment: guest.environment.clone(),
        mounts: guest.app.iter().map(|folder| Mount { folder: folder.clone(), at: "/app".to_owned() }).collect(),
        script: guest.script.clone(),
        reuse,
        ..FunctionSpec::new("speed", Code::File(guest.file.clone()))
    };
    let sandbox = sandbox.clone();
    Ok(tokio::task::spawn_blocking(move || sandbox.load(spec)).await??)
}

async fn call(function: &Function, event: &str) -> Outcome<String> {
    let request_id = "059f36b4-87a3-44ab-83d2-661975830a7d".to_owned();
    let invocation = Invocation {
        request_id,
        payload: Payload::Json(event.to_owned()),
        trace_id: None,
        trace: None,
        account: Account::default(),
    };
    match function.clone().oneshot(invocation).await {
        Ok(Reply::Json(reply)) => Ok(reply),
        other => Err(format!("the handler answered {other:?}").into()),
    }
}

fn check(reply: &str) -> Outcome<()> {
    let spoken = reply.replace(' ', "");
    if spoken == "{\"batchItemFailures\":[]}" { Ok(()) } else { Err(format!("the handler answered {reply:?}").into()) }
}

fn event() -> String {
    let body: String = "The quick brown fox jumps over the lazy dog. ".chars().cycle().take(BODY_BYTES).collect();
    let records: Vec<Record> = (0..RECORDS)
        .map(|number| Record {
            message_id: format!("059f36b4-87a3-44ab-83d2-{number:012}").into(),
            receipt_handle: "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a".repeat(4).into(),
            body: body.clone(),
            attributes: vec![
                ("ApproximateReceiveCount", SystemValue::Number(1)),
                ("SentTimestamp", SystemValue::Number(1_763_856_000_000)),
                ("SenderId", SystemValue::Text("000000000000".to_owned())),
                ("ApproximateFirstReceiveTimestamp", SystemValue::Number(1_763_856_000_005)),
            ],
            message_attributes: Vec::new(),
            md5_of_message_attributes: None,
            md5_of_body: "faa2e7c777b6cb10b02495daf3af05fe".to_owned(),
            event_source_arn: "arn:aws:sqs:us-east-1:000000000000:orders".into(),
            aws_region: "us-east-1".into(),
        })
        .collect();
    lambda_event(&records, false)
}

/// The processor time of this process so far.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Reads a component.
pub(crate) fn read(path: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()).into())
}
