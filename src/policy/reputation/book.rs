//! What is known of every slice, and what follows from it.

use super::config::{Action, Config};
use super::counts::{Counts, Metric, Series};
use super::hold::{Finding, Hold, MEMORY};
use super::judge::{Rate, Standing, standing};
use super::keep::Unwritten;
use super::rings::{Tally, Window};
use super::slice::{NOBODY, Slice};
use super::slow::{Paced, Slow};
use crate::mail::Stream;
use crate::units::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

/// Slices that are known. Beyond it those that were quiet the longest go, at the next look.
pub(super) const MOST: usize = if cfg!(test) { 300 } else { 50_000 };
/// Slices that there may be between two looks; what more there is, is not counted.
const BETWEEN: usize = MOST + MOST / 10;
/// Slices of the suppression list. Lists have any name: those beyond are counted as [`OTHERS`].
const MOST_STOPPED: usize = if cfg!(test) { 20 } else { 2_000 };
const OTHERS: &str = "others";
/// Slices that are gone through in one go, while everybody else waits for the book.
pub(super) const PIECE: usize = if cfg!(test) { 50 } else { 200 };

/// Everything that is counted here, and what other nodes have counted.
#[derive(Default)]
pub(super) struct Book {
    /// In order, so that they can be gone through piece by piece.
    pub(super) slices: BTreeMap<Slice, Tracked>,
    others: HashMap<Slice, Vec<Series>>,
    /// Of the last month.
    pub(super) holds: BTreeMap<Slice, Arc<Hold>>,
    /// Those of the holds that were in force at the last look.
    pub(super) live: BTreeSet<Slice>,
    /// On this node alone: another decides by the same numbers.
    pub(super) slows: BTreeMap<Slice, Paced>,
    /// When slices had their pace back. To be slowed again they are counted anew from then on.
    pub(super) eased: BTreeMap<Slice, Timestamp>,
    /// Slices that something was counted of since the last look.
    unlooked: Vec<Slice>,
    pub(super) unwritten: Unwritten,
    /// Slices of the suppression list among all.
    stopped: usize,
    /// What was not counted for want of room, since the last look.
    uncounted: u64,
}

#[derive(Default)]
pub(super) struct Tracked {
    pub series: Series,
    /// The last that was told of each rate.
    told: [Option<Standing>; Rate::ALL.len()],
    pub(super) last: Timestamp,
    /// It is among [`Book::unlooked`], among those that are not written down.
    unlooked: bool,
    pub(super) unwritten: bool,
}

/// A slice over a window, for people.
pub(super) struct Shown {
    pub slice: Slice,
    pub counts: Counts,
    /// In the window before.
    pub before: Counts,
    pub hold: Option<Arc<Hold>>,
    pub slow: Option<Arc<Slow>>,
}

/// What a look at the book found.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Over the lower threshold, or over the upper one where nothing is held for it.
    Watch(Slice, Finding, Standing),
    Hold(Arc<Hold>),
    /// Over the lower threshold: it goes on at a share of its pace.
    Slow(Arc<Slow>),
    /// It is not slowed any more, for this reason.
    Eased(Arc<Slow>, String),
    /// The hold is over by itself.
    Released(Arc<Hold>),
    /// All rates are under their thresholds again.
    Recovered(Slice, Rate),
}

impl Book {
    /// Everything that is slowed.
    pub fn slows(&self) -> impl Iterator<Item = &Arc<Slow>> {
        self.slows.values().map(|paced| &paced.slow)
    }

    pub fn count(&mut self, slice: Slice, metrics: &[Metric], n: u32, now: Timestamp) {
        let slice = self.told_apart(slice);
        if !self.slices.contains_key(&slice) {
            if self.slices.len() >= BETWEEN {
                self.uncounted += 1;
                return;
            }
            self.insert(slice.clone(), Tracked::default());
        }
        let Some(tracked) = self.slices.get_mut(&slice) else {
            return;
        };
        for metric in metrics {
            tracked.series.add(*metric, n, now);
        }
        tracked.last = tracked.last.max(now);
        if !std::mem::replace(&mut tracked.unlooked, true) {
            self.unlooked.push(slice.clone());
        }
        if !std::mem::replace(&mut tracked.unwritten, true) {
            self.unwritten.series.insert(slice);
        }
    }

    /// The slice, or where there are too many of the suppression list that of all others for its reason.
    fn told_apart(&self, slice: Slice) -> Slice {
        match &slice {
            Slice::Suppression(reason, _)
                if self.stopped >= MOST_STOPPED && !self.slices.contains_key(&slice) =>
            {
                Slice::Suppression(Arc::clone(reason), OTHERS.into())
            }
            _ => slice,
        }
    }

