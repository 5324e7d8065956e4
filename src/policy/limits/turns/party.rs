//! Who shares a limit.

use crate::mail::{Labels, Stream};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Who asks a limit for leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    pub stream: Stream,
    pub party: Party,
}

/// Whose mail it is, as far as sharing goes: a campaign of a tenant, or its mail that is of no campaign.
///
/// Names are kept as their hashes: a limit is asked for each message. Two that had the same one of 2^64 would share a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Party {
    pub(super) tenant: u64,
    /// Unlike that of a campaign of another tenant.
    pub(super) campaign: u64,
    /// The tenant's share; at least 1.
    pub(super) weight: u32,
}

impl Party {
    /// `weight` is the tenant's share beside other tenants; 0 is taken for 1.
    pub fn new(labels: &Labels, weight: u32) -> Self {
        let tenant = labels.tenant.as_deref();
        Self {
            tenant: hash(tenant),
            campaign: hash((tenant, labels.campaign.as_deref())),
            weight: weight.max(1),
        }
    }

    /// Where nobody has a share of its own.
    pub const fn all() -> Self {
        Self {
            tenant: 0,
            campaign: 0,
            weight: 1,
        }
    }
}

fn hash(names: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    names.hash(&mut hasher);
    hasher.finish()
}
