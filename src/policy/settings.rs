//! What policy decides by: the configuration, compiled.

use super::hours::Hours;
use super::limits::{self, Rules, Scope};
use super::providers::{Provider, ProviderConfig, Providers, RuleConfig};
use super::reputation;
use super::sources::{PoolConfig, SourceConfig, Sources};
use super::suppression;
use super::warmup;
use super::window::SendWindows;
use crate::problem::Problems;
use crate::units::Span;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Sites whose providers are remembered.
const MOST_SITES: usize = 200_000;

/// What it is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub hostname: &'a str,
    pub sources: &'a [SourceConfig],
    pub pools: &'a [PoolConfig],
    /// What receivers see of addresses behind NAT.
    pub public_addresses: &'a BTreeMap<IpAddr, IpAddr>,
    pub providers: &'a [ProviderConfig],
    pub rules: &'a [RuleConfig],
    pub limits: &'a limits::Defaults,
    pub warmup: &'a warmup::Config,
    pub reputation: &'a reputation::Config,
    pub suppression: &'a suppression::Config,
    pub tenants: &'a [TenantRules<'a>],
}

/// What a tenant is held to, and what it has been promised.
#[derive(Debug, Clone, Copy)]
pub struct TenantRules<'a> {
    pub name: &'a str,
    /// Its share where tenants take turns.
    pub weight: u32,
    pub limits: &'a limits::Config,
    /// Of each of its campaigns.
    pub campaign_limits: &'a limits::Config,
    pub send_window: &'a SendWindows,
    pub reputation: &'a reputation::TenantConfig,
    pub suppression: &'a suppression::TenantConfig,
}

/// Built whole or not at all; a reload swaps it.
#[derive(Debug)]
pub struct Settings {
    pub sources: Sources,
    pub providers: Providers,
    pub(super) limits: Rules,
    pub(super) warmup: warmup::Rules,
    pub(super) reputation: Arc<reputation::Rules>,
    pub(super) suppression: suppression::Rules,
    /// What an hour of waiting counts for against engagement.
    pub(super) points_per_hour: u16,
    tenants: HashMap<Box<str>, Arc<Terms>>,
    stranger: Arc<Terms>,
    hours: HashMap<Arc<str>, Arc<Hours>>,
    /// Providers of sites that have been asked for.
    sites: Mutex<HashMap<Arc<str>, Arc<Provider>>>,
}

/// A tenant's, as its mail meets them in a line.
#[derive(Debug)]
pub struct Terms {
    pub weight: u32,
    pub hours: Option<Arc<Hours>>,
}

impl Settings {
    /// With these sources and pools, and no limits but those of the shipped providers.
    ///
    /// # Errors
    /// What is wrong with the shipped rules of providers.
    pub fn plain(
        hostname: &str,
        sources: &[SourceConfig],
        pools: &[PoolConfig],
    ) -> Result<Self, Problems> {
        Self::new(Parts {
            hostname,
            sources,
            pools,
            public_addresses: &BTreeMap::new(),
            providers: &[],
            rules: &[],
            limits: &limits::Defaults::default(),
            warmup: &warmup::Config::default(),
            reputation: &reputation::Config::default(),
            suppression: &suppression::Config::default(),
            tenants: &[],
        })
    }

    /// # Errors
    /// What is wrong with the rules of providers or the schedules of warm-ups.
    pub fn new(parts: Parts<'_>) -> Result<Self, Problems> {
        let providers = Providers::new(parts.providers, parts.rules)?;
        let stranger = Arc::new(Terms {
            weight: 1,
            hours: None,
        });
        let hours = providers.iter().filter_map(provider_hours).collect();
        let tenants = parts.tenants.iter().enumerate();
        Ok(Self {
            sources: Sources::new(
                parts.hostname,
                (parts.sources, parts.public_addresses),
                parts.pools,
            ),
            limits: rules(&parts, &providers),
            warmup: warmup::Rules::new(parts.warmup, warming(parts.sources))?,
            reputation: Arc::new(standards(&parts, &providers)),
            suppression: suppressing(&parts),
            points_per_hour: points_per_hour(parts.warmup.engagement_aging),
            tenants: tenants.map(|(i, rules)| terms(i, rules)).collect(),
            providers,
            stranger,
            hours,
            sites: Mutex::default(),
        })
    }

