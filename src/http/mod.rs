//! Metrics, health and the API.
//!
//! | method and path              | answers |
//! |------------------------------|---------|
//! | `GET /healthz`               | 200 while the process lives |
//! | `GET /readyz`                | 200 when mail is taken, else 503 with the reasons |
//! | `GET /metrics`               | OpenMetrics text |
//! | `GET /api/v1/queue`          | entries; `?id= site= domain= tenant= campaign= source= limit=`; `X-More: yes` where there are more, `X-Total-Count` where all are asked for |
//! | `GET /api/v1/queue/{id}`     | the entries of one message |
//! | `POST /api/v1/queue/{action}`| `retry`, `hold`, `release`, `drop`: [`Order`] → [`Done`] |
//! | `POST /api/v1/reload`        | the configuration is read again: [`Reloaded`] |
//! | `GET /api/v1/explain`        | what would become of a message, nothing taken: [`Question`] → [`Verdict`] |
//! | `POST /api/v1/lint`          | what providers would say of the message that is the body: [`LintQuestion`] → [`Linted`] |
//! | `GET /api/v1/warmup`         | where warm-ups are: [`WhichWarmup`] → a list of positions |
//! | `POST /api/v1/warmup/{order}`| [`Pause`], [`Resume`] or [`Set`] → [`Steered`] |
//! | `GET /api/v1/sources`        | our addresses: a list of [`SourceEntry`] |
//! | `POST /api/v1/sources/lift`  | suspensions end: [`Lift`] → [`Lifted`] |
//! | `GET /api/v1/suppressions`   | a page of the list: [`WhichSuppressed`] → [`SuppressedPage`] |
//! | `GET /api/v1/suppressions/check` | [`IsSuppressed`] → a list of records |
//! | `POST /api/v1/suppressions/{add,remove}` | [`Additions`] or [`Removal`] → [`Changed`] |
//! | `POST /api/v1/suppressions/erase` | [`Erasure`] → [`Erased`] |
//! | `GET /api/v1/reputation`     | rates by slice, replies, suppressions, how others see us: [`WhichReputation`] → [`Report`] |
//! | `POST /api/v1/reputation/release` | a slice that is held may send again: [`Release`] → [`Released`] |
//! | `POST /api/v1/feedback`      | opens, clicks, hits of traps: [`Told`] or a batch of them → [`Fed`] |
//! | `GET /api/v1/reports`        | what others report about our mail: [`WhichReports`] → [`Shown`] |
//! | `POST /api/v1/reports/import` | a report as it came, `?domain= any_domain=`: → [`Imported`] |
//! | `GET /api/v1/reports/advice` | whether a domain may ask for quarantine or reject: [`WhichReports`] → [`DmarcAdvice`] |
//! | `GET /api/v1/replies`       | refusals by pattern, the most frequent first: [`WhichReplies`] → a list of [`ReplyPattern`] |
//!
//! Orders are JSON, whatever their content type says. Errors are `{"error": "…"}` with 400, 401, 404, 405, 408, 413, 422 or 503. The daemon behind it is a [`Control`].

mod access;
mod api;
mod body;
mod config;
mod entry;
pub mod explain;
mod feedback;
mod lint;
mod problem;
mod replies;
mod reports;
mod reputation;
mod server;
mod sources;
mod suppression;
mod traffic;
pub mod unsubscribe;
mod warmup;

pub use access::{Access, TokenError};
pub(crate) use api::{MORE, TOTAL};
pub use config::Config;
pub use entry::{Listed, QueueEntry, QueueRecipient};
pub use explain::{Advice, Aligned, Keys, Question, Verdict, Window};
pub use feedback::{Fed, Kind, Part as FedPart, Told, Unfed};
pub use lint::{LintQuestion, Linted};
pub use problem::Refusal;
pub use replies::WhichReplies;
pub use reports::WhichReports;
pub use reputation::{Release, Released, Report, WhichReputation};
pub use sources::{Lift, Lifted, Membership, SourceEntry};
pub use suppression::{
    Addition, Additions, Changed, Erased, Erasure, IsSuppressed, Removal, Suppress, SuppressedPage,
    WhichSuppressed,
};
pub use warmup::{Pause, Resume, Set, Steer, Steered, WhichWarmup};

