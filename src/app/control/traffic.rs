//! What operators ask of sources and their warm-ups.

use super::Daemon;
use crate::config::Config;
use crate::http::{Lift, Lifted, Membership, Refusal, SourceEntry, Steer, Steered, WhichWarmup};
use crate::policy::Settings;
use crate::policy::sources::Source;
use crate::policy::suspension::{At, Suspension};
use crate::policy::warmup::{OperateError, Position, WHOLE};
use crate::units::Timestamp;
use std::sync::Arc;

/// Stands in events where an operator gave no reason.
const NO_REASON: &str = "no reason given";

impl Daemon {
    pub(super) fn positions(&self, which: &WhichWarmup) -> Result<Vec<Position>, Refusal> {
        if let Some(source) = &which.source {
            self.must_warm(source)?;
        }
        let fits = |wanted: &Option<String>, has: &str| wanted.as_deref().is_none_or(|w| w == has);
        let mut positions = self.policy.warmup().show(self.clock.now());
        positions.retain(|position| {
            fits(&which.source, &position.source) && fits(&which.provider, &position.provider)
        });
        Ok(positions)
    }

    pub(super) async fn steer_warmup(&self, order: &Steer) -> Result<Steered, Refusal> {
        let source = order.source();
        self.must_warm(source)?;
        let provider = order.provider().filter(|provider| *provider != WHOLE);
        if let Some(provider) = provider {
            self.must_be_known(source, provider)?;
        }
        let done = self.carry_out(order, provider).await?;
        let mut positions = self.policy.warmup().show(self.clock.now());
        positions.retain(|position| {
            position.source == source && provider.is_none_or(|name| name == position.provider)
        });
        Ok(Steered { done, positions })
    }

    async fn carry_out(&self, order: &Steer, provider: Option<&str>) -> Result<bool, Refusal> {
        let (warmup, source) = (self.policy.warmup(), order.source());
        let done = match order {
            Steer::Pause(pause) => {
                let until = pause.ends(self.clock.now());
                is_ahead(until, self.clock.now())?;
                let why = reason(pause.why.as_deref());
                let paused = warmup.pause(source, provider, why, until).await;
                paused.map(|()| true)
            }
            Steer::Resume(_) => warmup.resume(source, provider).await,
            Steer::Set(set) => {
                let set = warmup.set(source, provider, set.stage).await;
                set.map(|()| true)
            }
        };
        done.map_err(refused)
    }

    fn must_warm(&self, source: &str) -> Result<(), Refusal> {
        let config = self.config.lock();
        let warms = |s: &&crate::policy::sources::SourceConfig| s.warmup.is_some();
        let warming = config.source.iter().filter(warms);
        let names: Vec<&str> = warming.map(|s| s.name.as_str()).collect();
        if names.contains(&source) {
            return Ok(());
        }
        let remedy = match names.as_slice() {
            [] => "no [[source]] has a warmup".to_owned(),
            names => format!("those that do are {}", names.join(", ")),
        };
        Err(Refusal::Unknown(format!(
            "no source \"{source}\" warms: {remedy}"
        )))
    }

    /// A slip of the pen would make a warm-up of its own, and change nothing.
    fn must_be_known(&self, source: &str, provider: &str) -> Result<(), Refusal> {
        let settings = self.policy.settings();
        let shown = self.policy.warmup().show(self.clock.now());
        let mut shown = shown.iter().filter(|position| position.source == source);
        if settings.providers.get(provider).is_some() || shown.any(|p| p.provider == provider) {
            return Ok(());
        }
        let names: Vec<&str> = settings.providers.iter().map(|p| &*p.name).collect();
        let names = names.join(", ");
        Err(Refusal::Unknown(format!(
            "there is no provider \"{provider}\": write one of {names}, or {WHOLE} for the source as a whole"
        )))
    }

    pub(super) fn source_entries(&self) -> Vec<SourceEntry> {
        let settings = self.policy.settings();
        let config = self.config.lock();
        let mut positions = self.policy.warmup().show(self.clock.now());
        positions.retain(|position| position.provider == WHOLE);
        let suspensions = self.policy.suspensions().list();
        let entry = |source: &Arc<Source>| SourceEntry {
            name: source.name.to_string(),
            address: source.address,
            present: source.is_present(),
            ehlo: source.ehlo.to_string(),
            pools: pools_of(&source.name, &config),
            warmup: positions
                .iter()
                .find(|p| *p.source == *source.name)
                .cloned(),
            suspensions: of_source(&suspensions, &source.name).cloned().collect(),
        };
        settings.sources.all().map(entry).collect()
    }

    pub(super) fn lift_suspensions(&self, order: &Lift) -> Result<Lifted, Refusal> {
        let held = self.policy.suspensions().list();
        let held: Vec<_> = of_source(&held, &order.source).cloned().collect();
        if held.is_empty() {
            must_be_configured(&order.source, &self.policy.settings())?;
        }
        let wanted = match (&order.site, &order.provider) {
            (Some(site), _) => Some(At::Site(site.as_str().into())),
            (None, Some(provider)) => Some(At::Provider(provider.as_str().into())),
            (None, None) => None,
        };
        let fits = |held: &&Arc<Suspension>| wanted.as_ref().is_none_or(|at| held.at == *at);
        let why = format!("lifted by hand: {}", reason(order.why.as_deref()));
        let lift = |held: &Arc<Suspension>| self.policy.lift(&held.source, &held.at, &why);
        Ok(Lifted {
            lifted: held.iter().filter(fits).filter_map(lift).collect(),
        })
    }
}

fn of_source<'s>(
    suspensions: &'s [Arc<Suspension>],
    source: &str,
) -> impl Iterator<Item = &'s Arc<Suspension>> {
    let suspensions = suspensions.iter();
    suspensions.filter(move |suspension| *suspension.source == *source)
}

fn pools_of(source: &str, config: &Config) -> Vec<Membership> {
    let membership = |pool: &crate::policy::sources::PoolConfig| {
        let member = pool.sources.iter().find(|member| member.name == source)?;
        Some(Membership {
            name: pool.name.clone(),
            weight: member.weight,
        })
    };
    config.pool.iter().filter_map(membership).collect()
}

fn must_be_configured(source: &str, settings: &Settings) -> Result<(), Refusal> {
    let names: Vec<&str> = settings.sources.all().map(|s| &*s.name).collect();
    if names.contains(&source) {
        return Ok(());
    }
    let names = names.join(", ");
    Err(Refusal::Unknown(format!(
        "there is no source \"{source}\": those that are there are {names}"
    )))
}

fn is_ahead(until: Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
    match until.filter(|until| *until <= now) {
        None => Ok(()),
        Some(until) => Err(Refusal::Impossible(format!(
            "{until} is over already: write a later time, or none to pause until it is resumed"
        ))),
    }
}

fn reason(why: Option<&str>) -> &str {
    why.filter(|why| !why.trim().is_empty())
        .unwrap_or(NO_REASON)
}

fn refused(error: OperateError) -> Refusal {
    let text = error.to_string();
    match error {
        OperateError::UnknownSource(_) => Refusal::Unknown(text),
        OperateError::NoSuchStage { .. } | OperateError::Unreadable { .. } => {
            Refusal::Impossible(text)
        }
        OperateError::Store(_) => Refusal::Unavailable(text),
    }
}
