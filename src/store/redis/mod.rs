//! The shared store: one Redis server.
//!
//! Every operation is one Lua script, so that it is done wholly or not at all whoever else does the same; only
//! [`cells`] are read without. The names:
//!
//! ```text
//! mailwright:{state}:format          hash: format, id (made up when the store was begun)
//! mailwright:{state}:names           sorted set: the keys of all values, for `list`
//! mailwright:{state}:value:<key>     hash: version, value
//! mailwright:{state}:count:<key>     an integer that expires
//! mailwright:{<bucket>}:<table>      hash: the cells of a bucket, written in hexadecimal
//! ```
//!
//! The part in braces is what Redis Cluster places keys by: it is the same in all of them, so that scripts over several
//! keys stay possible there. The state is small and asked for rarely (budgets are taken as leases), so one node serves.
//! Cells are many: their buckets lie on all nodes, those of one number in all tables on the same.
//!
//! Every script first compares the store's id with the one it had when this process opened it. Where it differs or is
//! gone, Redis has lost what it held, or is another one, and nothing is read or written.
//!
//! A user of Redis who may do this is enough: `~mailwright:* +@read +@write +@scripting +ping`.
//!
//! A counter's time to live is counted from our clock to `expires` and given as a span, so that a Redis whose clock is
//! ahead does not forget it early.

mod cells;
mod link;
mod scripts;
#[cfg(test)]
mod tests;

pub use link::PATIENCE;

use super::config::Server;
use super::gather::Gathering;
use super::{OpenError, StoreError, Taken, Versioned, Written};
use crate::clock::Clock;
use crate::units::Timestamp;
use link::{Link, Patience};
use redis::{FromRedisValue, ScriptInvocation, Value};
use scripts::Scripts;
use std::sync::Arc;
use std::time::Duration;

const FORMAT_KEY: &str = "mailwright:{state}:format";
const NAMES_KEY: &str = "mailwright:{state}:names";
/// What this version writes.
const FORMAT: u64 = 1;
/// A counter stays at least this long, should it be given an `expires` that has passed.
const SHORTEST: Duration = Duration::from_secs(60);
/// Ten years: what is later is never.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);
/// Values in one script, so that none holds up the others' for long.
const PIECE: usize = 200;

/// Clones share one connection.
#[derive(Clone)]
pub(super) struct Redis(Arc<Shared>);

struct Shared {
    link: Link,
    scripts: Scripts,
    gathering: Gathering,
    /// What the store was called when it was opened.
    id: String,
    clock: Clock,
}

impl Redis {
    pub(super) async fn open(server: Server, clock: Clock) -> Result<Self, OpenError> {
        Self::open_within(server, clock, Patience::default()).await
    }

    async fn open_within(
        server: Server,
        clock: Clock,
        patience: Patience,
    ) -> Result<Self, OpenError> {
        let (link, scripts) = (Link::new(server, patience)?, Scripts::default());
        let id = begin(&link, &scripts).await?;
        Ok(Self(Arc::new(Shared {
            link,
            scripts,
            gathering: Gathering::new(cells::TURNS),
            id,
            clock,
        })))
    }

    pub(super) fn place(&self) -> &str {
        self.0.link.place()
    }

    pub(super) async fn close(&self) {
        self.0.link.close();
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        let found = self.values(&[key.to_owned()]).await?;
        Ok(found.into_iter().next().flatten())
    }

    pub(super) async fn put(
        &self,
        key: &str,
        expected: u64,
        value: &[u8],
    ) -> Result<Written, StoreError> {
        let mut call = self.call(&self.0.scripts.put, [value_key(key), NAMES_KEY.to_owned()]);
        call.arg(expected).arg(key).arg(value);
        self.written(&call, key).await
    }

