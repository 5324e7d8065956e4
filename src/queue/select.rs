//! Which entries an operator means.

use super::entry::{Entries, Entry};
use crate::mail::MessageId;
use crate::tables::Name;
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

    /// The selector in the terms of these entries; `None` where none of them can match. Holds until the entries change.
    pub(super) fn among<'a>(&'a self, entries: &'a Entries) -> Option<Wanted<'a>> {
        let id = match self.id.as_deref().map(str::parse) {
            None => None,
            Some(Ok(id)) => Some(id),
            Some(Err(_)) => return None,
        };
        let domain = match self.domain.as_deref() {
            None => None,
            Some(domain) => Some(entries.domains.find(domain)?),
        };
        Some(Wanted {
            selector: self,
            entries,
            id,
            domain,
        })
    }
}

/// A selector among entries as they are now.
pub(super) struct Wanted<'a> {
    selector: &'a Selector,
    entries: &'a Entries,
    id: Option<MessageId>,
    domain: Option<Name<str>>,
}

impl Wanted<'_> {
    pub fn is(&self, entry: &Entry) -> bool {
        self.id.is_none_or(|id| id == entry.id)
            && self.domain.is_none_or(|domain| domain == entry.domain)
            && self.has_labels(entry)
            && self.is_placed(entry)
    }

    fn has_labels(&self, entry: &Entry) -> bool {
        let (tenant, campaign) = (&self.selector.tenant, &self.selector.campaign);
        if tenant.is_none() && campaign.is_none() {
            return true;
        }
        let labels = self.entries.labels.get(entry.labels);
        labels.is_some_and(|labels| {
            fits(tenant, labels.tenant.as_deref()) && fits(campaign, labels.campaign.as_deref())
        })
    }

    fn is_placed(&self, entry: &Entry) -> bool {
        let (site, source) = (&self.selector.site, &self.selector.source);
        if site.is_none() && source.is_none() {
            return true;
        }
        let place = self.entries.place(entry);
        place
            .is_some_and(|place| fits(site, Some(&place.site)) && fits(source, Some(&place.source)))
    }
}

fn fits(wanted: &Option<String>, has: Option<&str>) -> bool {
    wanted.as_deref().is_none_or(|wanted| has == Some(wanted))
}
