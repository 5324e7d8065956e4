//! From one key to the next: published → active → retiring → removed.
//!
//! Two selectors are in DNS at a time at most. A key signs after DNS was seen to have it, and its record stays until no
//! mail that it signed can be looked at any more.
//!
//! | from | to | only where | a crash before the book is written leaves |
//! |---|---|---|---|
//! | – | published | neither key of the pair is on its way | a key file that nothing names |
//! | published | active; the other one retiring | DNS has exactly the new key | the old one signing |
//! | retiring | removed | nothing is in transit ([`Transit`]) | a record that is not needed |

use super::book::{Book, Entry, State, hand_over, plain};
use super::config::Config;
use super::{Key, KeyError, PublicKey, Published, generate};
use crate::units::{Span, Timestamp};
use std::path::PathBuf;

/// How long after its delivery receivers may look at a signature: greylisting, forwarding and scanning of mail that
/// waits.
pub const RECEIVERS_DELAY: Span = Span::days(7);
/// A message that came in while the keys were changed may have the old signature.
pub const CHANGE_SLACK: Span = Span::minutes(10);

/// Which key is meant.
#[derive(Debug, Clone, Default)]
pub struct Which {
    pub domain: String,
    pub tenant: Option<String>,
    /// Of the key that signs, or takes part in the rotation; needed where a domain has several.
    pub selector: Option<String>,
}

/// The key that signs, and the one that comes or goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    pub active: Entry,
    pub other: Option<Entry>,
}

/// Mail that may still be looked at.
#[derive(Debug, Clone, Default)]
pub struct Transit {
    /// How long mail stays in the queue at most.
    pub longest_life: Span,
    /// Messages in the queue that may have the old signature.
    pub queued: Vec<String>,
}

/// A step is not taken. [`Refusal::remedy`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("no key signs for {0}")]
    NoKey(String),
    #[error("several keys sign for {0}: {1}")]
    Several(String, String),
    #[error("{0} is not signed with: {1}")]
    Unpublished(String, &'static str, String),
    #[error("whether {0} is published is not known: {1}")]
    Unanswered(String, String),
    #[error("mail signed with {0} may be on its way until {1}")]
    InTransit(String, Timestamp),
    #[error("{1} messages signed with {0} may be in the queue, such as {2}")]
    InQueue(String, usize, String),
    #[error("there is a key with the selector {0} already")]
    Taken(String),
    #[error("no rotation is under way for {0}")]
    Idle(String),
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Refusal {
    pub fn remedy(&self) -> String {
        match self {
            Self::NoKey(domain) => format!(
                "make one with \"mailwright dkim keygen --domain {domain} --selector s1\" and name it in [[dkim]]"
            ),
            Self::Several(..) => "say which with --selector, and --tenant where it has one".into(),
            Self::Unpublished(_, _, line) => format!("publish this line and try again: {line}"),
            Self::Unanswered(..) => "try again when the name servers answer".into(),
            Self::InTransit(_, until) => format!("leave its record in DNS, and try again after {until}"),
            Self::InQueue(..) => {
                "wait until they have left, or see to them with \"mailwright queue show\"; their record is needed".into()
            }
            Self::Taken(_) => "name another with --new-selector".into(),
            Self::Idle(_) => "begin one without --continue".into(),
            Self::Key(error) => error.remedy(),
        }
    }

    /// Waiting helps.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Unanswered(..) | Self::InTransit(..) | Self::InQueue(..)
        )
    }
}

impl Pair {
    /// The key that `which` means, from those configured and those in the book.
    pub fn find(book: &Book, configured: &[Config], which: &Which) -> Result<Self, Refusal> {
        let domain = plain(&which.domain);
        let known = |config: &Config| {
            let configured = Entry::of(config, Timestamp::default());
            let entry = book.keys.iter().find(|entry| entry.is(config)).cloned();
            // The file that is configured is the one that signs.
            entry.map_or(configured.clone(), |entry| Entry {
                key: configured.key,
                ..entry
            })
        };
        let all: Vec<Entry> = {
            let own = book.own(configured).cloned();
            let all = configured.iter().map(known).chain(own);
            all.filter(|entry| entry.domain == domain && entry.tenant == which.tenant)
                .collect()
        };
        let pairs = all
            .iter()
            .filter(|entry| entry.state.signs())
            .map(|active| Self {
                other: all.iter().find(|other| is_partner(active, other)).cloned(),
                active: active.clone(),
            });
        let meant = |pair: &Self| {
            which
                .selector
                .as_deref()
                .is_none_or(|selector| pair.has(selector))
        };
        let mut pairs: Vec<Self> = pairs.filter(meant).collect();
        if pairs.len() > 1 {
            let selectors: Vec<&str> = pairs.iter().map(|pair| &*pair.active.selector).collect();
            return Err(Refusal::Several(domain, selectors.join(", ")));
        }
        pairs.pop().ok_or(Refusal::NoKey(domain))
    }

    fn has(&self, selector: &str) -> bool {
        let both = std::iter::once(&self.active).chain(&self.other);
        both.into_iter()
            .any(|entry| entry.selector.eq_ignore_ascii_case(selector))
    }

