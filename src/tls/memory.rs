//! Hosts that have spoken TLS: one that does not any more has changed, or somebody in the way has (RFC 3207 §6).
//!
//! Kept in the store, over restarts and for all nodes, and as long in memory as it is needed there. Hosts of domains that
//! publish a policy need none of this: it is for those who say nothing.

use crate::clock::Clock;
use crate::problem::Problems;
use crate::store::{Store, StoreError, Written};
use crate::units::{Span, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Hosts in memory; the store has the others.
const MOST: usize = 50_000;
/// A host that is remembered is written again at most this often.
const REFRESH: Duration = Duration::from_secs(86_400);
/// Of the keys in the store.
const PREFIX: &str = "starttls/";

/// What becomes of mail to a host that has spoken TLS before and does not now.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum OnLoss {
    /// It goes in clear; an event tells.
    #[default]
    Go,
    /// It waits for TLS to come back, for a time; then it goes in clear.
    Wait,
    /// It waits as long as the host is remembered.
    Hold,
}

/// `[delivery.starttls_memory]`: what is made of hosts that have spoken TLS before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a host that has spoken TLS is expected to do so again.
    pub keep: Span,
    /// What becomes of mail to a host that does not: "go", "wait" or "hold".
    pub on_loss: OnLoss,
    /// With "wait": how long, from when it was first seen without.
    pub patience: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keep: Span::days(30),
            on_loss: OnLoss::Go,
            patience: Span::hours(12),
        }
    }
}

impl Config {
    /// Notes what is wrong; `at` is the key of this table.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.keep < Span::days(1) {
            problems.add(
                format!("{at}.keep"),
                format!("{} is too short: nothing would be remembered", self.keep),
                "write \"1d\" or more",
            );
        }
        if self.patience.0.is_zero() && self.on_loss == OnLoss::Wait {
            problems.add(
                format!("{at}.patience"),
                "is zero: nothing would wait",
                "write such as \"12h\", or on_loss = \"go\"",
            );
        }
    }
}

/// What is known of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// TLS was last spoken, to the day.
    spoke: Timestamp,
    /// It was first seen without, and has not spoken it since.
    lost: Option<Timestamp>,
}

/// A host that has spoken TLS, and does not now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// When it was last spoken, to the day.
    pub spoke: Timestamp,
    /// When it was first seen without.
    pub since: Timestamp,
    /// This is the first time.
    pub is_news: bool,
}

impl Loss {
    /// Until when mail is kept from going in clear; `None`: it may go.
    pub fn waits_until(&self, config: &Config, now: Timestamp) -> Option<Timestamp> {
        let until = match config.on_loss {
            OnLoss::Go => return None,
            OnLoss::Wait => self.since + config.patience.0,
            OnLoss::Hold => self.spoke + config.keep.0,
        };
        (now < until).then_some(until)
    }
}

/// The memory. Cheap to clone.
#[derive(Clone)]
pub struct Memory(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    /// `None`: the store has been asked, and knows nothing.
    hosts: Mutex<HashMap<Box<str>, Option<Known>>>,
}

