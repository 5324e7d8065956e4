//! `[state]` as written, and the place it names.

use super::OpenError;
use crate::problem::Problems;
use ::redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// `[state]`: where budgets, warm-up stages, windows and suspensions are kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `"embedded"` is a file in the data directory, for one daemon. `"redis://user:password@host:6379/0"` is a Redis
    /// server that several daemons share, `"rediss://…"` the same over TLS; it must keep what it holds (`appendonly yes`,
    /// `maxmemory-policy noeviction`).
    pub url: Url,
    /// PEM file of the authorities that may sign the certificate of a `rediss://` server. Without it the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

impl Config {
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if let Err(fault) = self.fault_or_target() {
            problems.add(format!("{at}.{}", fault.key), fault.message, fault.remedy);
        }
    }

    /// The place that is meant.
    pub(super) fn target(&self) -> Result<Target, OpenError> {
        self.fault_or_target().map_err(|fault| OpenError::Config {
            key: fault.key,
            fault: fault.message,
            remedy: fault.remedy.to_owned(),
        })
    }

    fn fault_or_target(&self) -> Result<Target, Fault> {
        let server = self.url.server()?;
        match server.map(|info| Server::new(info, self.ca.clone())) {
            Some(server) if self.ca.is_none() || server.tls => Ok(Target::Redis(Box::new(server))),
            None if self.ca.is_none() => Ok(Target::Embedded),
            _ => Err(Fault {
                key: "ca",
                message: "is only for a Redis server over TLS".to_owned(),
                remedy: "remove it, or write url = \"rediss://…\"",
            }),
        }
    }
}

/// A place as an operator writes it. Printed without the user and password that may be in it; serialised as written.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Url(String);

impl Default for Url {
    fn default() -> Self {
        Self(EMBEDDED.to_owned())
    }
}

impl<T: Into<String>> From<T> for Url {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = match self.0.split_once("://") {
            Some((scheme, rest)) => (scheme, rest),
            None => ("", self.0.as_str()),
        };
        // A password may hold any of "/?#@", however wrongly: all before the last "@" is left out.
        let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        if scheme.is_empty() {
            return f.write_str(rest);
        }
        write!(f, "{scheme}://{rest}")
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl schemars::JsonSchema for Url {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StateUrl".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^(embedded$|rediss?://)" })
    }
}

/// What a [`Config`] names.
pub(super) enum Target {
    Embedded,
    Redis(Box<Server>),
}

/// One Redis server.
pub(super) struct Server {
    pub info: ConnectionInfo,
    pub ca: Option<PathBuf>,
    pub tls: bool,
    /// The URL without user and password.
    pub place: String,
}

impl Server {
    fn new(info: ConnectionInfo, ca: Option<PathBuf>) -> Self {
        let tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        let scheme = if tls { "rediss" } else { "redis" };
        let place = format!("{scheme}://{}/{}", info.addr(), info.redis_settings().db());
        Self {
            info,
            ca,
            tls,
            place,
        }
    }
}

const EMBEDDED: &str = "embedded";
const FORMS: &str = "write \"embedded\", \"redis://host:6379/0\" or \"rediss://host:6379/0\"";

/// What is wrong with `[state]`.
struct Fault {
    key: &'static str,
    message: String,
    remedy: &'static str,
}

impl Url {
    /// The server; `None` is the embedded store. A fault never repeats the URL: a password may be in it.
    fn server(&self) -> Result<Option<ConnectionInfo>, Fault> {
        if self.0 == EMBEDDED {
            return Ok(None);
        }
        match self.0.split_once("://") {
            Some(("redis" | "rediss", rest)) if !rest.contains(['?', '#']) => {}
            Some(("redis" | "rediss", _)) => {
                return Err(fault(
                    "has a part after \"?\" or \"#\"",
                    "remove it; in a password write %3F for \"?\" and %23 for \"#\"",
                ));
            }
            Some((scheme, _)) if scheme.ends_with("+cluster") => {
                return Err(fault(
                    "names a Redis Cluster, which is not supported",
                    "name one server: \"redis://host:6379/0\"; the state is small and fits into one",
                ));
            }
            _ => return Err(fault("names neither the embedded store nor Redis", FORMS)),
        }
        let info = self.0.as_str().into_connection_info();
        let info = info.map_err(|error| fault(&format!("is no URL of Redis ({error})"), FORMS))?;
        if info.redis_settings().db() < 0 {
            return Err(fault("has a database under 0", FORMS));
        }
        Ok(Some(info))
    }
}

