//! Limits as written.

use super::{ByteRate, Rate, Rates};
use serde::{Deserialize, Serialize};

/// What one thing may do: a source, a source at a site or a provider, a tenant, a campaign. What is left out is not
/// limited.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Messages, such as `"100/s"` or `["10/s", "20000/d"]`; spread evenly over the time they are given for.
    #[serde(skip_serializing_if = "Rates::is_empty")]
    pub messages: Rates,
    /// Connections open at a time; for a tenant or a campaign, messages being sent at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    /// New connections, such as `"60/min"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_rate: Option<Rate>,
    /// Octets of messages, such as `"10MB/s"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<ByteRate>,
}
