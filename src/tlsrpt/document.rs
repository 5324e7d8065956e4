//! The report as JSON (RFC 8460 §4.4), and packed.

use super::config::Config;
use super::tally::{Counts, Failure, OfPolicy};
use crate::reports::period::Day;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};
use std::io::Write;

/// A report about one domain on one day.
pub struct Document<'a> {
    pub config: &'a Config,
    /// Our domain, which reports.
    pub submitter: &'a str,
    pub domain: &'a str,
    pub day: Day,
    pub counts: &'a Counts,
}

impl Document<'_> {
    /// The same for the same day and domain, so that a report that comes twice is counted once.
    pub fn id(&self) -> String {
        format!("{}.{}@{}", self.day, self.domain, self.submitter)
    }

    /// RFC 8460 §5.1: `submitter!domain!begin!end.json.gz`.
    pub fn file_name(&self) -> String {
        let Self {
            submitter, domain, ..
        } = self;
        let (begin, end) = (self.day.start(), last_second(self.day));
        format!("{submitter}!{domain}!{begin}!{end}.json.gz")
    }

    pub fn json(&self) -> Value {
        let policies = self.counts.0.iter().map(|of| policy(of, self.domain));
        json!({
            "organization-name": self.config.organization,
            "date-range": {
                "start-datetime": format!("{}T00:00:00Z", self.day),
                "end-datetime": format!("{}T23:59:59Z", self.day),
            },
            "contact-info": self.config.contact(),
            "report-id": self.id(),
            "policies": policies.collect::<Vec<_>>(),
        })
    }

    /// As it is sent.
    ///
    /// # Errors
    /// It cannot be packed: there is no memory.
    pub fn packed(&self) -> std::io::Result<Vec<u8>> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(self.json().to_string().as_bytes())?;
        packer.finish()
    }
}

fn last_second(day: Day) -> u64 {
    Day(day.0.saturating_add(1)).start().saturating_sub(1)
}

fn policy(of: &OfPolicy, domain: &str) -> Value {
    let mut policy = Map::new();
    let kind = match of.policy.is_sts {
        true => "sts",
        false => "no-policy-found",
    };
    policy.insert("policy-type".into(), kind.into());
    policy.insert("policy-domain".into(), domain.into());
    for (key, texts) in [
        ("policy-string", &of.policy.lines),
        ("mx-host", &of.policy.hosts),
    ] {
        if !texts.is_empty() {
            policy.insert(key.into(), texts.as_slice().into());
        }
    }
    let mut out = json!({
        "policy": policy,
        "summary": {
            "total-successful-session-count": of.success,
            "total-failure-session-count": of.failed(),
        },
    });
    if !of.failures.is_empty() {
        let details: Vec<Value> = of.failures.iter().map(detail).collect();
        out["failure-details"] = details.into();
    }
    out
}

fn detail(failure: &Failure) -> Value {
    let mut detail = Map::new();
    let mut say = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            detail.insert(key.to_owned(), value.into());
        }
    };
    say("sending-mta-ip", failure.source.map(|ip| ip.to_string()));
    say(
        "receiving-mx-hostname",
        failure.host.as_deref().map(str::to_owned),
    );
    say("receiving-ip", failure.address.map(|ip| ip.to_string()));
    say(
        "failure-reason-code",
        failure.why.as_deref().map(str::to_owned),
    );
    detail.insert("result-type".into(), json!(failure.result));
    detail.insert("failed-session-count".into(), failure.count.into());
    detail.into()
}
