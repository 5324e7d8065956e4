//! What waits of one campaign, and in which order it goes.
//!
//! Waiters of equal engagement stand in one row, first come first served; the next to go is the best of the rows'
//! fronts. So the order may be changed at any time: nothing has to be moved for it.

use super::{Order, Waiter};
use crate::mail::MessageId;
use crate::queue::Key;
use crate::units::Timestamp;
use std::collections::VecDeque;

/// How far behind the front waiters of the same message are looked for, to share its transaction.
const SIBLINGS: usize = 256;
/// Stands in for the engagement of recipients of whom nothing is said.
const UNLABELLED: u8 = 50;
/// Below this a row keeps the memory that it has.
const SMALL: usize = 256;
const MILLIS_PER_HOUR: i64 = 3_600_000;
/// The year 4199. So that what is multiplied by points an hour still fits.
const LATEST: u64 = 1 << 46;

/// The waiters of one flow. `kept` is the caller's.
pub struct Flow<F> {
    pub kept: F,
    rows: Vec<Row>,
    len: usize,
}

/// Waiters of one engagement, in the order they came. Fronts are kept apart: to compare those of all rows they should
/// lie close to each other.
struct Row {
    front: Item,
    behind: VecDeque<Item>,
}

/// A [`Waiter`], and its turn among all that came to the line.
#[derive(Clone, Copy)]
struct Item {
    key: Key,
    id: MessageId,
    since: Timestamp,
    /// Goes round: only how two of them differ says something.
    turn: u32,
    recipients: u16,
    engagement: Option<u8>,
}

