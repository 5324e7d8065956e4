//! One typed configuration. Each module owns its part; here they are collected, read and checked as a whole.
//!
//! To add a section: a field in [`Config`], its default, a line in [`Config::validate`], its paths in [`paths`],
//! and what of it needs a restart in [`change`].

mod change;
mod document;
mod gather;
mod help;
mod load;
mod paths;

pub use change::restart_needed;
pub use load::{Finding, Refused};

use crate::bounce::return_path::{Feedback, ReturnPath, Unsubscribe};
use crate::bounce::stamps::{self, Own, Stamps};
use crate::bounce::token::{Keys, LEAST_SECRET};
use crate::policy::{self, limits, providers, reputation, sources, suppression, warmup};
use crate::problem::Problems;
use crate::smtp::{listener, session};
use crate::zone::facts::SourceFact;
use crate::{
    auth, bounce, delivery, dns, events, http, inbound, intake, lint, outside, queue, reports,
    spool, store, sts, tls, zone,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The whole configuration of one node. Every key has a default that serves on loopback.
///
/// Relative paths count from the directory of the file (from the working directory where there is no file).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Mailwright configuration")]
pub struct Config {
    /// The name this node gives itself: in EHLO where a source has none of its own, and in Message-ID and Received.
    pub hostname: String,
    /// Directory of everything the node keeps: spool, event log, keys it makes for itself.
    pub data_dir: PathBuf,
    /// Where budgets, stages, windows and suspensions are kept.
    pub state: store::Config,
    /// How mail is kept on disk.
    pub spool: spool::Config,
    /// Name servers, and how long answers are used.
    pub dns: dns::Config,
    /// What recipients' domains ask of those who send to them.
    pub mta_sts: sts::Config,
    /// Where mail is taken in, one entry an address.
    pub listener: Vec<listener::Config>,
    /// Limits of every listener.
    pub smtp: session::Limits,
    /// Who may send, one entry a platform, brand or stream.
    pub tenant: Vec<auth::credentials::Config>,
    /// Limits on failed authentication.
    pub auth: auth::credentials::Limits,
    /// What a message may look like, and what is done to it on its way in.
    pub intake: intake::Config,
    /// What mailbox providers ask of mail, and what is done about mail that is not so.
    pub lint: lint::Config,
    /// What is done with mail that its receivers will not take for its domain's own.
    pub alignment: auth::alignment::Config,
    /// Limits of what comes back, at listeners with role = "inbound".
    pub inbound: inbound::Config,
    /// The keys that sign, one entry each.
    pub dkim: Vec<auth::dkim::Config>,
    /// Our addresses that mail leaves from.
    pub source: Vec<sources::SourceConfig>,
    /// Sources that share the mail of tenants.
    pub pool: Vec<sources::PoolConfig>,
    /// Who has the mailboxes, beside the providers that are known already; an entry with a known name changes it.
    pub provider: Vec<providers::ProviderConfig>,
    /// What replies of any provider ask for.
    pub rule: Vec<providers::RuleConfig>,
    /// How fast and how many at once, where a source, provider or tenant has no limits of its own.
    pub limits: limits::Defaults,
    /// How new sources earn their reputation.
    pub warmup: warmup::Config,
    /// From which rates of bounces, complaints and blocks on mail is watched, and held.
    pub reputation: reputation::Config,
    /// How others see our addresses, domains and certificates.
    pub outside: outside::Config,
    /// Who is not written to any more.
    pub suppression: suppression::Config,
    /// What overrides DNS and `[delivery]` for some domains. The most specific entry wins.
    pub route: Vec<delivery::RouteConfig>,
    /// How mail leaves.
    pub delivery: delivery::Config,
    /// When deferred mail is tried again, and when it is given up.
    pub retry: queue::Config,
    /// What is done when mail fails.
    pub bounce: bounce::Config,
    /// Where notices of failure come back to, and the keys of tokens.
    pub return_path: ReturnPath,
    /// Where complaints are sent to.
    pub feedback: Feedback,
    /// Reports of others about our mail.
    pub reports: reports::Config,
    /// How recipients of marketing mail unsubscribe.
    pub unsubscribe: Unsubscribe,
    /// What refusals mean, beside what is known already.
    pub bounce_rule: Vec<bounce::rules::RuleConfig>,
    /// What is published for our domains.
    pub zone: zone::Config,
    /// Which certificates of next hops are trusted.
    pub tls: tls::client::Config,
    /// The HTTP face: metrics, health and the API.
    pub http: http::Config,
    /// The log of events, one JSON object a line.
    pub events: events::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            data_dir: PathBuf::from("./data"),
            state: store::Config::default(),
            spool: spool::Config::default(),
            dns: dns::Config::default(),
            mta_sts: sts::Config::default(),
            listener: vec![listener::Config::default()],
            smtp: session::Limits::default(),
            tenant: Vec::new(),
            auth: auth::credentials::Limits::default(),
            intake: intake::Config::default(),
            lint: lint::Config::default(),
            alignment: auth::alignment::Config::default(),
            inbound: inbound::Config::default(),
            dkim: Vec::new(),
            source: Vec::new(),
            pool: Vec::new(),
            provider: Vec::new(),
            rule: Vec::new(),
            limits: limits::Defaults::default(),
            warmup: warmup::Config::default(),
            reputation: reputation::Config::default(),
            outside: outside::Config::default(),
            suppression: suppression::Config::default(),
            route: Vec::new(),
            delivery: delivery::Config::default(),
            retry: queue::Config::default(),
            bounce: bounce::Config::default(),
            return_path: ReturnPath::default(),
            feedback: Feedback::default(),
            reports: reports::Config::default(),
            unsubscribe: Unsubscribe::default(),
            bounce_rule: Vec::new(),
            zone: zone::Config::default(),
            tls: tls::client::Config::default(),
            http: http::Config::default(),
            events: events::Config::default(),
        }
    }
}

