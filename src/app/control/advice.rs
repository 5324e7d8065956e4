//! Which line of the configuration to change, or which command to give, for mail that waits.

use crate::config::Config;
use crate::delivery::RouteConfig;
use crate::http::Advice;
use crate::http::explain::text;
use crate::policy::Held;
use crate::policy::suspension::{At, Suspension};
use crate::policy::warmup::{Reason, Waiting};

/// What is known of the mail beside what holds it.
#[derive(Debug, Clone, Copy)]
pub struct Matter<'a> {
    pub domain: &'a str,
    pub tenant: Option<&'a str>,
    /// As the accepting reply gave it; `None` where the mail is not there yet.
    pub id: Option<&'a str>,
    /// The source that is held, where it is one.
    pub source: Option<&'a str>,
}

/// Says what can be done about `held`.
pub fn advise(held: &Held, matter: &Matter<'_>, config: &Config) -> Advice {
    Advice {
        text: text(held),
        keys: keys(held, matter, config),
        command: command(held, matter),
        held: held.clone(),
    }
}

/// The keys that decide about it, the nearest first.
fn keys(held: &Held, matter: &Matter<'_>, config: &Config) -> Vec<String> {
    let plain = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    match held {
        Held::Retry { .. } => of_retry(matter.domain, config),
        Held::SiteDown { .. } => plain(&["delivery.site_backoff"]),
        Held::SourceDown { source, .. } => vec![format!("{}.address", source_key(source, config))],
        Held::SiteWindow { window, most, .. } if window < most => plain(&[
            "delivery.initial_connections_per_site",
            "delivery.recover_every",
        ]),
        Held::SiteWindow { .. } => plain(&["delivery.max_connections_per_site"]),
        Held::SiteRest { .. } => plain(&["delivery.recover_every", "delivery.slow_down_every"]),
        Held::Turn { .. } => {
            let weight = tenant_key(matter.tenant, config).map(|key| format!("{key}.weight"));
            let most = "delivery.max_connections_per_site".to_owned();
            weight.into_iter().chain([most]).collect()
        }
        Held::Limit(full) => vec![full.key.to_string()],
        Held::Warmup(waiting) => of_warmup(waiting, config),
        Held::Suspended(suspension) => rule_of(suspension).into_iter().collect(),
        Held::Reputation(hold) => {
            let rate = hold.finding.rate.name();
            let own = tenant_key(matter.tenant, config);
            let own = own.map(|key| format!("{key}.reputation.{rate}.act"));
            let all = format!("reputation.{rate}.act");
            own.into_iter()
                .chain([all, "reputation.hold".to_owned()])
                .collect()
        }
        Held::Slowed { slow, .. } => {
            let own = tenant_key(matter.tenant, config);
            let own = own.map(|key| format!("{key}.reputation.slow"));
            let rate = format!("reputation.{}.watch", slow.finding.rate.name());
            own.into_iter()
                .chain(["reputation.slow".to_owned(), rate])
                .collect()
        }
        Held::SendWindow { key, .. } => vec![key.to_string()],
        Held::NoSource { pool, .. } => of_pool(pool, matter, config),
        Held::State { .. } => plain(&["state.url"]),
        Held::Routing { .. } => plain(&["dns.nameservers"]),
        Held::Spool { .. } => plain(&["data_dir"]),
        Held::Spf { .. } => plain(&["alignment.action"]),
        Held::SendAt | Held::Sending { .. } | Held::Operator { .. } => Vec::new(),
    }
}

fn command(held: &Held, matter: &Matter<'_>) -> Option<String> {
    Some(match held {
        Held::Retry { .. } => match matter.id {
            Some(id) => format!("mailwright queue retry {id}"),
            None => format!("mailwright queue retry --domain {}", matter.domain),
        },
        Held::SiteDown { site, .. } => format!("mailwright queue retry --site {site}"),
        Held::SourceDown { source, .. } => format!("mailwright queue retry --source {source}"),
        Held::Warmup(waiting) => of_operator(waiting)?,
        Held::Suspended(suspension) => lift(suspension),
        Held::Reputation(hold) => format!("mailwright reputation release {}", hold.slice),
        Held::Slowed { slow, .. } => format!("mailwright reputation release {}", slow.slice),
        Held::Operator { .. } => format!("mailwright queue release {}", matter.id?),
        _ => return None,
    })
}

