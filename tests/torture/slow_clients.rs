//! Clients that dawdle: heads that come byte by byte, bodies that stop, small ones and the longest, and answers that nobody reads.
//! Everybody else is served meanwhile, messages of 1 MiB included.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use support::Sqs;
use support::workload::Workload;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::connections::{newcomers, request};
use crate::crashes::on_disk;
use crate::report::Outcome;
use crate::stage::{PAUSE, Setup, Stage, Task};
use crate::usage::Bounds;

/// Of each manner.
const CLIENTS: usize = 400;
const MANNERS: usize = 5;
/// Between two bytes of a head.
const BYTE_EVERY: Duration = Duration::from_millis(300);
/// A large message is acknowledged within this time.
const LARGE_WITHIN: Duration = Duration::from_secs(10);
const LARGE_QUEUE: &str = "large";
const LONGEST_BODY_BYTES: usize = 8 << 20;

pub(crate) async fn run(task: Task) -> Option<Outcome> {
    let mut stage = Stage::open(Setup::new(Workload::usual(), on_disk)).await;
    let sqs = stage.worker().sqs();
    sqs.create(LARGE_QUEUE, &[]).await;
    stage.send(task.seed, 3, PAUSE);
    let mut clients = JoinSet::new();
    for number in 0..MANNERS * task.sized(CLIENTS, 60) {
        clients.spawn(dawdle(stage.worker().sqs_address(), number % MANNERS));
    }
    stage.count("slow clients", clients.len());
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    while begun.elapsed() < task.load {
        let asked = Instant::now();
        match tokio::time::timeout(LARGE_WITHIN, send_large(&sqs)).await {
            Ok(Ok(())) => slowest = slowest.max(asked.elapsed()),
            Ok(Err(error)) => stage.accuse(format!("a large message was refused: {error}")),
            Err(_) => stage.accuse(format!("a large message was not acknowledged within {LARGE_WITHIN:?}")),
        }
        if let Err(what) = newcomers(stage.worker(), 200).await {
            stage.accuse(what);
        }
    }
    stage.note(format!("the slowest send of 1 MiB took {slowest:?}"));
    clients.shutdown().await;
    Some(stage.close(Bounds { more_mib: 500, ..Bounds::default() }).await)
}

async fn send_large(sqs: &Sqs) -> Result<(), String> {
    let call = sqs.client().send_message().queue_url(sqs.url(LARGE_QUEUE)).message_body("x".repeat(1 << 20));
    call.send().await.map(drop).map_err(|error| format!("{error:?}"))
}

/// One after the other, for ever: who is cut off comes again.
async fn dawdle(server: SocketAddr, manner: usize) {
    loop {
        // Cut off is what it should be.
        let _ = dawdle_once(server, manner).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn dawdle_once(server: SocketAddr, manner: usize) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(server).await?;
    let head = |length: usize| {
        let whole = request("SendMessage", "");
        whole.replace("content-length: 0", &format!("content-length: {length}"))
    };
    match manner {
        0 => {
            for byte in head(1000).bytes() {
                stream.write_all(&[byte]).await?;
                tokio::time::sleep(BYTE_EVERY).await;
            }
        }
        1 => stream.write_all(format!("{}{{\"Queue", head(200)).as_bytes()).await?,
        2 => stream.write_all(format!("{}{{\"Queue", head(LONGEST_BODY_BYTES)).as_bytes()).await?,
        3 => {
            let chunked = head(0).replace("content-length: 0", "transfer-encoding: chunked");
            stream.write_all(format!("{chunked}5\r\n{{\"Que\r\n").as_bytes()).await?;
        }
        _ => {
            // Ten messages of 1 MiB, of which nobody reads a byte.
            let queue = format!("http://{server}/000000000000/{LARGE_QUEUE}");
            let receive = json!({"QueueUrl": queue, "VisibilityTimeout": 0}).to_string();
            stream.write_all(request("ReceiveMessage", &receive).as_bytes()).await?;
        }
    }
    std::future::pending().await
}
