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
mod keep;
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
use crate::units::Timestamp;
use arc_swap::ArcSwap;
use book::{Book, MOST, PIECE, Shown, Tracked};
use parking_lot::{Mutex, MutexGuard};
use slice::NOBODY;
use smallvec::SmallVec;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    /// Reading decisions from the store into the book and writing them to it take turns.
    turn: tokio::sync::Mutex<()>,
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

    /// Looks at what was counted since the last look. What is to be held, is from now on.
    #[must_use = "decisions that nobody tells or acts on are lost"]
    pub fn look(&self, now: Timestamp) -> Vec<Decision> {
        let rules = self.rules();
        let config = |tenant: Option<&str>| rules.of(tenant).clone();
        let (mut decisions, mut unlooked) = self.change(|book| book.begin_look(&config, now));
        // Campaigns first: what is held of one is not held against its tenant.
        unlooked.sort_by_key(|slice| (!matches!(slice, Slice::Campaign(..)), slice.clone()));
        for piece in unlooked.chunks(PIECE) {
            self.change(|book| {
                for slice in piece {
                    book.judge_all(slice, rules.of(slice.tenant()), now, &mut decisions);
                }
            });
        }
        let uncounted = self.change(Book::uncounted);
        if uncounted > 0 {
            tracing::warn!(
                uncounted,
                most = MOST,
                "what happened to mail is not counted where it belongs to new campaigns, domains or such: there are too many"
            );
        }
        self.tidy(now);
        decisions
    }

    /// Forgets slices that nothing is known of any more, and, where there are too many, those that were quiet the longest.
    fn tidy(&self, now: Timestamp) {
        self.forget(self.gather(|book, slice, tracked| {
            let is_over = tracked.series.is_over(now) && !book.is_dealt_with(slice);
            is_over.then(|| (tracked.last, slice.clone()))
        }));
        let surplus = self.0.book.lock().surplus();
        if surplus > 0 {
            let mut quiet = self.gather(|book, slice, tracked| {
                (!book.is_dealt_with(slice)).then(|| (tracked.last, slice.clone()))
            });
            quiet.sort_unstable();
            quiet.truncate(surplus);
            self.forget(quiet);
        }
    }

    /// Forgets these slices, but those that something has happened to since.
    fn forget(&self, quiet: Vec<(Timestamp, Slice)>) {
        for piece in quiet.chunks(PIECE) {
            self.change(|book| {
                for (last, slice) in piece {
                    if book.slices.get(slice).is_some_and(|t| t.last <= *last) {
                        book.forget(slice);
                    }
                }
            });
        }
    }

    /// Something of each slice, in order; a piece of the book at a time, so that nobody waits for all of it.
    fn gather<T>(&self, mut of: impl FnMut(&Book, &Slice, &Tracked) -> Option<T>) -> Vec<T> {
        let (mut gathered, mut after) = (Vec::new(), None::<Slice>);
        loop {
            let book = self.0.book.lock();
            let mut last = None;
            for (slice, tracked) in book.piece(after.as_ref()) {
                gathered.extend(of(&book, slice, tracked));
                last = Some(slice);
            }
            let last = last.cloned();
            MutexGuard::unlock_fair(book);
            match last {
                Some(last) => after = Some(last),
                None => return gathered,
            }
        }
    }

    /// Does something with the book, and remembers how much is held and slowed.
    fn change<T>(&self, act: impl FnOnce(&mut Book) -> T) -> T {
        let mut book = self.0.book.lock();
        let done = act(&mut book);
        self.0.held.store(book.live.len(), Ordering::Relaxed);
        self.0.slowed.store(book.slows.len(), Ordering::Relaxed);
        MutexGuard::unlock_fair(book);
        done
    }

    /// A person lets a slice go. `None`: it is not held.
    pub fn release(&self, slice: &Slice, by: &str, now: Timestamp) -> Option<Arc<Hold>> {
        self.change(|book| book.release(slice, by, now))
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
        self.change(|book| book.let_go(slice, now))
    }

    /// Everything that is slowed now, in order.
    pub fn slows(&self) -> Vec<Arc<Slow>> {
        self.0.book.lock().slows().cloned().collect()
    }

    /// Everything that is held now, in order.
    pub fn holds(&self, now: Timestamp) -> Vec<Arc<Hold>> {
        self.0.book.lock().holds(now).cloned().collect()
    }

    /// What a window holds of the slices that are wanted, and of the window before it; in order.
    fn show(&self, wanted: impl Fn(&Slice) -> bool, window: Window, now: Timestamp) -> Vec<Shown> {
        self.gather(|book, slice, _| wanted(slice).then(|| book.shown(slice, window, now))?)
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
            book.count(slice, &[metric], 1, now);
        }
    }

    fn count(&self, about: &About, attempt: Option<&Attempt>, metrics: &[Metric], now: Timestamp) {
        if metrics.is_empty() {
            return;
        }
        let slices = Slice::of(about, attempt);
        let mut book = self.0.book.lock();
        for slice in slices {
            book.count(slice, metrics, 1, now);
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
