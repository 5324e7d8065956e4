//! Turns of parties that share a number.

use super::PATIENCE;
use super::calendar::{Calendar, SHORTEST};
use super::line::LONGEST;
use super::party::Party;
use crate::policy::limits::cells::Moment;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// Who waits for a number, what each has had of it, and for when it was told to come.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    members: HashMap<u64, Member>,
    tenants: HashMap<u64, Tenant>,
    /// Of all tenants.
    weight: u64,
    /// What each would have had who always had its share.
    reached: u128,
    /// Told turns for which there was no room.
    crowded: u64,
    /// Members that were told to come, by when first.
    due: BTreeSet<(Moment, u64)>,
    /// Members, by when it is to be seen whether they are still there.
    leaving: BTreeSet<(Moment, u64)>,
    calendar: Calendar,
}

/// A party that waits, or did so a moment ago.
#[derive(Debug)]
struct Member {
    tenant: u64,
    had: u128,
    /// Turns told to which nobody has come, in order.
    told: VecDeque<Moment>,
    /// Gone, if nothing is heard of it until then.
    until: Moment,
}

#[derive(Debug)]
struct Tenant {
    weight: u32,
    campaigns: u32,
}

/// When the messages of a party can go, where all have what is theirs.
struct Plan {
    earliest: Moment,
    /// Nanoseconds from one message to the next, and to the next of this party.
    interval: u64,
    period: u64,
    /// Of all tenants.
    weight: u64,
    cost: u128,
    had: u128,
    reached: u128,
}

impl Plan {
    /// The first message to which nobody is told to come.
    fn wish(&self, told: &VecDeque<Moment>) -> Moment {
        let (told_to, most) = (
            told.len() as u64,
            (self.longest() / self.period.max(1)).max(1),
        );
        let at_once = 1 + told_to / most;
        let (mut first, mut last) = (0, told_to / at_once);
        while first < last {
            let middle = first + (last - first) / 2;
            let near = self.turn(middle).after(SHORTEST.max(self.period / 2));
            let covered = told.partition_point(|turn| *turn <= near) as u64;
            if covered / at_once <= middle {
                last = middle;
            } else {
                first = middle + 1;
            }
        }
        self.turn(first)
    }

    /// When its message `number` can go.
    fn turn(&self, number: u64) -> Moment {
        let tag = self.had + self.cost * u128::from(number);
        let behind = tag.saturating_sub(self.reached);
        let messages = behind * u128::from(self.weight) / UNIT;
        let messages = u64::try_from(messages).unwrap_or(u64::MAX);
        self.earliest.after(self.interval.saturating_mul(messages))
    }

    fn longest(&self) -> u64 {
        let longest = self.period.saturating_mul(LONGEST / self.interval);
        longest.clamp(LONGEST, MOST_LONGEST)
    }
}

impl Member {
    fn due(&self) -> Option<Moment> {
        self.told.front().copied()
    }
}

/// What one message counts for the only campaign of a tenant of weight 1.
const UNIT: u128 = 1 << 40;
/// Nanoseconds after which a party is gone of which nothing is heard: what a connection may take over a message.
const GRACE: u64 = 1_000_000_000;
/// As [`LONGEST`], of a party that shares.
const MOST_LONGEST: u64 = 4 * LONGEST;

impl Sharing {
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Somebody of a party asks: it came to its turn, if one was due.
    pub fn come(&mut self, party: Party, now: Moment) {
        self.forget(now);
        self.miss(now);
        let first = self.members.get(&party.campaign).and_then(Member::due);
        if first.is_some_and(|due| due <= now) {
            self.strike(party.campaign);
        }
    }

    /// Whether somebody else's turn has come who has had less.
    pub fn is_kept_from(&self, party: Party, now: Moment) -> bool {
        let id = party.campaign;
        let had = self.members.get(&id).map_or(self.reached, |m| m.had);
        let due = self.due.range(..=(now, u64::MAX));
        let mut others = due.filter(|(_, other)| *other != id);
        others.any(|(_, other)| self.members.get(other).is_some_and(|m| m.had < had))
    }

    /// A message of this party goes.
    pub fn charge(&mut self, party: Party, now: Moment, interval: u64) {
        if self.members.is_empty() {
            return;
        }
        self.enter(party, now, interval);
        let (cost, share) = (self.cost(party.tenant), self.share());
        self.reached += share;
        if let Some(member) = self.members.get_mut(&party.campaign) {
            member.had += cost;
        }
    }

    /// What was [charged](Sharing::charge) did not go.
    pub fn refund(&mut self, party: Party) {
        let (cost, share) = (self.cost(party.tenant), self.share());
        if let Some(member) = self.members.get_mut(&party.campaign) {
            member.had = member.had.saturating_sub(cost);
            self.reached = self.reached.saturating_sub(share);
        }
    }

