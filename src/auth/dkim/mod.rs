//! DKIM signatures (RFC 6376, RFC 8301, RFC 8463).
//!
//! Keys and their cryptography are mail-auth's over aws-lc; the canonical forms are made here, because the pinned
//! mail-auth keeps trailing lines of white space in a relaxed body, which receivers do not. Making them here also
//! means that a body is hashed once, while it arrives, for all signatures of its message.

mod book;
mod canon;
mod config;
mod key;
mod published;
mod rotation;
mod signature;

pub use book::{Book, BookError, Entry, Lock, State};
pub use canon::{BodyHash, BodyHasher};
pub use config::{Config, ascii_domain, validate_all};
pub use key::{Algorithm, Key, KeyError, PublicKey, generate};
pub use published::Published;
pub use rotation::{Begin, CHANGE_SLACK, Pair, RECEIVERS_DELAY, Refusal, Transit, Which};

use crate::auth::alignment;
use crate::mail::headers::HeaderSection;
use crate::problem::Problems;
use crate::units::{Span, Timestamp};
use signature::{Covered, Tags, Unsigned};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The keys of `[[dkim]]`, by domain. Built anew on reload.
pub struct Signers {
    by_domain: HashMap<Box<str>, Vec<Signer>>,
    /// Which of them sign.
    book: Book,
    /// As many costly signatures at once as there are processors: more would only take them from I/O.
    costly: Semaphore,
}

struct Signer {
    domain: Box<str>,
    selector: Box<str>,
    tenant: Option<Box<str>>,
    expires: Option<Span>,
    key: Arc<Key>,
    /// What receivers are to find of it.
    expected: Arc<alignment::Signature>,
}

/// What is signed.
pub struct Order<'a> {
    /// The domain of the From address, U-labels or A-labels.
    pub from_domain: &'a str,
    pub tenant: Option<&'a str>,
    /// As it will be sent, but for the signatures themselves and the trace fields in front of it.
    pub head: &'a HeaderSection,
    pub body: &'a BodyHash,
    pub now: Timestamp,
}

/// What a signature will say, known before there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    pub domain: Box<str>,
    pub selector: Box<str>,
    /// The a= tag.
    pub algorithm: &'static str,
    /// The h= tag, in lower case, as often as it has each name.
    pub covers: Vec<String>,
}

/// The message could not be signed although a key is there. It is not sent unsigned: the client tries again.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the message cannot be signed now: {0}")]
pub struct SignError(String);

