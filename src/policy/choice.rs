//! Which source a message leaves from, of those it may leave from.

use super::families::Families;
use super::providers::Provider;
use super::sources::{Order, Pool, Source};
use super::verdict::Held;
use super::warmup::{Look, Overflow};
use super::{Policy, Settings};
use crate::auth::alignment::{Alignment, Identity, Judgement};
use crate::mail::{Labels, MessageId};
use crate::units::Timestamp;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A message that looks for a source.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub id: MessageId,
    pub labels: &'a Labels,
    pub site: &'a Arc<str>,
    pub provider: &'a Arc<Provider>,
    /// The source of the attempt before: greylisting remembers it.
    pub last: Option<&'a str>,
    /// A source that does not reach the site now.
    pub avoid: Option<&'a str>,
    /// What addresses the site has.
    pub families: Families,
    /// Who knows which sources SPF lets send for its return path; `None`: that is not asked.
    pub spf: Option<(&'a Alignment, &'a Identity)>,
}

/// The answer.
#[derive(Debug, Clone)]
pub enum Choice {
    /// From here: now, or where nothing else can take it either, when what holds this source is over.
    Source(Arc<Source>),
    /// From nowhere, until somebody changes something.
    Nowhere(Held),
}

/// Why a source does not take a message now.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    pub why: Held,
    pub then: Then,
}

/// What the message does instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Then {
    /// It tries the next source of its pool.
    Next,
    /// It tries those of this pool, and no others of its own.
    Pool(Arc<str>),
    /// It waits for this one.
    Stay,
    /// It tries the next; this one will never take it.
    Skip,
    /// It tries the next; where none is left, this one's attempt tells the sender why.
    Last,
}

impl Policy {
    /// The source that a message leaves from. It is the first of its pool's order that can take it now; where none can,
    /// the first that will.
    pub fn choose(&self, ask: &Ask<'_>, now: Timestamp) -> Choice {
        let settings = self.settings();
        let Some(pool) = settings.sources.pool(ask.labels) else {
            return no_such_pool(ask.labels, &settings);
        };
        let ask = &ask.heeding_spf(pool);
        if let Some(faithful) = self.faithful(&settings, pool, ask, now) {
            return Choice::Source(faithful);
        }
        let (mut chosen, mut waiting, mut last) = (None, None, None);
        self.walk(&settings, pool, ask, now, |source, _, standing| {
            match standing {
                Ok(()) => chosen = Some(Arc::clone(source)),
                Err(Stop {
                    then: Then::Skip, ..
                }) => {}
                Err(Stop {
                    then: Then::Last, ..
                }) => last = last.take().or_else(|| Some(Arc::clone(source))),
                Err(_) if waiting.is_none() => waiting = Some(Arc::clone(source)),
                Err(_) => {}
            }
            match chosen {
                Some(_) => ControlFlow::Break(()),
                None => ControlFlow::Continue(()),
            }
        });
        match chosen.or(waiting).or(last) {
            Some(source) => Choice::Source(source),
            None => nobody_there(pool),
        }
    }

    /// The source of the attempt before, where the message may still leave from it: it is one of its pool, or of the pool
    /// that takes over what is too much for one of them.
    fn faithful(
        &self,
        settings: &Settings,
        pool: &Pool,
        ask: &Ask<'_>,
        now: Timestamp,
    ) -> Option<Arc<Source>> {
        let last = ask.last.filter(|last| ask.avoid != Some(last))?;
        let member = |pool: &Pool| pool.sources().find(|s| &*s.name == last).cloned();
        let overflow = |source: &Arc<Source>| {
            let pair = self.warmup().pair(&source.name, &ask.provider.name)?;
            match pair.overflow() {
                Overflow::Pool(name) => member(settings.sources.named(&name)?),
                Overflow::Next | Overflow::Wait | Overflow::Reject => None,
            }
        };
        let last = member(pool).or_else(|| pool.sources().find_map(overflow))?;
        let stands = self.standing(&last, &pool.name, ask, now).is_ok();
        stands.then_some(last)
    }

