//! Judgements at hand, so that a message does not wait for DNS.

use super::identity::{Identity, Origin};
use super::judge::{Judgement, judge};
use crate::auth::ask::Ask;
use crate::clock::Clock;
use crate::units::Timestamp;
use hashbrown::{Equivalent, HashMap};
use parking_lot::Mutex;
use std::hash::{Hash, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

/// How much is kept, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Judgements kept: identities in use times sources.
    pub capacity: usize,
    /// A judgement lives at least this long, however short the TTLs are.
    pub least: Duration,
    /// How long an expired judgement serves while it is judged anew.
    pub grace: Duration,
    /// How often the background task looks for what has expired; well under `grace`.
    pub every: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            capacity: 50_000,
            least: Duration::from_secs(30),
            grace: Duration::from_secs(120),
            every: Duration::from_secs(5),
        }
    }
}

/// Judges identities, and remembers.
pub struct Preflight<A> {
    ask: A,
    clock: Clock,
    bounds: Bounds,
    kept: Mutex<Kept>,
}

type Kept = HashMap<Key, Entry, RandomState>;

#[derive(Clone, PartialEq, Eq)]
struct Key {
    identity: Identity,
    origin: Origin,
}

#[derive(PartialEq, Eq)]
struct KeyRef<'a>(&'a Identity, &'a Origin);

/// The cell is empty while the first judgement is made; all who want it wait there.
#[derive(Clone)]
struct Entry {
    judged: Arc<OnceCell<Judged>>,
    /// Asked for since it was judged.
    used: bool,
}

struct Judged {
    judgement: Arc<Judgement>,
    expires: Timestamp,
}

impl<A: Ask> Preflight<A> {
    pub fn new(ask: A, clock: Clock, bounds: Bounds) -> Self {
        Self {
            ask,
            clock,
            bounds,
            kept: Mutex::new(Kept::default()),
        }
    }

    /// The judgement at hand. Asks nobody, and does not wait.
    pub fn known(&self, identity: &Identity, origin: &Origin) -> Option<Arc<Judgement>> {
        let now = self.clock.now();
        let mut kept = self.kept.lock();
        let entry = kept.get_mut(&KeyRef(identity, origin))?;
        let judged = entry
            .judged
            .get()
            .filter(|judged| judged.expires + self.bounds.grace > now)?;
        let judgement = judged.judgement.clone();
        entry.used = true;
        Some(judgement)
    }

    /// The judgement at hand, or one made now; many who want the same one make it once.
    pub async fn judge(&self, identity: &Identity, origin: &Origin) -> Arc<Judgement> {
        if let Some(judgement) = self.known(identity, origin) {
            return judgement;
        }
        let cell = self.cell(identity, origin);
        let judged = cell.get_or_init(|| self.make(identity, origin)).await;
        judged.judgement.clone()
    }

    /// Whether nobody makes the judgement yet; who is told so is to make it, and others are not told so any more.
    pub fn claim(&self, identity: &Identity, origin: &Origin) -> bool {
        let oldest = |judged: &Judged| judged.expires + self.bounds.grace;
        let now = self.clock.now();
        let kept = self.kept.lock();
        let entry = kept.get(&KeyRef(identity, origin));
        let judged = entry.map(|entry| entry.judged.get().is_none_or(|j| oldest(j) > now));
        drop(kept);
        let is_free = !judged.unwrap_or_default();
        if is_free {
            self.cell(identity, origin);
        }
        is_free
    }

    /// Judgements kept, and under way.
    pub fn len(&self) -> usize {
        self.kept.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Judges anew what has expired and is in use, drops what is not. How many were judged.
    pub async fn refresh(&self) -> usize {
        let due = self.due();
        let judged = due.len();
        for key in due {
            let fresh = self.make(&key.identity, &key.origin).await;
            let entry = Entry {
                judged: Arc::new(OnceCell::new_with(Some(fresh))),
                used: false,
            };
            self.kept.lock().insert(key, entry);
        }
        judged
    }

    /// Refreshes until `stop`.
    pub async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        let forever = async {
            loop {
                self.clock.sleep(self.bounds.every).await;
                self.refresh().await;
            }
        };
        stop.run_until_cancelled(forever).await;
    }

    async fn make(&self, identity: &Identity, origin: &Origin) -> Judged {
        let judgement = judge(&self.ask, &self.clock, identity, origin).await;
        let least = self.clock.now() + self.bounds.least;
        Judged {
            expires: judgement.expires.max(least),
            judgement: Arc::new(judgement),
        }
    }

    /// Where the judgement is or will be: the cell of one that is under way, else a new one.
    fn cell(&self, identity: &Identity, origin: &Origin) -> Arc<OnceCell<Judged>> {
        let mut kept = self.kept.lock();
        let under_way = kept
            .get(&KeyRef(identity, origin))
            .filter(|entry| !entry.judged.initialized());
        if let Some(entry) = under_way {
            return entry.judged.clone();
        }
        if kept.len() >= self.bounds.capacity {
            make_room(&mut kept);
        }
        let key = Key {
            identity: identity.clone(),
            origin: origin.clone(),
        };
        let judged = Arc::new(OnceCell::new());
        let entry = Entry {
            judged: judged.clone(),
            used: true,
        };
        kept.insert(key, entry);
        judged
    }

    /// What has expired: those in use are returned, the others dropped.
    fn due(&self) -> Vec<Key> {
        let now = self.clock.now();
        let mut kept = self.kept.lock();
        let expired = |entry: &Entry| {
            entry
                .judged
                .get()
                .is_some_and(|judged| judged.expires <= now)
        };
        kept.retain(|_, entry| entry.used || !expired(entry));
        let due = kept.iter().filter(|(_, entry)| expired(entry));
        due.map(|(key, _)| key.clone()).collect()
    }
}

/// Half of what nobody asked for lately goes; where all is in use, any half.
fn make_room(kept: &mut Kept) {
    let full = kept.len();
    kept.retain(|_, entry| std::mem::take(&mut entry.used));
    let mut keep = full / 2;
    kept.retain(|_, _| {
        let stays = keep > 0;
        keep = keep.saturating_sub(1);
        stays
    });
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        KeyRef(&self.identity, &self.origin).hash(state);
    }
}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
        self.1.hash(state);
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.0 == &key.identity && self.1 == &key.origin
    }
}