impl Signers {
    /// Loads every key that signs, those of `book` among them; relative paths start at `base`.
    ///
    /// # Errors
    /// Every key file that cannot be used, each with its remedy: a daemon that cannot sign as told does not start.
    pub fn load(entries: &[Config], book: Book, base: &Path) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut signers = Self::none();
        let mut load = |entry: &Config, at: String| match Key::load(&base.join(&entry.key)) {
            Ok(key) => signers.add(entry, key),
            Err(error) => problems.add(at, error.to_string(), error.remedy()),
        };
        let configured = entries.iter().enumerate();
        for (i, entry) in configured.filter(|(_, entry)| book.state(entry).signs()) {
            load(entry, format!("dkim[{i}].key"));
        }
        for entry in book.own(entries).filter(|entry| entry.state.signs()) {
            load(&entry.config(), "dkim".to_owned());
        }
        signers.book = book;
        if problems.is_empty() {
            Ok(signers)
        } else {
            Err(problems)
        }
    }

    /// Signs nothing.
    pub fn none() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            by_domain: HashMap::new(),
            book: Book::default(),
            costly: Semaphore::new(processors),
        }
    }

    /// The states of keys in rotation.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Adds a key that is at hand.
    pub fn add(&mut self, entry: &Config, key: Key) {
        let domain = config::ascii_domain(&entry.domain)
            .unwrap_or_else(|_| entry.domain.to_ascii_lowercase())
            .into_boxed_str();
        let expected = alignment::Signature {
            domain: domain.clone(),
            selector: entry.selector.as_str().into(),
            record: key.public().text().into(),
            covers: Covered::always().map(Into::into).collect(),
        };
        let signer = Signer {
            expected: Arc::new(expected),
            domain: domain.clone(),
            selector: entry.selector.as_str().into(),
            tenant: entry.tenant.as_deref().map(Into::into),
            expires: entry.expires,
            key: Arc::new(key),
        };
        self.by_domain.entry(domain).or_default().push(signer);
    }

    /// The DKIM-Signature fields to put in front of the message: one a key, none where no key is for the domain.
    pub async fn sign(&self, order: &Order<'_>) -> Result<Vec<u8>, SignError> {
        let signers = self.chosen(order.from_domain, order.tenant);
        if signers.is_empty() {
            return Ok(Vec::new());
        }
        let covered = Covered::of(order.head);
        let mut fields = Vec::with_capacity(signers.len() * 1024);
        for signer in signers {
            let unsigned = Unsigned::new(&signer.tags(order.now), &covered, order.body);
            fields.extend(self.finish(unsigned, &signer.key).await?);
        }
        Ok(fields)
    }

    /// The signatures that a message with this header section would carry.
    pub fn outlook(
        &self,
        from_domain: &str,
        tenant: Option<&str>,
        head: &HeaderSection,
    ) -> Vec<Outlook> {
        let signers = self.chosen(from_domain, tenant);
        if signers.is_empty() {
            return Vec::new();
        }
        let covered = Covered::of(head);
        let outlooks = signers.into_iter().map(|signer| Outlook {
            domain: signer.domain.clone(),
            selector: signer.selector.clone(),
            algorithm: signer.key.algorithm(),
            covers: covered.names().to_vec(),
        });
        outlooks.collect()
    }

    /// The same for any message that is complete, as its receivers check it: nothing of the message is looked at.
    pub fn expected(
        &self,
        from_domain: &str,
        tenant: Option<&str>,
    ) -> Box<[Arc<alignment::Signature>]> {
        let signers = self.chosen(from_domain, tenant).into_iter();
        signers.map(|signer| Arc::clone(&signer.expected)).collect()
    }

    /// Whether mail from this domain is signed for any tenant: the hash of its body will be asked for.
    pub fn concern(&self, from_domain: &str) -> bool {
        let Ok(ascii) = config::ascii_domain(from_domain) else {
            return false;
        };
        with_parents(&ascii).any(|domain| self.by_domain.contains_key(domain))
    }

    /// The keys of the closest domain, from the From domain upwards, that has one for this tenant: the tenant's own
    /// if there are any, otherwise those for everybody.
    fn chosen(&self, from_domain: &str, tenant: Option<&str>) -> Vec<&Signer> {
        let Ok(ascii) = config::ascii_domain(from_domain) else {
            return Vec::new();
        };
        let here = with_parents(&ascii).filter_map(|domain| self.by_domain.get(domain));
        let found = here.map(|signers| {
            let of = |owner: Option<&str>| -> Vec<&Signer> {
                let owned = signers.iter();
                owned
                    .filter(|signer| signer.tenant.as_deref() == owner)
                    .collect()
            };
            let own = tenant.map(|name| of(Some(name))).unwrap_or_default();
            if own.is_empty() { of(None) } else { own }
        });
        let mut found = found.filter(|signers| !signers.is_empty());
        found.next().unwrap_or_default()
    }

    /// Costly keys sign on the runtime's threads for blocking work, so that sockets are served meanwhile.
    async fn finish(&self, unsigned: Unsigned, key: &Arc<Key>) -> Result<Vec<u8>, SignError> {
        let failed = |why: &dyn std::fmt::Display| SignError(why.to_string());
        if !key.is_costly() {
            let signature = key.sign(&unsigned.input).map_err(|e| failed(&e))?;
            return Ok(unsigned.signed(&signature));
        }
        let _permit = self.costly.acquire().await.map_err(|e| failed(&e))?;
        let key = Arc::clone(key);
        tokio::task::spawn_blocking(move || {
            let signature = key.sign(&unsigned.input)?;
            Ok(unsigned.signed(&signature))
        })
        .await
        .map_err(|e| failed(&e))?
        .map_err(|e: mail_auth::Error| failed(&e))
    }
}

/// A domain, then the one above it, up to the last label.
fn with_parents(domain: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(domain), |domain| Some(domain.split_once('.')?.1))
}

impl Default for Signers {
    fn default() -> Self {
        Self::none()
    }
}

impl Signer {
    fn tags(&self, now: Timestamp) -> Tags<'_> {
        Tags {
            algorithm: self.key.algorithm(),
            domain: &self.domain,
            selector: &self.selector,
            time: now.as_secs(),
            expires: self.expires.map(|span| (now + span.0).as_secs()),
        }
    }
}

#[cfg(test)]
mod rotation_tests;
#[cfg(test)]
mod tests;
