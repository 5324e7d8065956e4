//! One shared copy of equal values: most entries have one of few domains and campaigns.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// Fewest values worth looking over for those that nobody uses any more.
const LEAST: usize = 1024;

/// Values in use. Those that nobody else holds go when the set has doubled since it was last looked over, so that
/// finished mail costs neither memory nor, on average, time.
pub struct Interned<T: ?Sized> {
    known: HashSet<Arc<T>>,
    look_over_at: usize,
}

impl<T: ?Sized> Default for Interned<T> {
    fn default() -> Self {
        Self {
            known: HashSet::new(),
            look_over_at: LEAST,
        }
    }
}

impl<T: ?Sized + Hash + Eq> Interned<T> {
    pub fn share(&mut self, value: &Arc<T>) -> Arc<T> {
        if let Some(same) = self.known.get(value) {
            return Arc::clone(same);
        }
        if self.known.len() >= self.look_over_at {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.look_over_at = LEAST.max(self.known.len() * 2);
        }
        self.known.insert(Arc::clone(value));
        Arc::clone(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_nobody_uses_any_more_are_not_kept() {
        let mut interned: Interned<str> = Interned::default();
        let used = interned.share(&"used.test".into());
        for n in 0..10 * LEAST {
            drop(interned.share(&format!("{n}.test").into()));
        }
        assert!(interned.known.len() <= LEAST);
        assert!(Arc::ptr_eq(&used, &interned.share(&"used.test".into())));
    }
}