fn of_retry(domain: &str, config: &Config) -> Vec<String> {
    let own = route_of(domain, config).filter(|(_, route)| route.retry.is_some());
    let table = own.map_or("retry".to_owned(), |(key, _)| format!("{key}.retry"));
    ["first", "factor", "max"]
        .map(|key| format!("{table}.{key}"))
        .into()
}

fn of_warmup(waiting: &Waiting, config: &Config) -> Vec<String> {
    let own = |key: &str| format!("{}.warmup.{key}", source_key(&waiting.source, config));
    match &waiting.why {
        Reason::Spent { cap, released, .. } => {
            let spread = (released < cap).then(|| own("spread"));
            let cap = ["schedule", "overflow"].map(own);
            spread.into_iter().chain(cap).collect()
        }
        Reason::Paused { by_hand: false, .. } => {
            vec!["warmup.pause".to_owned(), "warmup.max_pause".to_owned()]
        }
        Reason::NotStarted { .. } => vec![own("started")],
        Reason::Unavailable { .. } => vec!["state.url".to_owned()],
        Reason::Paused { .. } | Reason::Unreadable { .. } | Reason::ClockIsBack { .. } => {
            Vec::new()
        }
    }
}

fn of_operator(waiting: &Waiting) -> Option<String> {
    let (source, provider) = (&waiting.source, waiting.provider.as_deref());
    let what = provider.map_or(source.to_string(), |provider| {
        format!("{source} {provider}")
    });
    match waiting.why {
        Reason::Spent { .. } | Reason::Unreadable { .. } | Reason::ClockIsBack { .. } => {
            Some(format!("mailwright warmup set {what} STAGE"))
        }
        Reason::Paused { .. } => Some(format!("mailwright warmup resume {what}")),
        Reason::NotStarted { .. } | Reason::Unavailable { .. } => None,
    }
}

/// The place of the rule that asked for it, which its reason ends with: `unusual rate (rule provider[0].rule[1])`.
fn rule_of(suspension: &Suspension) -> Option<String> {
    let (_, place) = suspension.why.rsplit_once("(rule ")?;
    Some(place.strip_suffix(')')?.to_owned())
}

fn lift(suspension: &Suspension) -> String {
    let source = &suspension.source;
    match &suspension.at {
        At::Site(site) => format!("mailwright source lift {source} --site {site}"),
        At::Provider(provider) => format!("mailwright source lift {source} --provider {provider}"),
    }
}

/// Who could send for a pool that has nobody.
fn of_pool(pool: &str, matter: &Matter<'_>, config: &Config) -> Vec<String> {
    if let Some(source) = matter.source {
        return vec![format!("{}.address", source_key(source, config))];
    }
    match pool_key(pool, config) {
        Some(key) => vec![format!("{key}.sources"), "source".to_owned()],
        None if config.pool.is_empty() => vec!["source".to_owned(), "pool".to_owned()],
        None => vec!["pool".to_owned(), "source".to_owned()],
    }
}

/// `source[0]`; by its name where the configuration no longer has it.
pub fn source_key(name: &str, config: &Config) -> String {
    let at = config.source.iter().position(|source| source.name == name);
    at.map_or_else(
        || format!("source \"{name}\""),
        |at| format!("source[{at}]"),
    )
}

/// `pool[0]`
pub fn pool_key(name: &str, config: &Config) -> Option<String> {
    let at = config.pool.iter().position(|pool| pool.name == name)?;
    Some(format!("pool[{at}]"))
}

/// `tenant[0]`
pub fn tenant_key(name: Option<&str>, config: &Config) -> Option<String> {
    let name = name?;
    let at = config
        .tenant
        .iter()
        .position(|tenant| tenant.name == name)?;
    Some(format!("tenant[{at}]"))
}

/// The most specific route of a domain, with its key: itself, the longest suffix, `*`.
pub fn route_of<'c>(domain: &str, config: &'c Config) -> Option<(String, &'c RouteConfig)> {
    let fits = |route: &&RouteConfig| match route.domain.strip_prefix('*') {
        Some(suffix) => domain.ends_with(&suffix.to_ascii_lowercase()),
        None => route.domain.eq_ignore_ascii_case(domain),
    };
    let specific = |route: &RouteConfig| (!route.domain.starts_with('*'), route.domain.len());
    let routes = config.route.iter().enumerate();
    let fitting = routes.filter(|(_, route)| fits(route));
    let (at, route) = fitting.max_by_key(|(_, route)| specific(route))?;
    Some((format!("route[{at}]"), route))
}

#[cfg(test)]
mod tests;
