//! One shared copy of equal values: most entries have one of few domains and campaigns.

use super::Indexed;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::Arc;

/// Stands for a value of an [`Interned`], in four octets; an `Option` of it too.
pub struct Name<T: ?Sized>(NonZeroU32, PhantomData<fn(&T)>);

/// Values that are in use, counted by their users.
#[derive(Debug)]
pub struct Interned<T: ?Sized> {
    values: Indexed<Value<T>>,
    // Values come from outside, so their hashes must not be foreseeable.
    hashes: RandomState,
}

#[derive(Debug)]
struct Value<T: ?Sized> {
    value: Arc<T>,
    users: u32,
}

impl<T: ?Sized> Default for Interned<T> {
    fn default() -> Self {
        Self {
            values: Indexed::default(),
            hashes: RandomState::new(),
        }
    }
}

impl<T: ?Sized + Hash + Eq> Interned<T> {
    /// The name of `value`, for one more user, who gives it back with [`Interned::release`].
    #[must_use = "a name is to be released"]
    pub fn share(&mut self, value: &Arc<T>) -> Name<T> {
        let slot = match self.slot(value) {
            Some(slot) => slot,
            None => self.add(Arc::clone(value)),
        };
        if let Some(known) = self.values.get_mut(slot) {
            known.users += 1;
        }
        Name::of(slot)
    }

    /// The name of `value` where it has one, for nobody to keep.
    pub fn find(&self, value: &T) -> Option<Name<T>> {
        self.slot(value).map(Name::of)
    }

    /// What a name of the caller's own stands for. One that was released may stand for nothing, or by now for another
    /// value.
    pub fn get(&self, name: Name<T>) -> Option<&Arc<T>> {
        let known = self.values.values().get(name.slot());
        known.map(|known| &known.value)
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.values.values().is_empty()
    }

    /// One user less; a value that has none is let go.
    pub fn release(&mut self, name: Name<T>) {
        let Some(known) = self.values.get_mut(name.slot()) else {
            return;
        };
        known.users = known.users.saturating_sub(1);
        if known.users == 0 {
            let hash_of = hash_in(&self.hashes);
            self.values.remove(name.slot(), hash_of);
        }
    }

    fn slot(&self, value: &T) -> Option<u32> {
        let is_it = |known: &Value<T>| *known.value == *value;
        self.values.find(self.hashes.hash_one(value), is_it)
    }

    fn add(&mut self, value: Arc<T>) -> u32 {
        let hash_of = hash_in(&self.hashes);
        self.values.insert(Value { value, users: 0 }, hash_of)
    }
}

fn hash_in<T: ?Sized + Hash>(hashes: &RandomState) -> impl Fn(&Value<T>) -> u64 {
    move |known| hashes.hash_one(&*known.value)
}

impl<T: ?Sized> Name<T> {
    fn of(slot: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(slot), PhantomData)
    }

    fn slot(self) -> u32 {
        self.0.get() - 1
    }
}

// Derived, these would ask the same of `T`.

impl<T: ?Sized> Copy for Name<T> {}

impl<T: ?Sized> Clone for Name<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> PartialEq for Name<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T: ?Sized> std::fmt::Debug for Name<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Name({})", self.slot())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However names are taken and given back, equal values have one name, and a value lives while it has users.
        #[test]
        fn a_value_lives_as_long_as_its_users(steps in proptest::collection::vec((any::<bool>(), 0u8..8), 1..200)) {
            let mut interned: Interned<str> = Interned::default();
            let mut users: Vec<(String, Name<str>)> = Vec::new();
            for (take, n) in steps {
                let text = format!("{n}.test");
                if take {
                    let name = interned.share(&text.as_str().into());
                    users.push((text, name));
                } else if let Some(at) = users.iter().position(|(of, _)| *of == text) {
                    interned.release(users.swap_remove(at).1);
                }
                for (text, name) in &users {
                    prop_assert_eq!(&**interned.get(*name).unwrap(), text.as_str());
                    prop_assert_eq!(interned.find(text), Some(*name));
                }
                let mut texts: Vec<&str> = users.iter().map(|(text, _)| text.as_str()).collect();
                texts.sort_unstable();
                texts.dedup();
                prop_assert_eq!(interned.values.values().len(), texts.len());
            }
        }
    }
}
