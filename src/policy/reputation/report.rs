//! Reputation as people read it.

use super::book::Shown;
use super::counts::{Counts, Metric};
use super::judge::{Rate, Standing, standing};
use super::rings::Window;
use super::{Hold, Reputation, Rules, Slice, Slow};
use crate::policy::share::Share;
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One slice over one window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub slice: Slice,
    /// `source`, `pair`, `campaign`, …
    pub by: String,
    pub window: Window,
    /// By the names of [`Metric`]; what is 0 is there too.
    pub counts: BTreeMap<String, u64>,
    /// Recipients that were answered for good.
    pub answered: u64,
    pub rates: Vec<Rated>,
    /// What is done about it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Arc<Hold>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<Arc<Slow>>,
}

/// A rate with what it was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rated {
    pub rate: Rate,
    pub numerator: u64,
    pub denominator: u64,
    /// 0 to 1; absent where there is nothing to divide by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// In the window before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<f64>,
    /// The thresholds, 0 to 1.
    pub watch: f64,
    pub act: f64,
    /// `unsure`: over a threshold, of a sample so small that chance could do it.
    pub standing: Standing,
    /// What can be done about it, where it is not good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Reputation {
    /// Every slice of one of the kinds `by` in which something happened within the window; all kinds where it is empty.
    /// The worst first, then by name.
    pub fn report(&self, by: &[String], window: Window, now: Timestamp) -> Vec<Row> {
        let rules = self.rules();
        let wanted = |slice: &Slice| match by {
            [] => Slice::KINDS.contains(&slice.kind()),
            by => by.iter().any(|kind| kind == slice.kind()),
        };
        let shown = self.show(wanted, window, now).into_iter();
        let mut rows: Vec<Row> = shown
            .filter_map(|shown| row(&rules, window, shown))
            .collect();
        rows.sort_by(|a, b| (b.worst(), &a.slice).cmp(&(a.worst(), &b.slice)));
        rows
    }

    /// One slice of the report, without a look at the others; `None` where nothing happened.
    pub fn row(&self, slice: &Slice, window: Window, now: Timestamp) -> Option<Row> {
        let shown = self.0.book.lock().shown(slice, window, now)?;
        row(&self.rules(), window, shown)
    }
}

fn row(rules: &Rules, window: Window, shown: Shown) -> Option<Row> {
    let (counts, before) = (shown.counts, shown.before);
    if counts == Counts::default() {
        return None;
    }
    let config = rules.of(shown.slice.tenant());
    let rated = |rate: Rate| {
        let thresholds = config.of_rate(rate);
        rated(rate, (thresholds.watch, thresholds.act), &counts, &before)
    };
    Some(Row {
        by: shown.slice.kind().to_owned(),
        window,
        answered: counts.answered(),
        rates: Rate::ALL.map(rated).into(),
        hold: shown.hold,
        slow: shown.slow,
        counts: named(&counts),
        slice: shown.slice,
    })
}

impl Row {
    fn worst(&self) -> (bool, bool, Option<Standing>) {
        let worst = self.rates.iter().map(|rated| rated.standing).max();
        (self.hold.is_some(), self.slow.is_some(), worst)
    }

    pub fn count(&self, metric: Metric) -> u64 {
        self.counts.get(metric.name()).copied().unwrap_or(0)
    }
}

fn named(counts: &Counts) -> BTreeMap<String, u64> {
    let count = |metric: &Metric| (metric.name().to_owned(), counts.get(*metric));
    Metric::ALL.iter().map(count).collect()
}

fn rated(rate: Rate, (watch, act): (Share, Share), counts: &Counts, before: &Counts) -> Rated {
    let (numerator, denominator) = (rate.numerator(counts), rate.denominator(counts));
    let standing = standing(numerator, denominator, watch, act);
    let share = |share: Share| f64::from(share.as_ppm()) / 1e6;
    Rated {
        rate,
        numerator,
        denominator,
        value: quotient(numerator, denominator),
        before: quotient(rate.numerator(before), rate.denominator(before)),
        watch: share(watch),
        act: share(act),
        standing,
        advice: (standing >= Standing::Watch).then(|| advice(rate).to_owned()),
    }
}

fn quotient(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn advice(rate: Rate) -> &'static str {
    match rate {
        Rate::Bounce => {
            "addresses are bad: stop the list, remove those that were never confirmed or not seen for months, and see \
             where they came from"
        }
        Rate::Complaint => {
            "recipients call it spam: send to those who open and click, make unsubscribing easy (RFC 8058), and check \
             that they asked for it"
        }
        Rate::Block => {
            "providers refuse it: read the replies, check SPF, DKIM, DMARC and reverse DNS, send less for some days, and \
             ask the provider's postmaster"
        }
        Rate::Trap => {
            "addresses that nobody reads are on the list: find when and where they came in, remove who never opened or \
             clicked, and confirm new addresses by mail before anything else is sent to them"
        }
    }
}