    pub(super) async fn delete(&self, key: &str, expected: u64) -> Result<Written, StoreError> {
        let keys = [value_key(key), NAMES_KEY.to_owned()];
        let mut call = self.call(&self.0.scripts.delete, keys);
        call.arg(expected).arg(key);
        self.written(&call, key).await
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>, StoreError> {
        let mut call = self.call(&self.0.scripts.names, [NAMES_KEY.to_owned()]);
        call.arg(prefix);
        let names: Vec<String> = self.run(&call, &[NAMES_KEY]).await?;
        let mut found = Vec::with_capacity(names.len());
        for piece in names.chunks(PIECE) {
            let values = self.values(piece).await?;
            // One that is gone was deleted since the names were read.
            let pairs = piece.iter().cloned().zip(values);
            found.extend(pairs.filter_map(|(name, value)| Some((name, value?))));
        }
        Ok(found)
    }

    pub(super) async fn take(
        &self,
        key: &str,
        cap: u64,
        want: u64,
        expires: Timestamp,
    ) -> Result<Taken, StoreError> {
        let mut call = self.call(&self.0.scripts.take, [count_key(key)]);
        call.arg(cap).arg(want).arg(self.life(expires));
        let (granted, total) = self.run(&call, &[key]).await?;
        Ok(Taken { granted, total })
    }

    pub(super) async fn give_back(&self, key: &str, n: u64) -> Result<(), StoreError> {
        let mut call = self.call(&self.0.scripts.give_back, [count_key(key)]);
        call.arg(n);
        self.run(&call, &[key]).await
    }

    pub(super) async fn add(
        &self,
        counts: &[(String, u64)],
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        let keys = counts.iter().map(|(key, _)| count_key(key));
        let mut call = self.call(&self.0.scripts.add, keys);
        call.arg(self.life(expires));
        for (_, n) in counts {
            call.arg((*n).min(super::MAX_COUNT));
        }
        let keys: Vec<&str> = counts.iter().map(|(key, _)| key.as_str()).collect();
        self.run(&call, &keys).await
    }

    pub(super) async fn counts(&self, keys: &[String]) -> Result<Vec<u64>, StoreError> {
        let call = self.call(
            &self.0.scripts.counts,
            keys.iter().map(|key| count_key(key)),
        );
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.run(&call, &keys).await
    }

    async fn values(&self, keys: &[String]) -> Result<Vec<Option<Versioned>>, StoreError> {
        let call = self.call(
            &self.0.scripts.values,
            keys.iter().map(|key| value_key(key)),
        );
        let names: Vec<&str> = keys.iter().map(String::as_str).collect();
        let found: Vec<Option<(u64, Vec<u8>)>> = self.run(&call, &names).await?;
        let value = |(version, value)| Versioned { version, value };
        Ok(found.into_iter().map(|held| held.map(value)).collect())
    }

    /// A conditional write's outcome: the version, or nothing where there was another.
    async fn written(&self, call: &ScriptInvocation<'_>, key: &str) -> Result<Written, StoreError> {
        let version: Option<u64> = self.run(call, &[key, NAMES_KEY]).await?;
        Ok(version.map_or(Written::Conflict, Written::Yes))
    }

    fn call<'s>(
        &self,
        script: &'s redis::Script,
        keys: impl IntoIterator<Item = String>,
    ) -> ScriptInvocation<'s> {
        let mut call = script.key(FORMAT_KEY);
        for key in keys {
            call.key(key);
        }
        call.arg(self.0.id.as_str());
        call
    }

    /// Runs a script over `keys` (as [`scripts`] counts them: after the format's).
    async fn run<T: FromRedisValue>(
        &self,
        call: &ScriptInvocation<'_>,
        keys: &[&str],
    ) -> Result<T, StoreError> {
        let link = &self.0.link;
        let answer = link.run(call).await;
        let answer = answer.map_err(|why| link.unavailable(why))?;
        match Answer::read(answer) {
            Answer::Done(value) => {
                T::from_redis_value(value).map_err(|error| link.unavailable(error.to_string()))
            }
            Answer::Damaged { key, why } => Err(StoreError::Damaged {
                key: keys.get(key).copied().unwrap_or(FORMAT_KEY).to_owned(),
                why,
            }),
            Answer::Strange => Err(link.unavailable(STRANGE.to_owned())),
        }
    }

    /// How long a counter is kept from now on, in milliseconds.
    fn life(&self, expires: Timestamp) -> u64 {
        let life = expires.since(self.0.clock.now()).clamp(SHORTEST, LONGEST);
        u64::try_from(life.as_millis()).unwrap_or(u64::MAX)
    }
}

