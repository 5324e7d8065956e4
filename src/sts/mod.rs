//! MTA-STS: what domains ask of whoever sends to them, so that nobody in the way can strip TLS or name other hosts
//! (RFC 8461).
//!
//! ```text
//! find(domain)  known and fresh ─────────────────────────────────────────────▶ it
//!               TXT _mta-sts.DOMAIN ─ none ──▶ what was known while it lasts, else none
//!                     │ id as known, fetched lately ─▶ what was known
//!                     └ else ──────▶ GET https://mta-sts.DOMAIN/.well-known/mta-sts.txt ─▶ kept in the store
//!                                                 └ fails ─▶ as where there is no record
//! ```
//!
//! A policy that was fetched once holds for its `max_age` whatever DNS says meanwhile: whoever can hide the record or the
//! file cannot take it back. It is kept in the store, over restarts and for all nodes.

mod config;
mod fetch;
pub mod policy;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use fetch::{FetchError, Fetcher};
pub use policy::{Hosts, Mode, Policy};

use crate::clock::Clock;
use crate::dns::{self, DnsFailure, Resolver};
use crate::store::{Store, StoreError};
use crate::tls::client::{ClientTls, Fault};
use crate::units::Timestamp;
use hickory_resolver::proto::rr::RecordType;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Domains whose answer is kept in memory; the store keeps the policies of all.
const MOST: usize = 200_000;
/// How long a file that could not be had is not asked for again (§3.3 suggests five minutes).
const FAILURE_HOLD: Duration = Duration::from_secs(300);
/// How long an answer serves at least and at most before DNS is asked for another id.
const LEAST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(86_400);

/// Policies of domains. Cheap to clone.
#[derive(Clone)]
pub struct Sts(Arc<Inner>);

struct Inner {
    config: Config,
    fetcher: Fetcher,
    store: Store,
    clock: Clock,
    known: Mutex<HashMap<Box<str>, Answer>>,
}

/// What a domain asks, and how long nobody has to be asked about it.
#[derive(Debug, Clone)]
struct Answer {
    known: Option<Arc<Known>>,
    /// Why there is none although the domain says that it has one.
    fault: Option<Fault>,
    /// DNS could not say whether it has one.
    is_unsure: bool,
    until: Timestamp,
}

/// A policy that holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Known {
    pub domain: Box<str>,
    pub id: Box<str>,
    pub fetched: Timestamp,
    pub policy: Policy,
}

impl Known {
    /// The hosts that may take the mail, where the domain asks for that to be enforced.
    pub fn enforced(&self) -> Option<&Hosts> {
        (self.policy.mode == Mode::Enforce).then_some(&self.policy.mx)
    }

    /// The hosts that its MX are to be among, where it looks at that at all.
    pub fn hosts(&self) -> Option<&Hosts> {
        (self.policy.mode != Mode::None).then_some(&self.policy.mx)
    }

    fn expires(&self) -> Timestamp {
        self.fetched + self.policy.lifetime()
    }

    /// It is to be fetched anew though its id is the same: long before it ends, and daily (§3.3).
    fn is_due(&self, now: Timestamp) -> bool {
        now.since(self.fetched) >= (self.policy.lifetime() / 2).min(LONGEST)
    }
}

impl fmt::Display for Known {
    /// `MTA-STS, enforce: mx.example.net, *.example.org`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "MTA-STS, {}: {}",
            self.policy.mode.name(),
            self.policy.mx
        )
    }
}

impl Sts {
    pub fn new(
        config: Config,
        (resolver, tls): (Resolver, ClientTls),
        store: Store,
        clock: Clock,
    ) -> Self {
        let fetcher = Fetcher::new(resolver, tls, config.port);
        Self(Arc::new(Inner {
            config,
            fetcher,
            store,
            clock,
            known: Mutex::default(),
        }))
    }

    /// Nobody has to be asked about `domain` now.
    pub fn is_known(&self, domain: &str) -> bool {
        let Some(domain) = self.asked_of(domain) else {
            return true;
        };
        let now = self.0.clock.now();
        let known = self.0.known.lock();
        known.get(&*domain).is_some_and(|answer| now < answer.until)
    }

    /// What held for mail to `domain` when it was asked for last, while that lasts.
    pub fn held(&self, domain: &str) -> Option<Arc<Known>> {
        let domain = self.asked_of(domain)?;
        let known = self.0.known.lock().get(&*domain)?.known.clone()?;
        (self.0.clock.now() < known.expires()).then_some(known)
    }

    /// Why nothing holds for mail to `domain`, where it says that it has a policy.
    pub fn fault(&self, domain: &str) -> Option<Fault> {
        let domain = self.asked_of(domain)?;
        self.0.known.lock().get(&*domain)?.fault
    }

