//! What comes back: MX, the host, TLS reports and MTA-STS.

use super::dmarc::names;
use super::{Checker, Finding, Topic, Weight};
use crate::auth::tags::{Tags, claims};
use crate::dns::DnsFailure;
use crate::sts::{FetchError, Mode, Policy};
use crate::tls::https::HttpsError;
use crate::zone::ask::Unknown;
use crate::zone::config::MtaSts;
use crate::zone::facts::{Inbound, Serves};
use crate::zone::record::{Data, Record};
use crate::zone::template::Kind;
use std::time::Duration;

impl Checker<'_> {
    pub(super) async fn mail(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for inbound in &self.facts.inbound {
            findings.push(self.exchange(inbound).await);
            findings.extend(self.mta_sts(&inbound.domain).await);
        }
        if !self.facts.inbound.is_empty() {
            findings.push(self.host().await);
        }
        let reporting = self
            .plan
            .records()
            .filter(|(kind, _)| *kind == Kind::TlsRpt);
        for (_, record) in reporting {
            findings.push(self.tls_reports(record).await);
        }
        findings
    }

    async fn exchange(&self, Inbound { domain, serves }: &Inbound) -> Finding {
        let answer = match self.ask.exchanges(domain).await {
            Ok(answer) => answer,
            Err(unknown) => return Finding::unknown(Topic::Mx, domain, unknown),
        };
        let host = &self.facts.host.name;
        if answer.data.iter().any(|(_, exchange)| exchange == host) {
            let message = format!("{} for this domain come to {host}", serves.what());
            return Finding::good(Topic::Mx, domain, message);
        }
        let what = serves.what();
        let message = match answer.data.is_empty() {
            true => format!("there is no MX: {what} cannot come back"),
            false => format!("the MX is not {host}: {what} do not come to us"),
        };
        let weight = match serves {
            Serves::Reports => Weight::Should,
            _ => Weight::Must,
        };
        Finding::new(Topic::Mx, weight, domain, message)
            .publish(self.wanted(Kind::Returns, domain))
            .found(answer.lines(domain, |(preference, host)| {
                Data::Mx(*preference, host.clone())
            }))
    }

    async fn host(&self) -> Finding {
        let host = &self.facts.host;
        let name = &host.name;
        let answer = match self.ask.addresses(name).await {
            Ok(answer) => answer,
            Err(unknown) => return Finding::unknown(Topic::Host, name, unknown),
        };
        let missing: Vec<_> = host
            .addresses
            .iter()
            .filter(|a| !answer.data.contains(a))
            .collect();
        if missing.is_empty() && !answer.data.is_empty() {
            return Finding::good(
                Topic::Host,
                name,
                "the host of what comes back has its address",
            );
        }
        let publish = missing.iter().flat_map(|address| {
            let mut wanted = self.wanted(Kind::Host, name);
            wanted.retain(|record| record.data == Record::address("", **address).data);
            wanted
        });
        let finding = match answer.data.is_empty() {
            true => Finding::new(
                Topic::Host,
                Weight::Must,
                name,
                "the MX of what comes back has no address",
            ),
            false => {
                let message = "the MX of what comes back does not lead to each address of ours";
                // Where one of ours is there, mail finds it.
                let some = host.addresses.iter().any(|a| answer.data.contains(a));
                let weight = if some { Weight::Should } else { Weight::Must };
                Finding::new(Topic::Host, weight, name, message)
            }
        };
        let finding = finding.publish(publish.collect());
        let finding = match finding.publish.is_empty() {
            true => finding.remedy("publish its address, and write it in [zone] mx_addresses"),
            false => finding,
        };
        finding.found(answer.lines(name, |address| Record::address("", *address).data))
    }

    async fn tls_reports(&self, wanted: &Record) -> Finding {
        let name = &wanted.name;
        let answer = match self.ask.texts(name).await {
            Ok(answer) => answer,
            Err(unknown) => return Finding::unknown(Topic::TlsRpt, name, unknown),
        };
        let records: Vec<&String> = answer
            .data
            .iter()
            .filter(|t| claims(t, "TLSRPTv1"))
            .collect();
        let rua = |text: &str| Some(Tags::of_version(text, "TLSRPTv1")?.get("rua")?.to_owned());
        let ours = self
            .facts
            .tls_reports
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let message = match records.as_slice() {
            [] => "there is no record for TLS reports",
            [one] => match rua(one) {
                Some(rua) if names(&rua, &ours) => {
                    return Finding::good(Topic::TlsRpt, name, format!("TLS reports go to {ours}"));
                }
                _ => "TLS reports do not go to the address of the configuration",
            },
            _ => "there are several records, which counts as none: leave one",
        };
        Finding::new(Topic::TlsRpt, Weight::Should, name, message)
            .publish(vec![wanted.clone()])
            .found(answer.lines(name, |text| Data::Txt(text.clone())))
    }

    async fn mta_sts(&self, domain: &str) -> Vec<Finding> {
        if self.facts.mta_sts == MtaSts::Off {
            return Vec::new();
        }
        let name = format!("_mta-sts.{domain}");
        let answer = match self.ask.texts(&name).await {
            Ok(answer) => answer,
            Err(unknown) => return vec![Finding::unknown(Topic::MtaSts, &name, unknown)],
        };
        let records: Vec<&String> = answer.data.iter().filter(|t| claims(t, "STSv1")).collect();
        let wrong = |message: &str| {
            Finding::new(Topic::MtaSts, Weight::Should, &name, message)
                .publish(self.wanted(Kind::MtaSts, &name))
                .found(answer.lines(&name, |text| Data::Txt(text.clone())))
        };
        let id = |text: &str| Some(Tags::of_version(text, "STSv1")?.get("id")?.to_owned());
        let record = match records.as_slice() {
            [] => wrong("there is no MTA-STS record"),
            [one] => match (id(one), self.wanted(Kind::MtaSts, &name).first()) {
                (None, _) => wrong("receivers cannot read the record, which counts as none"),
                (found, Some(wanted)) if found != wanted.text().and_then(id) => wrong(
                    "the id is not that of our policy: senders keep an older one until its max_age",
                ),
                _ => Finding::good(Topic::MtaSts, &name, "the id is that of our policy"),
            },
            _ => wrong("there are several MTA-STS records, which counts as none: leave one"),
        };
        let mut findings = vec![record];
        findings.extend(self.policy_file(domain).await);
        findings
    }

    /// The policy as it is served.
    async fn policy_file(&self, domain: &str) -> Option<Finding> {
        let (fetcher, ours) = (self.fetcher.as_ref()?, self.plan.policy(domain)?);
        let host = format!("mta-sts.{domain}");
        let wrong = |weight, message: String| {
            let serve = ours.text.lines().collect::<Vec<_>>().join(" | ");
            let finding = Finding::new(Topic::MtaSts, weight, &host, message);
            finding.remedy(format!("serve at {}: {serve}", ours.url))
        };
        let fetched = tokio::time::timeout(PATIENCE, fetcher.fetch(domain)).await;
        let served = match fetched {
            Ok(Ok(served)) => served,
            Ok(Err(FetchError::Https(HttpsError::Dns(DnsFailure::Temporary(why))))) => {
                return Some(Finding::unknown(Topic::MtaSts, &host, Unknown(why.into())));
            }
            Ok(Err(FetchError::Https(HttpsError::Dns(_)))) => {
                let message = "there is no address to fetch the policy from".to_owned();
                let finding = wrong(Weight::Should, message);
                return Some(finding.publish(self.wanted(Kind::MtaSts, &host)));
            }
            Ok(Err(error)) => {
                let message = format!("the policy cannot be fetched: {error}");
                return Some(wrong(Weight::Should, message));
            }
            Err(_) => {
                let message = format!("{host} takes longer than {PATIENCE:?} for the policy");
                return Some(wrong(Weight::Should, message));
            }
        };
        let mx = &self.facts.host.name;
        Some(
            if Policy::parse(ours.text.as_bytes()).is_ok_and(|ours| ours == served) {
                Finding::good(Topic::MtaSts, &host, "the policy that is served is ours")
            } else if served.mode == Mode::Enforce && !served.mx.allow(mx) {
                let message = format!(
                    "the policy in force does not allow {mx}: senders keep back what comes back"
                );
                wrong(Weight::Must, message)
            } else {
                wrong(Weight::Should, "another policy than ours is served".into())
            },
        )
    }
}

/// A person waits.
const PATIENCE: Duration = Duration::from_secs(10);
