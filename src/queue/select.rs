//! Which entries an operator means.

use super::entry::Entry;
use crate::mail::MessageId;
use serde::{Deserialize, Serialize};

/// Every field given must match; an empty selector matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selector {
    pub id: Option<String>,
    pub site: Option<String>,
    pub domain: Option<String>,
    pub tenant: Option<String>,
    pub campaign: Option<String>,
    pub source: Option<String>,
}

impl Selector {
    pub fn of(id: MessageId) -> Self {
        Self {
            id: Some(id.to_string()),
            ..Self::default()
        }
    }

    /// Nothing was asked for: matches everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn matches(&self, entry: &Entry) -> bool {
        let place = entry.place.as_deref();
        let fits = |wanted: &Option<String>, has: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| has == Some(wanted))
        };
        self.id
            .as_deref()
            .is_none_or(|id| id.parse() == Ok(entry.id))
            && fits(&self.domain, Some(&entry.domain))
            && fits(&self.tenant, entry.labels.tenant.as_deref())
            && fits(&self.campaign, entry.labels.campaign.as_deref())
            && fits(&self.site, place.map(|place| &*place.site))
            && fits(&self.source, place.map(|place| &*place.source))
    }
}