impl Config {
    /// Reads `path`; without one `./mailwright.toml` where that exists, else the defaults.
    ///
    /// # Errors
    /// [`Refused`] holds every mistake there is, each with file, line, key and remedy.
    pub fn load(path: Option<&Path>) -> Result<Self, Refused> {
        load::load(path)
    }

    /// As [`Config::load`] with the text of `file` given; relative paths count from its directory.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Refused> {
        load::parse(text, file)
    }

    /// Adds what is wrong with the values, each module for its own part.
    pub fn validate(&self, problems: &mut Problems) {
        validate_hostname(&self.hostname, problems);
        self.spool.validate("spool", problems);
        self.dns.validate("dns", problems);
        self.mta_sts.validate("mta_sts", problems);
        each(&self.listener, "listener", |l, at| l.validate(at, problems));
        self.smtp.validate("smtp", problems);
        auth::credentials::validate_all(&self.tenant, "tenant", problems);
        self.auth.validate("auth", problems);
        self.intake.validate("intake", problems);
        self.lint.validate("lint", problems);
        self.inbound.validate("inbound", problems);
        self.validate_inbound(problems);
        auth::dkim::validate_all(&self.dkim, "dkim", problems);
        sources::validate(&self.source, &self.pool, &self.warmup, problems);
        self.state.validate("state", problems);
        self.limits.validate("limits", problems);
        self.warmup.validate("warmup", problems);
        self.reputation.validate("reputation", problems);
        self.outside.validate("outside", problems);
        self.suppression.validate("suppression", problems);
        providers::validate(&self.provider, &self.rule, problems);
        self.validate_shares(problems);
        self.validate_pools_named(problems);
        self.validate_alignment(problems);
        each(&self.route, "route", |r, at| r.validate(at, problems));
        self.delivery.validate("delivery", problems);
        self.retry.validate("retry", problems);
        self.bounce.validate("bounce", problems);
        self.return_path.validate("return_path", problems);
        self.feedback.validate("feedback", problems);
        self.reports.validate("reports", problems);
        self.unsubscribe.validate("unsubscribe", problems);
        self.validate_unsubscribing(problems);
        bounce::rules::validate(&self.bounce_rule, problems);
        self.zone.validate("zone", problems);
        self.tls.validate("tls", problems);
        self.http.validate("http", problems);
        self.events.validate("events", problems);
    }

    /// A share of a provider that is not there would be nobody's.
    fn validate_shares(&self, problems: &mut Problems) {
        let Ok(known) = providers::Providers::new(&self.provider, &self.rule) else {
            return;
        };
        for (name, schedule) in &self.warmup.schedule {
            let shares = schedule.providers.keys();
            for provider in shares.filter(|provider| known.get(provider).is_none()) {
                let names: Vec<&str> = known.iter().map(|known| &*known.name).collect();
                problems.add(
                    format!("warmup.schedule.{name}.providers.{provider}"),
                    format!("there is no provider \"{provider}\""),
                    format!("write one of {}", names.join(", ")),
                );
            }
        }
    }

    fn validate_pools_named(&self, problems: &mut Problems) {
        for (i, tenant) in self
            .tenant
            .iter()
            .enumerate()
            .filter(|(_, t)| !t.pool.is_empty())
        {
            if !self.pool.iter().any(|pool| pool.name == tenant.pool) {
                let message = format!("there is no pool \"{}\"", tenant.pool);
                problems.add(
                    format!("tenant[{i}].pool"),
                    message,
                    "name a [[pool]], or leave the key out",
                );
            }
        }
    }

    /// Only what leaves from an address that is known can be judged.
    fn validate_alignment(&self, problems: &mut Problems) {
        if !self.source.is_empty() {
            return;
        }
        let of_tenants = self.tenant.iter().enumerate().map(|(i, tenant)| {
            let action = tenant.alignment.action.unwrap_or_default();
            (format!("tenant[{i}].alignment.action"), action)
        });
        let of_all = ("alignment.action".to_owned(), self.alignment.action);
        for (key, _) in std::iter::once(of_all)
            .chain(of_tenants)
            .filter(|(_, action)| action.interferes())
        {
            problems.add(
                key,
                "nobody can tell what SPF says of mail that leaves from an address that is not known",
                "write a [[source]] with the address, or \"report\" or \"off\" here",
            );
        }
    }

    /// A tenant that wants links needs a place that they lead to.
    fn validate_unsubscribing(&self, problems: &mut Problems) {
        let wanting = self.tenant.iter().enumerate();
        for (i, _) in wanting.filter(|(_, tenant)| tenant.list_unsubscribe == Some(true)) {
            if !self.unsubscribe.is_on() {
                problems.add(
                    format!("tenant[{i}].list_unsubscribe"),
                    "there is nowhere to unsubscribe",
                    "write [unsubscribe] url, or leave the key out",
                );
            }
        }
    }

    /// How mail is stamped, with the keys of `[return_path]`.
    pub fn stamps(&self, keys: Keys) -> Stamps {
        let tenants = self.tenant.iter().map(|tenant| {
            let own = Own {
                return_path_domain: tenant.return_path_domain.as_deref(),
                list_unsubscribe: tenant.list_unsubscribe,
            };
            (tenant.name.as_str(), own)
        });
        Stamps::new(stamps::Parts {
            return_path: &self.return_path,
            feedback: &self.feedback,
            unsubscribe: &self.unsubscribe,
            keys,
            tenants: tenants.collect(),
        })
    }

    /// How bad each rule of the lint is for whom.
    pub fn lint(&self) -> lint::Settings {
        let tenants = self.tenant.iter();
        lint::Settings::new(
            &self.lint,
            tenants.map(|tenant| (tenant.name.as_str(), &tenant.lint)),
        )
    }

    /// What is done with mail that is not aligned, by tenant.
    pub fn alignment(&self) -> auth::alignment::Settings {
        let tenants = self.tenant.iter();
        auth::alignment::Settings::new(
            &self.alignment,
            tenants.map(|tenant| (tenant.name.as_str(), &tenant.alignment)),
        )
    }

    /// What reports are held against: every domain that we send from, and our sources.
    pub fn reported(&self) -> reports::Settings {
        let of_tenants = self.tenant.iter().flat_map(|tenant| &tenant.domains);
        let of_keys = self.dkim.iter().map(|key| key.domain.as_str());
        let own = [self.return_path.domain.as_str()].into_iter();
        let of_tenants = of_tenants.map(|domain| domain.strip_prefix("*.").unwrap_or(domain));
        let domains = own.chain(of_tenants).chain(of_keys);
        let sources = self.source.iter();
        let sources = sources.map(|source| (source.address, source.name.as_str()));
        self.reports.settings(domains, sources)
    }

    /// What is looked at from outside: our sources as receivers see them, and every domain that we send from.
    ///
    /// # Errors
    /// A key of a list that cannot be read.
    pub fn outside(&self) -> Result<outside::Settings, Problems> {
        let sources = self.sources_seen();
        self.outside.settings(sources, self.reported().domains)
    }

    /// Our sources with the addresses that receivers see.
    pub fn sources_seen(&self) -> Vec<SourceFact> {
        let public = &self.zone.public_addresses;
        let sources = self.source.iter().map(|source| SourceFact {
            name: source.name.clone(),
            address: *public.get(&source.address).unwrap_or(&source.address),
            ehlo: plain(&source.ehlo),
        });
        sources.collect()
    }

    /// Where reports are.
    pub fn reports_dir(&self) -> PathBuf {
        self.data_dir.join("reports")
    }

    /// Where the books are.
    pub fn books_dir(&self) -> PathBuf {
        self.data_dir.join("books")
    }

    /// What policy decides by.
    ///
    /// # Errors
    /// What is wrong with the rules of providers, and a key that cannot be read.
    pub fn policy(&self) -> Result<policy::Settings, Problems> {
        let tenants: Vec<_> = self.tenant.iter().map(tenant_rules).collect();
        let key = self.hash_key();
        let settings = policy::Settings::new(policy::Parts {
            hostname: &self.hostname,
            sources: &self.source,
            pools: &self.pool,
            public_addresses: &self.zone.public_addresses,
            providers: &self.provider,
            rules: &self.rule,
            limits: &self.limits,
            warmup: &self.warmup,
            reputation: &self.reputation,
            suppression: &self.suppression,
            tenants: &tenants,
        });
        match (settings, key) {
            (Ok(settings), Ok(key)) => Ok(settings.with_hash_key(key.as_deref())),
            (Err(problems), Ok(_)) | (Ok(_), Err(problems)) => Err(problems),
            (Err(mut problems), Err(more)) => {
                problems.0.extend(more.0);
                Err(problems)
            }
        }
    }

    fn hash_key(&self) -> Result<Option<Vec<u8>>, Problems> {
        let Some(reference) = &self.suppression.hash_key else {
            return Ok(None);
        };
        let secret = auth::Secret::of(reference, Path::new("")).read();
        let short = |secret: &Vec<u8>| secret.len() < LEAST_SECRET;
        let (why, remedy) = match secret {
            Ok(secret) if short(&secret) => (
                format!("the key has {} octets", secret.len()),
                format!(
                    "make one of {LEAST_SECRET} or more, such as with \"openssl rand -base64 32\""
                ),
            ),
            Ok(secret) => return Ok(Some(secret)),
            Err(told) => told,
        };
        let mut problems = Problems::default();
        problems.add("suppression.hash_key", why, remedy);
        Err(problems)
    }

    /// Our addresses for what comes back.
    ///
    /// Every domain that tokens are sent out with, and the addresses of `[feedback]` and `[reports]`.
    pub fn addresses(&self) -> inbound::Addresses {
        let of_tenants = self
            .tenant
            .iter()
            .filter_map(|tenant| tenant.return_path_domain.as_deref());
        let own = [
            self.return_path.domain.as_str(),
            self.unsubscribe.mailto_domain.as_str(),
        ];
        let domains = own
            .into_iter()
            .chain(of_tenants)
            .filter(|domain| !domain.is_empty());
        let feedback = self.feedback.address.parse().ok();
        let reports = self.reports.addresses();
        inbound::Addresses::new(domains, &feedback).with_reports(&reports)
    }

    /// A listener that knows no address takes nothing.
    fn validate_inbound(&self, problems: &mut Problems) {
        if !self.addresses().is_empty() {
            return;
        }
        let roles = self
            .listener
            .iter()
            .map(|listener| listener.role)
            .enumerate();
        for (i, _) in roles.filter(|(_, role)| *role == listener::Role::Inbound) {
            problems.add(
                format!("listener[{i}].role"),
                "nothing can come back: there is no address for it",
                "write [return_path] domain, [feedback] address or [reports] addresses",
            );
        }
    }

    /// Where the event log is.
    pub fn events_dir(&self) -> PathBuf {
        self.data_dir.join(&self.events.dir)
    }

    /// The JSON Schema of the file, for editors.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Config).to_value()
    }
}

/// A-labels, lower case, no final dot; what the configuration's own check has let pass.
pub fn plain(name: &str) -> String {
    auth::dkim::ascii_domain(name)
        .unwrap_or_else(|_| name.trim_end_matches('.').to_ascii_lowercase())
}

fn tenant_rules(tenant: &auth::credentials::Config) -> policy::TenantRules<'_> {
    policy::TenantRules {
        name: &tenant.name,
        weight: tenant.weight,
        limits: &tenant.limits,
        campaign_limits: &tenant.campaign_limits,
        send_window: &tenant.send_window,
        reputation: &tenant.reputation,
        suppression: &tenant.suppression,
    }
}

/// Calls `check` with every entry of a list and its key.
fn each<T>(entries: &[T], key: &str, mut check: impl FnMut(&T, &str)) {
    for (i, entry) in entries.iter().enumerate() {
        check(entry, &format!("{key}[{i}]"));
    }
}

fn validate_hostname(name: &str, problems: &mut Problems) {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        problems.add(
            "hostname",
            format!("\"{name}\" is not a host name"),
            "write the node's fully qualified name, such as \"mta1.example.com\"",
        );
    }
}

#[cfg(test)]
mod tests;
