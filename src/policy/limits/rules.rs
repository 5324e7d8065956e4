//! Which numbers hold for what.

use super::{ByteRate, Config, Defaults, Kind, Of, Rate};
use std::collections::HashMap;
use std::sync::Arc;

/// Every table of limits in the configuration, found by what it speaks of.
#[derive(Debug, Clone, Default)]
pub struct Rules(HashMap<Scope, Table>);

/// What a table of limits speaks of. `None` is every one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    Source {
        source: Option<Arc<str>>,
    },
    Site {
        source: Option<Arc<str>>,
        site: Option<Arc<str>>,
    },
    Provider {
        source: Option<Arc<str>>,
        provider: Option<Arc<str>>,
    },
    Tenant {
        tenant: Option<Arc<str>>,
    },
    /// Mail of no tenant is spoken of where `tenant` is `None`.
    Campaign {
        tenant: Option<Arc<str>>,
        campaign: Option<Arc<str>>,
    },
}

#[derive(Debug, Clone)]
struct Table {
    key: String,
    config: Config,
}

/// The numbers that hold for one thing.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Settings {
    pub messages: Vec<Number<Rate>>,
    pub connections: Option<Number<u32>>,
    pub connection_rate: Option<Number<Rate>>,
    pub bytes: Option<Number<ByteRate>>,
}

/// A configured number, and its dotted key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Number<T> {
    pub value: T,
    pub key: Arc<str>,
}

impl Rules {
    /// What `[limits]` says.
    pub fn new(defaults: &Defaults) -> Self {
        let mut rules = Self::default();
        for (name, scope, config) in defaults.tables() {
            rules.add(scope, &format!("limits.{name}"), config);
        }
        rules
    }

    /// A further table, at `key` of the configuration, such as `source[0].limits`. Number by number, the most specific
    /// table that has one wins: source and site, then the site, then the source, then the default. Of two tables with the
    /// same scope the later counts.
    pub fn add(&mut self, scope: Scope, key: &str, config: &Config) {
        let key = key.to_owned();
        let config = config.clone();
        self.0.insert(scope, Table { key, config });
    }

    pub(super) fn settings(&self, of: &Of) -> Settings {
        let scopes = Scope::of(of);
        let tables: Vec<&Table> = scopes.iter().filter_map(|s| self.0.get(s)).collect();
        let messages = tables.iter().find(|t| !t.config.messages.is_empty());
        Settings {
            messages: messages.map(|t| t.messages()).unwrap_or_default(),
            connections: first(&tables, Kind::Connections, |c| c.connections),
            connection_rate: first(&tables, Kind::ConnectionRate, |c| c.connection_rate),
            bytes: first(&tables, Kind::Bytes, |c| c.bytes),
        }
    }
}

fn first<T>(
    tables: &[&Table],
    kind: Kind,
    number: impl Fn(&Config) -> Option<T>,
) -> Option<Number<T>> {
    tables.iter().find_map(|table| {
        let value = number(&table.config)?;
        let key = table.key_of(kind);
        Some(Number { value, key })
    })
}

impl Table {
    fn key_of(&self, kind: Kind) -> Arc<str> {
        format!("{}.{}", self.key, kind.key()).into()
    }

    fn messages(&self) -> Vec<Number<Rate>> {
        let key = self.key_of(Kind::Messages);
        let number = |value: &Rate| Number {
            value: *value,
            key: Arc::clone(&key),
        };
        self.config.messages.0.iter().map(number).collect()
    }
}

impl Scope {
    /// The scopes that `of` is in, the most specific first.
    fn of(of: &Of) -> Vec<Self> {
        match of {
            Of::Source { source } => [Some(source.clone()), None]
                .map(|source| Self::Source { source })
                .into(),
            Of::Site { source, site } => pairs(Some(source), site)
                .map(|(source, site)| Self::Site { source, site })
                .into(),
            Of::Provider { source, provider } => pairs(Some(source), provider)
                .map(|(source, provider)| Self::Provider { source, provider })
                .into(),
            Of::Tenant { tenant } => [Some(tenant.clone()), None]
                .map(|tenant| Self::Tenant { tenant })
                .into(),
            Of::Campaign { tenant, campaign } => pairs(tenant.as_ref(), campaign)
                .map(|(tenant, campaign)| Self::Campaign { tenant, campaign })
                .into(),
        }
    }
}

