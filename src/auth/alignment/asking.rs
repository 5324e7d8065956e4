//! The preflight as the daemon asks it: for all sources that may carry a message, at once or within a while.

use super::config::{Action, Settings};
use super::identity::{Identity, Origin};
use super::judge::Judgement;
use super::preflight::{Bounds, Preflight};
use crate::clock::Clock;
use crate::dns::Resolver;
use crate::events::metrics::Counters;
use crate::units::Live;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// What receivers will make of our mail. Cheap to clone.
#[derive(Clone)]
pub struct Alignment(Arc<Shared>);

/// What it works with.
pub struct Parts {
    pub resolver: Resolver,
    pub clock: Clock,
    pub settings: Live<Settings>,
    /// Of messages, by what came of them.
    pub counts: Counters,
}

struct Shared {
    preflight: Arc<Preflight<Resolver>>,
    settings: Live<Settings>,
    counts: Counters,
    turns: Arc<Semaphore>,
}

/// What is known of a message at all the sources that may carry it.
#[derive(Debug, Clone)]
pub enum Answer {
    /// At one of them nothing is wrong with it for sure.
    Good,
    /// What is wrong at the source where it fares best.
    Faulty(Arc<Judgement>),
    /// Of one of them nobody knows yet, and at the others it fails.
    Unknown,
}

/// Judgements that are made at a time for nobody who waits.
const AT_ONCE: usize = 64;
/// How long a message waits for its first judgement, where something is to be done about it. DNS that does not answer
/// harms nobody: the message goes on as if nothing were wrong.
const PATIENCE: Duration = Duration::from_secs(5);

impl Alignment {
    pub fn new(parts: Parts) -> Self {
        let preflight = Preflight::new(parts.resolver, parts.clock, Bounds::default());
        Self(Arc::new(Shared {
            preflight: Arc::new(preflight),
            settings: parts.settings,
            counts: parts.counts,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }))
    }

    /// Judges anew what is in use before it is too old, until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        Arc::clone(&self.0.preflight).keep_fresh(stop).await;
    }

    pub fn action(&self, tenant: Option<&str>) -> Action {
        self.0.settings.load().action(tenant)
    }

    /// Counts a message by what came of it.
    pub fn count(&self, what: &'static str) {
        self.0.counts.count(what);
    }

    /// What is at hand. What is not is judged in the background from now on.
    pub fn known(&self, identity: &Identity, origins: &[Arc<Origin>]) -> Answer {
        let answer = self.at_hand(identity, origins);
        if let Answer::Unknown = answer {
            for origin in origins {
                self.begin(identity, origin);
            }
        }
        answer
    }

    /// What is at hand; else waits for the judgements, though not for long.
    pub async fn answer(&self, identity: &Identity, origins: &[Arc<Origin>]) -> Answer {
        let answer = self.at_hand(identity, origins);
        let Answer::Unknown = answer else {
            return answer;
        };
        // Where the message leaves from is asked about its return path alone.
        let of_path = identity.return_path.as_deref();
        let of_path = of_path.map(Identity::of_return_path);
        let wanted = of_path.iter().chain([identity]);
        self.wait_for(wanted, origins).await;
        self.at_hand(identity, origins)
    }

    /// The judgement at each source, waited for; `None` where that takes too long.
    pub async fn judge(
        &self,
        identity: &Identity,
        origins: &[Arc<Origin>],
    ) -> Vec<Option<Arc<Judgement>>> {
        self.wait_for([identity].into_iter(), origins).await;
        let origins = origins.iter();
        origins
            .map(|origin| self.judged(identity, origin))
            .collect()
    }

    /// Returns when all of it is judged, or late.
    async fn wait_for(&self, identities: impl Iterator<Item = &Identity>, origins: &[Arc<Origin>]) {
        // They go on when nobody waits any more, so that none is left half made: who asks next finds their answers.
        let mut judging = Vec::new();
        for identity in identities {
            for origin in origins {
                let (preflight, identity) = (Arc::clone(&self.0.preflight), identity.clone());
                let origin = Arc::clone(origin);
                let judge = async move { preflight.judge(&identity, &origin).await };
                judging.push(tokio::spawn(judge));
            }
        }
        let all = async {
            for one in judging {
                drop(one.await);
            }
        };
        drop(tokio::time::timeout(PATIENCE, all).await);
    }

    /// The judgement of one source, where it is at hand.
    pub fn judged(&self, identity: &Identity, origin: &Origin) -> Option<Arc<Judgement>> {
        self.0.preflight.known(identity, origin)
    }

    /// The judgement of a return path ([`Identity::of_return_path`]) at one source. Where nobody knows it is found out
    /// meanwhile.
    pub fn of_source(
        &self,
        return_path: &Identity,
        origin: &Arc<Origin>,
    ) -> Option<Arc<Judgement>> {
        let judgement = self.judged(return_path, origin);
        if judgement.is_none() {
            self.begin(return_path, origin);
        }
        judgement
    }

    /// One source that carries it well is enough, so that others need not be looked at.
    fn at_hand(&self, identity: &Identity, origins: &[Arc<Origin>]) -> Answer {
        let (mut best, mut unknown) = (None::<(usize, Arc<Judgement>)>, false);
        for origin in origins {
            let Some(judgement) = self.judged(identity, origin) else {
                unknown = true;
                continue;
            };
            let faults = judgement.faults().count();
            if faults == 0 {
                return Answer::Good;
            }
            if best.as_ref().is_none_or(|(least, _)| faults < *least) {
                best = Some((faults, judgement));
            }
        }
        match best.filter(|_| !unknown) {
            Some((_, judgement)) => Answer::Faulty(judgement),
            None => Answer::Unknown,
        }
    }

    fn begin(&self, identity: &Identity, origin: &Arc<Origin>) {
        // While all are taken, whoever asks next tries again: senders do not decide how much is under way.
        let Ok(turn) = Arc::clone(&self.0.turns).try_acquire_owned() else {
            return;
        };
        if !self.0.preflight.claim(identity, origin) {
            return;
        }
        let shared = Arc::clone(&self.0);
        let (identity, origin) = (identity.clone(), Arc::clone(origin));
        let judging = async move {
            shared.preflight.judge(&identity, &origin).await;
            drop(turn);
        };
        // Nobody waits for it.
        drop(tokio::spawn(judging));
    }
}

impl fmt::Debug for Alignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alignment")
    }
}
