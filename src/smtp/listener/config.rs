//! `[[listener]]`.

use super::network::Network;
use crate::problem::Problems;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// One `[[listener]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port to listen on.
    #[schemars(with = "String")]
    pub address: SocketAddr,
    /// "submission" takes mail to send; "inbound" takes what comes back, from anybody and for our own addresses alone.
    pub role: Role,
    /// "starttls" offers encryption, "implicit" begins with it (port 465), "off" has none.
    pub tls: TlsMode,
    /// The certificate with its intermediates, PEM. Absent with `key` means a self-signed one under `data_dir/tls`.
    pub certificate: Option<PathBuf>,
    /// The certificate's private key, PEM.
    pub key: Option<PathBuf>,
    /// Networks that may send without AUTH; anyone else must authenticate as a tenant. Of no use with role = "inbound".
    pub relay_from: Vec<Network>,
    /// Load balancers: their connections must begin with a PROXY header (version 1 or 2), which is believed.
    pub proxy_from: Vec<Network>,
    /// Offer AUTH without TLS to clients on loopback.
    pub auth_without_tls: bool,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    #[default]
    Submission,
    Inbound,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    #[default]
    Starttls,
    Implicit,
    Off,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 2525)),
            role: Role::Submission,
            tls: TlsMode::Starttls,
            certificate: None,
            key: None,
            relay_from: ["127.0.0.0/8", "::1"]
                .iter()
                .filter_map(|net| net.parse().ok())
                .collect(),
            proxy_from: Vec::new(),
            auth_without_tls: false,
        }
    }
}

impl Config {
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.certificate.is_some() != self.key.is_some() {
            problems.add(
                format!("{at}.certificate"),
                "a certificate and its key go together",
                "write both certificate and key, or neither for a self-signed one",
            );
        }
        if self.tls == TlsMode::Off && self.certificate.is_some() {
            problems.add(
                format!("{at}.tls"),
                "there is a certificate, but TLS is off",
                "write tls = \"starttls\" or \"implicit\", or remove the certificate",
            );
        }
        if self.relay_from.iter().any(Network::is_everyone) {
            problems.add(
                format!("{at}.relay_from"),
                "the whole internet could send through this listener",
                "name the networks of your own senders",
            );
        }
    }

    pub(super) fn trusts(&self, ip: IpAddr) -> bool {
        self.relay_from.iter().any(|net| net.contains(ip))
    }

    pub(super) fn is_balancer(&self, ip: IpAddr) -> bool {
        self.proxy_from.iter().any(|net| net.contains(ip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(config: &Config) -> Vec<String> {
        let mut problems = Problems::default();
        config.validate("listener[0]", &mut problems);
        problems.0.into_iter().map(|p| p.key).collect()
    }

    #[test]
    fn the_default_is_sound_and_reads_back() {
        let config = Config::default();
        assert!(faults(&config).is_empty());
        let text = toml::to_string(&config).unwrap();
        assert!(
            text.contains("relay_from = [\"127.0.0.0/8\", \"::1\"]"),
            "{text}"
        );
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
    }

    #[test]
    fn an_open_relay_and_a_certificate_of_nothing_are_refused() {
        let bad: Config =
            toml::from_str("tls = \"off\"\ncertificate = \"x\"\nrelay_from = [\"0.0.0.0/0\"]")
                .unwrap();
        let keys = ["certificate", "tls", "relay_from"].map(|k| format!("listener[0].{k}"));
        assert_eq!(faults(&bad), keys);
    }
}