    /// Visits the sources a message may leave from, in its order, with how each stands.
    pub(super) fn walk(
        &self,
        settings: &Settings,
        pool: &Pool,
        ask: &Ask<'_>,
        now: Timestamp,
        mut visit: impl FnMut(&Arc<Source>, &Arc<str>, Result<(), Stop>) -> ControlFlow<()>,
    ) {
        let (mut pool, mut order) = (pool, sticky(pool.order(ask.id), ask.last));
        let mut seen = smallvec::SmallVec::<[&str; 8]>::new();
        let mut at = 0;
        while let Some(source) = order.get(at).copied() {
            at += 1;
            if seen.contains(&&*source.name) || ask.avoid == Some(&*source.name) {
                continue;
            }
            seen.push(&source.name);
            let standing = self.standing(source, &pool.name, ask, now);
            let then = standing.as_ref().err().map(|stop| stop.then.clone());
            if visit(source, &pool.name, standing).is_break() {
                return;
            }
            match then {
                Some(Then::Stay) => return,
                Some(Then::Pool(name)) => {
                    // A pool that is not there leaves the message where it is.
                    let Some(other) = settings.sources.named(&name) else {
                        return;
                    };
                    (pool, order, at) = (other, sticky(other.order(ask.id), ask.last), 0);
                }
                _ => {}
            }
        }
    }

    /// Whether `source` can take a message now, as far as can be known without taking anything.
    fn standing(
        &self,
        source: &Arc<Source>,
        pool: &Arc<str>,
        ask: &Ask<'_>,
        now: Timestamp,
    ) -> Result<(), Stop> {
        if !source.is_present() {
            let why = Held::NoSource {
                pool: Arc::clone(pool),
                why: format!("{} has no address of this machine", source.name).into(),
            };
            let then = Then::Skip;
            return Err(Stop { why, then });
        }
        let (name, site, provider) = (&source.name, ask.site, &ask.provider.name);
        if !ask.families.suit(source.address) {
            let why = Held::NoSource {
                pool: "".into(),
                why: format!("{site} has no address of the family of {name}'s").into(),
            };
            let then = Then::Last;
            return Err(Stop { why, then });
        }
        if let Some(why) = ask.spf_refusal(source) {
            let then = Then::Skip;
            return Err(Stop { why, then });
        }
        if let Some(suspension) = self.suspensions().until(name, site, provider, now) {
            let (why, then) = (Held::Suspended(suspension), Then::Next);
            return Err(Stop { why, then });
        }
        let Some(pair) = self.warmup().pair(name, provider) else {
            return Ok(());
        };
        let Look::Wait(waiting) = pair.look(now) else {
            return Ok(());
        };
        let then = match pair.overflow() {
            Overflow::Wait | Overflow::Reject => Then::Stay,
            Overflow::Next => Then::Next,
            Overflow::Pool(pool) => Then::Pool(pool),
        };
        let why = Held::Warmup(waiting);
        Err(Stop { why, then })
    }
}

impl Ask<'_> {
    /// SPF counts where it lets another source of the pool send: one that it fails for is better than none.
    pub(super) fn heeding_spf(&self, pool: &Pool) -> Self {
        let may_send = |source: &Arc<Source>| {
            let reaches = source.is_present() && self.families.suit(source.address);
            reaches && self.judged(source).is_some_and(|j| j.lets_send())
        };
        let has_choice = self.spf.is_some() && pool.sources().nth(1).is_some();
        let heeds = has_choice && pool.sources().any(may_send);
        Self {
            spf: self.spf.filter(|_| heeds),
            ..*self
        }
    }

    /// Why the source may not send for the return path, as far as that is known.
    fn spf_refusal(&self, source: &Source) -> Option<Held> {
        let judgement = self.judged(source)?;
        let finding = judgement.forbids()?;
        Some(Held::Spf {
            source: Arc::clone(&source.name),
            why: finding.text.as_str().into(),
            remedy: finding.remedy.as_str().into(),
        })
    }

    fn judged(&self, source: &Source) -> Option<Arc<Judgement>> {
        let (alignment, return_path) = self.spf?;
        alignment.of_source(return_path, source.origin.as_ref()?)
    }
}

/// The source of the attempt before goes first, where it is one of them.
fn sticky<'a>(mut order: Order<'a>, last: Option<&str>) -> Order<'a> {
    let at = last.and_then(|last| order.iter().position(|source| &*source.name == last));
    if let Some(at) = at.filter(|at| *at > 0) {
        let last = order.remove(at);
        order.insert(0, last);
    }
    order
}

fn no_such_pool(labels: &Labels, settings: &Settings) -> Choice {
    let pool = labels.pool.as_deref().unwrap_or_default();
    let known = settings.sources.names().join(", ");
    Choice::Nowhere(Held::NoSource {
        pool: pool.into(),
        why: format!("there is no such pool in the configuration; there are: {known}").into(),
    })
}

fn nobody_there(pool: &Pool) -> Choice {
    let names: Vec<&str> = pool.sources().map(|source| &*source.name).collect();
    let why = match names.is_empty() {
        true => "it has no source".to_owned(),
        false => format!("no address of {} is one of this machine", names.join(", ")),
    };
    Choice::Nowhere(Held::NoSource {
        pool: Arc::clone(&pool.name),
        why: why.into(),
    })
}
