//! Limits as written.

use super::{ByteRate, Kind, Rate, Rates, Scope};
use crate::problem::Problems;
use crate::units::Size;
use serde::{Deserialize, Serialize};

/// What one thing may do: a source, a source at a site or a provider, a tenant, a campaign. What is left out is not
/// limited.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Messages, such as `"100/s"` or `["10/s", "20000/d"]`: all of them hold. Spread evenly over the time they are given
    /// for.
    #[serde(skip_serializing_if = "Rates::is_empty")]
    pub messages: Rates,
    /// Connections open at a time; for a tenant or a campaign, messages being sent at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    /// New connections, such as `"60/min"`; for a tenant or a campaign, messages of which sending begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_rate: Option<Rate>,
    /// Octets of messages, such as `"10MB/s"`. Paid for when a message has been sent: the next one waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<ByteRate>,
}

/// `[limits]`: what everything of a kind may do where no table of its own says otherwise. A table of its own overrides it
/// number by number.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// Each source, wherever it sends.
    pub source: Config,
    /// Each source at each site.
    pub site: Config,
    /// Each source at each provider, over all its sites.
    pub provider: Config,
    /// Each tenant, over all sources.
    pub tenant: Config,
    /// Each campaign of each tenant, over all sources.
    pub campaign: Config,
}

/// Message rates beyond this number say nothing that the others do not.
const MOST_RATES: usize = 4;
/// Messages or connections a second.
const FASTEST: u64 = 1_000_000;
const LEAST_BYTES: Size = Size::kib(1);
const MOST_BYTES: Size = Size(10_000_000_000);

impl Config {
    /// Adds every mistake. `at` is the key of this table, such as `source[0].limits`.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        let key = |kind: Kind| format!("{at}.{}", kind.key());
        self.messages.validate(&key(Kind::Messages), problems);
        if self.connections == Some(0) {
            problems.add(
                key(Kind::Connections),
                "is 0, so no mail would leave",
                "write 1 or more, or leave it out for no limit",
            );
        }
        if let Some(rate) = self.connection_rate {
            rate.validate(&key(Kind::ConnectionRate), problems);
        }
        if let Some(rate) = self.bytes {
            rate.validate(&key(Kind::Bytes), problems);
        }
    }
}

impl Defaults {
    /// Adds every mistake. `at` is the key of this table: `limits`.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        for (name, _, config) in self.tables() {
            config.validate(&format!("{at}.{name}"), problems);
        }
    }

    /// Each table with its key and what it speaks of.
    pub(super) fn tables(&self) -> [(&'static str, Scope, &Config); 5] {
        let everywhere = None;
        let site = Scope::Site {
            source: None,
            site: None,
        };
        let provider = Scope::Provider {
            source: None,
            provider: None,
        };
        let campaign = Scope::Campaign {
            tenant: None,
            campaign: None,
        };
        let tenant = Scope::Tenant { tenant: None };
        let source = Scope::Source { source: everywhere };
        [
            ("source", source, &self.source),
            ("site", site, &self.site),
            ("provider", provider, &self.provider),
            ("tenant", tenant, &self.tenant),
            ("campaign", campaign, &self.campaign),
        ]
    }
}

impl Rates {
    fn validate(&self, at: &str, problems: &mut Problems) {
        if self.0.len() > MOST_RATES {
            let message = format!("has {} rates", self.0.len());
            let remedy = "write at most one each for a second, a minute, an hour and a day";
            problems.add(at, message, remedy);
        }
        for (i, rate) in self.0.iter().enumerate() {
            rate.validate(at, problems);
            let earlier = self.0.iter().take(i).find(|r| r.per == rate.per);
            if let Some(earlier) = earlier {
                let message = format!("{rate} and {earlier} are for the same time");
                problems.add(at, message, format!("keep {}", rate.smaller(earlier)));
            }
        }
    }
}

