//! Reputation: what becomes of our mail, by slice and time, and what follows where it goes wrong.
//!
//! | slice | over the lower threshold | over the upper one |
//! |---|---|---|
//! | campaign | told; its marketing mail is slowed | it is held |
//! | marketing of a tenant, but for campaigns that are held | told; slowed | all of it is held; transactional mail goes on |
//! | source × provider | told; complaints, blocks: marketing is slowed | complaints, blocks: the source is kept from the provider |
//! | source, pool, provider, tenant, transactional mail, domain | told | told, for a person to act |
//!
//! A hold ends by itself after a time that doubles, or by a person; then what was counted before it does not count any
//! more, so that the slice shows what it is worth now. [`Reputation`] is a sink of events: whatever happens to mail is
//! told once, and counted here.

mod book;
pub mod config;
pub mod counts;
mod hold;
pub mod judge;
mod report;
pub mod rings;
mod slice;
mod slow;
mod slowing;
mod stopped;
#[cfg(test)]
mod tests;

pub use book::Decision;
pub use config::{Config, TenantConfig};
pub use counts::{Counts, Metric};
pub use hold::{Finding, Hold};
pub use judge::{Rate, Standing};
pub use report::{Rated, Row};
pub use rings::Window;
pub use slice::{NotASlice, Slice};
pub use slow::Slow;
pub use stopped::Stopped;

use crate::events::{About, Attempt, Event, Sink};
use crate::mail::{BounceClass, Disposition, Finding as Refusal, Labels, Stream, Subject};
use crate::store::{Store, StoreError};
use crate::units::Timestamp;
use arc_swap::ArcSwap;
use book::Book;
use counts::Series;
use parking_lot::Mutex;
use slice::NOBODY;
use smallvec::SmallVec;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const SERIES: &str = "reputation/series/";
const HOLDS: &str = "reputation/hold/";

/// All of it. Clones are one.
#[derive(Clone, Default)]
pub struct Reputation(Arc<Inner>);

#[derive(Default)]
struct Inner {
    book: Mutex<Book>,
    rules: ArcSwap<Rules>,
    /// Holds that there are, to be asked without the lock.
    held: AtomicUsize,
    /// Slices that are slowed, likewise.
    slowed: AtomicUsize,
}

/// What it decides by.
#[derive(Debug, Default)]
pub struct Rules {
    /// What this node calls itself.
    node: String,
    all: Config,
    tenants: HashMap<Box<str>, Config>,
    /// Providers that tell of complaints.
    feedback: HashSet<Arc<str>>,
}

impl Rules {
    pub fn new<'a>(
        node: &str,
        all: &Config,
        tenants: impl Iterator<Item = (&'a str, &'a TenantConfig)>,
        feedback: impl Iterator<Item = Arc<str>>,
    ) -> Self {
        Self {
            node: node.to_owned(),
            all: all.clone(),
            tenants: tenants
                .map(|(name, own)| (name.into(), all.of(own)))
                .collect(),
            feedback: feedback.collect(),
        }
    }

    pub fn node(&self) -> &str {
        &self.node
    }

    /// What holds for a tenant's mail.
    pub fn of(&self, tenant: Option<&str>) -> &Config {
        tenant
            .and_then(|tenant| self.tenants.get(tenant))
            .unwrap_or(&self.all)
    }
}

impl Reputation {
    pub fn configure(&self, rules: Arc<Rules>) {
        self.0.rules.store(rules);
    }

    pub fn rules(&self) -> Arc<Rules> {
        self.0.rules.load_full()
    }

    /// Reads back what this node, of the name `node`, had counted, what others have, and what is held.
    ///
    /// # Errors
    /// The store does not answer. What cannot be read in it is told and left alone.
    pub async fn recall(
        &self,
        store: &Store,
        node: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for (key, value) in store.list(&own(node)).await? {
            let slice = key
                .strip_prefix(&own(node))
                .and_then(|name| name.parse().ok());
            match (slice, serde_json::from_slice::<Series>(&value.value)) {
                (Some(slice), Ok(series)) => self.0.book.lock().restore(slice, series),
                _ => {
                    tracing::warn!(%key, "what was counted of some mail cannot be read; it is counted anew")
                }
            }
        }
        self.refresh(store, node, now).await
    }

