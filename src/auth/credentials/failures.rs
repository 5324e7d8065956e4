//! Failed passwords, counted per address and per user in buckets that drain with time.

use crate::clock::Clock;
use crate::problem::Problems;
use crate::units::{Span, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::IpAddr;

/// `[auth]`: limits on failed authentication.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Failed passwords from one address (IPv6: one /64) before it must wait.
    pub failures_per_address: u32,
    /// Failed passwords for one user, from all addresses, before new addresses must wait.
    pub failures_per_user: u32,
    /// The time in which a full count of failures is forgotten.
    pub failure_window: Span,
    /// How long the answer to a wrong password is held back.
    pub failure_delay: Span,
    /// Passwords hashed at the same time; each takes a core and tens of MiB for a moment.
    pub concurrent_checks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            failures_per_address: 10,
            failures_per_user: 20,
            failure_window: Span::minutes(10),
            failure_delay: Span::secs(1),
            concurrent_checks: 2,
        }
    }
}

impl Limits {
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        let counts = [
            ("failures_per_address", self.failures_per_address as usize),
            ("failures_per_user", self.failures_per_user as usize),
            ("concurrent_checks", self.concurrent_checks),
        ];
        for (key, _) in counts.iter().filter(|(_, count)| *count == 0) {
            problems.add(
                format!("{at}.{key}"),
                "zero would let nobody authenticate",
                "write 1 or more",
            );
        }
        if self.failure_window.0.is_zero() {
            problems.add(
                format!("{at}.failure_window"),
                "failures would be forgotten at once",
                "write a span such as \"10m\"",
            );
        }
    }
}

/// Buckets kept at most; beyond it the drained ones go, and if none is, all: memory is bounded, whatever is tried.
const MAX_BUCKETS: usize = 100_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Address(IpAddr),
    User(Box<str>),
}

/// Failures in the bucket as of an instant.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: f64,
    at: Timestamp,
}

/// The buckets. A governor limiter would be taken from at every check, success or not; these are only looked at.
pub struct Failures {
    per_address: f64,
    per_user: f64,
    window: f64,
    clock: Clock,
    buckets: Mutex<HashMap<Key, Bucket>>,
}

impl Failures {
    pub fn new(limits: &Limits, clock: Clock) -> Self {
        Self {
            per_address: f64::from(limits.failures_per_address),
            per_user: f64::from(limits.failures_per_user),
            window: limits.failure_window.0.as_secs_f64().max(1.0),
            clock,
            buckets: Mutex::default(),
        }
    }

    /// Too many failures from here, or for this user.
    pub fn exceeded(&self, peer: Option<IpAddr>, user: &str) -> bool {
        let now = self.clock.now();
        let buckets = self.buckets.lock();
        self.keys(peer, user).any(|(key, limit)| {
            let level = buckets.get(&key).map_or(0.0, |b| self.level(b, limit, now));
            // Less than one whole failure of room is no room.
            level > limit - 1.0
        })
    }

    /// Counts a failure.
    pub fn note(&self, peer: Option<IpAddr>, user: &str) {
        let now = self.clock.now();
        let mut buckets = self.buckets.lock();
        if buckets.len() >= MAX_BUCKETS {
            buckets.retain(|key, bucket| {
                let limit = self.limit(key);
                self.level(bucket, limit, now) > 0.0
            });
        }
        if buckets.len() >= MAX_BUCKETS {
            buckets.clear();
        }
        for (key, limit) in self.keys(peer, user) {
            let bucket = buckets.entry(key).or_insert(Bucket {
                level: 0.0,
                at: now,
            });
            bucket.level = self.level(bucket, limit, now) + 1.0;
            bucket.at = now;
        }
    }

    fn keys(&self, peer: Option<IpAddr>, user: &str) -> impl Iterator<Item = (Key, f64)> {
        let address = peer.map(|ip| (Key::Address(network(ip)), self.per_address));
        address
            .into_iter()
            .chain([(Key::User(user.into()), self.per_user)])
    }

    fn limit(&self, key: &Key) -> f64 {
        match key {
            Key::Address(_) => self.per_address,
            Key::User(_) => self.per_user,
        }
    }

    /// What is left in a bucket that drains from full to empty in a window.
    fn level(&self, bucket: &Bucket, limit: f64, now: Timestamp) -> f64 {
        let drained = now.since(bucket.at).as_secs_f64() * limit / self.window;
        (bucket.level - drained).max(0.0)
    }
}

/// Who has one IPv6 address has its /64.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}
