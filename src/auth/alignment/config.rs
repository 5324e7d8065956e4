//! `[alignment]`: what is done with mail that its receivers will not take for its domain's own.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What is done with it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "AlignmentAction")]
pub enum Action {
    /// DNS is not asked.
    Off,
    /// It is told in the event.
    #[default]
    Report,
    /// As report, and in a field of the message.
    Warn,
    /// It is taken, and held until an operator releases it.
    Hold,
    /// It is refused with 550 5.7.x.
    Reject,
}

/// SPF, DKIM and DMARC of our own mail.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Alignment")]
pub struct Config {
    /// What is done with mail that SPF, DKIM or DMARC fails for wherever it leaves from: "off", "report", "warn", "hold" or
    /// "reject".
    pub action: Action,
}

/// `[tenant.alignment]`: what one tenant has otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "TenantAlignment")]
pub struct TenantConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
}

impl TenantConfig {
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Action {
    /// It does more than tell, so that an answer is worth waiting for.
    pub const fn interferes(self) -> bool {
        matches!(self, Self::Warn | Self::Hold | Self::Reject)
    }
}

/// The configuration as it is asked: whose mail.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    action: Action,
    tenants: HashMap<Box<str>, Action>,
}

impl Settings {
    pub fn new<'t>(
        config: &Config,
        tenants: impl IntoIterator<Item = (&'t str, &'t TenantConfig)>,
    ) -> Self {
        let own = tenants.into_iter();
        let own = own.filter_map(|(name, own)| Some((name.into(), own.action?)));
        Self {
            action: config.action,
            tenants: own.collect(),
        }
    }

    pub fn action(&self, tenant: Option<&str>) -> Action {
        let own = tenant.and_then(|name| self.tenants.get(name));
        own.copied().unwrap_or(self.action)
    }
}