    /// Takes note of what other nodes have counted and decided.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn refresh(
        &self,
        store: &Store,
        node: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut others: HashMap<Slice, Vec<Series>> = HashMap::new();
        if store.is_shared() {
            for (key, value) in store.list(SERIES).await? {
                let name = key
                    .strip_prefix(SERIES)
                    .and_then(|name| name.split_once('/'));
                let Some((_, name)) = name.filter(|(of, _)| *of != node) else {
                    continue;
                };
                if let (Ok(slice), Ok(series)) =
                    (name.parse(), serde_json::from_slice(&value.value))
                {
                    others.entry(slice).or_default().push(series);
                }
            }
        }
        let mut holds = Vec::new();
        for (key, value) in store.list(HOLDS).await? {
            match serde_json::from_slice::<Hold>(&value.value) {
                Ok(hold) => holds.push(hold),
                Err(error) => {
                    tracing::error!(%key, %error, "a hold cannot be read: remove the key, or mend it")
                }
            }
        }
        let mut book = self.0.book.lock();
        book.set_others(others);
        holds.into_iter().for_each(|hold| book.set_hold(hold, now));
        self.recount(&book, now);
        Ok(())
    }

    /// Writes down what was counted.
    ///
    /// # Errors
    /// The store does not answer; it is written with the next.
    pub async fn write(&self, store: &Store, node: &str, now: Timestamp) -> Result<(), StoreError> {
        let (changed, over) = self.0.book.lock().unwritten(now);
        for (slice, series) in changed {
            match serde_json::to_vec(&series) {
                Ok(value) => store.set(&format!("{}{slice}", own(node)), &value).await?,
                Err(error) => tracing::error!(%slice, %error, "counts have no JSON form"),
            }
        }
        for slice in over {
            let key = format!("{}{slice}", own(node));
            if let Some(there) = store.get(&key).await? {
                // Nobody else writes it.
                let _conflict = store.delete(&key, there.version).await?;
            }
        }
        Ok(())
    }

    /// Writes down a hold, or that it was released.
    ///
    /// # Errors
    /// The store does not answer: the hold is in force here all the same.
    pub async fn write_hold(&self, store: &Store, hold: &Hold) -> Result<(), StoreError> {
        match serde_json::to_vec(hold) {
            Ok(value) => store.set(&format!("{HOLDS}{}", hold.slice), &value).await,
            Err(error) => {
                tracing::error!(slice = %hold.slice, %error, "a hold has no JSON form");
                Ok(())
            }
        }
    }

    /// Looks at what was counted since the last look. What is to be held, is from now on.
    #[must_use = "decisions that nobody tells or acts on are lost"]
    pub fn look(&self, now: Timestamp) -> Vec<Decision> {
        let rules = self.rules();
        let mut book = self.0.book.lock();
        let decisions = book.look(|tenant| rules.of(tenant).clone(), now);
        self.recount(&book, now);
        decisions
    }

    /// A person lets a slice go. `None`: it is not held.
    pub fn release(&self, slice: &Slice, by: &str, now: Timestamp) -> Option<Arc<Hold>> {
        let mut book = self.0.book.lock();
        let released = book.release(slice, by, now);
        self.recount(&book, now);
        released
    }

    /// What may hold mail with these labels; transactional mail is never held.
    pub fn concerned(labels: &Labels) -> SmallVec<[Slice; 2]> {
        let mut slices = SmallVec::new();
        if labels.stream.unwrap_or_default() == Stream::Marketing {
            let owner: Arc<str> = labels.tenant.as_deref().unwrap_or(NOBODY).into();
            slices.push(Slice::Stream(Arc::clone(&owner), Stream::Marketing));
            let campaign = labels.campaign.as_deref();
            slices.extend(campaign.map(|name| Slice::Campaign(owner, name.into())));
        }
        slices
    }

    /// The first hold there is on one of these. Costs nanoseconds where nothing is held.
    pub fn holding(&self, slices: &[Slice], now: Timestamp) -> Option<Arc<Hold>> {
        if slices.is_empty() || self.0.held.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let book = self.0.book.lock();
        slices
            .iter()
            .find_map(|slice| book.hold(slice, now))
            .cloned()
    }

    /// Whether recipients of these slices may go now, as far as they are slowed; they go then. Gives whether one is.
    ///
    /// # Errors
    /// What is slowed, and when its next recipient may go.
    pub fn pace(
        &self,
        slices: &[Slice],
        recipients: u32,
        now: Timestamp,
    ) -> Result<bool, (Arc<Slow>, Timestamp)> {
        self.0.book.lock().pace(slices, recipients, now)
    }

    /// Something is slowed. Costs nanoseconds.
    pub fn is_slow(&self) -> bool {
        self.0.slowed.load(Ordering::Relaxed) > 0
    }

    /// A person gives a slice its pace back. `None`: it is not slowed.
    pub fn ease(&self, slice: &Slice, now: Timestamp) -> Option<Arc<Slow>> {
        let mut book = self.0.book.lock();
        let eased = book.let_go(slice, now);
        self.recount(&book, now);
        eased
    }

    /// Everything that is slowed now.
    pub fn slows(&self) -> Vec<Arc<Slow>> {
        let mut slows: Vec<_> = self.0.book.lock().slows().cloned().collect();
        slows.sort_by(|a, b| a.slice.cmp(&b.slice));
        slows
    }

    /// Everything that is held now.
    pub fn holds(&self, now: Timestamp) -> Vec<Arc<Hold>> {
        let book = self.0.book.lock();
        let holds = book.holds().filter(|hold| hold.holds(now));
        let mut holds: Vec<_> = holds.cloned().collect();
        holds.sort_by(|a, b| a.slice.cmp(&b.slice));
        holds
    }

    /// What a window holds of every slice, and of the window before it; in order.
    pub fn show(&self, window: Window, now: Timestamp) -> Vec<(Slice, Counts, Counts)> {
        let mut shown = self.0.book.lock().show(window, now);
        shown.sort_by(|a, b| a.0.cmp(&b.0));
        shown
    }

    /// Something that is told from outside: opens and clicks, hits of spam traps.
    pub fn observe(
        &self,
        about: &About,
        attempt: Option<&Attempt>,
        metric: Metric,
        now: Timestamp,
    ) {
        self.count(about, attempt, &[metric], now);
    }

    /// The same of mail of which nobody knows whose it is: it counts for sources, providers and such alone.
    pub fn observe_nobodys(
        &self,
        about: &About,
        attempt: Option<&Attempt>,
        metric: Metric,
        now: Timestamp,
    ) {
        let mut slices = Slice::of(about, attempt);
        slices.retain(|slice| !matches!(slice, Slice::Stream(..)));
        let mut book = self.0.book.lock();
        for slice in slices {
            book.count(slice, metric, 1, now);
        }
    }

    fn recount(&self, book: &Book, now: Timestamp) {
        let held = book.holds().filter(|hold| hold.holds(now)).count();
        self.0.held.store(held, Ordering::Relaxed);
        self.0.slowed.store(book.slows().count(), Ordering::Relaxed);
    }

    fn count(&self, about: &About, attempt: Option<&Attempt>, metrics: &[Metric], now: Timestamp) {
        if metrics.is_empty() {
            return;
        }
        let slices = Slice::of(about, attempt);
        let mut book = self.0.book.lock();
        for slice in slices {
            for metric in metrics {
                book.count(slice.clone(), *metric, 1, now);
            }
        }
    }

    fn has_feedback(&self, attempt: &Attempt) -> bool {
        let rules = self.0.rules.load();
        let provider = attempt.provider.as_ref();
        provider.is_some_and(|provider| rules.feedback.contains(provider))
    }
}

