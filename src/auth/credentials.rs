//! Tenants, their domains, and the passwords of their users as PHC strings (Argon2id).
//!
//! [`Gate`] is what a session asks. It answers a wrong password and an unknown user alike and in the same time, bounds
//! how many passwords are hashed at once, and stops asking for an address or a user that failed too often.

mod failures;
mod tenant;

pub use failures::Limits;
#[cfg(test)]
pub(crate) use tenant::cheap_hash;
pub use tenant::{Config, Tenant, Tenants, hash_password, validate_all};

use crate::clock::Clock;
use crate::units::Live;
use failures::Failures;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// What came of a password.
#[derive(Debug, Clone)]
#[must_use]
pub enum Verdict {
    Granted(Arc<Tenant>),
    /// Tell the client after this pause.
    Denied {
        after: Duration,
    },
    /// Too many failures lately; the password was not looked at.
    TooMany,
    /// The check could not be made.
    Unavailable,
}

/// Checks passwords, with the limits on failures.
pub struct Gate {
    tenants: Live<Tenants>,
    failures: Failures,
    hashing: Semaphore,
    delay: Duration,
}

impl Gate {
    pub fn new(tenants: Live<Tenants>, limits: &Limits, clock: Clock) -> Self {
        Self {
            tenants,
            failures: Failures::new(limits, clock),
            hashing: Semaphore::new(limits.concurrent_checks.max(1)),
            delay: limits.failure_delay.0,
        }
    }

    /// Somebody could authenticate at all.
    pub fn has_users(&self) -> bool {
        self.tenants.load().has_users()
    }

    /// Is this `user`'s password? Argon2id runs on the blocking pool.
    pub async fn check(&self, peer: Option<IpAddr>, user: String, password: Vec<u8>) -> Verdict {
        let tenants = self.tenants.load_full();
        // A password proven before is let through at once, so that guessing at a user locks nobody out.
        if let Some(tenant) = tenants.recall(&user, &password) {
            return Verdict::Granted(tenant);
        }
        if self.failures.exceeded(peer, &user) {
            return Verdict::TooMany;
        }
        let Ok(_permit) = self.hashing.acquire().await else {
            return Verdict::Unavailable;
        };
        // Asked again: others may have failed from here while this one waited its turn.
        if self.failures.exceeded(peer, &user) {
            return Verdict::TooMany;
        }
        let name = user.clone();
        let hashed = tokio::task::spawn_blocking(move || tenants.check(&name, &password)).await;
        match hashed {
            Ok(Some(tenant)) => Verdict::Granted(tenant),
            Ok(None) => {
                self.failures.note(peer, &user);
                Verdict::Denied { after: self.delay }
            }
            Err(_) => Verdict::Unavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Timestamp;
    use arc_swap::ArcSwap;
    use tempfile::TempDir;

    fn gate(limits: &Limits) -> (Gate, Clock, TempDir) {
        let dir = TempDir::new().unwrap();
        let line = format!("ann:{}\n", cheap_hash("secret"));
        std::fs::write(dir.path().join("users"), line).unwrap();
        let config = Config {
            name: "acme".into(),
            credentials: Some("file:users".into()),
            domains: vec!["acme.example".into()],
            ..Config::default()
        };
        let tenants = Tenants::load(&[config], dir.path()).unwrap();
        let clock = Clock::manual(Timestamp::from_millis(0));
        let live = Arc::new(ArcSwap::from_pointee(tenants));
        (Gate::new(live, limits, clock.clone()), clock, dir)
    }

    async fn ask(gate: &Gate, peer: &str, user: &str, password: &str) -> Verdict {
        let peer = peer.parse().unwrap();
        gate.check(Some(peer), user.into(), password.into()).await
    }

    #[tokio::test]
    async fn the_right_password_opens_and_nothing_else() {
        let (gate, _, _dir) = gate(&Limits::default());
        let granted = ask(&gate, "192.0.2.1", "ann", "secret").await;
        assert!(matches!(granted, Verdict::Granted(tenant) if &*tenant.name == "acme"));
        for (user, password) in [
            ("ann", "wrong"),
            ("ann", ""),
            ("bob", "secret"),
            ("", "secret"),
        ] {
            let denied = ask(&gate, "192.0.2.1", user, password).await;
            assert!(
                matches!(denied, Verdict::Denied { .. }),
                "{user} {password}"
            );
        }
    }

    #[tokio::test]
    async fn an_address_that_fails_too_often_waits() {
        let limits = Limits {
            failures_per_address: 3,
            ..Limits::default()
        };
        let (gate, clock, _dir) = gate(&limits);
        for user in ["a", "b", "c"] {
            assert!(matches!(
                ask(&gate, "192.0.2.1", user, "x").await,
                Verdict::Denied { .. }
            ));
        }
        assert!(matches!(
            ask(&gate, "192.0.2.1", "ann", "secret").await,
            Verdict::TooMany
        ));
        let elsewhere = ask(&gate, "192.0.2.2", "ann", "secret").await;
        assert!(matches!(elsewhere, Verdict::Granted(_)));
        clock.advance(limits.failure_window.0);
        let later = ask(&gate, "192.0.2.1", "d", "x").await;
        assert!(matches!(later, Verdict::Denied { .. }));
    }

    #[tokio::test]
    async fn guessing_at_a_user_does_not_lock_out_who_proved_the_password() {
        let limits = Limits {
            failures_per_user: 2,
            ..Limits::default()
        };
        let (gate, _, _dir) = gate(&limits);
        let proven = ask(&gate, "192.0.2.9", "ann", "secret").await;
        assert!(matches!(proven, Verdict::Granted(_)));
        for peer in ["192.0.2.1", "192.0.2.2"] {
            assert!(matches!(
                ask(&gate, peer, "ann", "x").await,
                Verdict::Denied { .. }
            ));
        }
        assert!(matches!(
            ask(&gate, "192.0.2.3", "ann", "x").await,
            Verdict::TooMany
        ));
        let owner = ask(&gate, "192.0.2.9", "ann", "secret").await;
        assert!(matches!(owner, Verdict::Granted(_)));
    }
}