const STRANGE: &str = "it gave an answer that none of our scripts gives";

/// What a script said.
enum Answer {
    Done(Value),
    /// What is at the key of this position, counted from the first after the format's, is not ours.
    Damaged {
        key: usize,
        why: String,
    },
    Strange,
}

impl Answer {
    fn read(value: Value) -> Self {
        let Value::Array(mut parts) = value else {
            return Self::Strange;
        };
        let rest = parts.split_off(parts.len().min(1));
        let mut rest = rest.into_iter();
        match (parts.pop(), rest.next()) {
            (Some(Value::BulkString(word)), value) if word == b"ok" => {
                Self::Done(value.unwrap_or(Value::Nil))
            }
            (Some(Value::BulkString(word)), Some(Value::Int(key))) if word == b"damaged" => {
                let why = rest.next().map(String::from_redis_value);
                Self::Damaged {
                    // The format's key is 1 in Lua; where it is meant, this is out of range of the others.
                    key: usize::try_from(key)
                        .ok()
                        .and_then(|key| key.checked_sub(2))
                        .unwrap_or(usize::MAX),
                    why: why.and_then(Result::ok).unwrap_or_default(),
                }
            }
            _ => Self::Strange,
        }
    }
}

fn value_key(key: &str) -> String {
    format!("mailwright:{{state}}:value:{key}")
}

fn count_key(key: &str) -> String {
    format!("mailwright:{{state}}:count:{key}")
}

/// Finds the store's id, or begins a store; refuses one that we cannot read or rely on.
async fn begin(link: &Link, scripts: &Scripts) -> Result<String, OpenError> {
    link.wait_until_up().await?;
    if let Some(policy) = link.eviction().await? {
        let place = link.place().to_owned();
        return Err(OpenError::Evicts { place, policy });
    }
    let fresh = format!("{:032x}", rand::random::<u128>());
    let mut call = scripts.begin.key(FORMAT_KEY);
    call.arg(fresh.as_str()).arg(FORMAT);
    let answer = link.run(&call).await;
    let answer = answer.map_err(|why| link.unreachable(why))?;
    let id = recognised(answer, link.place())?;
    if id == fresh {
        tracing::info!(place = link.place(), "there was no state: begun anew");
    }
    Ok(id)
}

/// The id, where the format is ours.
fn recognised(answer: Value, place: &str) -> Result<String, OpenError> {
    let foreign = |why: String| OpenError::Foreign {
        place: place.to_owned(),
        key: FORMAT_KEY.to_owned(),
        why,
    };
    let held = match Answer::read(answer) {
        Answer::Done(value) => value,
        Answer::Damaged { why, .. } => return Err(foreign(why)),
        Answer::Strange => return Err(foreign(STRANGE.to_owned())),
    };
    let held: Result<(String, String), _> = FromRedisValue::from_redis_value(held);
    let (format, id) = held.map_err(|error| foreign(error.to_string()))?;
    match format.parse::<u64>() {
        Ok(FORMAT) => Ok(id),
        Ok(found) if found > FORMAT => Err(OpenError::Later {
            place: place.to_owned(),
            found,
            ours: FORMAT,
        }),
        _ => Err(foreign(format!("its format is \"{format}\""))),
    }
}