impl Sink for Reputation {
    fn take(&self, at: Timestamp, event: &Event) {
        match event {
            Event::Outcome {
                about,
                attempt,
                disposition,
            } => {
                let metrics = of_outcome(disposition, self.has_feedback(attempt));
                self.count(about, Some(attempt), &metrics, at);
            }
            Event::Returned {
                about,
                attempt,
                finding,
                ..
            } => {
                let metric = [of_refusal(*finding)];
                self.count(about, Some(attempt), &metric, at);
            }
            Event::Complained {
                about,
                attempt,
                feedback,
                ..
            } if is_complaint(feedback) => {
                self.count(about, Some(attempt), &[Metric::Complaints], at);
            }
            Event::Unsubscribed { about, .. } => {
                self.count(about, None, &[Metric::Unsubscribed], at);
            }
            Event::Suppressed { scope, reason, .. } => self.count_listed(scope, *reason, at),
            _ => {}
        }
    }
}

/// What an outcome counts as.
fn of_outcome(disposition: &Disposition, has_feedback: bool) -> Vec<Metric> {
    let ours = disposition.reply().local;
    match disposition {
        Disposition::Delivered(_) if has_feedback => {
            vec![Metric::Attempts, Metric::Delivered, Metric::WithFeedback]
        }
        Disposition::Delivered(_) => vec![Metric::Attempts, Metric::Delivered],
        Disposition::Deferred { finding, .. } if !ours && finding.class == BounceClass::Block => {
            vec![Metric::Attempts, Metric::Deferred, of_block(*finding)]
        }
        Disposition::Deferred { .. } => vec![Metric::Attempts, Metric::Deferred],
        Disposition::Bounced { finding, .. } => match finding.class {
            BounceClass::Suppressed => vec![Metric::Suppressed],
            BounceClass::Expired => vec![Metric::Expired],
            BounceClass::Dropped => Vec::new(),
            _ if ours && !finding.condemns() => vec![Metric::Other],
            _ => vec![Metric::Attempts, of_refusal(*finding)],
        },
    }
}

/// What a refusal for good counts as.
fn of_refusal(finding: Refusal) -> Metric {
    match finding.class {
        BounceClass::Hard => Metric::Hard,
        BounceClass::Soft => Metric::Soft,
        BounceClass::Block | BounceClass::Policy | BounceClass::Throttled => of_block(finding),
        _ => Metric::Other,
    }
}

fn of_block(finding: Refusal) -> Metric {
    match finding.subject {
        Some(Subject::Message) => Metric::BlockedContent,
        _ => Metric::BlockedSource,
    }
}

/// Of the types of RFC 5965 and RFC 6430.
fn is_complaint(feedback: &str) -> bool {
    !matches!(feedback, "not-spam" | "auth-failure" | "dmarc")
}

fn own(node: &str) -> String {
    format!("{SERIES}{}/", node.replace('/', "_"))
}
