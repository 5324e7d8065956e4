//! What is known of every slice, and what follows from it.

use super::config::{Action, Config};
use super::counts::{Counts, Metric, Series};
use super::hold::{Finding, Hold};
use super::judge::{Rate, Standing, standing};
use super::rings::{Tally, Window};
use super::slice::{NOBODY, Slice};
use super::slow::{Paced, Slow};
use crate::mail::Stream;
use crate::units::Timestamp;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Slices that are known. Beyond it those that were quiet the longest go.
const MOST: usize = 50_000;
/// Holds further back do not make the next one longer.
const MEMORY: Duration = Duration::from_secs(30 * 86_400);

/// Everything that is counted here, and what other nodes have counted.
#[derive(Default)]
pub(super) struct Book {
    pub(super) slices: HashMap<Slice, Tracked>,
    others: HashMap<Slice, Vec<Series>>,
    holds: HashMap<Slice, Arc<Hold>>,
    /// On this node alone: another decides by the same numbers.
    pub(super) slows: HashMap<Slice, Paced>,
    /// When slices had their pace back. To be slowed again they are counted anew from then on.
    pub(super) eased: HashMap<Slice, Timestamp>,
}

#[derive(Default)]
pub(super) struct Tracked {
    pub series: Series,
    /// Counted anew from then on.
    pub(super) from: Timestamp,
    /// The last that was told of each rate.
    told: [Option<Standing>; Rate::ALL.len()],
    last: Timestamp,
    /// Something was counted since the last look, since it was last written down.
    unlooked: bool,
    unwritten: bool,
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

    pub fn count(&mut self, slice: Slice, metric: Metric, n: u32, now: Timestamp) {
        if self.slices.len() >= MOST && !self.slices.contains_key(&slice) {
            self.forget_quiet();
        }
        let tracked = self.slices.entry(slice).or_default();
        tracked.series.add(metric, n, now);
        tracked.last = tracked.last.max(now);
        tracked.unlooked = true;
        tracked.unwritten = true;
    }

    /// Makes room for a tenth more.
    fn forget_quiet(&mut self) {
        let mut last: Vec<Timestamp> = self.slices.values().map(|t| t.last).collect();
        let nth = (MOST / 10).min(last.len().saturating_sub(1));
        let (_, least, _) = last.select_nth_unstable(nth);
        let least = *least;
        let holds = &self.holds;
        self.slices
            .retain(|slice, tracked| tracked.last > least || holds.contains_key(slice));
    }

    pub fn restore(&mut self, slice: Slice, series: Series) {
        self.slices.entry(slice).or_default().series = series;
    }

    pub fn set_others(&mut self, others: HashMap<Slice, Vec<Series>>) {
        self.others = others;
    }

