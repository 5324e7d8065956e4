//! What should be published: the templates, filled with the facts.

use super::config::{MtaSts, Stage};
use super::facts::Facts;
use super::record::{Data, Record, reverse};
use super::template::{Kind, TemplateError, Templates, Values};
use aws_lc_rs::digest::{SHA256, digest};
use std::net::IpAddr;

/// The records of one domain, in the order in which their lack does harm.
#[derive(Debug, Clone)]
pub struct Plan {
    pub domain: String,
    pub sections: Vec<Section>,
    pub policies: Vec<Policy>,
    /// What cannot be written, or needs a look before it is published.
    pub notes: Vec<String>,
}

/// What one template made.
#[derive(Debug, Clone)]
pub struct Section {
    pub kind: Kind,
    pub comment: Vec<String>,
    pub records: Vec<Record>,
}

/// A policy file of MTA-STS.
#[derive(Debug, Clone)]
pub struct Policy {
    pub domain: String,
    /// Where it has to be found.
    pub url: String,
    pub text: String,
}

/// A TXT record over this many octets leaves little room in an answer of 512 octets, the most that plain UDP carries.
pub const LONG_SPF: usize = 450;

struct Draft<'a> {
    facts: &'a Facts,
    templates: &'a Templates,
    ttl: String,
    plan: Plan,
}

impl Plan {
    /// # Errors
    /// A template makes no record of the facts.
    pub fn new(facts: &Facts, templates: &Templates) -> Result<Self, TemplateError> {
        let mut draft = Draft {
            facts,
            templates,
            ttl: facts.ttl.to_string(),
            plan: Self {
                domain: facts.domain.clone(),
                sections: Vec::new(),
                policies: Vec::new(),
                notes: facts.gaps.clone(),
            },
        };
        draft.dkim()?;
        draft.spf()?;
        draft.sources()?;
        draft.dmarc()?;
        draft.host()?;
        draft.inbound()?;
        draft.bimi()?;
        Ok(draft.plan)
    }

    pub fn records(&self) -> impl Iterator<Item = (Kind, &Record)> {
        let of = |section: &'_ Section| section.kind;
        let sections = self.sections.iter();
        sections.flat_map(move |section| section.records.iter().map(move |r| (of(section), r)))
    }

    /// The records of `kind` at `name`.
    pub fn at(&self, kind: Kind, name: &str) -> Vec<Record> {
        let records = self.records();
        let wanted = records.filter(|(of, record)| *of == kind && record.name == name);
        wanted.map(|(_, record)| record.clone()).collect()
    }

    /// The policy file of a domain.
    pub fn policy(&self, domain: &str) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.domain == domain)
    }
}

