//! `[unsubscribe]`: where the public face listens.

use crate::problem::Problems;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// The public face for who no longer wants mail.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Unsubscribe")]
pub struct Config {
    /// Address and port of the public unsubscribe page; absent: there is none.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// Its certificate with intermediates, PEM. Absent with `key`: plain HTTP, for a proxy that adds TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// The certificate's private key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

impl Config {
    /// Adds what is wrong. `at` is the key of this section.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.certificate.is_some() != self.key.is_some() {
            problems.add(
                format!("{at}.certificate"),
                "a certificate and its key go together",
                "write both certificate and key, or neither where a proxy adds TLS",
            );
        }
    }
}
