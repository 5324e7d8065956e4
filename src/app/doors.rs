//! Everything that listens: for mail to send, for what comes back, for who unsubscribes.

use super::{StartError, failed, into_tokio};
use crate::auth::credentials::Gate;
use crate::config::Config;
use crate::events::Events;
use crate::http::unsubscribe;
use crate::inbound::Inbound;
use crate::intake::Intake;
use crate::smtp::listener::{self, Door, Listener, Role, Seats, TlsMode};
use crate::smtp::session::Limits;
use crate::tls::server::{Identity, ServerTls};
use crate::units::Live;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Bound sockets with what each works with.
pub struct Doors {
    submission: Vec<(TcpListener, listener::Parts<Intake>)>,
    inbound: Vec<(TcpListener, listener::Parts<Inbound>)>,
    unsubscribe: Option<(TcpListener, Option<Arc<ServerTls>>, Inbound)>,
}

/// What the doors are made of.
pub struct Making<'a> {
    pub config: &'a Config,
    pub certificates: &'a Certificates,
    pub gate: Gate,
    pub events: &'a Events,
    /// With the limits of its listeners.
    pub intake: (Arc<Intake>, Live<Limits>),
    pub inbound: (Inbound, Live<Limits>),
}

/// What is shown, as the configuration names it.
pub struct Certificates {
    /// One for each `[[listener]]`, in order.
    listeners: Vec<Option<Arc<ServerTls>>>,
    unsubscribe: Option<Arc<ServerTls>>,
}

impl Certificates {
    /// Reads what the configuration names. A listener without a certificate shows a self-signed one that all share.
    ///
    /// # Errors
    /// A file cannot be read, or is no certificate or key.
    pub fn load(config: &Config) -> Result<Self, StartError> {
        let mut own = None;
        let mut listeners = Vec::new();
        for listener in &config.listener {
            let tls = match (&listener.tls, &listener.certificate, &listener.key) {
                (TlsMode::Off, _, _) => None,
                (_, Some(certificate), Some(key)) => {
                    Some(load(certificate, key, "listener.certificate")?)
                }
                _ => {
                    let shared = own.take().map_or_else(|| self_signed(config), Ok)?;
                    own = Some(Arc::clone(&shared));
                    Some(shared)
                }
            };
            listeners.push(tls);
        }
        let of_page = &config.unsubscribe;
        let unsubscribe = match (&of_page.certificate, &of_page.key) {
            (Some(certificate), Some(key)) => {
                Some(load(certificate, key, "unsubscribe.certificate")?)
            }
            _ => None,
        };
        Ok(Self {
            listeners,
            unsubscribe,
        })
    }

    /// All of them, to be renewed.
    pub fn all(&self) -> Vec<Arc<ServerTls>> {
        let all = self.listeners.iter().chain([&self.unsubscribe]);
        all.flatten().cloned().collect()
    }
}

impl Doors {
    pub fn new(bound: (Vec<TcpListener>, Option<TcpListener>), making: Making<'_>) -> Self {
        let (smtp, page) = bound;
        let Making {
            config,
            certificates,
            gate,
            events,
            intake,
            inbound,
        } = making;
        let common = Common {
            hostname: config.hostname.as_str().into(),
            gate: Arc::new(gate),
            events: events.clone(),
        };
        let own = Arc::new(inbound.0.clone());
        // Strangers who fill their seats leave those of our own senders free.
        let (seats, public_seats) = (Arc::new(Seats::default()), Arc::new(Seats::default()));
        let mut doors = Self {
            submission: Vec::new(),
            inbound: Vec::new(),
            unsubscribe: page.map(|page| (page, certificates.unsubscribe.clone(), inbound.0)),
        };
        let shown = config.listener.iter().zip(&certificates.listeners);
        for (socket, (listener, tls)) in smtp.into_iter().zip(shown) {
            let of = (listener.clone(), tls.clone());
            match listener.role {
                Role::Submission => {
                    let parts = common.parts(of, &seats, (&intake.0, &intake.1));
                    doors.submission.push((socket, parts));
                }
                Role::Inbound => {
                    let parts = common.parts(of, &public_seats, (&own, &inbound.1));
                    doors.inbound.push((socket, parts));
                }
            }
        }
        doors
    }

    /// Opens all of them until `stop`; `sessions` has who is served.
    ///
    /// # Errors
    /// A socket cannot be used.
    pub fn open(self, stop: &CancellationToken, sessions: &TaskTracker) -> Result<(), StartError> {
        for (socket, parts) in self.submission {
            sessions.spawn(Listener::new(into_tokio(socket)?, parts).run(stop.clone()));
        }
        for (socket, parts) in self.inbound {
            sessions.spawn(Listener::new(into_tokio(socket)?, parts).run(stop.clone()));
        }
        if let Some((socket, tls, inbound)) = self.unsubscribe {
            let page = unsubscribe::serve(into_tokio(socket)?, tls, inbound, stop.clone());
            sessions.spawn(page);
        }
        Ok(())
    }
}

/// What all listeners share.
struct Common {
    hostname: Arc<str>,
    gate: Arc<Gate>,
    events: Events,
}

impl Common {
    fn parts<D: Door>(
        &self,
        (config, tls): (listener::Config, Option<Arc<ServerTls>>),
        seats: &Arc<Seats>,
        (door, limits): (&Arc<D>, &Live<Limits>),
    ) -> listener::Parts<D> {
        listener::Parts {
            config,
            limits: Arc::clone(limits),
            hostname: Arc::clone(&self.hostname),
            tls,
            gate: Arc::clone(&self.gate),
            seats: Arc::clone(seats),
            door: Arc::clone(door),
            events: self.events.clone(),
        }
    }
}

fn load(certificate: &Path, key: &Path, at: &str) -> Result<Arc<ServerTls>, StartError> {
    let identity = Identity {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
    };
    let loaded = ServerTls::load(identity);
    let loaded = loaded.map_err(|error| failed(at)(std::io::Error::other(error)))?;
    Ok(Arc::new(loaded))
}

fn self_signed(config: &Config) -> Result<Arc<ServerTls>, StartError> {
    let made = ServerTls::self_signed(&config.data_dir, &config.hostname);
    let made =
        made.map_err(|error| failed("listener.certificate")(std::io::Error::other(error)))?;
    Ok(Arc::new(made))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_without_a_certificate_share_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config {
            data_dir: dir.path().to_owned(),
            ..Config::default()
        };
        let other = config.listener[0].clone();
        config.listener.push(other);
        let shown = Certificates::load(&config).unwrap();
        let [Some(a), Some(b)] = &shown.listeners[..] else {
            panic!("two listeners show something")
        };
        assert!(Arc::ptr_eq(a, b));
        assert!(shown.unsubscribe.is_none());
    }
}