impl Rate {
    fn validate(&self, at: &str, problems: &mut Problems) {
        let most = FASTEST * self.per.duration().as_secs();
        if u64::from(self.count.get()) > most {
            let message = format!("{self} is over 1,000,000 a second");
            problems.add(at, message, "lower it, or leave it out for no limit");
        }
    }

    fn smaller<'r>(&'r self, other: &'r Self) -> &'r Self {
        if self.count < other.count {
            self
        } else {
            other
        }
    }
}

impl ByteRate {
    fn validate(&self, at: &str, problems: &mut Problems) {
        if self.0 < LEAST_BYTES {
            let message = format!("{self} is under {LEAST_BYTES}/s");
            problems.add(at, message, "write a multiple of \"1KiB/s\"");
        }
        if self.0 > MOST_BYTES {
            let message = format!("{self} is over {MOST_BYTES}/s");
            problems.add(at, message, "lower it, or leave it out for no limit");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Defaults, String> {
        toml::from_str(text).map_err(|e: toml::de::Error| e.message().to_owned())
    }

    fn problems(text: &str) -> Vec<String> {
        let mut problems = Problems::default();
        read(text).unwrap().validate("limits", &mut problems);
        let told = |p: crate::problem::Problem| format!("{} {}; {}", p.key, p.message, p.remedy);
        problems.0.into_iter().map(told).collect()
    }

    #[test]
    fn nothing_is_limited_where_nothing_is_written() {
        let empty = read("").unwrap();
        assert_eq!(empty, Defaults::default());
        assert_eq!(problems(""), [""; 0]);
        assert!(empty.source.messages.is_empty());
    }

    #[test]
    fn numbers_are_read_and_written_as_an_operator_has_them() {
        let text = "messages = [\"10/s\", \"20000/d\"]\nconnections = 20\nconnection_rate = \"60/min\"\nbytes = \"10MB/s\"\n";
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(toml::to_string(&config).unwrap(), text);
        let mut found = Problems::default();
        config.validate("limits.site", &mut found);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn every_mistake_is_told_with_its_key_and_the_remedy() {
        let text = "[source]\nconnections = 0\n\
            [site]\nmessages = \"2000000/s\"\nconnection_rate = \"60000001/min\"\n\
            [tenant]\nmessages = [\"10/min\", \"5/min\"]\nbytes = \"512B/s\"\n\
            [campaign]\nmessages = [\"1/s\", \"2/min\", \"3/h\", \"4/d\", \"5/s\"]\nbytes = \"11GB/s\"";
        assert_eq!(
            problems(text),
            [
                "limits.source.connections is 0, so no mail would leave; write 1 or more, or leave it out for no limit",
                "limits.site.messages 2000000/s is over 1,000,000 a second; lower it, or leave it out for no limit",
                "limits.site.connection_rate 60000001/min is over 1,000,000 a second; lower it, or leave it out for no limit",
                "limits.tenant.messages 5/min and 10/min are for the same time; keep 5/min",
                "limits.tenant.bytes 512B/s is under 1KiB/s; write a multiple of \"1KiB/s\"",
                "limits.campaign.messages has 5 rates; write at most one each for a second, a minute, an hour and a day",
                "limits.campaign.messages 5/s and 1/s are for the same time; keep 1/s",
                "limits.campaign.bytes 11GB/s is over 10GB/s; lower it, or leave it out for no limit",
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_told_with_what_to_write() {
        for (text, remedy) in [
            ("[site]\nmessages = 100", "a rate such as \"100/s\""),
            ("[site]\nmessages = \"0/s\"", "a whole number from 1"),
            ("[site]\nmessages = [\"10/s\", \"1/week\"]", "\"50000/d\""),
            ("[site]\nconnection_rate = 60", "a rate such as \"60/min\""),
            ("[site]\nconnection_rate = \"60\"", "\"30/min\""),
            ("[site]\nbytes = 1000000", "a text such as \"10MB/s\""),
            ("[site]\nbytes = \"10MB\"", "\"10MB/s\""),
            ("[site]\nbytes = \"10MB/min\"", "\"10MB/s\""),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(remedy), "{text}: {error}");
        }
    }
}
