//! Connections: how many, how long each may take for a request, and how they end.
//!
//! axum's own server waits for ever for a request that was begun, even where it is told to stop.

use crate::tls::server::ServerTls;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at a time; a newcomer beyond it is closed, so that none of them takes a descriptor from mail.
const MOST: usize = 256;
/// How long a client may take for a header section, and for a body; also how long an idle connection is kept.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How long, when stopping, requests under way may take.
const GRACE: Duration = Duration::from_secs(3);
/// Pause after a failed accept: it is for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers with `router` until `stop`, then finishes what is under way for a while.
/// Where there is a certificate to show, in TLS alone.
pub(super) async fn run(
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    router: Router,
    stop: CancellationToken,
) {
    let (connections, abort) = (TaskTracker::new(), CancellationToken::new());
    let seats = Arc::new(Semaphore::new(MOST));
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match (accepted, Arc::clone(&seats).try_acquire_owned()) {
            (Ok((socket, _)), Ok(seat)) => {
                let served = serve(socket, tls.clone(), router.clone(), stop.clone());
                let abort = abort.clone();
                connections.spawn(async move {
                    let _seat = seat;
                    abort.run_until_cancelled(served).await
                });
            }
            (Ok((_, from)), Err(_)) => {
                tracing::warn!(%from, "too many HTTP connections, one was closed");
            }
            (Err(error), _) => pause_after(error).await,
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(GRACE, connections.wait())
        .await
        .is_err()
    {
        abort.cancel();
        connections.wait().await;
    }
}

async fn pause_after(error: io::Error) {
    tracing::warn!(%error, "an HTTP connection could not be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// One connection, to its end or to the end of the request it is at when `stop` comes.
async fn serve(
    socket: TcpStream,
    tls: Option<Arc<ServerTls>>,
    router: Router,
    stop: CancellationToken,
) {
    let Some(tls) = tls else {
        return answer(socket, router, stop).await;
    };
    let shaken = tokio::time::timeout(PATIENCE, tls.acceptor().accept(socket)).await;
    // Who cannot finish a handshake has nothing to ask.
    if let Ok(Ok(secure)) = shaken {
        answer(secure, router, stop).await;
    }
}

fn answer<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    socket: S,
    router: Router,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE);
    let connection =
        builder.serve_connection(TokioIo::new(socket), TowerToHyperService::new(router));
    async move {
        let mut connection = pin!(connection);
        // How a client ends its connection is its own affair.
        let _ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
    }
}