    /// Nothing holds for mail to `domain` now, and that may be otherwise in a while: what says so cannot be had, or is to be
    /// asked again.
    pub fn is_unsure(&self, domain: &str) -> bool {
        let Some(domain) = self.asked_of(domain) else {
            return false;
        };
        let (known, now) = (self.0.known.lock(), self.0.clock.now());
        known
            .get(&*domain)
            .is_none_or(|answer| answer.is_unsure || answer.fault.is_some() || now >= answer.until)
    }

    /// What holds for mail to `domain`. A policy that cannot be had now, and was never had, is none.
    pub async fn find(&self, domain: &str) -> Option<Arc<Known>> {
        if self.is_known(domain) {
            return self.held(domain);
        }
        let domain = &*self.asked_of(domain)?;
        let answer = self.ask(domain).await;
        let known = answer.known.clone();
        let mut all = self.0.known.lock();
        if all.len() >= MOST {
            // Asked again when their mail comes; the store has what was fetched.
            all.clear();
        }
        all.insert(domain.into(), answer);
        known
    }

    /// The name to ask for; `None` where there is nothing to ask.
    fn asked_of<'d>(&self, domain: &'d str) -> Option<Cow<'d, str>> {
        let is_name = self.0.config.enabled && !domain.starts_with('[');
        is_name.then(|| dns::a_labels(domain).ok()).flatten()
    }

    async fn ask(&self, domain: &str) -> Answer {
        let now = self.0.clock.now();
        // While the store is away, what was known before still holds.
        let before = self.kept(domain).await.map(Arc::new);
        let before = before.filter(|known| now < known.expires());
        let before = before.or_else(|| self.held(domain));
        let (id, until) = self.id(domain).await;
        let id = match id {
            Ok(Some(id)) => id,
            Ok(None) => return answer(before, until),
            Err(Unsure) => {
                return Answer {
                    is_unsure: before.is_none(),
                    ..answer(before, until)
                };
            }
        };
        if before
            .as_ref()
            .is_some_and(|known| known.id == id && !known.is_due(now))
        {
            return answer(before, until);
        }
        match self.fetch(domain).await {
            Ok(policy) => {
                let known = Known {
                    domain: domain.into(),
                    id,
                    fetched: now,
                    policy,
                };
                self.keep(&known).await;
                answer(Some(Arc::new(known)), until)
            }
            Err(error) => {
                tracing::info!(domain, %error, "the MTA-STS policy cannot be had");
                Answer {
                    fault: before.is_none().then(|| error.fault()),
                    ..answer(before, now + FAILURE_HOLD)
                }
            }
        }
    }

    /// The id that DNS gives, and until when that is to be believed.
    async fn id(&self, domain: &str) -> (Result<Option<Box<str>>, Unsure>, Timestamp) {
        let now = self.0.clock.now();
        let name = format!("_mta-sts.{domain}");
        let asked = self
            .0
            .fetcher
            .resolver()
            .records(&name, RecordType::TXT)
            .await;
        match asked {
            Ok(records) => {
                let until = records.expires.clamp(now + LEAST, now + LONGEST);
                (Ok(policy::record_id(records.texts())), until)
            }
            Err(DnsFailure::Temporary(_)) => (Err(Unsure), now + LEAST),
            Err(_) => (Ok(None), now + FAILURE_HOLD),
        }
    }

    async fn fetch(&self, domain: &str) -> Result<Policy, FetchError> {
        let limit = self.0.config.timeout.0;
        let fetched = tokio::time::timeout(limit, self.0.fetcher.fetch(domain)).await;
        fetched.unwrap_or_else(|_| {
            let host = fetch::host_of(domain);
            Err(FetchError::TooSlow { host, limit })
        })
    }

    async fn kept(&self, domain: &str) -> Option<Known> {
        match self.0.store.get(&place(domain)).await {
            Ok(there) => serde_json::from_slice(&there?.value).ok(),
            Err(error) => {
                unkept(domain, &error);
                None
            }
        }
    }

    async fn keep(&self, known: &Known) {
        // Texts and numbers always have a JSON form.
        let value = serde_json::to_vec(known).unwrap_or_default();
        if let Err(error) = self.0.store.set(&place(&known.domain), &value).await {
            unkept(&known.domain, &error);
        }
    }
}

/// DNS could not say.
struct Unsure;

/// It is asked again at the latest when the policy ends.
fn answer(known: Option<Arc<Known>>, until: Timestamp) -> Answer {
    let until = known
        .as_ref()
        .map_or(until, |known| until.min(known.expires()));
    Answer {
        known,
        fault: None,
        is_unsure: false,
        until,
    }
}

fn place(domain: &str) -> String {
    format!("sts/{domain}")
}

/// It holds as long as this process has it in memory, and is fetched again behind that.
fn unkept(domain: &str, error: &StoreError) {
    tracing::warn!(domain, %error, "the MTA-STS policy cannot be kept");
}
