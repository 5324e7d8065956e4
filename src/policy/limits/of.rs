//! What a limit is on.

use crate::mail::Labels;
use crate::policy::providers::Provider;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;

/// What a limit is on. As JSON: `{"on": "site", "source": "ip-a", "site": "mx.example.net"}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "on")]
pub enum Of {
    /// One of our addresses, wherever it sends.
    Source { source: Arc<str> },
    /// What a source sends to a site.
    Site { source: Arc<str>, site: Arc<str> },
    /// What a source sends to all sites of a provider.
    Provider {
        source: Arc<str>,
        provider: Arc<str>,
    },
    /// A tenant's mail, from all sources.
    Tenant { tenant: Arc<str> },
    /// A campaign's mail. `None`: mail of no tenant.
    Campaign {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tenant: Option<Arc<str>>,
        campaign: Arc<str>,
    },
}

impl Of {
    /// What mail from a source to a site is held to: the source at the site, at its provider, and everywhere. Who is no
    /// provider in particular has no limit of all its sites together.
    pub fn of_place(
        source: &Arc<str>,
        site: &Arc<str>,
        provider: &Provider,
    ) -> SmallVec<[Self; 3]> {
        let (source, site) = (Arc::clone(source), Arc::clone(site));
        let mut of = SmallVec::new();
        of.push(Self::Site {
            source: Arc::clone(&source),
            site,
        });
        if !provider.is_other() {
            of.push(Self::Provider {
                source: Arc::clone(&source),
                provider: Arc::clone(&provider.name),
            });
        }
        of.push(Self::Source { source });
        of
    }

    /// What mail with these labels is held to wherever it goes: its tenant, then its campaign.
    pub fn of_labels(labels: &Labels) -> impl Iterator<Item = Self> {
        let tenant: Option<Arc<str>> = labels.tenant.as_deref().map(Into::into);
        let campaign: Option<Arc<str>> = labels.campaign.as_deref().map(Into::into);
        let of_tenant = tenant.clone().map(|tenant| Self::Tenant { tenant });
        let of_campaign = campaign.map(|campaign| Self::Campaign { tenant, campaign });
        of_tenant.into_iter().chain(of_campaign)
    }
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source { source } => write!(f, "source {source}"),
            Self::Site { source, site } => write!(f, "source {source} at {site}"),
            Self::Provider { source, provider } => {
                write!(f, "source {source} at provider {provider}")
            }
            Self::Tenant { tenant } => write!(f, "tenant {tenant}"),
            Self::Campaign {
                tenant: Some(tenant),
                campaign,
            } => write!(f, "campaign {campaign} of tenant {tenant}"),
            Self::Campaign {
                tenant: None,
                campaign,
            } => write!(f, "campaign {campaign}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_limit_is_on_reads_as_a_sentence_and_back_from_json() {
        let site = Of::Site {
            source: "ip-a".into(),
            site: "mx.example.net".into(),
        };
        let campaign = Of::Campaign {
            tenant: None,
            campaign: "spring".into(),
        };
        assert_eq!(site.to_string(), "source ip-a at mx.example.net");
        assert_eq!(campaign.to_string(), "campaign spring");
        let json = serde_json::to_string(&site).unwrap();
        assert_eq!(
            json,
            r#"{"on":"site","source":"ip-a","site":"mx.example.net"}"#
        );
        assert_eq!(serde_json::from_str::<Of>(&json).unwrap(), site);
        let json = serde_json::to_string(&campaign).unwrap();
        assert_eq!(json, r#"{"on":"campaign","campaign":"spring"}"#);
        assert_eq!(serde_json::from_str::<Of>(&json).unwrap(), campaign);
    }
}
