//! Ten thousand connections at once, in waves: silent ones, ones that were answered and stay, and long polls. The worker starts
//! with the soft limit on files that most systems give, 1024.
//!
//! What it does at its own limit (config/OPERATING.md): a newcomer is served, in the place of whoever rests longest.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use support::command::wrapped;
use support::wait::{PATIENCE, eventually, holds};
use support::workload::Workload;
use support::{Wasmill, http};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::crashes::on_disk;
use crate::report::Outcome;
use crate::stage::{PAUSE, Setup, Stage, Task};
use crate::usage::Bounds;

const CONNECTIONS: usize = 10_000;
/// What we open beside them.
const FILES_BESIDE: u64 = 300;
const CONNECT_WITHIN: Duration = Duration::from_secs(4);
/// How long somebody new may wait for an answer while they are all there.
const NEWCOMER_WITHIN: Duration = Duration::from_secs(10);
/// Of some the kernel forgets to tell that their client is gone, when so many come and go at once: a minute later they have rested
/// for too long.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(100);
/// How much more memory the last wave may leave than the first, which the allocator keeps for the next.
const GROWTH_MIB_MAX: u64 = 80;

pub(crate) async fn run(task: Task) -> Option<Outcome> {
    let files = raise_own_limit();
    let connections = task.sized(CONNECTIONS, 1500).min(usize::try_from(files.saturating_sub(FILES_BESIDE)).unwrap());
    let mut setup = Setup::new(Workload::usual(), on_disk);
    setup.adapt = Box::new(move |command| wrapped(&["prlimit", &format!("--nofile=1024:{files}")], &command));
    let mut stage = Stage::open(setup).await;
    stage.send(task.seed, 3, PAUSE);
    let mut left_kib = Vec::new();
    let begun = Instant::now();
    for wave in 0_u8.. {
        if wave > 0 && begun.elapsed() > task.load {
            break;
        }
        let idle_fds = stage.worker().open_fds();
        let held = wave_of(stage.worker().sqs_address(), connections, wave).await;
        stage.count("connections", connections);
        let slowest = newcomers(stage.worker(), 200).await.unwrap_or_else(|what| {
            stage.accuse(format!("wave {wave}: {what}"));
            NEWCOMER_WITHIN
        });
        let line = format!(
            "wave {wave}: {} of {connections} connected, the worker had {} files open in {} MiB, the slowest of the newcomers was \
             answered after {slowest:?}",
            held.len(),
            stage.worker().open_fds(),
            stage.worker().resident_kib() >> 10,
        );
        stage.note(line);
        drop(held);
        eventually(PATIENCE, async || {
            let fds = stage.worker().open_fds();
            holds(fds < idle_fds + 50, || format!("{fds} files are open, {idle_fds} before"))
        })
        .await;
        left_kib.push(stage.worker().resident_kib());
    }
    if let [first, .., last] = left_kib[..]
        && last > first + (GROWTH_MIB_MAX << 10)
    {
        stage.accuse(format!("each wave leaves more memory in use: {left_kib:?} KiB"));
    }
    let bounds = Bounds { within: GIVEN_UP_WITHIN, ..Bounds::default() };
    Some(stage.close(bounds).await)
}

/// As many files for the test as there may be; gives their number.
fn raise_own_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let maximum = limit.maximum.unwrap_or(u64::MAX);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    maximum
}

/// Opens that many connections, as many as come about in the time there is.
async fn wave_of(server: SocketAddr, connections: usize, wave: u8) -> Vec<TcpStream> {
    let mut opening = JoinSet::new();
    for number in 0..connections {
        opening.spawn(async move { tokio::time::timeout(CONNECT_WITHIN, open(server, number, wave)).await.ok()?.ok() });
    }
    opening.join_all().await.into_iter().flatten().collect()
}

async fn open(server: SocketAddr, number: usize, wave: u8) -> std::io::Result<TcpStream> {
    // Each wave from an address of its own: ports that were used are not free at once.
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, 0, 1, wave + 1), 0).into())?;
    let mut stream = socket.connect(server).await?;
    match number % 3 {
        0 => {}
        1 => {
            stream.write_all(request("ListQueues", "{}").as_bytes()).await?;
            stream.read_exact(&mut [0; 16]).await?;
        }
        _ => {
            let queue = format!("http://{server}/000000000000/work-dead");
            // Hidden again at once, what is received is not taken from anybody.
            let poll = json!({"QueueUrl": queue, "WaitTimeSeconds": 20, "VisibilityTimeout": 0}).to_string();
            stream.write_all(request("ReceiveMessage", &poll).as_bytes()).await?;
        }
    }
    Ok(stream)
}

/// A request as the SDK of today writes it.
pub(crate) fn request(action: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-amz-json-1.0\r\n\
         x-amz-target: AmazonSQS.{action}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Asks a few times by a new connection each, and the listener for monitors, too; gives the longest time it took. The answer has this
/// status: where signatures are asked for, a request without one is refused.
pub(crate) async fn newcomers(worker: &Wasmill, status: u16) -> Result<Duration, String> {
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let begun = Instant::now();
        let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", "AmazonSQS.ListQueues")];
        let asked = http::exchange(worker.sqs_address(), "POST", "/", &headers, b"{}");
        let answer = tokio::time::timeout(NEWCOMER_WITHIN, asked).await;
        let answer = answer.map_err(|_| format!("somebody new had no answer within {NEWCOMER_WITHIN:?}"))??;
        if answer.status != status {
            return Err(format!("somebody new was answered {}: {}", answer.status, answer.body));
        }
        slowest = slowest.max(begun.elapsed());
        let health = tokio::time::timeout(NEWCOMER_WITHIN, worker.get("/healthz")).await;
        let health = health.map_err(|_| "no answer of /healthz".to_owned())??;
        if health.status != 200 {
            return Err(format!("/healthz: {}", health.body));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(slowest)
}