type Pair = (Option<Arc<str>>, Option<Arc<str>>);

/// Both, the second alone, the first alone, neither.
fn pairs(first: Option<&Arc<str>>, second: &Arc<str>) -> [Pair; 4] {
    let (first, second) = (first.cloned(), Some(second.clone()));
    [
        (first.clone(), second.clone()),
        (None, second),
        (first, None),
        (None, None),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::Rates;
    use super::*;

    fn config(messages: &str, connections: Option<u32>) -> Config {
        let rates = messages.split_whitespace().map(|r| r.parse().unwrap());
        Config {
            messages: Rates(rates.collect()),
            connections,
            ..Config::default()
        }
    }

    fn told(settings: &Settings) -> Vec<String> {
        let messages = settings.messages.iter();
        let messages = messages.map(|n| format!("{} {}", n.value, n.key));
        let connections = settings.connections.iter();
        let connections = connections.map(|n| format!("{} {}", n.value, n.key));
        messages.chain(connections).collect()
    }

    fn site(source: &str, site: &str) -> Of {
        Of::Site {
            source: source.into(),
            site: site.into(),
        }
    }

    #[test]
    fn a_specific_table_overrides_the_default_number_by_number() {
        let defaults = Defaults {
            source: config("100/s", Some(50)),
            ..Defaults::default()
        };
        let mut rules = Rules::new(&defaults);
        let scope = Scope::Source {
            source: Some("ip-a".into()),
        };
        rules.add(scope, "source[0].limits", &config("10/s 20000/d", None));
        let of = |source: &str| Of::Source {
            source: source.into(),
        };
        assert_eq!(
            told(&rules.settings(&of("ip-a"))),
            [
                "10/s source[0].limits.messages",
                "20000/d source[0].limits.messages",
                "50 limits.source.connections"
            ]
        );
        assert_eq!(
            told(&rules.settings(&of("ip-b"))),
            [
                "100/s limits.source.messages",
                "50 limits.source.connections"
            ]
        );
    }

    #[test]
    fn of_a_pair_both_win_over_the_second_and_that_over_the_first() {
        let mut rules = Rules::new(&Defaults {
            site: config("4/s", None),
            ..Defaults::default()
        });
        let (a, mx): (Arc<str>, Arc<str>) = ("ip-a".into(), "mx.example.net".into());
        let mut add = |source: Option<&Arc<str>>, site: Option<&Arc<str>>, rate| {
            let (source, site) = (source.cloned(), site.cloned());
            rules.add(Scope::Site { source, site }, rate, &config(rate, None));
        };
        add(Some(&a), None, "3/s");
        add(None, Some(&mx), "2/s");
        add(Some(&a), Some(&mx), "1/s");
        let rate = |of| rules.settings(&of).messages[0].value.to_string();
        assert_eq!(rate(site("ip-a", "mx.example.net")), "1/s");
        assert_eq!(rate(site("ip-b", "mx.example.net")), "2/s");
        assert_eq!(rate(site("ip-a", "mx.example.org")), "3/s");
        assert_eq!(rate(site("ip-b", "mx.example.org")), "4/s");
    }

    #[test]
    fn mail_of_no_tenant_is_limited_by_what_speaks_of_every_tenant() {
        let mut rules = Rules::default();
        let tenant = Some("acme".into());
        let campaign = None;
        rules.add(
            Scope::Campaign { tenant, campaign },
            "t",
            &config("1/s", None),
        );
        let (tenant, campaign) = (None, Some("spring".into()));
        rules.add(
            Scope::Campaign { tenant, campaign },
            "c",
            &config("2/s", None),
        );
        let of = |tenant: Option<&str>, campaign: &str| Of::Campaign {
            tenant: tenant.map(Into::into),
            campaign: campaign.into(),
        };
        let told = |of| told(&rules.settings(&of));
        assert_eq!(told(of(None, "spring")), ["2/s c.messages"]);
        assert_eq!(told(of(Some("acme"), "spring")), ["2/s c.messages"]);
        assert_eq!(told(of(Some("acme"), "autumn")), ["1/s t.messages"]);
        assert_eq!(told(of(None, "autumn")), [""; 0]);
    }
}