use crate::bounce::replies::ReplyPattern;
use crate::mail::MessageId;
use crate::policy::suppression::Record;
use crate::policy::warmup::Position;
use crate::queue::Selector;
use crate::reports::advice::Advice as DmarcAdvice;
use crate::reports::rows::Shown;
use crate::reports::{Imported, Order as ReportOrder};
use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The running daemon as the HTTP face sees it. Handlers call it; it decides and does.
pub trait Control: Send + Sync + 'static {
    /// Up to `limit` entries of the queue that `which` selects, in order of acceptance.
    fn list(&self, which: &Selector, limit: usize) -> impl Future<Output = Listed> + Send;

    /// The entries of one message, one a recipient domain; empty where it is not in the queue.
    fn show(&self, id: MessageId) -> impl Future<Output = Vec<QueueEntry>> + Send;

    /// Does `action` to what `which` selects; gives the number of entries or messages it was done to. `why` is the
    /// operator's note.
    fn act(&self, action: Action, which: &Selector, why: &str)
    -> impl Future<Output = Done> + Send;

    /// Reads the configuration again and takes it over whole, or not at all.
    ///
    /// # Errors
    /// What is wrong with it, as an operator reads it.
    fn reload(&self) -> impl Future<Output = Result<Reloaded, String>> + Send;

    /// Whether mail is taken: listeners are up and the spool accepts.
    ///
    /// # Errors
    /// Every reason why not.
    fn ready(&self) -> impl Future<Output = Result<(), Vec<String>>> + Send;

    /// The metrics as OpenMetrics text.
    fn metrics(&self) -> String;

    /// What would become of a message now. Nothing is taken; DNS is asked.
    ///
    /// # Errors
    /// Its domain takes no mail, or that is not known now.
    fn explain(&self, question: &Question)
    -> impl Future<Output = Result<Verdict, Refusal>> + Send;

    /// What the lint says of a message, with what is known here beside it. Nothing is taken.
    ///
    /// # Errors
    /// The suppression list cannot be read.
    fn lint(
        &self,
        question: &LintQuestion,
        message: Bytes,
    ) -> impl Future<Output = Result<Linted, Refusal>> + Send;

    /// Where warm-ups are, by source and provider, the source as a whole first.
    ///
    /// # Errors
    /// The source that is asked for does not warm.
    fn warmups(&self, which: &WhichWarmup) -> Result<Vec<Position>, Refusal>;

    /// Pauses, resumes or sets a warm-up; what is done is durable.
    ///
    /// # Errors
    /// There is no such source, provider or stage, or the store does not answer.
    fn steer(&self, order: &Steer) -> impl Future<Output = Result<Steered, Refusal>> + Send;

    /// Every source, by name.
    fn sources(&self) -> Vec<SourceEntry>;

    /// A page of the suppression list.
    ///
    /// # Errors
    /// No records are kept, or the store does not answer.
    fn suppressed(
        &self,
        which: &WhichSuppressed,
    ) -> impl Future<Output = Result<SuppressedPage, Refusal>> + Send;

    /// What keeps mail from an address; empty where nothing does.
    ///
    /// # Errors
    /// The store does not answer.
    fn is_suppressed(
        &self,
        which: &IsSuppressed,
    ) -> impl Future<Output = Result<Vec<Record>, Refusal>> + Send;

    /// Changes the suppression list; what is done is durable.
    ///
    /// # Errors
    /// The store does not answer.
    fn suppress(&self, order: &Suppress) -> impl Future<Output = Result<Changed, Refusal>> + Send;

    /// Takes an address out of the suppression list, the queue and the event log.
    ///
    /// # Errors
    /// The store does not answer, or the event log cannot be written anew.
    fn erase(&self, order: &Erasure) -> impl Future<Output = Result<Erased, Refusal>> + Send;

    /// What became of mail within a window, and what was done about it.
    ///
    /// # Errors
    /// There is no such kind of slice, or no such window.
    fn reputations(&self, which: &WhichReputation) -> Result<Report, Refusal>;

    /// Lets a slice go that is held or slowed.
    ///
    /// # Errors
    /// The text names no slice.
    fn release(&self, order: &Release) -> impl Future<Output = Result<Released, Refusal>> + Send;

    /// Counts what platforms and others tell of mail that was delivered.
    ///
    /// # Errors
    /// The store does not answer: nothing was counted.
    fn feed(&self, told: &[Told]) -> impl Future<Output = Result<Fed, Refusal>> + Send;

    /// What refusals were heard, within a window where one is named, by pattern, the most frequent first.
    ///
    /// # Errors
    /// There is no such window.
    fn replies(&self, since: Option<&str>) -> Result<Vec<ReplyPattern>, Refusal>;

    /// What others report about our mail, added up.
    ///
    /// # Errors
    /// That is no domain, or the file of reports cannot be used.
    fn reports(&self, which: &WhichReports) -> impl Future<Output = Result<Shown, Refusal>> + Send;

    /// Takes a report that an operator hands in.
    ///
    /// # Errors
    /// The file of reports cannot be used.
    fn import_report(
        &self,
        octets: Vec<u8>,
        order: &ReportOrder,
    ) -> impl Future<Output = Result<Imported, Refusal>> + Send;

    /// Whether a domain may publish a stricter policy.
    ///
    /// # Errors
    /// That is no domain, or the file of reports cannot be used.
    fn advise(
        &self,
        which: &WhichReports,
    ) -> impl Future<Output = Result<DmarcAdvice, Refusal>> + Send;

    /// Ends suspensions of a source.
    ///
    /// # Errors
    /// There is no such source.
    fn lift(&self, order: &Lift) -> Result<Lifted, Refusal>;
}

/// What an operator can do to waiting mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Try now.
    Retry,
    /// Keep until released.
    Hold,
    Release,
    /// Give up, without a notice to the sender.
    Drop,
}

/// The body of `POST /api/v1/queue/{action}`: a selector, and for everything in the queue `all` in its place.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Order {
    pub select: Selector,
    /// Required where `select` is empty: nobody drops a whole queue by leaving something out.
    pub all: bool,
    /// A note for the events and for `queue show`.
    pub why: String,
}

/// To how many an action was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    pub count: usize,
    /// Of a retry: how many wait on for a time of their sender's choosing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_on: Option<usize>,
}

/// A configuration was taken over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Changed keys that only a restart takes over.
    pub restart_needed: Vec<String>,
}

/// Answers on `listener` until `stop`, then finishes what is under way, but waits for no client.
pub async fn serve<C: Control>(
    listener: TcpListener,
    control: Arc<C>,
    access: Access,
    stop: CancellationToken,
) {
    server::run(listener, None, api::router(control, access), stop).await;
}

#[cfg(test)]
pub(crate) mod tests;
