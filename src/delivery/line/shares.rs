//! Who goes next among members that share: each in proportion to its weight, whatever the others bring.
//!
//! Each member counts what it has had, divided by its weight, and who has had least goes next (start-time fair
//! queueing). Against deficit round robin this needs no quantum: two members that both want to go never differ by more
//! than the largest message, and a message as large as a thousand others is no special case.
//!
//! Who comes, or comes back from a rest, starts where the last to go stood: nobody is owed for a time in which it
//! wanted or could have nothing. Who has nothing left stays until its turn comes, so that leaving and coming back at
//! once does not make what it had forgotten.

use crate::units::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Members by name, and whose turn it is.
pub struct Shares<T, W> {
    members: Vec<Option<Member<T, W>>>,
    free: Vec<u32>,
    names: HashMap<Arc<str>, u32>,
    /// Who can be asked, by what it has had.
    awake: BTreeSet<(u64, u32)>,
    /// Who is not asked before an instant. Every member is in one of the two sets.
    asleep: BTreeSet<(Timestamp, u32)>,
    /// What the last to go had had before it went.
    reached: u64,
}

/// One who shares. `inner` is what it shares for.
pub struct Member<T, W> {
    name: Arc<str>,
    weight: u32,
    had: u64,
    rest: Option<Rest<W>>,
    pub inner: T,
}

/// Not asked before `until`.
pub struct Rest<W> {
    pub until: Timestamp,
    /// `None` where it rests only because everything in it does.
    pub why: Option<W>,
}

/// What one recipient counts at a weight of 1; large, so that weights divide it finely.
const UNIT: u64 = 1 << 20;

impl<T, W> Default for Shares<T, W> {
    fn default() -> Self {
        Self {
            members: Vec::new(),
            free: Vec::new(),
            names: HashMap::new(),
            awake: BTreeSet::new(),
            asleep: BTreeSet::new(),
            reached: 0,
        }
    }
}

impl<T, W> Shares<T, W> {
    pub fn find(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    pub fn get(&self, slot: u32) -> Option<&Member<T, W>> {
        self.members.get(slot as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Member<T, W>> {
        self.members.get_mut(slot as usize)?.as_mut()
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &Member<T, W>)> {
        let members = (0..).zip(&self.members);
        members.filter_map(|(slot, member)| Some((slot, member.as_ref()?)))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Member<T, W>> {
        self.members.iter_mut().flatten()
    }

    pub fn into_inner(self) -> impl Iterator<Item = T> {
        self.members
            .into_iter()
            .flatten()
            .map(|member| member.inner)
    }

    /// Adds a member whose name is not there yet.
    pub fn enter(&mut self, name: &str, inner: T) -> u32 {
        let name: Arc<str> = name.into();
        let member = Member {
            name: Arc::clone(&name),
            weight: 1,
            had: self.reached,
            rest: None,
            inner,
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.members.push(None);
            u32::try_from(self.members.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.members.get_mut(slot as usize) {
            *place = Some(member);
        }
        self.names.insert(name, slot);
        self.awake.insert((self.reached, slot));
        slot
    }

    pub fn leave(&mut self, slot: u32) {
        let place = self.members.get_mut(slot as usize);
        let Some(member) = place.and_then(Option::take) else {
            return;
        };
        self.names.remove(&member.name);
        self.free.push(slot);
        match &member.rest {
            Some(rest) => self.asleep.remove(&(rest.until, slot)),
            None => self.awake.remove(&(member.had, slot)),
        };
    }

    /// The member whose turn it is.
    pub fn first(&self) -> Option<u32> {
        self.awake.first().map(|(_, slot)| *slot)
    }

    /// The member that can be asked again first, where it rests, and when.
    pub fn first_to_wake(&self) -> Option<(Timestamp, u32)> {
        self.asleep.first().copied()
    }

    /// The member whose turn it was has sent to `recipients`.
    pub fn charge(&mut self, slot: u32, recipients: u64) {
        let place = self.members.get_mut(slot as usize);
        let Some(member) = place.and_then(Option::as_mut) else {
            return;
        };
        let cost = recipients.saturating_mul(UNIT) / u64::from(member.weight);
        self.awake.remove(&(member.had, slot));
        self.reached = self.reached.max(member.had);
        member.had = member.had.saturating_add(cost.max(1));
        self.awake.insert((member.had, slot));
    }

    /// Passes a member over until `until`.
    pub fn rest(&mut self, slot: u32, until: Timestamp, why: Option<W>) {
        self.rouse(slot);
        let place = self.members.get_mut(slot as usize);
        if let Some(member) = place.and_then(Option::as_mut) {
            self.awake.remove(&(member.had, slot));
            self.asleep.insert((until, slot));
            member.rest = Some(Rest { until, why });
        }
    }

    /// Lets a member be asked again.
    pub fn rouse(&mut self, slot: u32) {
        let place = self.members.get_mut(slot as usize);
        if let Some(member) = place.and_then(Option::as_mut)
            && let Some(rest) = member.rest.take()
        {
            self.asleep.remove(&(rest.until, slot));
            member.had = member.had.max(self.reached);
            self.awake.insert((member.had, slot));
        }
    }

    /// Lets those be asked again whose rest is over.
    pub fn wake(&mut self, now: Timestamp) {
        while let Some((until, slot)) = self.first_to_wake()
            && until <= now
        {
            self.rouse(slot);
        }
    }

    pub fn wake_all(&mut self) {
        while let Some((_, slot)) = self.first_to_wake() {
            self.rouse(slot);
        }
    }
}

impl<T, W> Member<T, W> {
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn resting(&self) -> Option<&Rest<W>> {
        self.rest.as_ref()
    }

    /// From its next message on. 0 is taken for 1.
    pub fn set_weight(&mut self, weight: u32) {
        self.weight = weight.max(1);
    }
}
