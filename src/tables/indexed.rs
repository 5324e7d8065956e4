//! Values by number, found by what is in them.

use super::{Index, Slab};

/// A [`Slab`] with its [`Index`]. The caller says what a value's hash is: always the same of the same value, and that
/// under which it is sought.
#[derive(Debug)]
pub struct Indexed<T> {
    values: Slab<T>,
    index: Index,
}

impl<T> Default for Indexed<T> {
    fn default() -> Self {
        Self {
            values: Slab::default(),
            index: Index::default(),
        }
    }
}

impl<T> Indexed<T> {
    pub fn values(&self) -> &Slab<T> {
        &self.values
    }

    pub fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.values.get_mut(slot)
    }

    pub fn find(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<u32> {
        self.index
            .find(hash, |slot| self.values.get(slot).is_some_and(&is_it))
    }

    /// Adds a value that is not in it.
    pub fn insert(&mut self, value: T, hash_of: impl Fn(&T) -> u64) -> u32 {
        let hash = hash_of(&value);
        let slot = self.values.insert(value);
        let values = &self.values;
        self.index
            .insert(hash, slot, |slot| values.get(slot).map_or(0, &hash_of));
        slot
    }

    pub fn remove(&mut self, slot: u32, hash_of: impl Fn(&T) -> u64) -> Option<T> {
        let values = &self.values;
        let hash = hash_of(values.get(slot)?);
        self.index
            .remove(hash, slot, |slot| values.get(slot).map_or(0, &hash_of));
        self.values.remove(slot)
    }
}
