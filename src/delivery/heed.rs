//! What a server's replies ask of us beyond the message they were said of: slower, not now, not over this connection.

use super::lane::Lane;
use super::link::Link;
use super::settle::{Fate, Part, Verdict};
use super::{Batch, Delivery};
use crate::bounce;
use crate::bounce::rules::{Said, Seen, softened};
use crate::mail::{BounceClass, Disposition, Reply, Subject};
use crate::policy::Way;
use crate::policy::providers::{Rule, TreatAs};
use crate::policy::warmup::Outcome;
use crate::units::Timestamp;
use std::sync::Arc;

/// A reply, and the rule that it matches.
pub(super) struct Heard {
    rule: Rule,
    reply: Reply,
}

impl Delivery {
    /// Does what the rules say, each once a transaction.
    pub(super) async fn heed(&self, lane: &Lane, link: &mut Link, heard: Vec<Heard>) {
        for Heard { rule, reply } in heard {
            if rule.slow_down
                && let Some(saved) = lane.slow_down(&reply)
            {
                self.keep_pace(Arc::clone(&lane.place), saved);
            }
            self.keep_away(&lane.way(), &rule, &reply);
            if rule.notify {
                let (source, site, key) = (&lane.place.source, &lane.place.site, &rule.place);
                tracing::warn!(%source, %site, %reply, rule = %key, "a reply to look at");
            }
            if rule.fresh_connection {
                link.quit().await;
            }
        }
    }

    /// Whether a reply for which a connection ended keeps the source away, so that another takes over at once; it is kept
    /// away then.
    pub(super) fn keeps_away(&self, way: &Way, reply: &Reply) -> bool {
        let rule = way.provider.judge(reply);
        let Some(rule) = rule.filter(|rule| rule.suspend.is_some()) else {
            return false;
        };
        let now = self.0.with.clock.now();
        self.0.with.policy.suspend(way, rule, reply, now);
        true
    }

    /// Keeps the source from the site or the provider for a time, where the rule says so.
    fn keep_away(&self, way: &Way, rule: &Rule, reply: &Reply) {
        let now = self.0.with.clock.now();
        self.0.with.policy.suspend(way, rule, reply, now);
        if rule.reputation {
            way.blocked(reply, now);
        }
    }
}

impl Batch {
    /// The server has said that it wants no more from the source for now, also not over another connection.
    pub(super) fn is_kept_away(&self, fate: &Fate) -> bool {
        let (Some(going), Verdict::SiteFailed(reply)) = (&self.going, fate.verdict()) else {
            return false;
        };
        let rule = going.way.provider.judge(reply);
        rule.is_some_and(|rule| rule.suspend.is_some() || rule.reputation)
    }

    /// The rules that these replies match; each once.
    pub(super) fn hear<'r>(&self, replies: impl IntoIterator<Item = &'r Reply>) -> Vec<Heard> {
        let Some(going) = &self.going else {
            return Vec::new();
        };
        let mut heard: Vec<Heard> = Vec::new();
        for reply in replies {
            let Some(rule) = going.way.provider.judge(reply) else {
                continue;
            };
            if heard.iter().all(|heard| heard.rule.place != rule.place) {
                heard.push(Heard {
                    rule: rule.clone(),
                    reply: reply.clone(),
                });
            }
        }
        heard
    }

    /// What a refusal means; the provider's rules have the first word. What a server said is counted by its pattern.
    pub(super) fn classify(&self, reply: &Reply) -> bounce::Fate {
        let with = &self.delivery.0.with;
        let provider = self.going.as_ref().map(|going| &going.way.provider);
        let name = provider.map(|provider| &*provider.name);
        let classifier = with.classifier.load();
        let seen = Seen::of(&Said::of(reply, name));
        let ruling = classifier.ruling(&seen);
        if !reply.local {
            with.replies
                .note(&seen, &reply.text, ruling, with.clock.now());
        }
        let rule = provider.and_then(|provider| provider.judge(reply));
        match rule.and_then(|rule| rule.treat_as) {
            None => bounce::Fate::of(reply, ruling.finding),
            Some(TreatAs::Soft) => bounce::Fate::Defer(softened(ruling.finding)),
            Some(TreatAs::Hard) => bounce::Fate::Bounce(BounceClass::Hard.into()),
        }
    }

    /// Whether there is leave for one more transaction, where recipients are left.
    pub(super) fn goes_on(&mut self, now: Timestamp) -> bool {
        let is_more = !self.parts.is_empty();
        let Some(going) = &mut self.going else {
            return false;
        };
        is_more && going.lease.left() > 0 && going.lease.again(now)
    }

    /// A transaction begins: what the lease took is spent.
    pub(super) fn begin(&mut self, part: &Part, now: Timestamp) {
        let octets = self.stored.size;
        if let Some(going) = &mut self.going {
            going.lease.begin(part.recipients.len(), octets, now);
        }
    }

    /// So many recipients count against the warm-up's budget.
    pub(super) fn keep(&mut self, recipients: usize) {
        if let Some(going) = &mut self.going {
            going.lease.keep(recipients);
        }
    }

    /// Counts outcomes for the warm-up: its budget and its health.
    pub(super) fn observe(&mut self, outcomes: &[(u16, Disposition)], now: Timestamp) {
        let Some(going) = &mut self.going else { return };
        for (_, disposition) in outcomes {
            let Some((outcome, counts)) = of_health(&going.way, disposition) else {
                continue;
            };
            going.lease.keep(counts);
            going.way.observe(outcome, 1, now);
        }
    }
}

/// What an outcome says of the source's health, and how much of the budget it has used. `None`: nothing.
fn of_health(way: &Way, disposition: &Disposition) -> Option<(Outcome, usize)> {
    let (why, counts) = match disposition {
        Disposition::Delivered(_) => return Some((Outcome::Delivered, 1)),
        Disposition::Deferred { why, .. } => (why, 0),
        Disposition::Bounced { why, .. } => (why, 1),
    };
    if why.local {
        return None;
    }
    // A block is one whether it is for good or for now.
    let rule = way.provider.judge(why);
    let outcome = match disposition {
        _ if rule.is_some_and(|rule| rule.reputation) => Outcome::Blocked,
        _ if is_block_of_us(disposition) => Outcome::Blocked,
        Disposition::Bounced { finding, .. } => match finding.class {
            BounceClass::Hard => Outcome::Bounced,
            _ => return None,
        },
        _ => Outcome::Deferred,
    };
    Some((outcome, counts))
}

/// Whether the source or what it sends is refused for its reputation, not one message for what is in it.
fn is_block_of_us(disposition: &Disposition) -> bool {
    disposition.finding().is_some_and(|finding| {
        finding.class == BounceClass::Block && finding.subject == Some(Subject::SourceIp)
    })
}