impl<F> Flow<F> {
    pub fn new(kept: F) -> Self {
        Self {
            kept,
            rows: Vec::new(),
            len: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `turn` is one more than that of whoever came before.
    pub fn push(&mut self, waiter: Waiter, turn: u32) {
        let item = Item::new(waiter, turn);
        let alike = |row: &&mut Row| row.front.engagement() == item.engagement();
        match self.rows.iter_mut().find(alike) {
            Some(row) => row.behind.push_back(item),
            None => self.rows.push(Row {
                front: item,
                behind: VecDeque::new(),
            }),
        }
        self.len += 1;
    }

    /// Who goes next.
    pub fn front(&self, order: Order) -> Option<Waiter> {
        let row = self.rows.get(self.next_row(order)?)?;
        Some(row.front.waiter())
    }

    /// Takes who goes next, and of the same message those that `join`, until one does not.
    #[must_use = "these entries are in no queue now"]
    pub fn take(&mut self, order: Order, join: impl FnMut(&Waiter) -> bool) -> Vec<Waiter> {
        let number = self.next_row(order).unwrap_or_default();
        let Some(row) = self.rows.get_mut(number) else {
            return Vec::new();
        };
        let mut batch = vec![row.front.waiter()];
        batch.extend(row.take_siblings(join));
        self.len -= batch.len();
        self.move_up(number);
        batch
    }

    /// How many go before a waiter, should nobody else come.
    pub fn ahead_of(&self, key: Key, order: Order) -> Option<usize> {
        let (number, at) = self.position(key)?;
        let own = self.rows.get(number)?.items().take(at + 1);
        // Its row comes to it once the last to go of those before it has gone. What goes before that one in the other
        // rows, without one between that goes after it, goes before the waiter too.
        let last = own.reduce(|last, item| order.last(last, item))?;
        let others = self.rows.iter().enumerate().filter(|(n, _)| *n != number);
        let before = |row: &Row| row.items().take_while(|i| order.before(i, last)).count();
        Some(at + others.map(|(_, row)| before(row)).sum::<usize>())
    }

    /// Everything in it, which is empty then.
    #[must_use = "these entries are in no queue now"]
    pub fn take_all(&mut self) -> impl Iterator<Item = Waiter> + use<F> {
        self.len = 0;
        waiters(std::mem::take(&mut self.rows))
    }

    pub fn into_waiters(self) -> impl Iterator<Item = Waiter> {
        waiters(self.rows)
    }

    fn position(&self, key: Key) -> Option<(usize, usize)> {
        let mut rows = self.rows.iter().enumerate();
        rows.find_map(|(number, row)| {
            let at = row.items().position(|item| item.key == key)?;
            Some((number, at))
        })
    }

    /// The row whose front goes next.
    fn next_row(&self, order: Order) -> Option<usize> {
        let rows = self.rows.iter().enumerate();
        let best = rows.reduce(|best, row| {
            let better = order.before(&row.1.front, &best.1.front);
            if better { row } else { best }
        });
        best.map(|(number, _)| number)
    }

    /// The front of a row has gone.
    fn move_up(&mut self, number: usize) {
        let Some(row) = self.rows.get_mut(number) else {
            return;
        };
        match row.behind.pop_front() {
            Some(next) => {
                row.front = next;
                row.give_memory_back();
            }
            None => {
                self.rows.swap_remove(number);
            }
        }
    }
}

fn waiters(rows: Vec<Row>) -> impl Iterator<Item = Waiter> {
    let rows = rows.into_iter();
    let items = rows.flat_map(|row| std::iter::once(row.front).chain(row.behind));
    items.map(|item| item.waiter())
}

impl Row {
    fn items(&self) -> impl Iterator<Item = &Item> {
        std::iter::once(&self.front).chain(&self.behind)
    }

    /// Those near the front that are of its message and join it.
    fn take_siblings(&mut self, mut join: impl FnMut(&Waiter) -> bool) -> Vec<Waiter> {
        let (mut siblings, mut at) = (Vec::new(), 0);
        while let Some(found) = self.sibling(at) {
            let waiter = self.behind.get(found).map(Item::waiter);
            let Some(sibling) = waiter.filter(&mut join) else {
                break;
            };
            self.behind.remove(found);
            siblings.push(sibling);
            at = found;
        }
        siblings
    }

    /// Where behind the front the next of its message stands, from a place on.
    fn sibling(&self, from: usize) -> Option<usize> {
        let near = self.behind.len().min(SIBLINGS);
        let mut places = self.behind.range(from.min(near)..near);
        let found = places.position(|item| item.id == self.front.id)?;
        Some(from + found)
    }

    fn give_memory_back(&mut self) {
        let left = self.behind.len();
        if self.behind.capacity() > SMALL.max(4 * left) {
            self.behind.shrink_to(2 * left);
        }
    }
}

impl Item {
    fn new(waiter: Waiter, turn: u32) -> Self {
        Self {
            key: waiter.key,
            id: waiter.id,
            since: waiter.since,
            turn,
            recipients: waiter.recipients,
            engagement: waiter.engagement,
        }
    }

    fn waiter(&self) -> Waiter {
        Waiter {
            key: self.key,
            id: self.id,
            since: self.since,
            recipients: self.recipients,
            engagement: self.engagement,
        }
    }

    fn engagement(&self) -> u8 {
        self.engagement.unwrap_or(UNLABELLED).min(100)
    }

    fn came_before(&self, other: &Self) -> bool {
        self.turn.wrapping_sub(other.turn) > u32::MAX / 2
    }

    /// Engagement and points for waiting, less what is the same for all.
    ///
    /// At an instant `now` a waiter has `engagement + points × (now - since)` points. `now` is the same for all, so
    /// that who leads goes on leading: what counts is `engagement - points × since`, which stays as it is.
    fn standing(&self, points_per_hour: u16) -> i64 {
        let engagement = i64::from(self.engagement()) * MILLIS_PER_HOUR;
        let since = self.since.as_millis().min(LATEST).cast_signed();
        engagement - i64::from(points_per_hour) * since
    }
}

impl Order {
    fn before(self, one: &Item, other: &Item) -> bool {
        let Self::Engagement { points_per_hour } = self else {
            return one.came_before(other);
        };
        let (mine, theirs) = (
            one.standing(points_per_hour),
            other.standing(points_per_hour),
        );
        mine > theirs || (mine == theirs && one.came_before(other))
    }

    fn last<'a>(self, one: &'a Item, other: &'a Item) -> &'a Item {
        if self.before(one, other) { other } else { one }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::queue::{Queue, keys_for_tests};

    fn waiter(id: u64, engagement: u8) -> Waiter {
        let queue = Queue::new(Clock::manual(Timestamp::default()));
        Waiter {
            key: keys_for_tests(&queue, 1)[0],
            id: MessageId(id),
            since: Timestamp::default(),
            recipients: 1,
            engagement: Some(engagement),
        }
    }

    #[test]
    fn a_waiter_takes_32_octets() {
        assert_eq!(std::mem::size_of::<Item>(), 32);
    }

    #[test]
    fn who_came_first_is_known_when_the_counter_has_gone_round() {
        let mut flow = Flow::new(());
        let turns = (0..6).map(|n| (u32::MAX - 2).wrapping_add(n));
        for (id, turn) in (0..).zip(turns) {
            flow.push(waiter(id, 10 * (id as u8 % 3)), turn);
        }
        let ids = (0..6).map(|_| flow.take(Order::Arrival, |_| true)[0].id.0);
        assert_eq!(ids.collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
        assert!(flow.is_empty());
    }

    #[test]
    fn what_has_left_gives_its_memory_back() {
        let mut flow = Flow::new(());
        let one = waiter(0, 50);
        for id in 0..100_000 {
            let id = MessageId(id);
            flow.push(Waiter { id, ..one }, 0);
        }
        for _ in 0..99_000 {
            assert_eq!(flow.take(Order::Arrival, |_| true).len(), 1);
        }
        assert!(flow.rows[0].behind.capacity() <= 4_000);
    }
}
