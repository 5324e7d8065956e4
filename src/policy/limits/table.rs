//! All limits of a node.

use super::{Limit, Of, Rules};
use crate::clock::Clock;
use crate::units::Timestamp;
use parking_lot::{RwLock, RwLockWriteGuard};
use std::collections::HashMap;
use std::sync::Arc;

/// All limits of a node. Clones share them.
///
/// Who moves mail holds the [`Limit`]s it needs and asks those; looking one up takes a lock that all share, for reading.
#[derive(Clone)]
pub struct Limits(Arc<Shared>);

struct Shared {
    clock: Clock,
    table: RwLock<Table>,
}

struct Table {
    rules: Rules,
    limits: HashMap<Of, Arc<Limit>>,
    /// With as many limits, those that nobody needs are looked for.
    crowded: usize,
}

/// Fewer limits are not worth looking through.
const FEW: usize = 1_024;

impl Limits {
    /// Limits nothing until it is [configured](Limits::configure).
    pub fn new(clock: Clock) -> Self {
        let table = RwLock::new(Table {
            rules: Rules::default(),
            limits: HashMap::new(),
            crowded: FEW,
        });
        Self(Arc::new(Shared { clock, table }))
    }

    /// What the configuration says, at the start and after each reload. Limits that somebody holds take the new numbers
    /// before this returns. A number that has not changed keeps its state; a changed one begins with one message or
    /// connection at most.
    pub fn configure(&self, rules: Rules) {
        let now = self.0.clock.now();
        let mut table = self.0.table.write();
        table.rules = rules;
        table.forget_unused(now);
        // Nobody may configure meanwhile, but looking up goes on.
        let table = RwLockWriteGuard::downgrade(table);
        for (of, limit) in &table.limits {
            limit.apply(table.rules.settings(of), now);
        }
    }

    /// The limit on `of`, made on first use. Hold it: one that nobody holds is forgotten when a new one in its place would
    /// be no different.
    pub fn of(&self, of: &Of) -> Arc<Limit> {
        if let Some(limit) = self.0.table.read().limits.get(of) {
            return Arc::clone(limit);
        }
        let now = self.0.clock.now();
        let mut table = self.0.table.write();
        if table.limits.len() >= table.crowded {
            table.forget_unused(now);
        }
        table.make(of, now)
    }

    /// Every limit in use, in no order.
    pub fn all(&self) -> Vec<Arc<Limit>> {
        self.0.table.read().limits.values().cloned().collect()
    }
}

impl Table {
    fn make(&mut self, of: &Of, now: Timestamp) -> Arc<Limit> {
        // Somebody may have made it since we looked.
        if let Some(limit) = self.limits.get(of) {
            return Arc::clone(limit);
        }
        let settings = self.rules.settings(of);
        let limit = Arc::new(Limit::new(of.clone(), settings, now));
        self.limits.insert(of.clone(), Arc::clone(&limit));
        limit
    }

    /// Nobody can begin to hold one meanwhile: that takes the table's lock.
    fn forget_unused(&mut self, now: Timestamp) {
        self.limits
            .retain(|_, limit| Arc::strong_count(limit) > 1 || !limit.is_at_rest(now));
        self.limits.shrink_to(self.limits.len() * 2);
        self.crowded = FEW.max(self.limits.len() * 2);
    }
}
