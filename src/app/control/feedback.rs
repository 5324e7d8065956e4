//! Opens, clicks and hits of traps that are told by others.

use super::Daemon;
use crate::books::{Entry, Sent};
use crate::bounce::token::{Purpose, Token};
use crate::events::{About, Attempt};
use crate::http::{Fed, FedPart, Kind, Refusal, Told, Unfed};
use crate::mail::{Labels, MessageId};
use crate::policy::reputation::Metric;
use crate::units::Timestamp;
use aws_lc_rs::digest::{SHA256, digest};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// For so long an event that was counted is known by its name.
const REMEMBERED: Duration = Duration::from_secs(7 * 86_400);

/// What an event is about.
struct Found {
    about: About,
    attempt: Attempt,
    /// The message is known, or at least whose it is.
    is_named: bool,
}

impl Daemon {
    /// Counts each event once. What is counted is known in the store before it counts, so that one is lost rather than
    /// counted twice where the daemon is killed in between.
    pub(super) async fn take_feedback(&self, told: &[Told]) -> Result<Fed, Refusal> {
        // Two batches of this node with one event in both count it once.
        let _turn = self.feeding.lock().await;
        let unavailable = |error: crate::store::StoreError| Refusal::Unavailable(error.to_string());
        let keys: Vec<String> = told.iter().map(|told| key(&told.event)).collect();
        let before = self.store.counts(&keys).await.map_err(unavailable)?;
        let (mut fed, mut seen, mut new) = (Fed::default(), HashSet::new(), Vec::new());
        for ((index, told), (key, before)) in told.iter().enumerate().zip(keys.iter().zip(before)) {
            if before > 0 || seen.contains(key) {
                fed.repeated += 1;
                continue;
            }
            match self.find_told(told).await {
                Ok(found) => {
                    seen.insert(key.clone());
                    new.push((found, metric(told.kind)));
                }
                Err(error) => fed.errors.push(Unfed { index, error }),
            }
        }
        let now = self.clock.now();
        let known: Vec<(String, u64)> = seen.into_iter().map(|key| (key, 1)).collect();
        let expires = now + REMEMBERED;
        self.store.add(&known, expires).await.map_err(unavailable)?;
        for (found, metric) in &new {
            self.observe(found, *metric, now);
        }
        fed.counted = new.len();
        Ok(fed)
    }

    fn observe(&self, found: &Found, metric: Metric, now: Timestamp) {
        let reputation = self.policy.reputation();
        let (about, attempt) = (&found.about, Some(&found.attempt));
        match found.is_named {
            true => reputation.observe(about, attempt, metric, now),
            false => reputation.observe_nobodys(about, attempt, metric, now),
        }
    }

    async fn find_told(&self, told: &Told) -> Result<Found, String> {
        match (&told.token, &told.id) {
            (Some(text), _) => self.find_sent(self.open_token(text)?, told).await,
            (None, Some(id)) => {
                let id: MessageId = id.parse().map_err(|_| "id: it is no message id")?;
                self.find_sent(Token::new(id, None, None), told).await
            }
            (None, None) => Ok(of_part(&told.part)),
        }
    }

    fn open_token(&self, text: &str) -> Result<Token, String> {
        let stamps = self.lives.stamps.load();
        let opened = stamps.keys().open(text, Purpose::Return, self.clock.now());
        opened.map_err(|error| format!("token: {error}"))
    }

    async fn find_sent(&self, token: Token, told: &Told) -> Result<Found, String> {
        let entry = self.books.find(token.id).await;
        let entry = entry.map_err(|error| error.to_string())?;
        let entry = entry.ok_or_else(|| {
            format!(
                "{} is not in the books: nobody has got it yet, it is older than tokens are good for, or no [return_path] domain is set, without which there are none; tenant, campaign and such do without",
                token.id
            )
        })?;
        let sent = match &told.recipient {
            Some(address) => entry.by_address(address.as_str()),
            None => entry.of_token(token.recipient),
        };
        let sent =
            sent.ok_or("recipient: write which of the message's recipients, as it was given")?;
        Ok(of_sent(token.id, &entry, sent))
    }
}

fn of_sent(id: MessageId, entry: &Entry, sent: &Sent) -> Found {
    let (about, attempt) = sent.told(id, entry, Duration::ZERO);
    Found {
        about,
        attempt,
        is_named: true,
    }
}

fn of_part(part: &FedPart) -> Found {
    let shared = |text: &Option<Box<str>>| text.as_deref().map(Arc::<str>::from);
    let about = About {
        id: MessageId(0),
        labels: Arc::new(Labels {
            tenant: part.tenant.clone(),
            campaign: part.campaign.clone(),
            stream: part.stream,
            pool: part.pool.clone(),
            ..Labels::default()
        }),
        sender: part.sender.clone(),
        recipient: None,
        size: 0,
    };
    let attempt = Attempt {
        number: 1,
        site: None,
        source: shared(&part.source),
        provider: shared(&part.provider),
        tls: None,
        latency: Duration::ZERO,
        possible_duplicate: false,
    };
    Found {
        about,
        attempt,
        is_named: part.tenant.is_some() || part.campaign.is_some() || part.stream.is_some(),
    }
}

fn metric(kind: Kind) -> Metric {
    match kind {
        Kind::Open => Metric::Opened,
        Kind::Click => Metric::Clicked,
        Kind::Trap => Metric::Trapped,
    }
}

/// Where the store counts an event; names may be long, and of any characters.
fn key(event: &str) -> String {
    let hash = digest(&SHA256, event.as_bytes());
    let mut key = "feedback/".to_owned();
    for octet in hash.as_ref().iter().take(16) {
        // Writing into a String cannot fail.
        let _infallible = write!(key, "{octet:02x}");
    }
    key
}
