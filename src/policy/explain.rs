//! The whole verdict on one message, nothing taken: what `explain` and `queue show` tell.

use super::Policy;
use super::choice::{Ask, Stop};
use super::limits::{Fill, Of};
use super::reputation::{Reputation, Slice, Slow};
use super::sources::Source;
use super::verdict::Held;
use super::warmup::Position;
use crate::events::Breaker;
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What policy says of a message that goes to one site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The pool it leaves from.
    pub pool: Arc<str>,
    pub site: Arc<str>,
    pub provider: Arc<str>,
    /// The sources it may leave from, in the order in which they are tried for this message.
    pub candidates: Vec<Candidate>,
    /// Limits of its tenant and its campaign.
    pub limits: Vec<Fill>,
    /// What holds it whichever source it leaves from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// What of it goes slower than it did: its campaign, its tenant's marketing, a source at the provider.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slowed: Vec<Arc<Slow>>,
}

/// One of our addresses, as this message meets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    pub source: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Through which pool it is one.
    pub pool: Arc<str>,
    /// The message leaves from here.
    pub taken: bool,
    /// Why it does not take the message now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// Limits of the source, and of the source at the provider and at the site.
    pub limits: Vec<Fill>,
    /// Its warm-up: at the provider, and as a whole. Empty where it does not warm.
    pub warmup: Vec<Position>,
    /// Its line to the site, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<LineView>,
}

/// What waits from one source to one site, and over how many connections it goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineView {
    /// Entries in line.
    pub waiting: u64,
    /// Connections, open or opening.
    pub open: u32,
    /// Connections that the site has shown it can take.
    pub window: u32,
    /// The most there may be: `delivery.max_connections_per_site`.
    pub most: u32,
    /// Whether the site answers: one connection finds out while it is half-open.
    #[serde(default)]
    pub breaker: Breaker,
    /// What holds the line as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
}

impl Policy {
    /// Tells what would happen to a message now.
    pub fn explain(&self, ask: &Ask<'_>, now: Timestamp) -> Explanation {
        let settings = self.settings();
        let mut told = Explanation {
            pool: "".into(),
            site: Arc::clone(ask.site),
            provider: Arc::clone(&ask.provider.name),
            candidates: Vec::new(),
            limits: self.limits_of_labels(ask, now),
            held: self.held_as_a_whole(ask, now),
            slowed: Vec::new(),
        };
        let Some(pool) = settings.sources.pool(ask.labels) else {
            if let super::Choice::Nowhere(why) = self.choose(ask, now) {
                told.held.get_or_insert(why);
            }
            return told;
        };
        told.pool = Arc::clone(&pool.name);
        let heeding = ask.heeding_spf(pool);
        self.walk(&settings, pool, &heeding, now, |source, pool, standing| {
            let candidate = self.candidate(source, pool, ask, standing, now);
            told.candidates.push(candidate);
            ControlFlow::Continue(())
        });
        match self.choose(ask, now) {
            super::Choice::Source(source) => {
                let mut candidates = told.candidates.iter_mut();
                let taken = candidates.find(|candidate| candidate.source == source.name);
                taken
                    .into_iter()
                    .for_each(|candidate| candidate.taken = true);
            }
            super::Choice::Nowhere(why) => drop(told.held.get_or_insert(why)),
        }
        told.slowed = self.slowed(ask, &told.candidates);
        told
    }

    /// What holds a message wherever it goes.
    fn held_as_a_whole(&self, ask: &Ask<'_>, now: Timestamp) -> Option<Held> {
        let hours = self.tenant_hours(ask.labels, now).err();
        let hold = || {
            let slices = Reputation::concerned(ask.labels);
            let hold = self.reputation().holding(&slices, now)?;
            Some(Held::Reputation(hold))
        };
        hours.or_else(hold)
    }

    fn slowed(&self, ask: &Ask<'_>, candidates: &[Candidate]) -> Vec<Arc<Slow>> {
        let concerned = Reputation::concerned(ask.labels);
        if concerned.is_empty() {
            // Transactional mail keeps its pace.
            return Vec::new();
        }
        let is_of = |slow: &Arc<Slow>| match &slow.slice {
            Slice::Pair(source, provider) => {
                *provider == ask.provider.name && candidates.iter().any(|c| c.source == *source)
            }
            slice => concerned.contains(slice),
        };
        let mut slows = self.reputation().slows();
        slows.retain(is_of);
        slows
    }

    fn candidate(
        &self,
        source: &Arc<Source>,
        pool: &Arc<str>,
        ask: &Ask<'_>,
        standing: Result<(), Stop>,
        now: Timestamp,
    ) -> Candidate {
        let of = Of::of_place(&source.name, ask.site, ask.provider);
        let warmup = self.warmup().pair(&source.name, &ask.provider.name);
        Candidate {
            source: Arc::clone(&source.name),
            address: source.address,
            pool: Arc::clone(pool),
            taken: false,
            held: standing.err().map(|stop| stop.why),
            limits: self.fills(of, now),
            warmup: warmup.map_or_else(Vec::new, |pair| pair.positions(now)),
            line: None,
        }
    }

    fn limits_of_labels(&self, ask: &Ask<'_>, now: Timestamp) -> Vec<Fill> {
        let of = Of::of_labels(ask.labels);
        self.fills(of, now)
    }

    fn fills(&self, of: impl IntoIterator<Item = Of>, now: Timestamp) -> Vec<Fill> {
        let limits = of.into_iter().map(|of| self.limit(&of));
        limits.flat_map(|limit| limit.fill(now)).collect()
    }
}
