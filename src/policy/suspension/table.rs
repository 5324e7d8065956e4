//! The suspensions in memory, and which of them the store does not have yet.

use super::entry::{At, Key, Suspension};
use crate::units::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Debug, Default)]
pub struct Table {
    by_source: HashMap<Arc<str>, Places>,
    pending: HashMap<Key, Pending>,
}

/// What one source is kept from, by name.
#[derive(Debug, Default)]
struct Places {
    sites: HashMap<Arc<str>, Arc<Suspension>>,
    providers: HashMap<Arc<str>, Arc<Suspension>>,
}

/// A change that is not in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pending {
    /// Which change it is, counted since the store was last up to date.
    pub change: u64,
    /// What the store has was lifted: it does not count any more, however long it would last.
    pub lifted: bool,
}

impl Table {
    pub fn get(&self, key: &Key) -> Option<&Arc<Suspension>> {
        let places = self.by_source.get(&key.source)?;
        match &key.at {
            At::Site(name) => places.sites.get(name),
            At::Provider(name) => places.providers.get(name),
        }
    }

    pub fn insert(&mut self, suspension: Arc<Suspension>) {
        let places = self.by_source.entry(suspension.source.clone()).or_default();
        let (place, name) = match &suspension.at {
            At::Site(name) => (&mut places.sites, name),
            At::Provider(name) => (&mut places.providers, name),
        };
        place.insert(name.clone(), suspension);
    }

    pub fn remove(&mut self, key: &Key) -> Option<Arc<Suspension>> {
        let places = self.by_source.get_mut(&key.source)?;
        match &key.at {
            At::Site(name) => places.sites.remove(name),
            At::Provider(name) => places.providers.remove(name),
        }
    }

    /// What keeps the source from the site at this moment; of two the one that ends later.
    pub fn until(
        &self,
        source: &str,
        site: &str,
        provider: &str,
        now: Timestamp,
    ) -> Option<&Arc<Suspension>> {
        let places = self.by_source.get(source)?;
        let both = [places.sites.get(site), places.providers.get(provider)];
        let hold = both.into_iter().flatten().filter(|s| s.until > now);
        hold.max_by_key(|s| s.until)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Suspension>> {
        let places = self.by_source.values();
        places.flat_map(|places| places.sites.values().chain(places.providers.values()))
    }

    /// Those in memory, over or not.
    pub fn len(&self) -> usize {
        let places = self.by_source.values();
        places.map(|p| p.sites.len() + p.providers.len()).sum()
    }

    /// What the store has takes the place of what is here, where nothing is pending.
    pub fn replace(&mut self, stored: Vec<Suspension>) {
        let kept = self.pending.keys().filter_map(|key| self.get(key).cloned());
        let kept: Vec<Arc<Suspension>> = kept.collect();
        self.by_source.clear();
        let stored = stored.into_iter().map(Arc::new);
        let stored = stored.filter(|s| !self.pending.contains_key(&s.key()));
        let all: Vec<Arc<Suspension>> = stored.chain(kept).collect();
        for suspension in all {
            self.insert(suspension);
        }
    }

    /// Notes that the store does not have what is at `key` now. True where it had it before.
    pub fn mark(&mut self, key: &Key, lifted: bool) -> bool {
        let pending = self.pending.entry(key.clone()).or_default();
        pending.change += 1;
        pending.lifted |= lifted;
        pending.change == 1
    }

    pub fn pending(&self, key: &Key) -> Pending {
        self.pending.get(key).copied().unwrap_or_default()
    }

    /// Changes that the store does not have.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// The store has `change`. False where there was another meanwhile.
    pub fn settle(&mut self, key: &Key, change: u64) -> bool {
        let settled = self.pending(key).change == change;
        if settled {
            self.pending.remove(key);
        }
        settled
    }
}
