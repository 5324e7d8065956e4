//! When mail is slowed, and when it has its pace back.
//!
//! | | a slice is slowed | it has its pace back |
//! |---|---|---|
//! | rate | over `watch`, beyond chance, in a window that decides | since it is slowed, within the last hour: at most four fifths of `watch` |
//! | counted from | the end of its last hold, and the last time it had its pace back | the instant it was slowed |
//! | time | at once | after `slow_for` at the earliest |

use super::book::{Book, Decision};
use super::config::{Action, Config};
use super::counts::{Counts, Metric};
use super::hold::Finding;
use super::judge::{Rate, Standing};
use super::rings::Window;
use super::slice::Slice;
use super::slow::{Pace, Paced, Slow, spacing};
use crate::policy::share::Share;
use crate::units::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// Of the threshold, to count as recovered: a rate on the threshold is not to be slowed and eased by turns.
const RECOVERED: Share = Share::percent(80);
/// Windows that a pace is taken from, over the minutes in which anything went: the faster of the two counts.
const PACES: [Window; 2] = [Window::QuarterHour, Window::Hour];

/// A slot that begins at the instant of a decision holds what led to it.
const AFTER: Duration = Duration::from_millis(1);
/// No window that slows looks back further.
const WIDEST: Duration = Duration::from_secs(86_400);

impl Book {
    /// It is over the lower threshold too without what it was slowed for before.
    pub(super) fn is_to_slow(
        &self,
        slice: &Slice,
        rate: Rate,
        config: &Config,
        now: Timestamp,
    ) -> bool {
        if !slows(rate, config) || self.slows.contains_key(slice) {
            return false;
        }
        let from = self.counted_from(slice, now).max(self.eased_at(slice));
        let (standing, _) = self.finding((slice, rate), config, from, now);
        standing >= Standing::Watch
    }

    pub(super) fn slow(
        &mut self,
        slice: &Slice,
        finding: Finding,
        config: &Config,
        now: Timestamp,
    ) -> Arc<Slow> {
        let own = self.slices.get(slice).map(|tracked| &tracked.series);
        let apart = own.into_iter().flat_map(|series| {
            PACES.map(|window| {
                let counts = series.sum(window, Timestamp::default(), now);
                let within = series.active(window, now);
                spacing(counts.get(Metric::Attempts), within, config.slow)
            })
        });
        let apart = apart.min().unwrap_or_default();
        let slow = Arc::new(Slow {
            slice: slice.clone(),
            since: now,
            least: now + config.slow_for.0,
            finding,
            share: config.slow,
            spacing_ms: u64::try_from(apart.as_millis()).unwrap_or(u64::MAX),
        });
        let paced = Paced {
            slow: Arc::clone(&slow),
            next: now,
        };
        self.slows.insert(slice.clone(), paced);
        self.unwritten.paces.insert(slice.clone());
        slow
    }

    /// As it is to be kept; `None` where it goes as any other.
    pub(super) fn kept_pace(&self, slice: &Slice) -> Option<Pace> {
        let slow = self.slows.get(slice).map(|paced| Arc::clone(&paced.slow));
        let eased = self.eased.get(slice).copied();
        (slow.is_some() || eased.is_some()).then_some(Pace { slow, eased })
    }

    /// As it was kept.
    pub(super) fn restore_pace(&mut self, slice: Slice, pace: Pace, now: Timestamp) {
        if let Some(slow) = pace.slow {
            let paced = Paced { slow, next: now };
            self.slows.insert(slice.clone(), paced);
        }
        if let Some(at) = pace.eased {
            self.eased.insert(slice, at);
        }
    }

    /// Gives back its pace to what has recovered.
    pub(super) fn ease(
        &mut self,
        config: &impl Fn(Option<&str>) -> Config,
        now: Timestamp,
    ) -> Vec<Decision> {
        let (eased, unwritten) = (&mut self.eased, &mut self.unwritten);
        eased.retain(|slice, at| {
            let counts = now.since(*at) < WIDEST && now >= *at;
            if !counts {
                unwritten.paces.insert(slice.clone());
            }
            counts
        });
        let reason = |slow: &Arc<Slow>| {
            let config = config(slow.slice.tenant());
            let why = self.recovered(slow, &config, now)?;
            Some((Arc::clone(slow), why))
        };
        let recovered: Vec<_> = self.slows().filter_map(reason).collect();
        let eased = recovered.into_iter().map(|(slow, why)| {
            self.let_go(&slow.slice, now);
            Decision::Eased(slow, why)
        });
        eased.collect()
    }

    /// Why it is to have its pace back, where it is.
    fn recovered(&self, slow: &Slow, config: &Config, now: Timestamp) -> Option<String> {
        let rate = slow.finding.rate;
        if config.action == Action::Watch || !slows(rate, config) {
            return Some("the configuration does not slow it any more".to_owned());
        }
        let counts = self.counts(&slow.slice, Window::Hour, slow.since + AFTER, now);
        let watch = config.of_rate(rate).watch;
        let is_good = now >= slow.least && is_recovered(rate, &counts, watch);
        is_good.then(|| {
            let (part, whole) = (rate.numerator(&counts), rate.denominator(&counts));
            format!(
                "{}s {part} of {whole} since it is slowed, at most {RECOVERED} of {watch}",
                rate.name()
            )
        })
    }

    /// It has its pace back. What was counted before does not slow it again.
    pub(super) fn let_go(&mut self, slice: &Slice, now: Timestamp) -> Option<Arc<Slow>> {
        let paced = self.slows.remove(slice)?;
        self.eased.insert(slice.clone(), now);
        self.unwritten.paces.insert(slice.clone());
        Some(paced.slow)
    }

    /// When it last had its pace back: what counts comes after.
    pub(super) fn eased_at(&self, slice: &Slice) -> Timestamp {
        let at = self.eased.get(slice);
        at.map_or(Timestamp::default(), |at| *at + AFTER)
    }
}

/// Traps are told of so late that the pace of today says nothing.
fn slows(rate: Rate, config: &Config) -> bool {
    rate != Rate::Trap && config.slow < Share::percent(100)
}

fn is_recovered(rate: Rate, counts: &Counts, watch: Share) -> bool {
    let most = Share::ppm(u32::try_from(RECOVERED.of(watch.as_ppm().into())).unwrap_or(u32::MAX));
    let (part, whole) = (rate.numerator(counts), rate.denominator(counts));
    part == 0 || !most.is_reached(part, whole)
}