impl Draft<'_> {
    fn add(&mut self, kind: Kind, values: Values<'_>) -> Result<(), TemplateError> {
        let ttl = ("ttl", self.ttl.as_str());
        let values: Vec<(&str, &str)> = values.iter().copied().chain([ttl]).collect();
        let records = self.templates.records(kind, &values)?;
        let sections = &mut self.plan.sections;
        let at = sections.iter().position(|section| section.kind == kind);
        let at = at.unwrap_or_else(|| {
            sections.push(Section {
                kind,
                comment: self.templates.comment(kind).to_vec(),
                records: Vec::new(),
            });
            sections.len() - 1
        });
        for record in records {
            // Two sources may have one EHLO name, two domains one host.
            if !sections[at].records.contains(&record) {
                sections[at].records.push(record);
            }
        }
        Ok(())
    }

    fn dkim(&mut self) -> Result<(), TemplateError> {
        let facts = self.facts;
        if !facts.keys.iter().any(|key| key.signs) {
            let domain = &facts.domain;
            self.plan.notes.push(format!(
                "no key signs for {domain}: make one with \"mailwright dkim keygen --domain {domain} --selector s1\" \
                 and name it in [[dkim]]"
            ));
        }
        for key in &facts.keys {
            let text = key.public.text();
            let values = [
                ("domain", key.domain.as_str()),
                ("selector", &key.selector),
                ("key", &text),
            ];
            self.add(Kind::Dkim, &values)?;
        }
        Ok(())
    }

    /// The return paths, and the From domain: some receivers look there too, and replies may be sent from it.
    fn spf(&mut self) -> Result<(), TemplateError> {
        let facts = self.facts;
        if facts.sources.is_empty() {
            self.plan.notes.push(
                "SPF and reverse DNS cannot be written: no [[source]] says which address mail leaves from".to_owned(),
            );
            return Ok(());
        }
        let mut domains: Vec<&str> = facts.mail_from.iter().map(String::as_str).collect();
        if !domains.contains(&facts.domain.as_str()) {
            domains.push(&facts.domain);
        }
        for domain in domains {
            let mechanisms = spf_mechanisms(facts, domain).join(" ");
            let values = [("domain", domain), ("mechanisms", &mechanisms)];
            self.add(Kind::Spf, &values)?;
            self.note_long_spf(domain);
        }
        Ok(())
    }

    fn note_long_spf(&mut self, domain: &str) {
        for record in self.plan.at(Kind::Spf, domain) {
            let octets = record.data.value().len();
            if octets > LONG_SPF {
                let worse = match octets > 512 {
                    true => "which plain UDP cannot carry at all",
                    false => "which leaves little room in an answer over plain UDP (512)",
                };
                self.plan.notes.push(format!(
                    "SPF of {domain} has {octets} octets, {worse}: use fewer sources for it, or address ranges of \
                     your own by a template"
                ));
            }
        }
    }

    fn sources(&mut self) -> Result<(), TemplateError> {
        let facts = self.facts;
        for source in &facts.sources {
            let address = source.address.to_string();
            let mechanisms: Vec<String> = {
                let same = facts
                    .sources
                    .iter()
                    .filter(|other| other.ehlo == source.ehlo);
                same.map(|other| other.mechanism()).collect()
            };
            let mechanism = mechanisms.join(" ");
            let values = [
                ("ehlo", source.ehlo.as_str()),
                ("address", &address),
                ("type", kind_of(source.address)),
                ("mechanism", &mechanism),
            ];
            self.add(Kind::Source, &values)?;
        }
        for source in &facts.sources {
            let name = reverse(source.address);
            let values = [("reverse", name.as_str()), ("ehlo", &source.ehlo)];
            self.add(Kind::Ptr, &values)?;
        }
        Ok(())
    }

    fn dmarc(&mut self) -> Result<(), TemplateError> {
        let facts = self.facts;
        let kind = match facts.dmarc {
            Stage::None => Kind::DmarcNone,
            Stage::Quarantine => Kind::DmarcQuarantine,
            Stage::Reject => Kind::DmarcReject,
        };
        let rua = facts.dmarc_reports.as_ref();
        let tag = rua.map(|rua| format!("; rua=mailto:{rua}"));
        let tag = tag.unwrap_or_default();
        self.add(kind, &[("domain", facts.domain.as_str()), ("rua", &tag)])?;
        let Some(rua) = rua else {
            self.plan.notes.push(
                "nobody is sent DMARC reports: write [zone] dmarc_reports, or nobody tells when to go on to the \
                 next stage"
                    .to_owned(),
            );
            return Ok(());
        };
        let reports = rua.ascii_domain();
        if is_external(&facts.domain, &reports) {
            let values = [("domain", facts.domain.as_str()), ("reports", &*reports)];
            self.add(Kind::DmarcReports, &values)?;
        }
        Ok(())
    }

    fn host(&mut self) -> Result<(), TemplateError> {
        let facts = self.facts;
        if facts.inbound.is_empty() {
            self.plan.notes.push(
                "nothing comes back: without [return_path] domain and a listener with role = \"inbound\" bounces \
                 go to the platforms"
                    .to_owned(),
            );
            return Ok(());
        }
        let host = &facts.host;
        if host.addresses.is_empty() {
            let name = &host.name;
            self.plan.notes.push(format!(
                "the address of {name}, the MX of what comes back, is not known: write [zone] mx_addresses"
            ));
        }
        for address in &host.addresses {
            let text = address.to_string();
            let values = [
                ("host", host.name.as_str()),
                ("address", &text),
                ("type", kind_of(*address)),
            ];
            self.add(Kind::Host, &values)?;
        }
        Ok(())
    }

    fn inbound(&mut self) -> Result<(), TemplateError> {
        let facts = self.facts;
        let host = facts.host.name.as_str();
        let domains = || facts.inbound.iter().map(|inbound| inbound.domain.as_str());
        for domain in domains() {
            self.add(Kind::Returns, &[("domain", domain), ("host", host)])?;
        }
        if let Some(rua) = &facts.tls_reports {
            let rua = rua.to_string();
            let own = Some(facts.domain.as_str()).filter(|own| domains().all(|d| d != *own));
            for domain in domains().chain(own) {
                self.add(Kind::TlsRpt, &[("domain", domain), ("rua", &rua)])?;
            }
        }
        if facts.mta_sts == MtaSts::Off {
            return Ok(());
        }
        for domain in domains() {
            self.mta_sts(domain)?;
        }
        if domains().all(|domain| domain != facts.domain) {
            let domain = &facts.domain;
            self.plan.notes.push(format!(
                "MTA-STS of {domain} itself is for whoever takes its mail: its MX is not ours"
            ));
        }
        Ok(())
    }

    fn mta_sts(&mut self, domain: &str) -> Result<(), TemplateError> {
        let (host, mode) = (self.facts.host.name.as_str(), self.facts.mta_sts.name());
        let values = [("domain", domain), ("host", host), ("mode", mode)];
        let text = self.templates.text(Kind::Policy, &values);
        let id = policy_id(&text);
        let values: Vec<(&str, &str)> = values.into_iter().chain([("id", id.as_str())]).collect();
        self.add(Kind::MtaSts, &values)?;
        self.plan.policies.push(Policy {
            domain: domain.to_owned(),
            url: format!("https://mta-sts.{domain}/.well-known/mta-sts.txt"),
            text,
        });
        Ok(())
    }

    fn bimi(&mut self) -> Result<(), TemplateError> {
        let facts = self.facts;
        let Some(bimi) = &facts.bimi else {
            return Ok(());
        };
        if facts.dmarc == Stage::None {
            let domain = &facts.domain;
            self.plan.notes.push(format!(
                "BIMI of {domain} waits for DMARC: logos are shown from \"quarantine\" on"
            ));
            return Ok(());
        }
        let values = [
            ("domain", facts.domain.as_str()),
            ("logo", &bimi.logo),
            ("certificate", &bimi.certificate),
        ];
        self.add(Kind::Bimi, &values)
    }
}

