//! `[mta_sts]` as written.

use crate::problem::Problems;
use crate::units::Span;
use serde::{Deserialize, Serialize};

/// `[mta_sts]`: whether policies of recipients' domains are heeded (RFC 8461).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Look for policies, and keep to those in the mode "enforce".
    pub enabled: bool,
    /// How long the policy file may take, from the question for its host's address to its last octet. The first mail to a
    /// domain with a policy waits for it.
    pub timeout: Span,
    /// The port of policy hosts: for tests; the world uses 443.
    pub port: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            timeout: Span::secs(10),
            port: 443,
        }
    }
}

impl Config {
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.timeout.0.is_zero() {
            problems.add(
                format!("{at}.timeout"),
                "is zero: no policy could be had",
                "write such as \"10s\", or enabled = false",
            );
        }
        if self.port == 0 {
            problems.add(format!("{at}.port"), "is zero", "write 443");
        }
    }
}