    /// A turn for who is refused at `now`. A message can go at `earliest`, and one more every `interval` nanoseconds.
    pub fn turn(&mut self, party: Party, now: Moment, earliest: Moment, interval: u64) -> Moment {
        self.enter(party, now, interval);
        self.calendar.turn_to(now, interval);
        let plan = self.plan(party, earliest, interval);
        let told = self.members.get(&party.campaign).map(|m| &m.told);
        let wish = told.map_or(earliest, |told| plan.wish(told));
        let turn = if wish > earliest && self.calendar.is_free(earliest) {
            earliest
        } else {
            let end = wish.after(plan.period);
            let found = self.calendar.find(wish, end, interval);
            found.unwrap_or_else(|| {
                // Not all at once.
                self.crowded = self.crowded.wrapping_add(interval);
                wish.after(self.crowded % plan.period.max(1) / interval * interval)
            })
        };
        self.calendar.tell(turn);
        self.tell(party.campaign, turn);
        turn
    }

    fn plan(&self, party: Party, earliest: Moment, interval: u64) -> Plan {
        let cost = self.cost(party.tenant);
        let had = self
            .members
            .get(&party.campaign)
            .map_or(self.reached, |m| m.had);
        Plan {
            earliest,
            interval,
            period: self.period(party.tenant, interval),
            weight: self.weight,
            cost,
            had,
            reached: self.reached,
        }
    }

    /// Those who were told turns are not coming.
    pub fn start_anew(&mut self) {
        self.calendar = Calendar::default();
        self.due.clear();
        self.members.values_mut().for_each(|m| m.told.clear());
    }

    fn enter(&mut self, party: Party, now: Moment, interval: u64) {
        let until = now.after(GRACE);
        let tenant = self.tenants.entry(party.tenant).or_insert(Tenant {
            weight: 0,
            campaigns: 0,
        });
        if tenant.weight != party.weight {
            self.weight = self.weight + u64::from(party.weight) - u64::from(tenant.weight);
            tenant.weight = party.weight;
        }
        let reached = self.reached;
        let mut came = false;
        let member = self.members.entry(party.campaign).or_insert_with(|| {
            came = true;
            Member {
                tenant: party.tenant,
                had: reached,
                told: VecDeque::new(),
                until,
            }
        });
        member.until = member.until.max(until);
        if came {
            tenant.campaigns += 1;
            self.leaving.insert((until, party.campaign));
        }
        let lag = self.cost(party.tenant) * u128::from(4 + PATIENCE / interval);
        if let Some(member) = self.members.get_mut(&party.campaign) {
            member.had = member.had.clamp(reached.saturating_sub(lag), reached + lag);
        }
    }

    fn tell(&mut self, id: u64, turn: Moment) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let before = member.due();
        member.until = member.until.max(turn.after(GRACE));
        let place = member.told.partition_point(|told| *told <= turn);
        member.told.insert(place, turn);
        self.change_due(id, before);
    }

    /// The first turn told to a member is over.
    fn strike(&mut self, id: u64) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let before = member.due();
        member.told.pop_front();
        self.change_due(id, before);
    }

    fn change_due(&mut self, id: u64, before: Option<Moment>) {
        let due = self.members.get(&id).and_then(Member::due);
        if due != before {
            self.due.extend(due.map(|due| (due, id)));
            if let Some(before) = before {
                self.due.remove(&(before, id));
            }
        }
    }

    /// Turns to which nobody came.
    fn miss(&mut self, now: Moment) {
        while let Some((due, id)) = self.due.first().copied()
            && due.after(PATIENCE) < now
        {
            self.strike(id);
        }
    }

    fn forget(&mut self, now: Moment) {
        while let Some((at, id)) = self.leaving.first().copied()
            && at < now
        {
            self.leaving.pop_first();
            let Some(member) = self.members.get(&id) else {
                continue;
            };
            if member.until >= now {
                self.leaving.insert((member.until, id));
                continue;
            }
            let (due, tenant) = (member.due(), member.tenant);
            if let Some(due) = due {
                self.due.remove(&(due, id));
            }
            self.members.remove(&id);
            self.leave(tenant);
        }
    }

    fn leave(&mut self, id: u64) {
        let Some(tenant) = self.tenants.get_mut(&id) else {
            return;
        };
        tenant.campaigns = tenant.campaigns.saturating_sub(1);
        if tenant.campaigns == 0 {
            self.weight = self.weight.saturating_sub(u64::from(tenant.weight));
            self.tenants.remove(&id);
        }
    }

    /// What a message of one of a tenant's campaigns counts.
    fn cost(&self, tenant: u64) -> u128 {
        self.tenants.get(&tenant).map_or(UNIT, |t| {
            UNIT * u128::from(t.campaigns) / u128::from(t.weight.max(1))
        })
    }

    /// What everybody should have had more after a message of anybody.
    fn share(&self) -> u128 {
        UNIT / u128::from(self.weight.max(1))
    }

    /// Nanoseconds from one turn of one of a tenant's campaigns to its next.
    fn period(&self, tenant: u64, interval: u64) -> u64 {
        let all = interval.saturating_mul(self.weight.max(1));
        self.tenants.get(&tenant).map_or(interval, |t| {
            all.saturating_mul(t.campaigns.into()) / u64::from(t.weight.max(1))
        })
    }
}