/// The mechanisms for a domain's mail: our sources, and for the From domain the other services.
fn spf_mechanisms(facts: &Facts, domain: &str) -> Vec<String> {
    let mut mechanisms: Vec<String> = Vec::new();
    let ours = facts.sources.iter().map(|source| source.mechanism());
    let others = facts.spf_others.iter().filter(|_| domain == facts.domain);
    for mechanism in ours.chain(others.cloned()) {
        if !mechanisms.contains(&mechanism) {
            mechanisms.push(mechanism);
        }
    }
    mechanisms
}

/// Whether reports to `reports` need its domain's consent (RFC 9990): where neither is above the other. Two domains
/// below one organisation would need none, and a needless record does no harm.
pub fn is_external(domain: &str, reports: &str) -> bool {
    let below =
        |a: &str, b: &str| a == b || a.strip_suffix(b).is_some_and(|rest| rest.ends_with('.'));
    !below(domain, reports) && !below(reports, domain)
}

/// RFC 8461 §3.1: up to 32 letters and digits that change when the policy does.
pub fn policy_id(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    let octets = hash.as_ref().iter().take(8);
    octets.map(|octet| format!("{octet:02x}")).collect()
}

fn kind_of(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "A",
        IpAddr::V6(_) => "AAAA",
    }
}

impl Record {
    /// The text of a TXT record.
    pub fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Txt(text) => Some(text),
            _ => None,
        }
    }
}
