//! What is asked before mail moves: from which source, whether now, and if not, until when and why.
//!
//! | question | asked by | answer |
//! |---|---|---|
//! | may it come in? | the intake | [`Policy::receive`]: yes, or a reply that says what is known already |
//! | from which source? | the dispatcher | [`Policy::choose`]: a source, or nowhere and why |
//! | may the next one go? | a lane, before each message | [`Way::admit`]: a [`Lease`], or [`Wait`] and why |
//! | may a connection open? | a lane | [`Way::connect`]: [`Seats`], or [`Wait`] and why |
//! | what would happen? | people | [`Policy::explain`]: all of it, nothing taken |
//!
//! Capacity is a guard that is held: a [`Lease`] or [`Seats`] that is dropped gives back what was not used.

mod choice;
pub mod explain;
mod families;
mod hours;
pub mod limits;
pub mod providers;
mod receive;
pub mod reputation;
mod settings;
pub mod share;
pub mod sources;
pub mod suppression;
pub mod suspension;
pub mod verdict;
pub mod warmup;
mod watch;
mod way;
pub mod window;

pub use choice::{Ask, Choice};
pub use families::Families;
pub use receive::Arrival;
pub use settings::{Parts, Settings, TenantRules};
pub use verdict::Held;
pub use way::{Admission, Flow, Lease, Seats, Wait, Way};

use crate::clock::Clock;
use crate::events::Events;
use crate::mail::{Labels, Reply, Stream};
use crate::store::{Store, StoreError};
use crate::units::{Live, Timestamp};
use arc_swap::{ArcSwap, Guard};
use limits::{Limit, Limits, Of, Party};
use providers::{Provider, Rule, Scope};
use reputation::{Hold, Metric, Reputation, Slice, Slow};
use sources::Source;
use std::sync::Arc;
use suppression::{Reason, Suppression};
use suspension::{At, Suspension, Suspensions};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use warmup::{Freed, Outcome, Warmup};
use watch::Watch;

/// All of it. Cheap to clone.
#[derive(Clone)]
pub struct Policy(Arc<Shared>);

struct Shared {
    clock: Clock,
    settings: Live<Settings>,
    limits: Limits,
    warmup: Warmup,
    suspensions: Suspensions,
    watch: Watch,
    suppression: Suppression,
    /// Somebody changed what mail waits for.
    changed: Notify,
}

