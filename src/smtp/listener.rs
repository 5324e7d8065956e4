//! Sockets for SMTP sessions: accepts them, limits them, and performs what each [`Session`] asks for.
//!
//! [`Session`]: crate::smtp::session::Session

mod ahead;
mod buffers;
mod config;
mod connection;
mod door;
mod network;
mod proxy;
mod seats;
#[cfg(test)]
mod tests;
mod wire;

pub use config::{Config, Role, TlsMode};
pub use door::{Door, Reception};
pub use network::{Network, NotANetwork};
pub use seats::{Seat, Seats};

use crate::auth::credentials::Gate;
use crate::events::{Event, Events};
use crate::mail::Reply;
use crate::smtp::codec::write_reply;
use crate::smtp::session::Limits;
use crate::tls::server::ServerTls;
use crate::units::Live;
use buffers::Buffers;
use connection::Connection;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a listener works with. Everything may be shared with other listeners.
pub struct Parts<D> {
    pub config: Config,
    pub limits: Live<Limits>,
    /// Our name in the banner and in the EHLO reply.
    pub hostname: Arc<str>,
    /// `None` offers no TLS, whatever the configuration says.
    pub tls: Option<Arc<ServerTls>>,
    pub gate: Arc<Gate>,
    pub seats: Arc<Seats>,
    pub door: Arc<D>,
    pub events: Events,
}

/// One listening socket.
pub struct Listener<D> {
    socket: TcpListener,
    shared: Arc<Shared<D>>,
}

/// What the connections of a listener share.
struct Shared<D> {
    parts: Parts<D>,
    buffers: Buffers,
    /// Take no further command.
    closing: CancellationToken,
    /// Stop at once.
    abort: CancellationToken,
}

/// Pause after a failed accept: it is for want of descriptors, and asking again at once helps nobody.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl<D: Door> Listener<D> {
    /// Takes a socket that is bound and listening.
    pub fn new(socket: TcpListener, parts: Parts<D>) -> Self {
        Self {
            socket,
            shared: Arc::new(Shared {
                buffers: Buffers::default(),
                parts,
                closing: CancellationToken::new(),
                abort: CancellationToken::new(),
            }),
        }
    }

    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until `cancel`; then lets sessions finish the message they are in, for as long as
    /// `shutdown_grace` says, and answers 421 to the idle ones. Returns when no session is left.
    pub async fn run(self, cancel: CancellationToken) {
        let sessions = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = cancel.cancelled() => break,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((socket, from)) => self.shared.admit(socket, from, &sessions),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.socket);
        self.shared.closing.cancel();
        sessions.close();
        let grace = self.shared.parts.limits.load().shutdown_grace.0;
        if tokio::time::timeout(grace, sessions.wait()).await.is_err() {
            self.shared.abort.cancel();
            sessions.wait().await;
        }
    }
}

impl<D: Door> Shared<D> {
    /// Gives a newcomer a task, or tells it that there is no room.
    fn admit(self: &Arc<Self>, socket: TcpStream, from: SocketAddr, sessions: &TaskTracker) {
        // Replies are written whole; waiting to fill a segment would only delay them.
        let _best_effort = socket.set_nodelay(true);
        let ip = from.ip().to_canonical();
        let shared = self.clone();
        if self.parts.config.is_balancer(ip) {
            sessions.spawn(async move {
                let abort = shared.abort.clone();
                abort
                    .run_until_cancelled_owned(shared.serve_proxied(socket, ip))
                    .await
            });
            return;
        }
        if let Some(seat) = self.seat(&socket, ip) {
            sessions.spawn(async move {
                let abort = shared.abort.clone();
                let session = Connection::new(shared, socket, ip).serve();
                abort.run_until_cancelled_owned(session).await;
                drop(seat);
            });
        }
    }

    async fn serve_proxied(self: Arc<Self>, mut socket: TcpStream, balancer: IpAddr) {
        let limit = self.parts.limits.load().handshake_timeout.0;
        let header = proxy::read_header(&mut socket);
        let client = match tokio::time::timeout(limit, header).await {
            Ok(Ok(client)) => client.unwrap_or(balancer).to_canonical(),
            Ok(Err(error)) => {
                tracing::info!(%balancer, %error, "a balancer's connection was dropped");
                return;
            }
            Err(_) => return,
        };
        if let Some(_seat) = self.seat(&socket, client) {
            Connection::new(self, socket, client).serve().await;
        }
    }

    /// A seat for the newcomer. Where there is none it is told so, without waiting for it.
    fn seat(&self, socket: &TcpStream, ip: IpAddr) -> Option<Seat> {
        let refusal = match self.parts.seats.take(ip, &self.parts.limits.load()) {
            Ok(seat) => return Some(seat),
            Err(refusal) => refusal,
        };
        if self.parts.config.tls != TlsMode::Implicit {
            let mut line = Vec::new();
            write_reply(&refusal, &mut line);
            // A fresh socket has room for a line; one that has not is dropped all the same.
            let _best_effort = socket.try_write(&line);
        }
        self.rejected(ip, refusal);
        None
    }

    fn rejected(&self, peer: IpAddr, reply: Reply) {
        self.parts.events.emit(&Event::Rejected {
            tenant: None,
            sender: None,
            recipient: None,
            peer: Some(peer),
            reply,
        });
    }
}
