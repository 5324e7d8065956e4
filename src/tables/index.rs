//! From a hash to a slot, in shards.

use hashbrown::HashTable;

/// With a million slots each shard has a thousand: one that doubles holds nobody up.
const SHARDS: usize = 1024;
/// Below this a shard is left as large as it was.
const SMALL: usize = 64;

/// Finds slots of a [`super::Slab`] by what is in them, in 6 to 12 octets a slot while it grows, up to 23 when many
/// have left. Keeps neither keys nor hashes: the caller says what a slot's hash is and whether it is the one sought.
#[derive(Debug)]
pub struct Index {
    shards: Vec<HashTable<u32>>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            shards: vec![HashTable::new(); SHARDS],
        }
    }
}

impl Index {
    pub fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let shard = self.shards.get(shard_of(hash))?;
        shard.find(hash, |slot| is_it(*slot)).copied()
    }

    /// Adds a slot, which must not be in it.
    pub fn insert(&mut self, hash: u64, slot: u32, hash_of: impl Fn(u32) -> u64) {
        if let Some(shard) = self.shards.get_mut(shard_of(hash)) {
            shard.insert_unique(hash, slot, |slot| hash_of(*slot));
        }
    }

    /// Takes a slot out. `hash_of` is asked of those that stay.
    pub fn remove(&mut self, hash: u64, slot: u32, hash_of: impl Fn(u32) -> u64) {
        let Some(shard) = self.shards.get_mut(shard_of(hash)) else {
            return;
        };
        if let Ok(entry) = shard.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        if shard.capacity() > SMALL.max(4 * shard.len()) {
            shard.shrink_to(2 * shard.len(), |slot| hash_of(*slot));
        }
    }
}

/// Neither the lowest nor the highest bits: the shard itself goes by those.
fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

/// A hash for numbers that nobody outside can choose, such as ids of our own: spreads them evenly, and no more.
pub fn mix(number: u64) -> u64 {
    // The finalizer of MurmurHash3.
    let mut hash = number ^ (number >> 33);
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        /// Slots stand for themselves; few hashes, so that many share one.
        #[test]
        fn it_finds_what_a_set_would(
            steps in proptest::collection::vec((any::<bool>(), 0u32..200), 1..400), spread in 1u64..300
        ) {
            let hash_of = |slot: u32| mix(u64::from(slot) % spread);
            let (mut index, mut model) = (Index::default(), HashSet::new());
            for (add, slot) in steps {
                if add && model.insert(slot) {
                    index.insert(hash_of(slot), slot, hash_of);
                } else if !add {
                    model.remove(&slot);
                    index.remove(hash_of(slot), slot, hash_of);
                }
                for slot in 0..200 {
                    let found = index.find(hash_of(slot), |other| other == slot);
                    prop_assert_eq!(found.is_some(), model.contains(&slot));
                }
            }
        }
    }

    #[test]
    fn what_has_left_gives_its_memory_back() {
        let hash_of = |slot: u32| mix(u64::from(slot));
        let mut index = Index::default();
        (0..300_000).for_each(|slot| index.insert(hash_of(slot), slot, hash_of));
        (0..300_000).for_each(|slot| index.remove(hash_of(slot), slot, hash_of));
        assert!(index.shards.iter().all(|shard| shard.capacity() <= SMALL));
    }
}
