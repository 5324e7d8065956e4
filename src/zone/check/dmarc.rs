//! DMARC: a policy for the domain, its reports, and the logo that depends on it.

use super::{Checker, Finding, Topic, Weight};
use crate::auth::tags::{Tags, claims};
use crate::zone::ask::{Answer, Unknown};
use crate::zone::config::Stage;
use crate::zone::record::{Data, Record};
use crate::zone::template::Kind;

/// Questions of one walk (RFC 9989: at most eight).
const MOST_STEPS: usize = 8;

/// The first name on the way up that has a record.
struct Policy {
    name: String,
    /// All texts there that mean to be DMARC records.
    records: Vec<String>,
}

impl Checker<'_> {
    pub(super) async fn dmarc(&self) -> Vec<Finding> {
        let own = format!("_dmarc.{}", self.facts.domain);
        let mut findings = match self.walk().await {
            Ok(found) => self.policy(&own, found),
            Err(unknown) => vec![Finding::unknown(Topic::Dmarc, &own, unknown)],
        };
        findings.extend(self.consent().await);
        findings.extend(self.bimi().await);
        findings
    }

    /// The domain, then those above it; of long names those between are left out, as receivers do.
    async fn walk(&self) -> Result<Option<Policy>, Unknown> {
        let labels: Vec<&str> = self.facts.domain.split('.').collect();
        let starts = std::iter::once(0)
            .chain(labels.len().saturating_sub(MOST_STEPS - 1).max(1)..labels.len());
        for start in starts {
            let name = format!("_dmarc.{}", labels[start..].join("."));
            let answer = self.ask.texts(&name).await?;
            let records: Vec<String> = answer
                .data
                .into_iter()
                .filter(|text| claims(text, "DMARC1"))
                .collect();
            if !records.is_empty() {
                return Ok(Some(Policy { name, records }));
            }
        }
        Ok(None)
    }

    fn policy(&self, own: &str, found: Option<Policy>) -> Vec<Finding> {
        let (wanted, lacks) = (
            self.dmarc_line(own),
            "there is no DMARC record, here or above",
        );
        let Some(found) = found else {
            let nothing: Answer<String> = Answer {
                data: Vec::new(),
                exists: true,
            };
            let finding = Finding::new(Topic::Dmarc, Weight::Must, own, lacks);
            return vec![
                finding
                    .publish(wanted)
                    .found(nothing.lines(own, |_| Data::Txt(String::new()))),
            ];
        };
        let lines = found
            .records
            .iter()
            .map(|text| Record::txt(&found.name, text).to_string());
        let lines: Vec<String> = lines.collect();
        let wrong = |topic, weight, message: String| {
            let finding = Finding::new(topic, weight, own, message);
            finding.publish(wanted.clone()).found(lines.clone())
        };
        let [text] = found.records.as_slice() else {
            let message = "there are several DMARC records, which counts as none: leave one";
            return vec![wrong(Topic::Dmarc, Weight::Must, message.into())];
        };
        let tags = Tags::of_version(text, "DMARC1");
        let Some((tags, stage)) = tags.and_then(|tags| {
            let stage = tags.get("p").map_or(Some(Stage::None), Stage::named)?;
            Some((tags, stage))
        }) else {
            let message = "receivers cannot read the record, which counts as none";
            return vec![wrong(Topic::Dmarc, Weight::Must, message.into())];
        };
        let inherited = found.name != own;
        let stage = match tags.get("sp").filter(|_| inherited) {
            Some(sp) => Stage::named(sp).unwrap_or(stage),
            None => stage,
        };
        let mut findings = vec![match stage < self.facts.dmarc {
            true => wrong(
                Topic::Dmarc,
                Weight::Should,
                format!(
                    "the policy is {}, the configuration has gone on to {}",
                    stage.name(),
                    self.facts.dmarc.name()
                ),
            ),
            false => Finding::good(
                Topic::Dmarc,
                &found.name,
                format!("the policy is {}", stage.name()),
            ),
        }];
        findings.extend(self.reports(&tags, wrong));
        findings
    }

    /// The record of our stage.
    fn dmarc_line(&self, own: &str) -> Vec<Record> {
        let kinds = [Kind::DmarcNone, Kind::DmarcQuarantine, Kind::DmarcReject];
        kinds
            .into_iter()
            .flat_map(|kind| self.wanted(kind, own))
            .collect()
    }

    fn reports(
        &self,
        tags: &Tags<'_>,
        wrong: impl Fn(Topic, Weight, String) -> Finding,
    ) -> Option<Finding> {
        let rua = tags.get("rua").unwrap_or_default();
        let Some(ours) = &self.facts.dmarc_reports else {
            let nobody = rua.is_empty().then(|| {
                let finding = wrong(
                    Topic::DmarcReports,
                    Weight::Should,
                    "nobody is sent reports (no rua)".into(),
                );
                finding
                    .publish(Vec::new())
                    .remedy("write [zone] dmarc_reports")
            });
            return nobody;
        };
        (!names(rua, &ours.to_string())).then(|| {
            wrong(
                Topic::DmarcReports,
                Weight::Should,
                format!("reports do not go to {ours} (rua)"),
            )
        })
    }

    /// The consent of the domain that reports go to.
    async fn consent(&self) -> Option<Finding> {
        let records = self.plan.records();
        let mut consents = records.filter(|(kind, _)| *kind == Kind::DmarcReports);
        let record = consents.next().map(|(_, record)| record)?;
        let name = &record.name;
        let answer = match self.ask.texts(name).await {
            Ok(answer) => answer,
            Err(unknown) => return Some(Finding::unknown(Topic::DmarcReports, name, unknown)),
        };
        if answer.data.iter().any(|text| claims(text, "DMARC1")) {
            let message = "the domain that reports go to takes them";
            return Some(Finding::good(Topic::DmarcReports, name, message));
        }
        let message = "the domain that reports go to does not say that it takes them";
        let finding = Finding::new(Topic::DmarcReports, Weight::Should, name, message);
        Some(
            finding
                .publish(vec![record.clone()])
                .found(answer.lines(name, |text| Data::Txt(text.clone()))),
        )
    }

    async fn bimi(&self) -> Option<Finding> {
        let name = format!("default._bimi.{}", self.facts.domain);
        let wanted = self.wanted(Kind::Bimi, &name);
        let expected = wanted.first()?.text()?.to_owned();
        let answer = match self.ask.texts(&name).await {
            Ok(answer) => answer,
            Err(unknown) => return Some(Finding::unknown(Topic::Bimi, &name, unknown)),
        };
        let logo = |text: &str| Some(Tags::of_version(text, "BIMI1")?.get("l")?.to_owned());
        if answer
            .data
            .iter()
            .any(|text| logo(text).is_some() && logo(text) == logo(&expected))
        {
            return Some(Finding::good(Topic::Bimi, &name, "the logo is ours"));
        }
        let message = match answer.data.is_empty() {
            true => "there is no BIMI record",
            false => "this is not the logo of the configuration",
        };
        let finding = Finding::new(Topic::Bimi, Weight::Should, &name, message);
        let found = answer.lines(&name, |text| Data::Txt(text.clone()));
        Some(finding.publish(wanted).found(found))
    }
}

/// Whether a list of report addresses has this one. A size limit may follow after `!`.
pub(super) fn names(rua: &str, address: &str) -> bool {
    rua.split(',').any(|one| {
        let one = one.trim().split('!').next().unwrap_or_default();
        let to = one.strip_prefix("mailto:").unwrap_or_default();
        to.eq_ignore_ascii_case(address)
    })
}
