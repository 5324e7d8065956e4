//! Values by number, in chunks.

use std::collections::BTreeSet;

/// Slots of a chunk: what one allocation is for, and as much as is done under a lock when all values are gone over. Few
/// in tests, so that their stories go over several.
const CHUNK: usize = if cfg!(test) { 16 } else { 1024 };

/// Values under numbers of its choosing; the number of one that left is given to another. A value never moves.
///
/// New values fill the lowest chunks, so that the highest run empty when fewer are there, and are gone over no more. Of
/// empty chunks one is kept.
#[derive(Debug)]
pub struct Slab<T> {
    chunks: Vec<Chunk<T>>,
    /// Numbers of chunks with room, those without memory among them.
    room: BTreeSet<usize>,
    /// The empty chunk that still has its memory.
    spare: Option<usize>,
    len: usize,
}

#[derive(Debug)]
struct Chunk<T> {
    /// Never grows beyond its first allocation.
    slots: Vec<Option<T>>,
    free: Vec<u16>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            room: BTreeSet::new(),
            spare: None,
            len: 0,
        }
    }
}

impl<T> Slab<T> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn insert(&mut self, value: T) -> u32 {
        let number = self.room.first().copied().unwrap_or_else(|| {
            self.chunks.push(Chunk::new());
            self.room.insert(self.chunks.len() - 1);
            self.chunks.len() - 1
        });
        if self.spare == Some(number) {
            self.spare = None;
        }
        self.len += 1;
        let Some(chunk) = self.chunks.get_mut(number) else {
            return u32::MAX;
        };
        let at = chunk.insert(value);
        if chunk.is_full() {
            self.room.remove(&number);
        }
        u32::try_from(number * CHUNK + at).unwrap_or(u32::MAX)
    }

    pub fn get(&self, slot: u32) -> Option<&T> {
        let (number, at) = split(slot);
        self.chunks.get(number)?.slots.get(at)?.as_ref()
    }

    pub fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        let (number, at) = split(slot);
        self.chunks.get_mut(number)?.slots.get_mut(at)?.as_mut()
    }

    pub fn remove(&mut self, slot: u32) -> Option<T> {
        let (number, at) = split(slot);
        let chunk = self.chunks.get_mut(number)?;
        let value = chunk.slots.get_mut(at)?.take()?;
        chunk.free.push(at as u16);
        self.len -= 1;
        self.room.insert(number);
        if chunk.is_empty() {
            self.emptied(number);
        }
        Some(value)
    }

    /// How many chunks there are to go over.
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// The values of one chunk.
    pub fn chunk(&self, number: usize) -> impl Iterator<Item = (u32, &T)> {
        let slots = self.chunks.get(number).map(|chunk| chunk.slots.as_slice());
        let first = u32::try_from(number * CHUNK).unwrap_or(u32::MAX);
        (first..)
            .zip(slots.unwrap_or_default())
            .filter_map(|(slot, value)| Some((slot, value.as_ref()?)))
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..self.chunks()).flat_map(|number| self.chunk(number))
    }

    /// Keeps the memory of the lowest empty chunk, so that one that empties and fills in turn costs no allocation.
    fn emptied(&mut self, number: usize) {
        let kept = self.spare.map_or(number, |spare| spare.min(number));
        let given_back = self.spare.map(|spare| spare.max(number));
        self.spare = Some(kept);
        if let Some(chunk) = given_back.and_then(|number| self.chunks.get_mut(number)) {
            *chunk = Chunk::new();
        }
        while self.chunks.last().is_some_and(Chunk::is_empty)
            && self.spare.is_none_or(|spare| spare + 1 < self.chunks.len())
        {
            self.chunks.pop();
            self.room.remove(&self.chunks.len());
        }
    }
}

impl<T> Chunk<T> {
    fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    fn is_full(&self) -> bool {
        self.free.is_empty() && self.slots.len() == CHUNK
    }

    fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    fn insert(&mut self, value: T) -> usize {
        if let Some(at) = self.free.pop().map(usize::from)
            && let Some(slot) = self.slots.get_mut(at)
        {
            *slot = Some(value);
            return at;
        }
        if self.slots.is_empty() {
            self.slots.reserve_exact(CHUNK);
        }
        self.slots.push(Some(value));
        self.slots.len() - 1
    }
}

fn split(slot: u32) -> (usize, usize) {
    (slot as usize / CHUNK, slot as usize % CHUNK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// Slots that have memory.
    fn held<T>(slab: &Slab<T>) -> usize {
        slab.chunks.iter().map(|c| c.slots.capacity()).sum()
    }

    #[test]
    fn what_has_left_gives_its_memory_back_whatever_the_order() {
        for backwards in [false, true] {
            let mut slab = Slab::default();
            let mut slots: Vec<u32> = (0..10 * CHUNK).map(|n| slab.insert(n)).collect();
            assert_eq!(held(&slab), 10 * CHUNK);
            if backwards {
                slots.reverse();
            }
            for slot in slots {
                assert!(slab.remove(slot).is_some());
            }
            assert_eq!((slab.len(), held(&slab)), (0, CHUNK));
            assert_eq!(slab.chunks(), 1, "there is nothing else to go over");
        }
    }

    #[test]
    fn new_values_fill_the_lowest_chunk() {
        let mut slab = Slab::default();
        for n in 0..3 * CHUNK {
            slab.insert(n);
        }
        slab.remove(2 * CHUNK as u32);
        slab.remove(5);
        assert_eq!(slab.insert(0), 5);
        assert_eq!(slab.insert(0), 2 * CHUNK as u32);
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_would(steps in proptest::collection::vec((0u8..20, 0u32..5000), 1..60)) {
            let (mut slab, mut model) = (Slab::default(), HashMap::new());
            for (step, n) in steps {
                match step {
                    // Enough at once to fill and to empty chunks.
                    0..10 => for value in 0..n / 4 {
                        prop_assert_eq!(model.insert(slab.insert(value), value), None);
                    },
                    10..19 => for slot in n..n + 1500 {
                        prop_assert_eq!(slab.remove(slot), model.remove(&slot));
                    },
                    _ => if let Some(value) = slab.get_mut(n) {
                        *value += 1;
                        *model.entry(n).or_default() += 1;
                    },
                }
                prop_assert_eq!(slab.len(), model.len());
                prop_assert!(slab.iter().all(|(slot, value)| model.get(&slot) == Some(value)));
                prop_assert_eq!(slab.iter().count(), model.len());
                let last = slab.chunks().saturating_sub(1);
                prop_assert!(slab.chunk(last).next().is_some() || slab.spare == Some(last) || last == 0);
            }
        }
    }
}
