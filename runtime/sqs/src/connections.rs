//! The accept loop: how many connections, how long a client may dawdle on one, and how they end.

mod patience;
mod resting;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};

use crate::audit::Peer;
use crate::connections::patience::Patience;
pub use crate::connections::resting::{Place, Resting};
use crate::server::{SqsService, handle};

/// Connections at a time, where the process may open twice as many files; else half of those. The next takes the place of
/// one that rests, or waits in the kernel's backlog until one does.
const CONNECTIONS_MAX: usize = 4096;
const CONNECTIONS_MIN: usize = 16;
/// How long a client may take to send a request's head, and how long a connection may idle between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest head: request line and headers. Bodies are read in pieces of this size.
const HEAD_MAX_BYTES: usize = 64 << 10;
/// How long a client may let a response lie unread.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests may take to finish once the server stops. Long polls end at once.
const DRAIN_MAX: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// So many failed accepts in a row (ten seconds of them) mean a dead listener, unless it is want of files or memory, which
/// passes. The log has one of so many.
const ACCEPT_FAILURES_MAX: u32 = 100;

enum Event {
    Stop,
    Accepted(io::Result<(TcpStream, Peer, OwnedSemaphorePermit)>),
    Ended(Result<(), JoinError>),
}

/// Serves the SQS API until `shutdown` completes. Then no connection is accepted any more, long polls are answered with
/// what they have, requests under way finish within ten seconds, and the call returns. The service is spent then: a
/// long poll on it would not wait.
///
/// # Errors
/// When the listener itself fails for good. What goes wrong on one connection ends that connection only.
pub async fn serve(
    listener: TcpListener,
    service: Arc<SqsService>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let slots = Arc::new(Semaphore::new(connections_max()));
    let resting = Arc::new(Resting::default());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut failures = 0;
    let outcome = loop {
        let event = tokio::select! {
            biased;
            () = shutdown.as_mut() => Event::Stop,
            Some(ended) = connections.join_next() => Event::Ended(ended),
            accepted = accept(&listener, &slots, &resting) => Event::Accepted(accepted),
        };
        match event {
            Event::Stop => break Ok(()),
            Event::Accepted(Ok((stream, peer, slot))) => {
                failures = 0;
                connections.spawn(connection(stream, peer, Arc::clone(&service), resting.arrive(), slot));
            }
            Event::Accepted(Err(error)) if failures >= ACCEPT_FAILURES_MAX && !is_want(&error) => break Err(error),
            Event::Accepted(Err(error)) => {
                // A client that gave up in the backlog, or no file descriptor left: both pass.
                if failures.is_multiple_of(ACCEPT_FAILURES_MAX) {
                    tracing::warn!(%error, "could not accept a connection");
                }
                failures = failures.saturating_add(1);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            Event::Ended(ended) => report(ended),
        }
    };
    drop(listener);
    service.stopping().cancel();
    let drained = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout(DRAIN_MAX, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections cut: their requests did not finish in time");
        connections.shutdown().await;
    }
    outcome
}

/// Handlers, their files and the store need files, too.
fn connections_max() -> usize {
    let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    files.map_or(CONNECTIONS_MAX, |files| (files / 2).clamp(CONNECTIONS_MIN, CONNECTIONS_MAX))
}

/// Whether the process or the machine has no more of something at the moment.
fn is_want(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&errno))
}

/// A slot first: without one the connection stays in the backlog. Cancel-safe.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    resting: &Resting,
) -> io::Result<(TcpStream, Peer, OwnedSemaphorePermit)> {
    let slot = resting.slot(slots).await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, Peer(peer), slot))
}

async fn connection(
    stream: TcpStream,
    peer: Peer,
    service: Arc<SqsService>,
    place: Place,
    _slot: OwnedSemaphorePermit,
) {
    // Answers are small and somebody waits for each.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set TCP_NODELAY");
    }
    let io = TokioIo::new(Patience::new(stream, WRITE_TIMEOUT));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_MAX_BYTES);
    // hyper keeps room for its future, over three KB, on each connection from the beginning.
    let from_peer = service_fn(async |mut request: Request<Incoming>| {
        if !place.work() {
            // Closed without an answer, and nothing was done: it is safe to send it again.
            return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
        }
        request.extensions_mut().insert(peer);
        let answer = handle(&service, request).await;
        place.rest();
        Ok(answer)
    });
    let mut connection = pin!(builder.serve_connection(io, from_peer));
    let outcome = tokio::select! {
        biased;
        outcome = connection.as_mut() => outcome,
        () = service.stopping().cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = place.shall_leave() => {
            // Closed properly if there is nothing under way; what else there is, half a head or an answer that nobody reads, is cut.
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(Duration::ZERO, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "connection ended early");
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_files_is_no_dead_listener() {
        assert!(is_want(&io::Error::from(Errno::MFILE)) && is_want(&io::Error::from(Errno::NFILE)));
        assert!(!is_want(&io::Error::from(Errno::BADF)) && !is_want(&io::Error::other("x")));
        assert!((CONNECTIONS_MIN..=CONNECTIONS_MAX).contains(&connections_max()));
    }
}
