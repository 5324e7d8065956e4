//! The body as far as it has come: stored and hashed on the way, or held while it may still be rewritten.

use super::lint::Excerpt;
use super::{eight_bit, not_now};
use crate::auth::dkim::{BodyHash, BodyHasher};
use crate::mail::Reply;
use crate::mail::headers::HeaderSection;
use crate::spool::Draft;

pub(super) struct Body {
    draft: Draft,
    /// Where a key may ask for the hash.
    hasher: Option<BodyHasher>,
    eight_bit: bool,
    /// The octets so far while there are no more than `hold` of them.
    held: Vec<u8>,
    hold: u64,
    excerpt: Excerpt,
    /// Octets of it that are wanted.
    examined: u64,
}

/// A body that is complete.
pub(super) struct Sealed {
    pub draft: Draft,
    pub hash: Option<BodyHash>,
    /// It holds octets over 127.
    pub eight_bit: bool,
    /// Its beginning as it came.
    pub excerpt: Excerpt,
}

impl Body {
    /// Up to `hold` octets are kept in memory so that the body can be rewritten, and the first `examined` for the lint;
    /// 0 keeps none. It is hashed where it may be `signed`.
    pub(super) fn new(draft: Draft, hold: u64, examined: u64, signed: bool) -> Self {
        Self {
            draft,
            hasher: signed.then(BodyHasher::new),
            eight_bit: false,
            held: Vec::new(),
            hold,
            excerpt: Excerpt::default(),
            examined,
        }
    }

    pub(super) async fn push(&mut self, octets: &[u8]) -> Result<(), Reply> {
        self.eight_bit |= !octets.is_ascii();
        self.excerpt.add(octets, self.examined);
        if (self.held.len() + octets.len()) as u64 <= self.hold {
            self.held.extend_from_slice(octets);
            return Ok(());
        }
        // Too large to rewrite: from here on it streams.
        self.hold = 0;
        let held = std::mem::take(&mut self.held);
        self.store(&held).await?;
        self.store(octets).await
    }

    /// Rewrites what is to be rewritten, with the fields of `head` that say how the body is encoded.
    pub(super) async fn seal(mut self, head: &mut HeaderSection) -> Result<Sealed, Reply> {
        let mut held = std::mem::take(&mut self.held);
        if self.eight_bit
            && self.hold > 0
            && let Some(encoded) = eight_bit::encode(head, &held)
        {
            self.eight_bit = !encoded.is_ascii();
            held = encoded;
        }
        self.store(&held).await?;
        Ok(Sealed {
            draft: self.draft,
            hash: self.hasher.map(BodyHasher::finish),
            eight_bit: self.eight_bit,
            excerpt: self.excerpt,
        })
    }

    async fn store(&mut self, octets: &[u8]) -> Result<(), Reply> {
        if octets.is_empty() {
            return Ok(());
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(octets);
        }
        self.draft
            .write(octets)
            .await
            .map_err(|error| not_now(&error))
    }
}
