//! Our addresses: PTR, the way back from it (FCrDNS), and the EHLO name.

use super::{Checker, Finding, Topic, Weight};
use crate::dns::is_public;
use crate::zone::ask::Asked;
use crate::zone::facts::SourceFact;
use crate::zone::look::Looked;
use crate::zone::record::{Data, Record, reverse};
use crate::zone::template::Kind;
use std::net::IpAddr;

impl Checker<'_> {
    pub(super) async fn sources(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for source in &self.facts.sources {
            if !is_public(source.address) {
                findings.push(hidden(source));
                continue;
            }
            let looked = Looked::at(&self.ask, source).await;
            findings.push(self.pointer(source, &looked));
            findings.push(self.ehlo(source, &looked.forward));
        }
        findings
    }

    fn pointer(&self, source: &SourceFact, looked: &Looked) -> Finding {
        let name = reverse(source.address);
        let answer = match &looked.names {
            Ok(answer) => answer,
            Err(unknown) => return Finding::unknown(Topic::Ptr, &name, unknown.clone()),
        };
        let SourceFact {
            name: called,
            address,
            ehlo,
        } = source;
        let wrong = |weight, message: String| {
            Finding::new(Topic::Ptr, weight, &name, message)
                .publish(self.wanted(Kind::Ptr, &name))
                .remedy("ask the owner of the address to publish it")
                .found(answer.lines(&name, |to| Data::Ptr(to.clone())))
        };
        if answer.data.is_empty() {
            return wrong(
                Weight::Must,
                format!("source {called} ({address}) has no PTR"),
            );
        }
        if answer.data.contains(ehlo) {
            // Whether the name leads back is the EHLO name's own finding.
            let message = format!("the PTR of source {called} is its EHLO name");
            return match &looked.forward {
                Err(unknown) => Finding::unknown(Topic::Ptr, &name, unknown.clone()),
                Ok(_) => Finding::good(Topic::Ptr, &name, message),
            };
        }
        match &looked.back {
            Err((pointed, unknown)) => Finding::unknown(Topic::Ptr, pointed, unknown.clone()),
            Ok(Some(_)) => {
                let message = format!("the PTR of source {called} is not its EHLO name {ehlo}");
                wrong(Weight::Should, message)
            }
            Ok(None) => wrong(
                Weight::Must,
                format!(
                    "the PTR of source {called} does not lead back to {address}, and is not its EHLO name {ehlo}"
                ),
            ),
        }
    }

    fn ehlo(&self, source: &SourceFact, forward: &Asked<IpAddr>) -> Finding {
        let SourceFact {
            name: called,
            address,
            ehlo,
        } = source;
        if !ehlo.contains('.') {
            let message = format!("source {called} says EHLO {ehlo}, which is no whole name");
            let finding = Finding::new(Topic::Ehlo, Weight::Must, ehlo, message);
            return finding.remedy("write [[source]] ehlo");
        }
        let answer = match forward {
            Ok(answer) => answer,
            Err(unknown) => return Finding::unknown(Topic::Ehlo, ehlo, unknown.clone()),
        };
        if answer.data.contains(address) {
            let message = format!("the EHLO name of source {called} leads to {address}");
            return Finding::good(Topic::Ehlo, ehlo, message);
        }
        let mut wanted = self.wanted(Kind::Source, ehlo);
        wanted.retain(|record| record.data == Record::address("", *address).data);
        let message = format!("the EHLO name of source {called} does not lead to {address}");
        Finding::new(Topic::Ehlo, Weight::Must, ehlo, message)
            .publish(wanted)
            .found(answer.lines(ehlo, |address| Record::address("", *address).data))
    }
}

/// What receivers see of it is not known.
fn hidden(source: &SourceFact) -> Finding {
    let SourceFact {
        name: called,
        address,
        ..
    } = source;
    let message = format!("source {called} has the address {address}, which nobody outside sees");
    Finding::new(Topic::Ptr, Weight::Should, &reverse(*address), message)
        .remedy("write what receivers see of it in [zone] public_addresses")
}