    pub fn restore(&mut self, slice: Slice, series: Series) {
        let last = series.last();
        let tracked = Tracked {
            series,
            last,
            ..Tracked::default()
        };
        self.insert(slice, tracked);
    }

    fn insert(&mut self, slice: Slice, tracked: Tracked) {
        let is_stopped = matches!(slice, Slice::Suppression(..));
        if self.slices.insert(slice, tracked).is_none() {
            self.stopped += usize::from(is_stopped);
        }
    }

    /// Forgets what was counted of a slice, in the store too.
    pub fn forget(&mut self, slice: &Slice) {
        if self.slices.remove(slice).is_none() {
            return;
        }
        let is_stopped = matches!(slice, Slice::Suppression(..));
        self.stopped = self.stopped.saturating_sub(is_stopped.into());
        // Where the store is away for long some stay in it: they come back with a restart, quiet as they were, and go first.
        if self.unwritten.series.len() < 2 * MOST {
            self.unwritten.series.insert(slice.clone());
        }
    }

    /// Slices that more are known of than should be: how many are to go.
    pub fn surplus(&self) -> usize {
        match self.slices.len() {
            n if n > MOST => n - (MOST - MOST / 10),
            _ => 0,
        }
    }

    /// What was not counted for want of room, since this was last asked.
    pub fn uncounted(&mut self) -> u64 {
        std::mem::take(&mut self.uncounted)
    }

    /// It is, or was, held or slowed: what is counted of it matters to its tenant.
    pub fn is_dealt_with(&self, slice: &Slice) -> bool {
        self.holds.contains_key(slice)
            || self.slows.contains_key(slice)
            || self.eased.contains_key(slice)
    }

