//! Turns of parties that share a number.
//!
//! Each party counts what it has had: a message counts the more, the less its tenant weighs and the more campaigns of that
//! wait. Beside it goes what a party would have had that always had its share. Who has had less than that is told an
//! early turn, who has had more a late one; see [`Plan`]. That alone would be fair if all came at their turns. Because some
//! do not, what there is is kept for a tenth of a second for who has had least of those whose turn has come.
//!
//! * Nothing is lost by it: who finds that nobody is told to come for the next message is told to come for it, whatever
//!   it has had. So a party that has nothing left leaves nothing unused.
//! * Nobody is owed much: what a party is short of, or ahead by, counts up to a few messages and a tenth of a second.
//! * A party is forgotten a second after its last turn, and what it weighed with it.

use super::PATIENCE;
use super::calendar::Calendar;
use super::party::Party;
use super::plan::{Plan, UNIT};
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
    /// Nanoseconds by which the last turn was put off for which there was no room, going round.
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

impl Member {
    fn due(&self) -> Option<Moment> {
        self.told.front().copied()
    }
}

/// Nanoseconds after which a party is gone of which nothing is heard: what a connection may take over a message.
const GRACE: u64 = 1_000_000_000;
/// Parties that have turns of their own, and turns of one that are kept in mind.
const MOST: usize = 4_096;

impl Sharing {
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Somebody of a party asks: it came to its turn, if one was due.
    pub fn come(&mut self, party: Party, now: Moment) {
        let party = self.known(party);
        self.forget(now);
        self.miss(now);
        let first = self.members.get(&party.campaign).and_then(Member::due);
        if first.is_some_and(|due| due <= now) {
            self.strike(party.campaign);
        }
    }

    /// Whether somebody else's turn has come who has had less.
    pub fn is_kept_from(&self, party: Party, now: Moment) -> bool {
        let id = self.known(party).campaign;
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
        let party = self.known(party);
        self.enter(party, now, interval);
        let (cost, share) = (self.cost(party.tenant), self.share());
        self.reached += share;
        if let Some(member) = self.members.get_mut(&party.campaign) {
            member.had += cost;
        }
    }

    /// What was [charged](Sharing::charge) did not go.
    pub fn refund(&mut self, party: Party) {
        let party = self.known(party);
        let (cost, share) = (self.cost(party.tenant), self.share());
        if let Some(member) = self.members.get_mut(&party.campaign) {
            member.had = member.had.saturating_sub(cost);
            self.reached = self.reached.saturating_sub(share);
        }
    }

    /// A turn for who is refused at `now`. A message can go at `earliest`, and one more every `interval` nanoseconds.
    pub fn turn(&mut self, party: Party, now: Moment, earliest: Moment, interval: u64) -> Moment {
        let party = self.known(party);
        self.enter(party, now, interval);
        self.calendar.turn_to(now, interval);
        let plan = self.plan(party, earliest, interval);
        let told = self.members.get(&party.campaign).map(|m| &m.told);
        let wish = told.map_or(earliest, |told| plan.wish(told));
        let turn = if wish > earliest && self.calendar.is_free(earliest) {
            earliest
        } else {
            let span = plan.period.min(plan.last().since(wish));
            let found = self.calendar.find(wish, wish.after(span), interval);
            found.unwrap_or_else(|| {
                // Not all at once.
                self.crowded = self.crowded.wrapping_add(interval);
                wish.after(self.crowded % span.max(1) / interval * interval)
            })
        };
        self.calendar.tell(turn);
        self.tell(party.campaign, turn);
        turn
    }

    /// Where there are very many, new campaigns count as one of their tenant, and new tenants as one.
    fn known(&self, party: Party) -> Party {
        if self.members.len() < MOST || self.members.contains_key(&party.campaign) {
            return party;
        }
        match self.tenants.contains_key(&party.tenant) {
            true => Party {
                campaign: party.tenant,
                ..party
            },
            false => Party::all(),
        }
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
        if member.told.len() >= MOST {
            return;
        }
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