impl Memory {
    pub fn new(store: Store, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            store,
            clock,
            hosts: Mutex::default(),
        }))
    }

    /// TLS was spoken with `host`, whose handshake came to its end. `true`: it had been lost.
    pub async fn spoke(&self, host: &str) -> bool {
        let now = self.0.clock.now();
        let before = self.known(host).await;
        let is_fresh = |known: Known| known.lost.is_none() && now.since(known.spoke) < REFRESH;
        if before.is_some_and(is_fresh) {
            return false;
        }
        let known = Known {
            spoke: now,
            lost: None,
        };
        self.keep(host, known).await;
        before.is_some_and(|known| known.lost.is_some())
    }

    /// `host` does not speak TLS now; `None` where nobody expects that it does.
    pub async fn missed(&self, host: &str, config: &Config) -> Option<Loss> {
        let now = self.0.clock.now();
        let known = self.known(host).await?;
        if now.since(known.spoke) >= config.keep.0 {
            return None;
        }
        let since = known.lost.unwrap_or(now);
        if known.lost.is_none() {
            let lost = Some(now);
            self.keep(host, Known { lost, ..known }).await;
        }
        Some(Loss {
            spoke: known.spoke,
            since,
            is_news: known.lost.is_none(),
        })
    }

    /// Forgets hosts that have not spoken TLS for `keep`.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn sweep(&self, keep: Duration) -> Result<(), StoreError> {
        let now = self.0.clock.now();
        let is_over = |known: &Known| now.since(known.spoke) >= keep;
        for (key, value) in self.0.store.list(PREFIX).await? {
            let known = serde_json::from_slice::<Known>(&value.value).ok();
            if known.as_ref().is_none_or(is_over) {
                // Where somebody has written it meanwhile it stays.
                let (Written::Yes(_) | Written::Conflict) =
                    self.0.store.delete(&key, value.version).await?;
            }
        }
        let mut hosts = self.0.hosts.lock();
        hosts.retain(|_, known| known.as_ref().is_some_and(|known| !is_over(known)));
        Ok(())
    }

    /// While the store is away nothing is known that was not known before.
    async fn known(&self, host: &str) -> Option<Known> {
        let host = host.to_ascii_lowercase();
        if let Some(known) = self.0.hosts.lock().get(&*host) {
            return *known;
        }
        let found = match self.0.store.get(&place(&host)).await {
            Ok(found) => found,
            Err(error) => {
                unkept(&host, &error);
                return None;
            }
        };
        let known = found.and_then(|found| serde_json::from_slice(&found.value).ok());
        self.put(host, known);
        known
    }

    async fn keep(&self, host: &str, known: Known) {
        let host = host.to_ascii_lowercase();
        // Numbers always have a JSON form.
        let value = serde_json::to_vec(&known).unwrap_or_default();
        if let Err(error) = self.0.store.set(&place(&host), &value).await {
            unkept(&host, &error);
        }
        // Also where the store is away: a loss is told once, and waited for from when it was first seen.
        self.put(host, Some(known));
    }

    fn put(&self, host: String, known: Option<Known>) {
        let mut hosts = self.0.hosts.lock();
        if hosts.len() >= MOST {
            hosts.clear();
        }
        hosts.insert(host.into(), known);
    }
}

fn place(host: &str) -> String {
    format!("{PREFIX}{host}")
}

fn unkept(host: &str, error: &StoreError) {
    tracing::warn!(host, %error, "whether the host has spoken TLS before cannot be read or kept");
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn memory() -> (Memory, Clock, Store) {
        let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let store = Store::in_memory();
        (Memory::new(store.clone(), clock.clone()), clock, store)
    }

    #[tokio::test]
    async fn a_host_is_missed_that_has_spoken_before_also_after_a_restart() {
        let (memory, clock, store) = memory();
        let config = Config::default();
        assert_eq!(memory.missed("mx.test", &config).await, None);
        assert!(!memory.spoke("MX.test").await);
        let again = Memory::new(store, clock.clone());
        clock.advance(HOUR);
        let loss = again.missed("mx.test", &config).await.unwrap();
        assert!(loss.is_news);
        clock.advance(HOUR);
        let later = again.missed("mx.test", &config).await.unwrap();
        assert_eq!((later.is_news, later.since), (false, loss.since));
        assert!(again.spoke("mx.test").await, "it is back");
        assert!(again.missed("mx.test", &config).await.unwrap().is_news);
    }

    #[tokio::test]
    async fn a_host_is_forgotten_in_the_end() {
        let (memory, clock, store) = memory();
        let config = Config::default();
        memory.spoke("mx.test").await;
        memory.sweep(config.keep.0).await.unwrap();
        assert_eq!(store.list(PREFIX).await.unwrap().len(), 1);
        clock.advance(config.keep.0);
        assert_eq!(memory.missed("mx.test", &config).await, None);
        memory.sweep(config.keep.0).await.unwrap();
        assert_eq!(store.list(PREFIX).await.unwrap().len(), 0);
    }

    #[test]
    fn how_long_mail_waits_is_the_configurations_to_say() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let loss = Loss {
            spoke: now,
            since: now,
            is_news: true,
        };
        let config = |on_loss| Config {
            on_loss,
            ..Config::default()
        };
        let waits = |on_loss| loss.waits_until(&config(on_loss), now);
        assert_eq!(waits(OnLoss::Go), None);
        assert_eq!(waits(OnLoss::Wait), Some(now + 12 * HOUR));
        assert_eq!(waits(OnLoss::Hold), Some(now + 30 * 24 * HOUR));
        let late = now + 13 * HOUR;
        assert_eq!(loss.waits_until(&config(OnLoss::Wait), late), None);
    }
}
