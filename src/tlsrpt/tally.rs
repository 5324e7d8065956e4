//! What is counted of sessions, and where it is kept until its day is over.

use super::config::Config;
use crate::clock::Clock;
use crate::reports::period::Day;
use crate::store::{Store, StoreError, Versioned, Written};
use crate::tls::client::Fault;
use crate::units::Live;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Domains and days that are counted between two writings.
const MOST_FRESH: usize = 100_000;
/// Policies of a domain on one day that are told apart.
const MOST_POLICIES: usize = 8;
/// Failures of a policy that are told apart by host; more are counted by their result alone.
const MOST_DETAILS: usize = 100;
/// Writings at a time: they share the store's syncs.
const AT_ONCE: usize = 64;
/// Of the keys of counts in the store.
pub(super) const COUNTS: &str = "tlsrpt/count/";

/// What a domain asks of sessions to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// It publishes one (RFC 8461); otherwise `no-policy-found`.
    pub is_sts: bool,
    /// The lines of its policy file, and the hosts that it names.
    pub lines: Vec<String>,
    pub hosts: Vec<String>,
}

/// One session, or the attempt at one.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a> {
    /// Of the recipients.
    pub domain: &'a str,
    pub policy: &'a Policy,
    pub failure: Option<Fault>,
    /// Why, beside the result.
    pub why: Option<&'a str>,
    /// From where, where that is fixed.
    pub source: Option<IpAddr>,
    /// The MX host that it went to, and its address.
    pub to: Option<(&'a str, IpAddr)>,
}

/// Everything counted of one domain on one day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts(pub Vec<OfPolicy>);

/// Sessions that went by one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfPolicy {
    pub policy: Policy,
    pub success: u64,
    pub failures: Vec<Failure>,
}

/// Sessions that failed in one way at one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub result: Fault,
    pub source: Option<IpAddr>,
    pub host: Option<Box<str>>,
    pub address: Option<IpAddr>,
    pub why: Option<Box<str>>,
    pub count: u64,
}

impl Failure {
    fn is_like(&self, other: &Self) -> bool {
        let key = |f: &Self| (f.result, f.source, f.address);
        key(self) == key(other) && self.host == other.host && self.why == other.why
    }
}

impl OfPolicy {
    pub fn failed(&self) -> u64 {
        let counts = self.failures.iter().map(|failure| failure.count);
        counts.fold(0, u64::saturating_add)
    }

    fn add(&mut self, mut failure: Failure) {
        if let Some(known) = self.failures.iter_mut().find(|f| f.is_like(&failure)) {
            known.count = known.count.saturating_add(failure.count);
            return;
        }
        // One for each result stays free.
        if self.failures.len() >= MOST_DETAILS {
            (failure.source, failure.host) = (None, None);
            (failure.address, failure.why) = (None, None);
            if let Some(known) = self.failures.iter_mut().find(|f| f.is_like(&failure)) {
                known.count = known.count.saturating_add(failure.count);
                return;
            }
        }
        self.failures.push(failure);
    }
}

impl Counts {
    pub(super) fn count(&mut self, session: &Session<'_>) {
        let Some(of) = self.of(session.policy) else {
            return;
        };
        let Some(result) = session.failure else {
            of.success = of.success.saturating_add(1);
            return;
        };
        of.add(Failure {
            result,
            source: session.source,
            host: session.to.map(|(host, _)| host.into()),
            address: session.to.map(|(_, address)| address),
            why: session.why.map(Into::into),
            count: 1,
        });
    }

    fn merge(&mut self, other: Self) {
        for theirs in other.0 {
            if let Some(of) = self.of(&theirs.policy) {
                of.success = of.success.saturating_add(theirs.success);
                theirs.failures.into_iter().for_each(|f| of.add(f));
            }
        }
    }

    /// `None`: the domain has had more policies on one day than anybody needs.
    fn of(&mut self, policy: &Policy) -> Option<&mut OfPolicy> {
        let at = self.0.iter().position(|of| of.policy == *policy);
        if at.is_none() && self.0.len() < MOST_POLICIES {
            self.0.push(OfPolicy {
                policy: policy.clone(),
                success: 0,
                failures: Vec::new(),
            });
        }
        match at {
            Some(at) => self.0.get_mut(at),
            None => self.0.last_mut().filter(|of| of.policy == *policy),
        }
    }
}

/// Counts sessions. Cheap to clone.
#[derive(Clone)]
pub struct Tally(Arc<Inner>);

struct Inner {
    config: Live<Config>,
    store: Store,
    clock: Clock,
    /// What the store does not have yet.
    fresh: Mutex<HashMap<(Day, Box<str>), Counts>>,
    /// Held while they are written: whoever has flushed finds in the store what was counted before.
    writing: tokio::sync::Mutex<()>,
}

impl Tally {
    pub fn new(config: Live<Config>, store: Store, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            config,
            store,
            clock,
            fresh: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }))
    }

    /// Somebody will be told.
    pub fn is_on(&self) -> bool {
        self.0.config.load().is_on()
    }

    /// Counts a session of now.
    pub fn count(&self, session: &Session<'_>) {
        let is_name = !session.domain.starts_with('[') && !session.domain.contains('/');
        let Ok(domain) = crate::dns::a_labels(session.domain) else {
            return;
        };
        if !is_name || !self.is_on() {
            return;
        }
        let day = Day::of(self.0.clock.now().as_secs());
        self.add((day, Box::from(&*domain)), |counts| counts.count(session));
    }

    fn add(&self, key: (Day, Box<str>), add: impl FnOnce(&mut Counts)) {
        let mut fresh = self.0.fresh.lock();
        if fresh.len() >= MOST_FRESH && !fresh.contains_key(&key) {
            return tracing::warn!(domain = %key.1, "TLS sessions are not counted: there are too many domains");
        }
        add(fresh.entry(key).or_default());
    }

    /// Adds to the store what has been counted since the last time. What it does not take now is tried again.
    pub async fn flush(&self) {
        let _turn = self.0.writing.lock().await;
        let fresh = std::mem::take(&mut *self.0.fresh.lock());
        let mut under_way = tokio::task::JoinSet::new();
        for (key, counts) in fresh {
            while under_way.len() >= AT_ONCE {
                under_way.join_next().await;
            }
            let tally = self.clone();
            under_way.spawn(async move {
                if let Err(error) = tally.write(&key, &counts).await {
                    tracing::warn!(domain = %key.1, %error, "TLS sessions are not written down yet");
                    tally.add(key, |again| again.merge(counts));
                }
            });
        }
        while under_way.join_next().await.is_some() {}
    }

    async fn write(
        &self,
        (day, domain): &(Day, Box<str>),
        fresh: &Counts,
    ) -> Result<(), StoreError> {
        let key = format!("{COUNTS}{day}/{domain}");
        loop {
            let there = self.0.store.get(&key).await?;
            let version = there.as_ref().map_or(0, |there| there.version);
            let mut counts = there.map(|there| read(&key, &there)).unwrap_or_default();
            counts.merge(fresh.clone());
            // Texts and numbers always have a JSON form.
            let value = serde_json::to_vec(&counts).unwrap_or_default();
            if let Written::Yes(_) = self.0.store.put(&key, version, &value).await? {
                return Ok(());
            }
        }
    }
}

/// What the store has of a domain. What cannot be read is told, and counted anew.
pub(super) fn read(key: &str, value: &Versioned) -> Counts {
    serde_json::from_slice(&value.value).unwrap_or_else(|error| {
        tracing::warn!(%key, %error, "counts of TLS sessions cannot be read");
        Counts::default()
    })
}
