//! How others see us: whether our addresses and domains are on blocklists (RFC 5782), whether our addresses have names
//! that lead back to them (FCrDNS) and to what they say in EHLO, and when our certificates expire.
//!
//! It is looked at every so often, and what changed is told as `outside` events. What is known is kept in the store
//! under the node's name, so that a restart neither tells it again nor counts a round twice; each node looks for
//! itself. Warm-ups go to no next stage while something speaks against their source ([`Book::hindrances`]).

mod book;
mod config;
mod look;
#[cfg(test)]
mod tests;
mod told;

use book::Change;
pub use book::{Book, Certificate, Fault, Subject, What};
pub use config::{Config, Lists, Settings, ZoneConfig};

use crate::clock::Clock;
use crate::dns::Resolver;
use crate::events::Events;
use crate::lint::facts::Reverse;
use crate::policy::warmup::Warmup;
use crate::store::{Store, StoreError};
use crate::tls::server::ServerTls;
use crate::units::{Live, Timestamp};
use crate::zone::ask::Ask;
use look::{Round, look};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How soon a reload that changes `every` is noticed.
const GLANCE: Duration = Duration::from_secs(60);

/// What it works with.
pub struct Parts {
    pub settings: Live<Settings>,
    pub resolver: Resolver,
    pub clock: Clock,
    pub store: Store,
    pub events: Events,
    pub warmup: Warmup,
    pub certificates: Vec<Arc<ServerTls>>,
    /// What the node calls itself.
    pub node: String,
}

/// Looks at us from outside. Cheap to clone; clones are one.
#[derive(Clone)]
pub struct Outside {
    parts: Arc<Parts>,
    known: Known,
    key: Arc<str>,
}

/// What is known now. It leads to nothing else, so that gauges may hold it.
#[derive(Clone, Default)]
pub struct Known(Arc<Mutex<(Book, BTreeMap<String, Reverse>)>>);

impl Known {
    /// What is certain.
    pub fn book(&self) -> Book {
        self.0.lock().0.certain()
    }

    /// The lists that have this domain of ours.
    pub fn listed(&self, domain: &str) -> Option<String> {
        self.0.lock().0.listed(domain)
    }

    /// What DNS said of a source last.
    pub fn reverse(&self, source: &str) -> Option<Reverse> {
        self.0.lock().1.get(source).cloned()
    }
}

impl Outside {
    /// Reads back what was known. What cannot be read is told, and begun anew.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn recall(parts: Parts) -> Result<Self, StoreError> {
        let key = format!("outside/{}", parts.node.replace('/', "_"));
        let known = Known::default();
        if let Some(there) = parts.store.get(&key).await? {
            match serde_json::from_slice::<Book>(&there.value) {
                Ok(book) => known.0.lock().0 = book,
                Err(error) => {
                    tracing::warn!(%key, %error, "how others saw us before cannot be read; it is found out anew");
                }
            }
        }
        let outside = Self {
            parts: Arc::new(parts),
            known,
            key: key.into(),
        };
        outside.hinder(&outside.parts.settings.load());
        Ok(outside)
    }

    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Looks until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let ask = Ask::afresh(self.parts.resolver.clone());
        loop {
            let settings = tokio::select! {
                () = stop.cancelled() => return,
                settings = self.due() => settings,
            };
            let round = tokio::select! {
                () = stop.cancelled() => return,
                round = look(&ask, &settings) => round,
            };
            self.take(round, &settings, self.parts.clock.now()).await;
        }
    }

    /// Returns when a round is due, with what to look at.
    async fn due(&self) -> Arc<Settings> {
        let clock = &self.parts.clock;
        loop {
            let settings = self.parts.settings.load_full();
            let next = self.next(&settings);
            match next {
                Some(next) if next <= clock.now() => return settings,
                // After a reload a list may count no more.
                Some(_) => self.hinder(&settings),
                None => self.forget(),
            }
            clock.sleep(GLANCE).await;
        }
    }

    /// When the next round is due; `None`: nothing is looked at.
    fn next(&self, settings: &Settings) -> Option<Timestamp> {
        let last = self.known.0.lock().0.checked;
        let now = self.parts.clock.now();
        // One of tomorrow was written by a clock that has been set right since.
        let last = last.filter(|last| *last <= now);
        let due = last.map_or(now, |last| last + settings.every.0);
        settings.check.then_some(due)
    }

    /// Takes over what a round has found, tells what changed, and writes it down. The round is over when it can be seen
    /// that it is.
    async fn take(&self, round: Round, settings: &Settings, now: Timestamp) {
        let changes = self.learn(round, settings, now);
        self.hinder(settings);
        for change in &changes {
            self.parts.events.emit(&told::event(change, settings));
        }
        let saved = {
            let book = &mut self.known.0.lock().0;
            book.checked = Some(now);
            serde_json::to_vec(book)
        };
        let written = match saved {
            Ok(value) => self.parts.store.set(&self.key, &value).await,
            Err(error) => return tracing::error!(%error, "how others see us has no JSON form"),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "how others see us is not written down yet");
        }
    }

    fn learn(&self, round: Round, settings: &Settings, now: Timestamp) -> Vec<Change> {
        let Round { heard, reverses } = round;
        let certificates = self.certificates();
        let files: Vec<String> = certificates.keys().cloned().collect();
        let (book, of_sources) = &mut *self.known.0.lock();
        book.keep(|subject| is_asked(subject, settings), &files);
        let mut changes = Vec::new();
        for one in heard {
            changes.extend(book.hear(one, now));
        }
        for (file, expires) in certificates {
            changes.extend(book.see(&file, expires, now));
        }
        of_sources.retain(|name, _| settings.sources.iter().any(|s| s.name == *name));
        of_sources.extend(reverses);
        changes
    }

    /// Every certificate once, with its end.
    fn certificates(&self) -> BTreeMap<String, Timestamp> {
        let shown = self.parts.certificates.iter();
        let of = |tls: &Arc<ServerTls>| Some((tls.file().display().to_string(), tls.expires()?));
        shown.filter_map(of).collect()
    }

    /// Tells warm-ups what speaks against their sources.
    fn hinder(&self, settings: &Settings) {
        let holds = |zone: &str| settings.zone(zone).is_some_and(|zone| zone.hold);
        let hindrances = match settings.check && settings.hold_warmup {
            true => self.known.0.lock().0.hindrances(holds),
            false => BTreeMap::new(),
        };
        self.parts.warmup.hinder(hindrances);
    }

    /// Nobody looks any more, and what was seen says nothing of today.
    fn forget(&self) {
        *self.known.0.lock() = Default::default();
        self.parts.warmup.hinder(BTreeMap::new());
    }
}

/// Whether the configuration still asks about it.
fn is_asked(subject: &Subject, settings: &Settings) -> bool {
    let Subject {
        what,
        name,
        address,
        zone,
    } = subject;
    let is_zone_asked = zone.as_deref().is_none_or(|z| {
        let asked = settings.zone(z);
        let of_kind =
            |lists| *what != What::Listed || (lists == Lists::Addresses) == address.is_some();
        asked.is_some_and(|zone| of_kind(zone.lists))
    });
    let is_known = match (what, address) {
        (What::Refused | What::Unanswered, _) => true,
        (_, Some(address)) => {
            let mut sources = settings.sources.iter();
            sources.any(|source| source.name == *name && source.address == *address)
        }
        (_, None) => settings.domains.contains(name),
    };
    is_zone_asked && is_known
}
