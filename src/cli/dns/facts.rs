//! What the configuration says of a domain, for [`crate::zone`].

use crate::auth::dkim::{Book, Config as DkimConfig, Key, ascii_domain};
use crate::config::{Config, plain};
use crate::dns::is_public;
use crate::mail::Address;
use crate::problem::Problems;
use crate::smtp::listener::Role;
use crate::zone::facts::{Bimi, Host, Inbound, KeyFact, Serves, SourceFact};
use crate::zone::{DomainConfig, Facts};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The facts of one From domain.
///
/// # Errors
/// `domain` is none, or a key of it cannot be read.
pub fn facts(config: &Config, domain: &str) -> Result<Facts, Problems> {
    let mut problems = Problems::default();
    let domain = ascii_domain(domain).unwrap_or_else(|why| {
        problems.add("", why, "name a domain such as \"acme.example\"");
        String::new()
    });
    let keys = keys(config, &domain, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let zone = &config.zone;
    let nothing = DomainConfig::default();
    let own = zone.of(&domain).unwrap_or(&nothing);
    let dmarc_reports = own.dmarc_reports.as_ref().unwrap_or(&zone.dmarc_reports);
    let taken = config.reports.addresses().into_iter().next();
    let address = |text: &str| match text {
        "" => taken.clone(),
        text => text.parse().ok(),
    };
    let mut gaps = Vec::new();
    let sources = sources(config, &mut gaps);
    let mail_from = mail_from(config, &domain);
    Ok(Facts {
        ttl: u32::try_from(zone.ttl.0.as_secs()).unwrap_or(u32::MAX),
        keys,
        host: host(config, &sources),
        sources,
        inbound: inbound(config, &mail_from),
        mail_from: mail_from.into_keys().collect(),
        dmarc: own.dmarc.unwrap_or(zone.dmarc),
        dmarc_reports: address(dmarc_reports),
        tls_reports: address(&zone.tls_reports),
        mta_sts: zone.mta_sts,
        spf_others: own
            .spf_include
            .iter()
            .map(|name| format!("include:{name}"))
            .collect(),
        bimi: own.bimi_logo.clone().map(|logo| Bimi {
            logo,
            certificate: own.bimi_certificate.clone().unwrap_or_default(),
        }),
        gaps,
        domain,
    })
}

/// The keys of the domain, or of the closest one above it that has some, those of a rotation among them.
fn keys(config: &Config, domain: &str, problems: &mut Problems) -> Vec<KeyFact> {
    let book = match Book::load(&config.data_dir) {
        Ok(book) => book,
        Err(error) => {
            problems.add("data_dir", error.to_string(), "see to the file");
            return Vec::new();
        }
    };
    let published = book.published(&config.dkim);
    let of = |domain: &str| -> Vec<_> {
        let here = |entry: &DkimConfig| ascii_domain(&entry.domain).is_ok_and(|d| d == domain);
        published.iter().filter(|(entry, _)| here(entry)).collect()
    };
    let mut above = std::iter::successors(Some(domain), |name| Some(name.split_once('.')?.1));
    let Some((at, entries)) =
        above.find_map(|name| Some((name, of(name))).filter(|(_, e)| !e.is_empty()))
    else {
        return Vec::new();
    };
    let mut keys = Vec::new();
    for (entry, state) in entries {
        match Key::load(&entry.key) {
            Ok(key) => keys.push(KeyFact {
                selector: entry.selector.to_ascii_lowercase(),
                domain: at.to_owned(),
                public: key.public().clone(),
                signs: state.signs(),
            }),
            Err(error) => problems.add("dkim", error.to_string(), error.remedy()),
        }
    }
    keys
}

/// As receivers see them.
fn sources(config: &Config, gaps: &mut Vec<String>) -> Vec<SourceFact> {
    let sources = config.sources_seen();
    for source in sources.iter().filter(|source| !is_public(source.address)) {
        let SourceFact { name, address, .. } = source;
        gaps.push(format!(
            "source {name} has the address {address}, which nobody outside sees: write what receivers see in [zone] \
             public_addresses"
        ));
    }
    sources
}

/// The return paths of the domain's mail, and whether they are ours. Where a platform's own are kept, the domain itself.
fn mail_from(config: &Config, domain: &str) -> BTreeMap<String, bool> {
    let allows = |allowed: &String| match allowed.strip_prefix("*.") {
        Some(parent) => domain
            .strip_suffix(&plain(parent))
            .is_some_and(|rest| rest.ends_with('.')),
        None => plain(allowed) == domain,
    };
    let tenants = config.tenant.iter();
    let mut paths: Vec<&str> = tenants
        .filter(|tenant| tenant.domains.iter().any(allows))
        .map(|tenant| {
            tenant
                .return_path_domain
                .as_ref()
                .unwrap_or(&config.return_path.domain)
                .as_str()
        })
        .collect();
    if paths.is_empty() {
        paths.push(&config.return_path.domain);
    }
    paths
        .into_iter()
        .map(|path| match path.is_empty() {
            true => (domain.to_owned(), false),
            false => (plain(path), true),
        })
        .collect()
}

/// The domains that take what comes back, the most important first.
fn inbound(config: &Config, mail_from: &BTreeMap<String, bool>) -> Vec<Inbound> {
    let returns = mail_from.iter().filter(|(_, ours)| **ours);
    let mut all: Vec<(String, Serves)> = returns
        .map(|(domain, _)| (domain.clone(), Serves::Returns))
        .collect();
    let unsubscribing = &config.unsubscribe.mailto_domain;
    if !unsubscribing.is_empty() {
        all.push((plain(unsubscribing), Serves::Unsubscribing));
    }
    if let Ok(feedback) = config.feedback.address.parse::<Address>() {
        all.push((feedback.ascii_domain().into_owned(), Serves::Feedback));
    }
    let reports = config.reports.addresses();
    let reports = reports.iter().map(|address| address.ascii_domain());
    all.extend(reports.map(|domain| (domain.into_owned(), Serves::Reports)));
    let mut seen = BTreeSet::new();
    all.retain(|(domain, _)| seen.insert(domain.clone()));
    let inbound = all.into_iter();
    inbound
        .map(|(domain, serves)| Inbound { domain, serves })
        .collect()
}

/// The MX of those, with the addresses that the configuration tells of it.
fn host(config: &Config, sources: &[SourceFact]) -> Host {
    let name = match config.zone.mx.as_str() {
        "" => plain(&config.hostname),
        mx => plain(mx),
    };
    let named = config.zone.mx_addresses.iter().copied();
    let listeners = config
        .listener
        .iter()
        .filter(|listener| listener.role == Role::Inbound);
    let listening = listeners.map(|listener| {
        let address = listener.address.ip();
        *config
            .zone
            .public_addresses
            .get(&address)
            .unwrap_or(&address)
    });
    let of_sources = sources.iter().filter(|source| source.ehlo == name);
    let of_sources = of_sources.map(|source| source.address);
    let first = [
        named.collect::<BTreeSet<IpAddr>>(),
        listening.filter(|address| is_public(*address)).collect(),
        of_sources.collect(),
    ];
    let mut first = first.into_iter().filter(|addresses| !addresses.is_empty());
    Host {
        name,
        addresses: first.next().unwrap_or_default().into_iter().collect(),
    }
}