    /// The next slices after this one, the first where there is none.
    pub fn piece(&self, after: Option<&Slice>) -> impl Iterator<Item = (&Slice, &Tracked)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.slices
            .range::<Slice, _>((from, Bound::Unbounded))
            .take(PIECE)
    }

    /// Gives what was there before.
    #[must_use = "it may be large, and is better dropped without the lock"]
    pub fn set_others(
        &mut self,
        others: HashMap<Slice, Vec<Series>>,
    ) -> HashMap<Slice, Vec<Series>> {
        std::mem::replace(&mut self.others, others)
    }

    /// As the store has it. What was decided here and is not written down yet is later.
    pub fn set_hold(&mut self, hold: Hold, now: Timestamp) {
        if self.unwritten.holds.contains(&hold.slice) {
            return;
        }
        if hold.holds(now) {
            self.live.insert(hold.slice.clone());
        } else if hold.released.is_some() {
            self.live.remove(&hold.slice);
        }
        self.holds.insert(hold.slice.clone(), Arc::new(hold));
    }

    /// The store forgets it.
    pub fn forget_hold(&mut self, slice: &Slice, now: Timestamp) {
        if self
            .holds
            .get(slice)
            .is_some_and(|hold| hold.is_forgotten(now))
        {
            self.holds.remove(slice);
        }
    }

    /// What was counted of a slice before does not count against it: its last hold ended then.
    pub(super) fn counted_from(&self, slice: &Slice, now: Timestamp) -> Timestamp {
        let ended = self.holds.get(slice).and_then(|hold| hold.ended(now));
        ended.unwrap_or_default()
    }

    pub fn hold(&self, slice: &Slice, now: Timestamp) -> Option<&Arc<Hold>> {
        self.holds.get(slice).filter(|hold| hold.holds(now))
    }

    /// Recipients of these slices ask to go now: whether one is slowed; where its next may not yet, which, and until when.
    pub fn pace(
        &mut self,
        slices: &[Slice],
        recipients: u32,
        now: Timestamp,
    ) -> Result<bool, (Arc<Slow>, Timestamp)> {
        let slowed = slices.iter().filter_map(|slice| self.slows.get(slice));
        if let Some(paced) = slowed.filter(|p| p.next > now).max_by_key(|p| p.next) {
            return Err((Arc::clone(&paced.slow), paced.next));
        }
        let mut is_slowed = false;
        for slice in slices {
            if let Some(paced) = self.slows.get_mut(slice) {
                paced.went(recipients, now);
                is_slowed = true;
            }
        }
        Ok(is_slowed)
    }

    /// Everything that is held now.
    pub fn holds(&self, now: Timestamp) -> impl Iterator<Item = &Arc<Hold>> {
        self.live
            .iter()
            .filter_map(move |slice| self.hold(slice, now))
    }

    /// What a window holds of a slice, and the one before.
    pub fn shown(&self, slice: &Slice, window: Window, now: Timestamp) -> Option<Shown> {
        let tracked = self.slices.get(slice)?;
        let mut before = tracked.series.previous(window, now);
        for series in self.others.get(slice).into_iter().flatten() {
            before.merge(&series.previous(window, now));
        }
        Some(Shown {
            slice: slice.clone(),
            counts: self.sum(slice, window, Timestamp::default(), now),
            before,
            hold: self.hold(slice, now).cloned(),
            slow: self.slows.get(slice).map(|paced| Arc::clone(&paced.slow)),
        })
    }

    /// What is over by itself, and the slices that something was counted of: each is to be judged. `config` says what holds
    /// for a tenant.
    pub fn begin_look(
        &mut self,
        config: &impl Fn(Option<&str>) -> Config,
        now: Timestamp,
    ) -> (Vec<Decision>, Vec<Slice>) {
        let mut decisions = self.ended(now);
        decisions.extend(self.ease(config, now));
        (decisions, std::mem::take(&mut self.unlooked))
    }

    /// Judges a slice by all its rates, unless it is held.
    pub fn judge_all(
        &mut self,
        slice: &Slice,
        config: &Config,
        now: Timestamp,
        decisions: &mut Vec<Decision>,
    ) {
        if let Some(tracked) = self.slices.get_mut(slice) {
            tracked.unlooked = false;
        }
        if self.hold(slice, now).is_none() {
            let judged = Rate::ALL.map(|rate| self.judge(slice, rate, config, now));
            decisions.extend(judged.into_iter().flatten());
        }
    }

    /// Holds that are over by themselves: what was counted before does not count any more.
    fn ended(&mut self, now: Timestamp) -> Vec<Decision> {
        let over = self.live.iter();
        let over = over.filter(|slice| self.hold(slice, now).is_none());
        let over: Vec<Slice> = over.cloned().collect();
        let mut ended = Vec::new();
        for slice in over {
            self.live.remove(&slice);
            self.tell_anew(&slice);
            let hold = self.holds.get(&slice).cloned();
            ended.extend(hold.map(Decision::Released));
        }
        ended
    }

    /// A person lets it go.
    pub fn release(&mut self, slice: &Slice, by: &str, now: Timestamp) -> Option<Arc<Hold>> {
        let hold = self.hold(slice, now)?;
        let released = Arc::new(Hold {
            released: Some((now, by.into())),
            ..(**hold).clone()
        });
        self.live.remove(slice);
        self.keep_hold(Arc::clone(&released));
        self.tell_anew(slice);
        Some(released)
    }

    fn keep_hold(&mut self, hold: Arc<Hold>) {
        self.unwritten.holds.insert(hold.slice.clone());
        self.holds.insert(hold.slice.clone(), hold);
    }

    fn tell_anew(&mut self, slice: &Slice) {
        if let Some(tracked) = self.slices.get_mut(slice) {
            tracked.told = Default::default();
        }
    }

    fn judge(
        &mut self,
        slice: &Slice,
        rate: Rate,
        config: &Config,
        now: Timestamp,
    ) -> Option<Decision> {
        let from = self.counted_from(slice, now);
        let (standing, finding) = self.finding((slice, rate), config, from, now);
        let told = self.slices.get(slice)?.told.get(rate as usize).copied()?;
        let acts = acts(slice, rate) && config.action == Action::Hold;
        match standing {
            Standing::Act if acts => {
                self.tell(slice, rate, None);
                if self.slows.remove(slice).is_some() {
                    self.unwritten.paces.insert(slice.clone());
                }
                Some(Decision::Hold(self.begin_hold(slice, finding, config, now)))
            }
            Standing::Watch if acts && self.is_to_slow(slice, rate, config, now) => {
                self.tell(slice, rate, Some(standing));
                Some(Decision::Slow(self.slow(slice, finding, config, now)))
            }
            Standing::Act | Standing::Watch if told < Some(standing) => {
                self.tell(slice, rate, Some(standing));
                Some(Decision::Watch(slice.clone(), finding, standing))
            }
            Standing::Good if told.is_some() => {
                self.tell(slice, rate, None);
                Some(Decision::Recovered(slice.clone(), rate))
            }
            _ => None,
        }
    }

    fn tell(&mut self, slice: &Slice, rate: Rate, now_told: Option<Standing>) {
        let tracked = self.slices.get_mut(slice);
        if let Some(told) = tracked.and_then(|tracked| tracked.told.get_mut(rate as usize)) {
            *told = now_told;
        }
    }

    /// The worst of the windows that decide, of what was counted since `from`.
    pub(super) fn finding(
        &self,
        (slice, rate): (&Slice, Rate),
        config: &Config,
        from: Timestamp,
        now: Timestamp,
    ) -> (Standing, Finding) {
        let thresholds = config.of_rate(rate);
        let of_window = |window: Window| {
            let counts = self.counts(slice, window, from, now);
            let (part, whole) = (rate.numerator(&counts), rate.denominator(&counts));
            let standing = standing(part, whole, thresholds.watch, thresholds.act);
            let threshold = match standing {
                Standing::Act => thresholds.act,
                _ => thresholds.watch,
            };
            let finding = Finding {
                rate,
                window,
                part,
                whole,
                threshold,
            };
            (standing, finding)
        };
        let [first, others @ ..] = rate.windows();
        let mut worst = of_window(first);
        for window in others {
            let other = of_window(window);
            if other.0 > worst.0 {
                worst = other;
            }
        }
        worst
    }

    /// What counts in a window: of all nodes, since `from`, and of a stream without what its campaigns are or were
    /// held or slowed for.
    pub(super) fn counts(
        &self,
        slice: &Slice,
        window: Window,
        from: Timestamp,
        now: Timestamp,
    ) -> Counts {
        let mut sum = self.sum(slice, window, from, now);
        if let Slice::Stream(tenant, Stream::Marketing) = slice {
            for campaign in self.dealt_with(tenant) {
                let all = self.sum(campaign, window, from, now);
                sum = sum.without(&all.without(&self.anew(campaign, window, now)));
            }
        }
        sum
    }

    /// Campaigns of a tenant that are or were held or slowed.
    fn dealt_with(&self, tenant: &str) -> BTreeSet<&Slice> {
        let first = Slice::Campaign(tenant.into(), "".into());
        let is_its = |slice: &&Slice| matches!(slice, Slice::Campaign(of, _) if **of == *tenant);
        let held = self.holds.range(&first..).map(|(slice, _)| slice);
        let slowed = self.slows.range(&first..).map(|(slice, _)| slice);
        let eased = self.eased.range(&first..).map(|(slice, _)| slice);
        let all = held.take_while(is_its).chain(slowed.take_while(is_its));
        all.chain(eased.take_while(is_its)).collect()
    }

    /// What was counted of a slice since it was let go or had its pace back.
    fn anew(&self, slice: &Slice, window: Window, now: Timestamp) -> Counts {
        if self.hold(slice, now).is_some() || self.slows.contains_key(slice) {
            return Counts::default();
        }
        let from = self.counted_from(slice, now).max(self.eased_at(slice));
        self.sum(slice, window, from, now)
    }

    pub(super) fn sum(
        &self,
        slice: &Slice,
        window: Window,
        from: Timestamp,
        now: Timestamp,
    ) -> Counts {
        let own = self.slices.get(slice).map(|tracked| &tracked.series);
        let mut sum = Counts::default();
        for series in own
            .into_iter()
            .chain(self.others.get(slice).into_iter().flatten())
        {
            sum.merge(&series.sum(window, from, now));
        }
        sum
    }

    fn begin_hold(
        &mut self,
        slice: &Slice,
        finding: Finding,
        config: &Config,
        now: Timestamp,
    ) -> Arc<Hold> {
        let before = self
            .holds
            .get(slice)
            .filter(|hold| now.since(hold.since) < MEMORY);
        let times = before.map_or(0, |hold| hold.times);
        let doubled = config.hold.0.saturating_mul(1 << times.min(16));
        let hold = Arc::new(Hold {
            slice: slice.clone(),
            since: now,
            until: now + doubled.min(config.max_hold.0),
            times: times + 1,
            finding,
            released: None,
        });
        self.live.insert(slice.clone());
        self.keep_hold(Arc::clone(&hold));
        hold
    }
}

/// For which rates mail of a slice is held. The others are told of.
fn acts(slice: &Slice, rate: Rate) -> bool {
    match slice {
        Slice::Campaign(tenant, _) => &**tenant != NOBODY || rate != Rate::Block,
        // All marketing of a tenant; its transactional mail goes on.
        Slice::Stream(tenant, Stream::Marketing) => &**tenant != NOBODY && rate != Rate::Block,
        Slice::Pair(..) => matches!(rate, Rate::Complaint | Rate::Block),
        _ => false,
    }
}
