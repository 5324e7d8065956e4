//! A report as one line of JSON, as `reports parse` prints it.

use super::dmarc::{Aggregate, Published, Tally};
use super::figures::{Figure, Figures};
use super::tls::{Policy, TlsReport};
use super::{Report, Unreadable};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a file says; `kind` tells which.
#[derive(Debug, Serialize)]
pub struct Line {
    pub file: String,
    #[serde(flatten)]
    pub said: Said,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Said {
    Dmarc(Box<Dmarc>),
    TlsRpt(Tls),
    /// Google Postmaster Tools.
    Postmaster(Daily),
    /// Microsoft SNDS.
    Snds(Daily),
    /// It is no report, or a broken one.
    Unknown {
        error: String,
    },
}

impl Said {
    /// It is no report, or a broken one.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }
}

/// Field names as RFC 7489 has them.
#[derive(Debug, Serialize)]
pub struct Dmarc {
    org_name: Option<String>,
    email: Option<String>,
    report_id: Option<String>,
    /// Seconds since the epoch.
    begin: u64,
    end: u64,
    domain: String,
    p: Option<String>,
    policy: Published,
    records: usize,
    messages: u64,
    dmarc_pass: u64,
    dmarc_fail: u64,
    dkim: Outcome,
    spf: Outcome,
    disposition: Dispositions,
    sources: Vec<Source>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<String>,
}

/// Messages with and without an aligned pass.
#[derive(Debug, Clone, Copy, Serialize)]
struct Outcome {
    pass: u64,
    fail: u64,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Dispositions {
    none: u64,
    quarantine: u64,
    reject: u64,
    unknown: u64,
}

#[derive(Debug, Serialize)]
struct Source {
    /// `null` where the report has no address there.
    source_ip: Option<std::net::IpAddr>,
    messages: u64,
    dmarc_pass: u64,
    dkim: Outcome,
    spf: Outcome,
    disposition: Dispositions,
}

/// Field names as RFC 8460 has them, shortened.
#[derive(Debug, Serialize)]
pub struct Tls {
    organization: Option<String>,
    contact: Option<String>,
    report_id: Option<String>,
    begin: u64,
    end: u64,
    /// That of the first policy that has one.
    domain: Option<String>,
    policies: usize,
    success: u64,
    failure: u64,
    failure_types: BTreeMap<String, u64>,
    by_policy: Vec<Policy>,
}

#[derive(Debug, Serialize)]
pub struct Daily {
    figures: Vec<Figure>,
}

impl Line {
    pub fn of(file: String, read: Result<Report, Unreadable>) -> Self {
        let said = match read {
            Ok(Report::Dmarc(report)) => Said::Dmarc(Box::new((*report).into())),
            Ok(Report::Tls(report)) => Said::TlsRpt(report.into()),
            Ok(Report::Figures(Figures { provider, figures })) => {
                let daily = Daily { figures };
                match provider {
                    super::figures::Provider::Postmaster => Said::Postmaster(daily),
                    super::figures::Provider::Snds => Said::Snds(daily),
                }
            }
            Err(error) => Said::Unknown {
                error: error.to_string(),
            },
        };
        Self { file, said }
    }
}

impl From<Aggregate> for Dmarc {
    fn from(report: Aggregate) -> Self {
        let total = report.total();
        let sources = report.sources().into_iter();
        Self {
            begin: report.period.begin,
            end: report.period.end,
            records: report.records.len(),
            messages: total.messages,
            dmarc_pass: total.pass,
            dmarc_fail: total.failed(),
            dkim: outcome(total.dkim, &total),
            spf: outcome(total.spf, &total),
            disposition: dispositions(&total),
            sources: sources.map(|(ip, tally)| source(ip, &tally)).collect(),
            org_name: report.organization,
            email: report.email,
            report_id: report.id,
            domain: report.domain,
            p: report.policy.p.clone(),
            policy: report.policy,
            errors: report.errors,
        }
    }
}

fn source(ip: super::dmarc::Source, tally: &Tally) -> Source {
    Source {
        source_ip: ip,
        messages: tally.messages,
        dmarc_pass: tally.pass,
        dkim: outcome(tally.dkim, tally),
        spf: outcome(tally.spf, tally),
        disposition: dispositions(tally),
    }
}

fn outcome(pass: u64, tally: &Tally) -> Outcome {
    let fail = tally.messages.saturating_sub(pass);
    Outcome { pass, fail }
}

fn dispositions(tally: &Tally) -> Dispositions {
    Dispositions {
        none: tally.none,
        quarantine: tally.quarantine,
        reject: tally.reject,
        unknown: tally.unknown,
    }
}

impl From<TlsReport> for Tls {
    fn from(report: TlsReport) -> Self {
        let types = report.failure_types().into_iter();
        Self {
            begin: report.period.begin,
            end: report.period.end,
            domain: report
                .policies
                .iter()
                .find_map(|policy| policy.domain.clone()),
            policies: report.policies.len(),
            success: report.success(),
            failure: report.failure(),
            failure_types: types
                .map(|(kind, count)| (kind.to_owned(), count))
                .collect(),
            organization: report.organization,
            contact: report.contact,
            report_id: report.id,
            by_policy: report.policies,
        }
    }
}
