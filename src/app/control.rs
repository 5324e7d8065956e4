//! The running daemon as operators reach it: by HTTP, by signal.

mod advice;
mod alignment;
mod feedback;
mod holds;
pub mod lint;
mod reports;
mod reputation;
mod suppression;
mod traffic;
mod verdict;

use super::heard::Heard;
use super::live::{Compiled, Lives};
use crate::auth::alignment::Alignment;
use crate::auth::dkim::Book;
use crate::auth::token_keys;
use crate::books::Books;
use crate::bounce::replies::ReplyPattern;
use crate::clock::Clock;
use crate::config::{Config, restart_needed};
use crate::delivery::{self, Delivery};
use crate::events::{Event, EventLog, Events, Metrics};
use crate::http::{
    Action, Changed, Control, Done, Erased, Erasure, Fed, IsSuppressed, Lift, Lifted, LintQuestion,
    Linted, Listed, Question, QueueEntry, Refusal, Release, Released, Reloaded, Report,
    SourceEntry, Steer, Steered, Suppress, SuppressedPage, Told, Verdict, WhichReports,
    WhichReputation, WhichSuppressed, WhichWarmup,
};
use crate::mail::MessageId;
use crate::outside::Outside;
use crate::policy::suppression::Record;
use crate::policy::warmup::Position;
use crate::policy::{Held, Policy};
use crate::queue::{Selector, View};
use crate::reports::advice::Advice;
use crate::reports::rows::Shown;
use crate::reports::{Imported, Order, Reports};
use crate::spool::{Spool, Stored};
use crate::store::Store;
use crate::tls::server::{Renewal, ServerTls};
use axum::body::Bytes;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Of the entries of one message, so many are explained: one has a thousand recipient domains at times.
const MOST_VERDICTS: usize = 20;
/// How long DNS may take for that.
const PATIENCE: Duration = Duration::from_secs(10);

/// What operators act on.
pub struct Daemon {
    pub(super) clock: Clock,
    pub(super) file: Option<PathBuf>,
    pub(super) config: Mutex<Config>,
    pub(super) lives: Lives,
    pub(super) certificates: Vec<Arc<ServerTls>>,
    pub(super) delivery: Delivery,
    pub(super) policy: Policy,
    pub(super) alignment: Alignment,
    pub(super) books: Books,
    pub(super) heard: Heard,
    pub(super) reports: Reports,
    pub(super) outside: Outside,
    pub(super) store: Store,
    pub(super) spool: Spool,
    pub(super) events: Events,
    pub(super) log: EventLog,
    pub(super) metrics: Metrics,
    /// Whoever takes feedback.
    pub(super) feeding: tokio::sync::Mutex<()>,
    /// Listeners accept.
    pub(super) up: AtomicBool,
}

impl Daemon {
    /// Reads the configuration again, checks it whole, and takes it over; a bad one changes nothing.
    ///
    /// # Errors
    /// Everything that is wrong with it, as `check` prints it.
    pub fn reload_now(&self) -> Result<Reloaded, String> {
        let outcome = self.take_over();
        let (ok, why) = match &outcome {
            Ok(reloaded) if reloaded.restart_needed.is_empty() => (true, "reloaded".to_owned()),
            Ok(reloaded) => (
                true,
                format!(
                    "reloaded; a restart is needed for {}",
                    reloaded.restart_needed.join(", ")
                ),
            ),
            Err(problems) => (false, problems.clone()),
        };
        self.events.emit(&Event::Config { ok, why });
        outcome
    }

    fn take_over(&self) -> Result<Reloaded, String> {
        let config = Config::load(self.file.as_deref()).map_err(|refused| refused.to_string())?;
        token_keys::provide(&config.return_path, &config.data_dir)
            .map_err(|error| format!("the key of tokens in data_dir/keys: {error}"))?;
        let (compiled, settings) = Compiled::new(&config).map_err(|problems| {
            crate::config::Refused::located(self.file.as_deref(), problems).to_string()
        })?;
        let renewals = self.certificates.iter().map(|shown| shown.renewal());
        let renewals: Vec<_> = renewals
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())?;
        renewals.into_iter().for_each(Renewal::show);
        let before = self.lives.signers.load_full();
        self.lives.swap(compiled);
        self.tell_rotations(before.book());
        // Last: it has the lanes look at everything else that is new.
        self.policy.configure(settings);
        let mut current = self.config.lock();
        let restart_needed = restart_needed(&current, &config);
        *current = config;
        Ok(Reloaded { restart_needed })
    }

    /// Says which DKIM keys came to another state.
    fn tell_rotations(&self, before: &Book) {
        let signers = self.lives.signers.load_full();
        for entry in signers.book().changed_since(before) {
            self.events.emit(&Event::Dkim {
                domain: entry.domain.as_str().into(),
                selector: entry.selector.as_str().into(),
                state: entry.state.name(),
                why: entry.state.meaning().to_owned(),
            });
        }
    }

    /// One message's entries, those that wait with everything that decides about them.
    async fn entries_of(&self, id: MessageId) -> Vec<QueueEntry> {
        let shown = self.delivery.show(&Selector::of(id), usize::MAX).await;
        let entries = shown.into_iter().filter_map(|(view, stored, held)| {
            let entry = entry(&view, stored.as_ref(), held)?;
            Some((view, entry))
        });
        let mut entries: Vec<_> = entries.collect();
        // What is late is left out: somebody waits for the rest.
        let _or_late = tokio::time::timeout(PATIENCE, self.add_verdicts(&mut entries)).await;
        entries.into_iter().map(|(_, entry)| entry).collect()
    }

    async fn add_verdicts(&self, entries: &mut [(View, QueueEntry)]) {
        let waiting = entries
            .iter_mut()
            .filter(|(view, _)| view.state != "sending");
        for (view, entry) in waiting.take(MOST_VERDICTS) {
            self.mark_suppressed(&view.labels, &mut entry.recipients)
                .await;
            if let Some(held) = &entry.waits {
                entry.verdict = self.explain_entry(view, held).await.map(Box::new);
            }
        }
    }
}