impl Policy {
    /// Reads back what the store remembers.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn open(
        settings: Settings,
        store: Store,
        clock: Clock,
        (events, reputation): (Events, Reputation),
    ) -> Result<Self, StoreError> {
        let limits = Limits::new(clock.clone());
        limits.configure(settings.limits.clone());
        settings.sources.look();
        let suspensions = Suspensions::load(store.clone(), clock.clone(), events.clone()).await?;
        let rules = settings.warmup.clone();
        let warmup = Warmup::open(rules, store.clone(), clock.clone(), events.clone()).await?;
        reputation.configure(Arc::clone(&settings.reputation));
        let watch = Watch::open(reputation, store.clone(), events.clone(), clock.now()).await?;
        let rules = settings.suppression.clone();
        let suppression = Suppression::open(rules, store, clock.clone(), events).await?;
        Ok(Self(Arc::new(Shared {
            clock,
            settings: Arc::new(ArcSwap::from_pointee(settings)),
            limits,
            warmup,
            suspensions,
            watch,
            suppression,
            changed: Notify::new(),
        })))
    }

    /// Takes over a new configuration; what is under way keeps what it has been given.
    pub fn configure(&self, settings: Settings) {
        self.0.limits.configure(settings.limits.clone());
        self.0
            .warmup
            .configure(settings.warmup.clone(), self.0.clock.now());
        self.suppression().configure(settings.suppression.clone());
        let reputation = Arc::clone(&settings.reputation);
        self.reputation().configure(reputation);
        settings.sources.look();
        self.0.settings.store(Arc::new(settings));
        self.0.changed.notify_one();
    }

    pub fn settings(&self) -> Guard<Arc<Settings>> {
        self.0.settings.load()
    }

    pub fn warmup(&self) -> &Warmup {
        &self.0.warmup
    }

    pub fn suspensions(&self) -> &Suspensions {
        &self.0.suspensions
    }

    pub fn suppression(&self) -> &Suppression {
        &self.0.suppression
    }

    pub fn reputation(&self) -> &Reputation {
        self.0.watch.reputation()
    }

    /// What is said of mail from `source` to `site`.
    pub fn way(&self, source: &Arc<Source>, site: &Arc<str>, provider: &Arc<Provider>) -> Arc<Way> {
        let settings = self.settings();
        let of = Of::of_place(&source.name, site, provider);
        Arc::new(Way {
            limits: of.iter().map(|of| self.0.limits.of(of)).collect(),
            warmup: self.0.warmup.pair(&source.name, &provider.name),
            suspensions: self.0.suspensions.clone(),
            hours: settings.provider_hours(&provider.name),
            points_per_hour: settings.points_per_hour,
            pair: Slice::Pair(Arc::clone(&source.name), Arc::clone(&provider.name)),
            source: Arc::clone(source),
            site: Arc::clone(site),
            provider: Arc::clone(provider),
        })
    }

    /// What is said of mail with these labels, wherever it goes.
    pub fn flow(&self, labels: &Labels) -> Flow {
        let terms = self.settings().tenant(labels.tenant.as_deref());
        Flow {
            stream: labels.stream.unwrap_or(Stream::Marketing),
            party: Party::new(labels, terms.weight),
            has_tenant: labels.tenant.is_some(),
            pool: labels.pool.as_deref().map(Into::into),
            terms,
            limits: Of::of_labels(labels)
                .map(|of| self.0.limits.of(&of))
                .collect(),
            reputation: self.reputation().clone(),
            slices: Reputation::concerned(labels),
        }
    }

    /// Why marketing mail of this tenant may not go at this hour, where it may not.
    pub fn tenant_hours(&self, labels: &Labels, now: Timestamp) -> Result<(), Held> {
        let terms = self.settings().tenant(labels.tenant.as_deref());
        let stream = labels.stream.unwrap_or(Stream::Marketing);
        let hours = terms.hours.as_ref();
        hours.map_or(Ok(()), |hours| hours.open(stream, now))
    }

    /// Every limit that is known, for `explain` and metrics.
    pub(crate) fn limit(&self, of: &Of) -> Arc<Limit> {
        self.0.limits.of(of)
    }

    /// The same way by what is configured now.
    pub fn renewed(&self, way: &Way) -> Arc<Way> {
        let settings = self.settings();
        let source = settings
            .sources
            .all()
            .find(|source| source.name == way.source.name);
        let provider = settings.providers.get(&way.provider.name);
        self.way(
            source.unwrap_or(&way.source),
            &way.site,
            provider.unwrap_or(&way.provider),
        )
    }

    /// Keeps the source of a way away for a time, where the rule that its reply matches says so.
    pub fn suspend(&self, way: &Way, rule: &Rule, reply: &Reply, now: Timestamp) {
        let Some(suspend) = &rule.suspend else { return };
        let at = match suspend.at {
            Scope::Site => At::Site(Arc::clone(&way.site)),
            Scope::Provider => At::Provider(Arc::clone(&way.provider.name)),
        };
        self.0.suspensions.suspend(Suspension {
            source: Arc::clone(&way.source.name),
            at,
            provider: Arc::clone(&way.provider.name),
            since: now,
            until: now + suspend.span,
            why: rule.to_string().into(),
            reply: Some(reply.clone()),
        });
    }

    /// Lets a source send again where it was kept from, and has what waits for that looked at again. Returns the
    /// suspension that is over, where there was one.
    pub fn lift(&self, source: &str, at: &At, why: &str) -> Option<Arc<Suspension>> {
        let lifted = self.0.suspensions.lift(source, at, why)?;
        self.0.changed.notify_one();
        Some(lifted)
    }

    /// A recipient at `provider` complained of mail from `source`; the warm-up's health gate counts it.
    pub fn complained(&self, source: &str, provider: &str, now: Timestamp) {
        if let Some(pair) = self.warmup().pair(source, provider) {
            pair.observe(Outcome::Complained, 1, now);
        }
    }

    /// A person lets go what is held for its reputation. `None`: it is not held.
    pub async fn release(&self, slice: &Slice, by: &str) -> Option<Arc<Hold>> {
        let released = self.0.watch.release(slice, by, self.0.clock.now())?;
        self.0.changed.notify_one();
        self.0.watch.write_decisions().await;
        Some(released)
    }

    /// A person gives what is slowed its pace back. `None`: it is not slowed.
    pub fn ease(&self, slice: &Slice, by: &str) -> Option<Arc<Slow>> {
        let eased = self.0.watch.ease(slice, by, self.0.clock.now())?;
        self.0.changed.notify_one();
        Some(eased)
    }

    /// The suppression list kept mail from a recipient: [`Metric::Refused`] at submission, [`Metric::Suppressed`] before it
    /// left.
    pub fn stopped(&self, (reason, scope): (Reason, &suppression::Scope), metric: Metric) {
        let scope = scope.to_string();
        let of = (reason.name(), &*scope);
        self.reputation().stopped(of, metric, self.0.clock.now());
    }

    /// For gauges. It holds nothing of the policy: events lead to metrics, metrics to their gauges, and a gauge that led
    /// back would keep everything alive.
    pub fn for_gauges(&self) -> impl Fn() -> Option<Policy> + Clone + Send + Sync + 'static {
        let shared = Arc::downgrade(&self.0);
        move || shared.upgrade().map(Policy)
    }

    /// Takes note of what other nodes have decided.
    pub async fn refresh(&self) {
        if let Err(error) = self.0.suspensions.refresh().await {
            tracing::warn!(%error, "suspensions of other nodes are not known");
        }
        if let Err(error) = self.0.warmup.refresh(self.0.clock.now()).await {
            tracing::warn!(%error, "decisions of other nodes about warm-ups are not known");
        }
        if let Err(error) = self.0.watch.refresh(self.0.clock.now()).await {
            tracing::warn!(%error, "what other nodes count of reputations is not known");
        }
    }

    /// Keeps budgets filled, days counted, and the suppression list swept, until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let warmup = self.0.warmup.run(stop.clone());
        tokio::join!(
            warmup,
            self.suppression().run(stop.clone()),
            self.watch(stop)
        );
    }

    /// Gives back what was taken in advance, and writes down what has not been.
    pub async fn close(&self) {
        if let Err(error) = self.0.warmup.close().await {
            tracing::warn!(%error, "budget of warm-ups that was taken in advance could not be given back");
        }
        self.0.suspensions.flushed().await;
        self.0.watch.close().await;
    }

    /// Looks at reputations again and again.
    async fn watch(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.clock.sleep(watch::ROUND) => {}
            }
            let now = self.0.clock.now();
            let (suspensions, is_freed) = self.0.watch.look(now);
            let is_changed = is_freed || !suspensions.is_empty();
            for suspension in suspensions {
                self.0.suspensions.suspend(suspension);
            }
            if is_changed {
                self.0.changed.notify_one();
            }
            self.0.watch.write().await;
        }
    }

    /// Returns when the warm-up of some mail has room again.
    pub async fn freed(&self) -> Freed {
        self.0.warmup.freed().await
    }

    /// Returns when something has changed that mail may wait for, also before it was asked; for one who asks again and
    /// again.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_is_not_missed_by_who_is_busy_with_something_else() {
        let clock = Clock::manual(Timestamp::from_millis(1_000_000));
        let plain = || Settings::plain("mta.test", &[], &[]).unwrap();
        let events = Events::new(clock.clone(), Vec::new());
        let beside = (events, Reputation::default());
        let policy = Policy::open(plain(), Store::in_memory(), clock, beside);
        let policy = policy.await.unwrap();
        let is_told = async || {
            tokio::select! {
                biased;
                () = policy.changed() => true,
                () = std::future::ready(()) => false,
            }
        };
        policy.configure(plain());
        assert!(is_told().await);
        assert!(!is_told().await);
    }
}
