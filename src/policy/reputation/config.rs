//! `[reputation]` as written, and `reputation` of a `[[tenant]]`.

use super::judge::Rate;
use crate::policy::share::Share;
use crate::problem::Problems;
use crate::units::Span;
use serde::{Deserialize, Serialize};

/// `[reputation]`: from which rates on mail is watched, and from which it is held.
///
/// A rate counts as over a threshold only where chance cannot have done it: one bounce of ten holds nobody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// "hold" acts: it slows and holds. "watch" only tells what it would have done.
    pub action: Action,
    /// Hard bounces of all that was answered for good.
    pub bounce: Thresholds,
    /// Complaints of what was delivered to providers that have a feedback loop.
    pub complaint: Thresholds,
    /// Refusals for reputation, content or rules, for now or for good, of all attempts.
    pub block: Thresholds,
    /// Hits of spam traps of what was delivered. A watch of "0%" tells of the first.
    pub trap: Thresholds,
    /// Mail whose bounces, complaints or blocks are over `watch` goes on at this share of the pace it had, until they are
    /// under four fifths of it again. "100%" slows nothing.
    pub slow: Share,
    /// The least time that mail is slowed.
    pub slow_for: Span,
    /// How long mail is held the first time; then it is let go and counted anew. Each further hold within 30 days is
    /// twice as long.
    pub hold: Span,
    /// The longest such hold.
    pub max_hold: Span,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    #[default]
    Hold,
    Watch,
}

/// Two thresholds of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Told as an event from here on.
    pub watch: Share,
    /// Held from here on.
    pub act: Share,
}

/// `reputation` of a `[[tenant]]`: what is otherwise than in `[reputation]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TenantConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounce: Option<Thresholds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complaint: Option<Thresholds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<Thresholds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trap: Option<Thresholds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow: Option<Share>,
}

impl Default for Config {
    fn default() -> Self {
        let thresholds = |watch, act| Thresholds {
            watch: Share::ppm(watch),
            act: Share::ppm(act),
        };
        Self {
            action: Action::Hold,
            bounce: thresholds(20_000, 50_000),
            complaint: thresholds(1_000, 3_000),
            block: thresholds(20_000, 100_000),
            trap: thresholds(0, 100),
            slow: Share::percent(50),
            slow_for: Span::minutes(15),
            hold: Span::hours(4),
            max_hold: Span::days(7),
        }
    }
}

impl Config {
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        for (rate, thresholds) in self.thresholds() {
            thresholds.validate(&format!("{at}.{}", rate.name()), problems);
        }
        validate_slow(self.slow, at, problems);
        if self.hold.0.is_zero() {
            problems.add(
                format!("{at}.hold"),
                "a hold of no time holds nothing",
                "write a span such as \"4h\", or action = \"watch\"",
            );
        }
        if self.max_hold.0 < self.hold.0 {
            problems.add(
                format!("{at}.max_hold"),
                "is shorter than the first hold",
                "write at least as much as hold",
            );
        }
    }

    /// As it is for one tenant.
    pub fn of(&self, tenant: &TenantConfig) -> Self {
        Self {
            action: tenant.action.unwrap_or(self.action),
            bounce: tenant.bounce.unwrap_or(self.bounce),
            complaint: tenant.complaint.unwrap_or(self.complaint),
            block: tenant.block.unwrap_or(self.block),
            trap: tenant.trap.unwrap_or(self.trap),
            slow: tenant.slow.unwrap_or(self.slow),
            ..self.clone()
        }
    }

    pub fn of_rate(&self, rate: Rate) -> Thresholds {
        match rate {
            Rate::Bounce => self.bounce,
            Rate::Complaint => self.complaint,
            Rate::Block => self.block,
            Rate::Trap => self.trap,
        }
    }

    fn thresholds(&self) -> impl Iterator<Item = (Rate, Thresholds)> {
        Rate::ALL.into_iter().map(|rate| (rate, self.of_rate(rate)))
    }
}

impl TenantConfig {
    /// Nothing is otherwise.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub fn validate(&self, at: &str, problems: &mut Problems) {
        let own = [
            (Rate::Bounce, &self.bounce),
            (Rate::Complaint, &self.complaint),
            (Rate::Block, &self.block),
            (Rate::Trap, &self.trap),
        ];
        for (rate, thresholds) in own {
            if let Some(thresholds) = thresholds {
                thresholds.validate(&format!("{at}.{}", rate.name()), problems);
            }
        }
        if let Some(slow) = self.slow {
            validate_slow(slow, at, problems);
        }
    }
}

fn validate_slow(slow: Share, at: &str, problems: &mut Problems) {
    if slow == Share::default() || slow > Share::percent(100) {
        problems.add(
            format!("{at}.slow"),
            format!("{slow} of a pace is none that mail can go at"),
            "write such as \"50%\", or \"100%\" to slow nothing",
        );
    }
}

impl Thresholds {
    fn validate(&self, at: &str, problems: &mut Problems) {
        let whole = Share::percent(100);
        if self.act > whole || self.watch > whole {
            problems.add(
                at,
                "a share of mail is at most 100%",
                "write such as \"5%\"",
            );
        }
        if self.act < self.watch {
            problems.add(
                at,
                format!("act, {}, is under watch, {}", self.act, self.watch),
                "write watch under act",
            );
        }
        if self.act == Share::default() {
            problems.add(
                format!("{at}.act"),
                "everything is over a threshold of nothing",
                "write such as \"5%\"",
            );
        }
    }
}