    pub fn set_hold(&mut self, hold: Hold, now: Timestamp) {
        if let Some(ended) = hold.ended(now) {
            self.slices.entry(hold.slice.clone()).or_default().from = ended;
        }
        self.holds.insert(hold.slice.clone(), Arc::new(hold));
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

    pub fn holds(&self) -> impl Iterator<Item = &Arc<Hold>> {
        self.holds.values()
    }

    /// Every slice with what a window holds of it, and of the one before.
    pub fn show(&self, window: Window, now: Timestamp) -> Vec<(Slice, Counts, Counts)> {
        let shown = |(slice, tracked): (&Slice, &Tracked)| {
            let sum = self.sum(slice, window, Timestamp::default(), now);
            let mut before = tracked.series.previous(window, now);
            for series in self.others.get(slice).into_iter().flatten() {
                before.merge(&series.previous(window, now));
            }
            (slice.clone(), sum, before)
        };
        self.slices.iter().map(shown).collect()
    }

    /// Series that have changed since they were last asked for, and the slices that nothing is known of any more.
    pub fn unwritten(&mut self, now: Timestamp) -> (Vec<(Slice, Series)>, Vec<Slice>) {
        let over = self
            .slices
            .iter()
            .filter(|(_, t)| t.series.is_over(now) && t.last < now);
        let over: Vec<Slice> = over.map(|(slice, _)| slice.clone()).collect();
        for slice in &over {
            self.slices.remove(slice);
        }
        let mut changed = Vec::new();
        for (slice, tracked) in &mut self.slices {
            if std::mem::take(&mut tracked.unwritten) {
                changed.push((slice.clone(), tracked.series.clone()));
            }
        }
        (changed, over)
    }

    /// Looks at every slice that something was counted of. `config` says what holds for a tenant.
    pub fn look(
        &mut self,
        config: impl Fn(Option<&str>) -> Config,
        now: Timestamp,
    ) -> Vec<Decision> {
        let mut decisions = self.ended(now);
        decisions.extend(self.ease(&config, now));
        let unlooked = self.slices.iter_mut().filter_map(|(slice, tracked)| {
            std::mem::take(&mut tracked.unlooked).then(|| slice.clone())
        });
        let mut unlooked: Vec<Slice> = unlooked.collect();
        // Campaigns first: what is held of one is not held against its tenant.
        unlooked.sort_by_key(|slice| (!matches!(slice, Slice::Campaign(..)), slice.clone()));
        for slice in unlooked {
            if self.hold(&slice, now).is_none() {
                let config = config(slice.tenant());
                for rate in Rate::ALL {
                    decisions.extend(self.judge(&slice, rate, &config, now));
                }
            }
        }
        decisions
    }

    /// Holds that are over by themselves: what was counted before does not count any more.
    fn ended(&mut self, now: Timestamp) -> Vec<Decision> {
        let mut ended = Vec::new();
        for hold in self.holds.values() {
            let Some(tracked) = self.slices.get_mut(&hold.slice) else {
                continue;
            };
            if hold.released.is_none() && hold.until <= now && tracked.from < hold.until {
                tracked.from = hold.until;
                tracked.told = [None; Rate::ALL.len()];
                ended.push(Decision::Released(Arc::clone(hold)));
            }
        }
        ended
    }

    /// A person lets it go.
    pub fn release(&mut self, slice: &Slice, by: &str, now: Timestamp) -> Option<Arc<Hold>> {
        let hold = self.hold(slice, now)?;
        let released = Hold {
            released: Some((now, by.into())),
            ..(**hold).clone()
        };
        self.set_hold(released, now);
        if let Some(tracked) = self.slices.get_mut(slice) {
            tracked.told = [None; Rate::ALL.len()];
        }
        self.holds.get(slice).cloned()
    }

    fn judge(
        &mut self,
        slice: &Slice,
        rate: Rate,
        config: &Config,
        now: Timestamp,
    ) -> Option<Decision> {
        let from = self.slices.get(slice)?.from;
        let (standing, finding) = self.finding((slice, rate), config, from, now);
        let told = self.slices.get(slice)?.told.get(rate as usize).copied()?;
        let acts = acts(slice, rate) && config.action == Action::Hold;
        match standing {
            Standing::Act if acts => {
                self.tell(slice, rate, None);
                self.slows.remove(slice);
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
    fn dealt_with(&self, tenant: &str) -> HashSet<&Slice> {
        let all = self.holds.keys().chain(self.slows.keys());
        let all = all.chain(self.eased.keys());
        all.filter(|slice| matches!(slice, Slice::Campaign(of, _) if **of == *tenant))
            .collect()
    }

    /// What was counted of a slice since it was let go or had its pace back.
    fn anew(&self, slice: &Slice, window: Window, now: Timestamp) -> Counts {
        match self.slices.get(slice) {
            Some(_) if self.hold(slice, now).is_some() || self.slows.contains_key(slice) => {
                Counts::default()
            }
            Some(tracked) => self.sum(slice, window, tracked.from.max(self.eased_at(slice)), now),
            None => Counts::default(),
        }
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
        self.holds.insert(slice.clone(), Arc::clone(&hold));
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
