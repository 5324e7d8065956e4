//! What an operator sets of the HTTP face.

use crate::problem::Problems;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The HTTP face: metrics, health and the API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Http")]
pub struct Config {
    /// Address and port to listen on; port 0 takes a free one. Off loopback `tokens` is required.
    pub address: SocketAddr,
    /// Where the bearer tokens are, one a line: `"file:PATH"` (readable by its owner only) or `"env:NAME"`. Where set,
    /// `/metrics` and `/api` answer only to a request with one of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8025)),
            tokens: None,
        }
    }
}

impl Config {
    /// Adds what is wrong. `at` is the key of this section.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if !self.address.ip().is_loopback() && self.tokens.is_none() {
            problems.add(
                format!("{at}.address"),
                format!("{} is not loopback, and there are no tokens", self.address),
                "set tokens = \"file:PATH\" in [http], or listen on 127.0.0.1",
            );
        }
        let known = |t: &str| {
            ["file:", "env:"]
                .iter()
                .any(|start| t.strip_prefix(start).is_some_and(|rest| !rest.is_empty()))
        };
        if self.tokens.as_deref().is_some_and(|t| !known(t)) {
            // The text is not repeated: it may be a token written where its place should be.
            problems.add(
                format!("{at}.tokens"),
                "is not a reference to where the tokens are",
                "write \"file:PATH\" or \"env:NAME\"; tokens themselves do not belong here",
            );
        }
    }
}