    /// Makes the key that will take over, in the directory of the book. The book has to be saved.
    pub fn begin(
        &self,
        book: &mut Book,
        taken: &[Config],
        order: &Begin,
        now: Timestamp,
    ) -> Result<(Entry, PublicKey), Refusal> {
        let selector = order
            .selector
            .clone()
            .unwrap_or_else(|| following(&self.active.selector));
        let here = |domain: &str, other: &str| {
            plain(domain) == self.active.domain && other.eq_ignore_ascii_case(&selector)
        };
        let is_taken = taken
            .iter()
            .any(|config| here(&config.domain, &config.selector))
            || book
                .keys
                .iter()
                .any(|entry| here(&entry.domain, &entry.selector));
        if is_taken {
            return Err(Refusal::Taken(selector));
        }
        let domain = &self.active.domain;
        let key = order.dir.join(format!("{domain}.{selector}.pem"));
        let algorithm = Key::load(&self.active.key)?.public().algorithm();
        let is_known = taken.iter().any(|config| config.key == key)
            || book.keys.iter().any(|entry| entry.key == key);
        if !is_known {
            // What a crash before the book was written has left: nobody signs with it.
            let _there_is_none = std::fs::remove_file(&key);
        }
        let public = generate(algorithm, &key)?;
        hand_over(&key, &order.dir).map_err(|error| KeyError::Write(key.clone(), error))?;
        let entry = Entry {
            selector,
            key,
            state: State::Published,
            since: now,
            replaces: Some(self.active.selector.clone()),
            seen_in_queue: None,
            ..self.active.clone()
        };
        book.keys.push(entry.clone());
        Ok((entry, public))
    }

    /// The new key signs from now on, where DNS has it; the old one retires.
    pub fn activate(
        &self,
        book: &mut Book,
        seen: Published,
        line: String,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Some(next) = self
            .other
            .as_ref()
            .filter(|other| other.state == State::Published)
        else {
            return Err(Refusal::Idle(self.active.domain.clone()));
        };
        if seen != Published::Ours {
            return Err(Refusal::Unpublished(
                next.selector.clone(),
                seen.what(),
                line,
            ));
        }
        set(book, next, State::Active, now);
        set(book, &self.active, State::Retiring, now);
        Ok(())
    }

    /// The record of the old key may go, where nothing needs it any more.
    pub fn remove(
        &self,
        book: &mut Book,
        transit: &Transit,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Some(old) = self
            .other
            .as_ref()
            .filter(|other| other.state == State::Retiring)
        else {
            return Err(Refusal::Idle(self.active.domain.clone()));
        };
        let until = old.free_at(transit.longest_life);
        if now < until {
            return Err(Refusal::InTransit(old.selector.clone(), until));
        }
        if let Some(first) = transit.queued.first() {
            for entry in book.keys.iter_mut().filter(|entry| same(entry, old)) {
                entry.seen_in_queue = Some(now);
            }
            let (selector, first) = (old.selector.clone(), first.clone());
            return Err(Refusal::InQueue(selector, transit.queued.len(), first));
        }
        set(book, old, State::Removed, now);
        Ok(())
    }
}

/// How a rotation begins.
#[derive(Debug, Clone)]
pub struct Begin {
    /// Where the new key is written to.
    pub dir: PathBuf,
    /// In place of the next one after the old key's.
    pub selector: Option<String>,
}

impl Entry {
    /// When no mail signed with a retiring key can be looked at any more: the longest life in the queue after it
    /// signed last, or the moment it was last seen there, and the receivers' delay.
    pub fn free_at(&self, longest_life: Span) -> Timestamp {
        let left = self.since + CHANGE_SLACK.0 + longest_life.0;
        left.max(self.seen_in_queue.unwrap_or_default()) + RECEIVERS_DELAY.0
    }
}

impl Book {
    /// Forgets keys that were removed and that `[[dkim]]` has no more. Gives the files of those that rotations made.
    pub fn forget(&mut self, configured: &[Config], data_dir: &std::path::Path) -> Vec<PathBuf> {
        let dir = Self::dir(data_dir);
        let (gone, kept) = std::mem::take(&mut self.keys)
            .into_iter()
            .partition(|entry: &Entry| {
                let is_configured = configured.iter().any(|config| entry.is(config));
                entry.state == State::Removed && !is_configured
            });
        self.keys = kept;
        let gone: Vec<Entry> = gone;
        let files = gone.into_iter().map(|entry| entry.key);
        files.filter(|file| file.starts_with(&dir)).collect()
    }
}

/// The one of a pair: it takes over from `active`, or `active` took over from it.
fn is_partner(active: &Entry, other: &Entry) -> bool {
    let takes_over = |new: &Entry, old: &Entry| new.replaces.as_deref() == Some(&old.selector);
    match other.state {
        State::Published => takes_over(other, active),
        State::Retiring => takes_over(active, other),
        State::Active | State::Removed => false,
    }
}

fn same(a: &Entry, b: &Entry) -> bool {
    a.domain == b.domain && a.selector == b.selector && a.tenant == b.tenant
}

fn set(book: &mut Book, entry: &Entry, state: State, now: Timestamp) {
    let at = book.keys.iter().position(|known| same(known, entry));
    let at = at.unwrap_or_else(|| {
        book.keys.push(entry.clone());
        book.keys.len() - 1
    });
    book.keys[at].state = state;
    book.keys[at].since = now;
}

/// `s1` → `s2`, `mail` → `mail2`.
fn following(selector: &str) -> String {
    let stem = selector.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = &selector[stem.len()..];
    match number.parse::<u64>() {
        Ok(n) if !number.starts_with('0') && n < u64::from(u32::MAX) => format!("{stem}{}", n + 1),
        _ => format!("{selector}-2"),
    }
}
