//! SPF: one record at each return path that every source passes.

use super::{Checker, Finding, Topic, Weight};
use crate::zone::ask::Answer;
use crate::zone::plan::LONG_SPF;
use crate::zone::record::Data;
use crate::zone::spf::{self, MOST_LOOKUPS, MOST_VOIDS, Spf, Verdict};
use crate::zone::template::Kind;
use std::net::IpAddr;

impl Checker<'_> {
    pub(super) async fn spf(&self) -> Vec<Finding> {
        let facts = self.facts;
        if facts.sources.is_empty() {
            let message =
                "cannot be judged: the configuration does not say which addresses mail leaves from";
            let finding = Finding::new(Topic::Spf, Weight::Should, &facts.domain, message);
            return vec![finding.remedy("write a [[source]] for each address")];
        }
        let mut findings = Vec::new();
        let all: Vec<IpAddr> = facts.sources.iter().map(|source| source.address).collect();
        for domain in &facts.mail_from {
            findings.extend(self.spf_of(domain, &all, Weight::Must, Kind::Spf).await);
        }
        if !facts.mail_from.contains(&facts.domain) {
            // Not a return path of ours: only replies and the reports of others look there.
            findings.extend(
                self.spf_of(&facts.domain, &all, Weight::Should, Kind::Spf)
                    .await,
            );
        }
        let mut names: Vec<&str> = facts.sources.iter().map(|source| &*source.ehlo).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let here = facts.sources.iter().filter(|source| source.ehlo == name);
            let here: Vec<IpAddr> = here.map(|source| source.address).collect();
            findings.extend(self.spf_of(name, &here, Weight::Should, Kind::Source).await);
        }
        findings
    }

    async fn spf_of(
        &self,
        domain: &str,
        sources: &[IpAddr],
        weight: Weight,
        kind: Kind,
    ) -> Vec<Finding> {
        let answer = match self.ask.texts(domain).await {
            Ok(answer) => answer,
            Err(unknown) => return vec![Finding::unknown(Topic::Spf, domain, unknown)],
        };
        let records = spf::among(&answer.data);
        let found = Answer {
            data: records.iter().map(|text| (*text).clone()).collect(),
            exists: answer.exists,
        };
        let about = About {
            domain,
            found: found.lines(domain, |text: &String| Data::Txt(text.clone())),
        };
        let publish = || {
            let mut wanted = self.wanted(kind, domain);
            wanted.retain(|record| record.text().is_some());
            wanted
        };
        let (text, read) = match records.as_slice() {
            [] => {
                let finding = about.finding(weight, "there is no SPF record");
                return vec![finding.publish(publish())];
            }
            [one] => (*one, spf::read(&self.ask, domain, one).await),
            _ => {
                let message = "there are several SPF records, which counts as none: leave this one";
                return vec![about.finding(weight, message).publish(publish())];
            }
        };
        let spf = match read {
            Ok(spf) => spf,
            Err(unknown) => return vec![Finding::unknown(Topic::Spf, domain, unknown)],
        };
        let mut findings = about.judge(text, &spf, sources, weight);
        for finding in &mut findings {
            if finding.weight != Weight::Good {
                finding.publish = publish();
            }
        }
        findings
    }
}

struct About<'a> {
    domain: &'a str,
    found: Vec<String>,
}

impl About<'_> {
    fn finding(&self, weight: Weight, message: impl Into<String>) -> Finding {
        Finding::new(Topic::Spf, weight, self.domain, message).found(self.found.clone())
    }

    /// Everything that is wrong with one record.
    fn judge(&self, text: &str, spf: &Spf, sources: &[IpAddr], weight: Weight) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut tell = |weight, message: String| findings.push(self.finding(weight, message));
        if !spf.mistakes.is_empty() {
            tell(
                weight,
                format!("receivers call it broken: {}", spf.mistakes.join("; ")),
            );
        }
        if spf.lookups > MOST_LOOKUPS {
            let lookups = spf.lookups;
            tell(
                weight,
                format!(
                    "it takes {lookups} lookups and receivers stop at {MOST_LOOKUPS}: flatten it"
                ),
            );
        }
        if spf.voids > MOST_VOIDS {
            let voids = spf.voids;
            tell(
                weight,
                format!("{voids} of its names do not exist; receivers stop at {MOST_VOIDS}"),
            );
        }
        let answers = |wanted: fn(Verdict) -> bool| list(sources, spf, wanted);
        if let Some(missing) = answers(|v| !matches!(v, Verdict::Pass | Verdict::Unclear)) {
            tell(weight, format!("it does not pass {missing}"));
        }
        if let Some(unclear) = answers(|v| v == Verdict::Unclear) {
            let message = format!("whether it passes {unclear} depends on the message");
            tell(Weight::Should, message);
        }
        match spf.end() {
            Some(Verdict::Pass) => tell(Weight::Must, "it passes the whole world (+all)".into()),
            None | Some(Verdict::Neutral | Verdict::Unclear) => {
                tell(
                    Weight::Should,
                    "it ends without -all, so that anybody may send".into(),
                );
            }
            Some(Verdict::Fail | Verdict::SoftFail) => {}
        }
        if text.len() > LONG_SPF {
            let octets = text.len();
            tell(
                Weight::Should,
                format!(
                    "it has {octets} octets; over {LONG_SPF} an answer may not fit into plain UDP (512)"
                ),
            );
        }
        if findings.is_empty() {
            let message = format!("every source passes, with {} lookups", spf.lookups);
            findings.push(Finding::good(Topic::Spf, self.domain, message));
        }
        findings
    }
}

/// The sources with such an answer, for a sentence.
fn list(sources: &[IpAddr], spf: &Spf, wanted: fn(Verdict) -> bool) -> Option<String> {
    let with = sources
        .iter()
        .filter(|source| wanted(spf.verdict(**source)));
    let texts: Vec<String> = with.map(IpAddr::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}