    /// With the operator's key for the addresses of the suppression list.
    pub fn with_hash_key(mut self, key: Option<&[u8]>) -> Self {
        self.suppression = self.suppression.with_key(key);
        self
    }

    /// Who has the mailboxes of a site, by its hosts.
    pub fn provider<'h>(
        &self,
        site: &Arc<str>,
        hosts: impl Iterator<Item = &'h str>,
    ) -> Arc<Provider> {
        let mut sites = self.sites.lock();
        if let Some(provider) = sites.get(site) {
            return Arc::clone(provider);
        }
        let provider = Arc::clone(self.providers.of(hosts));
        if sites.len() >= MOST_SITES {
            sites.clear();
        }
        sites.insert(Arc::clone(site), Arc::clone(&provider));
        provider
    }

    pub(super) fn tenant(&self, name: Option<&str>) -> Arc<Terms> {
        let known = name.and_then(|name| self.tenants.get(name));
        Arc::clone(known.unwrap_or(&self.stranger))
    }

    pub(super) fn provider_hours(&self, provider: &str) -> Option<Arc<Hours>> {
        self.hours.get(provider).cloned()
    }
}

/// From the wait that counts as one point.
fn points_per_hour(point: Span) -> u16 {
    let hour = Duration::from_secs(3600).as_millis();
    let points = hour.checked_div(point.0.as_millis()).unwrap_or_default();
    u16::try_from(points).unwrap_or(u16::MAX)
}

/// Every table of limits, with the key that it stands at.
fn rules(parts: &Parts<'_>, providers: &Providers) -> Rules {
    let mut rules = Rules::new(parts.limits);
    for provider in providers.iter() {
        let scope = Scope::Provider {
            source: None,
            provider: Some(Arc::clone(&provider.name)),
        };
        let key = format!("provider.{}.limits", provider.name);
        rules.add(scope, &key, &provider.limits);
    }
    for (i, source) in parts.sources.iter().enumerate() {
        let scope = Scope::Source {
            source: Some(source.name.as_str().into()),
        };
        rules.add(scope, &format!("source[{i}].limits"), &source.limits);
    }
    for (i, tenant) in parts.tenants.iter().enumerate() {
        let name: Arc<str> = tenant.name.into();
        let of_all = Scope::Campaign {
            tenant: Some(Arc::clone(&name)),
            campaign: None,
        };
        let scope = Scope::Tenant { tenant: Some(name) };
        rules.add(scope, &format!("tenant[{i}].limits"), tenant.limits);
        let key = format!("tenant[{i}].campaign_limits");
        rules.add(of_all, &key, tenant.campaign_limits);
    }
    rules
}

/// The sources that warm, and how.
fn warming(sources: &[SourceConfig]) -> impl Iterator<Item = (&str, &warmup::SourceWarmup)> {
    let warming = sources.iter();
    warming.filter_map(|source| Some((source.name.as_str(), source.warmup.as_ref()?)))
}

/// From which rates on mail is held.
fn standards(parts: &Parts<'_>, providers: &Providers) -> reputation::Rules {
    let tenants = parts.tenants.iter();
    let feedback = providers.iter().filter(|provider| provider.feedback_loop);
    reputation::Rules::new(
        parts.hostname,
        parts.reputation,
        tenants.map(|tenant| (tenant.name, tenant.reputation)),
        feedback.map(|provider| Arc::clone(&provider.name)),
    )
}

/// What the suppression list goes by.
fn suppressing(parts: &Parts<'_>) -> suppression::Rules {
    let tenants = parts.tenants.iter();
    let tenants = tenants.map(|tenant| (tenant.name, tenant.suppression));
    suppression::Rules::new(parts.suppression, tenants)
}

/// The hours of a provider, where it keeps any.
fn provider_hours(provider: &Arc<Provider>) -> Option<(Arc<str>, Arc<Hours>)> {
    let (of, key) = (
        format!("provider {}", provider.name),
        format!("provider.{}.send_window", provider.name),
    );
    let hours = Hours::new(&provider.send_window, &of, &key)?;
    Some((Arc::clone(&provider.name), hours))
}

fn terms(i: usize, rules: &TenantRules<'_>) -> (Box<str>, Arc<Terms>) {
    let (of, key) = (
        format!("tenant {}", rules.name),
        format!("tenant[{i}].send_window"),
    );
    let terms = Terms {
        weight: rules.weight,
        hours: Hours::new(rules.send_window, &of, &key),
    };
    (rules.name.into(), Arc::new(terms))
}