/// `None` where the spool has nothing of it any more.
fn entry(view: &View, stored: Option<&Stored>, held: Held) -> Option<QueueEntry> {
    Some(QueueEntry::of(view, stored?).held(Some(held)))
}

impl Control for Daemon {
    async fn list(&self, which: &Selector, limit: usize) -> Listed {
        let shown = self.delivery.show(which, limit.saturating_add(1)).await;
        let more = shown.len() > limit;
        let shown = shown.into_iter().take(limit);
        let entries = shown.filter_map(|(view, stored, held)| entry(&view, stored.as_ref(), held));
        Listed {
            entries: entries.collect(),
            more,
            total: which.is_empty().then(|| self.delivery.depth().total()),
        }
    }

    async fn show(&self, id: MessageId) -> Vec<QueueEntry> {
        self.entries_of(id).await
    }

    async fn act(&self, action: Action, which: &Selector, why: &str) -> Done {
        let is_retry = action == Action::Retry;
        let action = match action {
            Action::Retry => delivery::Action::Retry,
            Action::Hold => delivery::Action::Hold,
            Action::Release => delivery::Action::Release,
            Action::Drop => delivery::Action::Drop,
        };
        let count = self.delivery.operate(action, which, why).await;
        Done {
            count,
            wait_on: is_retry.then(|| self.delivery.not_before_their_time(which)),
        }
    }

    async fn reload(&self) -> Result<Reloaded, String> {
        self.reload_now()
    }

    async fn ready(&self) -> Result<(), Vec<String>> {
        let mut reasons = Vec::new();
        if !self.up.load(Ordering::Relaxed) {
            reasons.push("the listeners are not up".to_owned());
        }
        if let Err(error) = self.spool.accepting() {
            reasons.push(format!("the spool takes no mail: {error}"));
        }
        if self.events.are_behind() {
            reasons.push("the event log cannot keep up".to_owned());
        }
        if reasons.is_empty() {
            Ok(())
        } else {
            Err(reasons)
        }
    }

    fn metrics(&self) -> String {
        self.metrics.render()
    }
    async fn explain(&self, question: &Question) -> Result<Verdict, Refusal> {
        self.explain_question(question).await
    }

    async fn lint(&self, question: &LintQuestion, message: Bytes) -> Result<Linted, Refusal> {
        self.lint_message(question, message).await
    }

    fn warmups(&self, which: &WhichWarmup) -> Result<Vec<Position>, Refusal> {
        self.positions(which)
    }

    async fn steer(&self, order: &Steer) -> Result<Steered, Refusal> {
        self.steer_warmup(order).await
    }

    fn sources(&self) -> Vec<SourceEntry> {
        self.source_entries()
    }

    async fn suppressed(&self, which: &WhichSuppressed) -> Result<SuppressedPage, Refusal> {
        self.list_suppressed(which).await
    }

    async fn is_suppressed(&self, which: &IsSuppressed) -> Result<Vec<Record>, Refusal> {
        self.check_suppressed(which).await
    }

    async fn suppress(&self, order: &Suppress) -> Result<Changed, Refusal> {
        self.change_suppressed(order).await
    }

    async fn erase(&self, order: &Erasure) -> Result<Erased, Refusal> {
        self.forget(order).await
    }

    fn reputations(&self, which: &WhichReputation) -> Result<Report, Refusal> {
        self.report(which)
    }

    async fn release(&self, order: &Release) -> Result<Released, Refusal> {
        self.release_reputation(order).await
    }

    async fn feed(&self, told: &[Told]) -> Result<Fed, Refusal> {
        self.take_feedback(told).await
    }

    fn replies(&self, since: Option<&str>) -> Result<Vec<ReplyPattern>, Refusal> {
        self.said(since)
    }

    async fn reports(&self, which: &WhichReports) -> Result<Shown, Refusal> {
        self.show_reports(which).await
    }

    async fn import_report(&self, octets: Vec<u8>, order: &Order) -> Result<Imported, Refusal> {
        self.take_report(octets, order).await
    }

    async fn advise(&self, which: &WhichReports) -> Result<Advice, Refusal> {
        self.advise_on(which).await
    }

    fn lift(&self, order: &Lift) -> Result<Lifted, Refusal> {
        self.lift_suspensions(order)
    }
}
