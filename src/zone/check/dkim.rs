//! DKIM: each key is published, and it is ours.

use super::{Checker, Finding, Topic, Weight};
use crate::auth::dkim::Published;
use crate::zone::facts::KeyFact;
use crate::zone::record::Data;
use crate::zone::template::Kind;

impl Checker<'_> {
    pub(super) async fn dkim(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if !self.facts.keys.iter().any(|key| key.signs) {
            let domain = &self.facts.domain;
            let message = "mail of this domain is not signed: no key is configured";
            let finding = Finding::new(Topic::Dkim, Weight::Must, domain, message);
            findings.push(finding.remedy(format!(
                "mailwright dkim keygen --domain {domain} --selector s1, then name the key in [[dkim]]"
            )));
        }
        for key in &self.facts.keys {
            findings.push(self.key(key).await);
        }
        findings
    }

    async fn key(&self, key: &KeyFact) -> Finding {
        let name = format!("{}._domainkey.{}", key.selector, key.domain);
        let answer = match self.ask.texts(&name).await {
            Ok(answer) => answer,
            Err(unknown) => return Finding::unknown(Topic::Dkim, &name, unknown),
        };
        let published = Published::of(&answer.data, &key.public);
        let weight = match (published, key.signs) {
            (Published::Ours, _) => return Finding::good(Topic::Dkim, &name, published.what()),
            // Signatures count with many receivers all the same.
            (Published::Testing, _) | (_, false) => Weight::Should,
            _ => Weight::Must,
        };
        Finding::new(Topic::Dkim, weight, &name, published.what())
            .publish(self.wanted(Kind::Dkim, &name))
            .found(answer.lines(&name, |text| Data::Txt(text.clone())))
    }
}