fn fault(message: &str, remedy: &'static str) -> Fault {
    Fault {
        key: "url",
        message: message.to_owned(),
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(url: &str) -> Vec<String> {
        let config = Config {
            url: url.into(),
            ca: None,
        };
        let mut problems = Problems::default();
        config.validate("state", &mut problems);
        let texts = problems.0.iter();
        texts
            .map(|p| format!("{} {}: {}", p.key, p.message, p.remedy))
            .collect()
    }

    #[test]
    fn the_embedded_store_and_single_servers_are_taken() {
        for url in [
            "embedded",
            "redis://localhost",
            "redis://:secret@10.0.0.5:6380/3",
            "rediss://mail:secret@redis.example.net:6379/0",
            "redis://[::1]:6379/0",
        ] {
            assert_eq!(problems(url), Vec::<String>::new(), "{url}");
        }
    }

    #[test]
    fn other_places_are_refused_with_the_remedy_and_without_the_password() {
        for (url, says) in [
            ("redis+cluster://u:hush@a:1,b:2", "Redis Cluster"),
            ("rediss+cluster://u:hush@a:1", "Redis Cluster"),
            ("postgres://u:hush@a/b", "names neither"),
            ("/var/lib/state", "names neither"),
            ("Embedded", "names neither"),
            ("", "names neither"),
            ("redis://u:hush@host:99999/0", "is no URL of Redis"),
            ("redis://u:hush@host/mail", "Invalid database number"),
            ("redis://u:hush@host/-1", "a database under 0"),
            ("redis://", "is no URL of Redis"),
            ("redis://u:hush@0.0.0.0", "wildcard"),
            ("rediss://u:hush@host/0#insecure", "after"),
            ("redis://u:hu?sh@host/0", "%3F"),
        ] {
            let problems = problems(url).join("\n");
            assert!(problems.starts_with("state.url "), "{url}: {problems}");
            assert!(problems.contains(says), "{url}: {problems}");
            assert!(!problems.contains("hu"), "{url}: {problems}");
        }
    }

    #[test]
    fn a_password_is_printed_nowhere_and_kept_in_the_file() {
        for url in [
            "redis://user:hush@host:6379/0",
            "redis://:hu/sh@host:6379/0",
            "redis://user:hu@sh@host:6379/0",
            "redis://user:hu?sh#@host:6379/0",
        ] {
            let config = Config {
                url: url.into(),
                ca: None,
            };
            let printed = format!("{config:?} {}", config.url);
            assert!(!printed.contains("hu"), "{printed}");
            assert!(printed.contains("redis://host:6379/0"), "{printed}");
            let written = toml::to_string(&config).unwrap();
            assert_eq!(toml::from_str::<Config>(&written).unwrap(), config);
            assert!(written.contains(url), "{written}");
        }
        let nonsense = Url::from("user:hush@host");
        assert_eq!(format!("{nonsense:?}"), "\"host\"");
    }

    #[test]
    fn an_authority_without_tls_is_refused() {
        for (url, is_fine) in [
            ("embedded", false),
            ("redis://host", false),
            ("rediss://host", true),
        ] {
            let config = Config {
                url: url.into(),
                ca: Some("ca.pem".into()),
            };
            let mut problems = Problems::default();
            config.validate("state", &mut problems);
            assert_eq!(problems.is_empty(), is_fine, "{url}");
            assert!(problems.0.iter().all(|p| p.key == "state.ca"));
        }
    }
}
