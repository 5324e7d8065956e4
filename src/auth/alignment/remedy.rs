//! The words of findings.

use super::finding::{Finding, GOOD_BITS, Kind};
use super::identity::Origin;
use super::published::KeyState;
use crate::auth::spf::SpfResult;
use std::net::IpAddr;

/// Who is spoken of.
pub struct About<'a> {
    /// The domain whose DNS is at fault.
    pub domain: &'a str,
    /// The From domain.
    pub from: &'a str,
    pub origin: &'a Origin,
}

impl About<'_> {
    pub fn finding(&self, kind: Kind) -> Finding {
        let (text, remedy) = self.words(&kind);
        Finding {
            weight: kind.weight(),
            kind,
            text,
            remedy,
        }
    }

    fn words(&self, kind: &Kind) -> (String, String) {
        match kind {
            Kind::Spf(_)
            | Kind::SpfError(_)
            | Kind::SpfNearLimit(_)
            | Kind::SpfPersonal
            | Kind::SpfUnaligned => self.spf(kind),
            Kind::Unsigned
            | Kind::Key(_)
            | Kind::KeyTesting
            | Kind::KeyShort(_)
            | Kind::DkimUnaligned
            | Kind::NotCovered(_) => self.dkim(kind),
            _ => self.dmarc(kind),
        }
    }

    fn spf(&self, kind: &Kind) -> (String, String) {
        let (domain, from, ip) = (self.domain, self.from, self.origin.ip);
        let network = match ip {
            IpAddr::V4(v4) => format!("ip4:{v4}"),
            IpAddr::V6(v6) => format!("ip6:{v6}"),
        };
        match kind {
            Kind::SpfError(error) => (error.to_string(), error.remedy()),
            Kind::SpfNearLimit(used) => (
                format!(
                    "the SPF record of {domain} takes {used} of the 10 lookups that are allowed"
                ),
                "write the networks that its includes stand for, before one more is added".into(),
            ),
            Kind::SpfPersonal => (
                format!("the SPF record of {domain} judges each address by itself"),
                format!("leave %{{l}} and %{{s}} out of the SPF record of {domain}"),
            ),
            Kind::SpfUnaligned => (
                format!("SPF speaks for {domain}, which DMARC does not take for {from}"),
                format!("send with a return path in {from} or below it"),
            ),
            Kind::Spf(SpfResult::None) => (
                format!("{domain} has no SPF record"),
                format!("publish the TXT record \"v=spf1 {network} -all\" at {domain}"),
            ),
            _ => (
                format!("the SPF record of {domain} does not let {ip} send"),
                format!("add {network} to the SPF record of {domain}, before its \"all\""),
            ),
        }
    }

    fn dkim(&self, kind: &Kind) -> (String, String) {
        let (domain, from) = (self.domain, self.from);
        match kind {
            Kind::Key(state) => self.key(state),
            Kind::Unsigned => (
                format!("mail from {from} is not signed"),
                format!(
                    "make a key with \"mailwright dkim keygen --domain {from}\" and configure it as [[dkim]]"
                ),
            ),
            Kind::KeyTesting => (
                format!(
                    "the key at {domain} is marked as a test (t=y), and receivers need not count it"
                ),
                format!("remove t=y from the TXT record at {domain}"),
            ),
            Kind::KeyShort(bits) => (
                format!("the key at {domain} has {bits} bits"),
                format!(
                    "make a key of {GOOD_BITS} bits, publish it under a new selector, then change over"
                ),
            ),
            Kind::NotCovered(field) => (
                format!("the signature of {domain} does not cover {field}"),
                format!("have {field} signed"),
            ),
            _ => (
                format!("no signature is of a domain that DMARC takes for {from}"),
                format!("sign with a key of {from} or of its organizational domain"),
            ),
        }
    }

    fn key(&self, state: &KeyState) -> (String, String) {
        let domain = self.domain;
        let publish = format!("publish at {domain} what \"mailwright dns generate\" prints for it");
        match state {
            KeyState::Ours(_) => (format!("the key at {domain} is ours"), String::new()),
            KeyState::Other(_) => (
                format!("the key at {domain} is not the one that signs"),
                publish,
            ),
            KeyState::Revoked => (
                format!("the key at {domain} is revoked (p= is empty)"),
                "sign with a key under another selector; a revoked one is not to be used again"
                    .into(),
            ),
            KeyState::Missing => (format!("there is no key at {domain}"), publish),
            KeyState::Unusable(why) => {
                (format!("the key at {domain} is of no use: {why}"), publish)
            }
            KeyState::Unknown(failure) => (
                format!("nobody can tell whether the key is published: {failure}"),
                format!("see that the name servers of {domain} answer"),
            ),
        }
    }

    fn dmarc(&self, kind: &Kind) -> (String, String) {
        let (domain, from) = (self.domain, self.from);
        let publish = format!(
            "publish the TXT record \"v=DMARC1; p=none; rua=mailto:dmarc@{from}\" at _dmarc.{from}"
        );
        match kind {
            Kind::SeveralPolicies => (
                format!("_dmarc.{domain} has several DMARC records, which count as none"),
                format!("leave one of them at _dmarc.{domain}"),
            ),
            Kind::PolicyVoid => (
                format!(
                    "the DMARC record of {domain} asks for nothing: p, sp or np is missing or wrong"
                ),
                format!(
                    "write p=none, p=quarantine or p=reject into the record at _dmarc.{domain}"
                ),
            ),
            Kind::PolicyUnknown => (
                format!("nobody can tell the DMARC policy of {from} now"),
                format!("see that the name servers of {from} answer"),
            ),
            Kind::NoReports => (
                format!("the DMARC record of {domain} names no address for reports (rua)"),
                format!("add rua=mailto:dmarc@{domain} to the record at _dmarc.{domain}"),
            ),
            Kind::PolicyTesting => (
                format!(
                    "the DMARC policy of {domain} is a test (t=y), and applied one level lower"
                ),
                "remove t=y when the reports show that all mail passes".into(),
            ),
            Kind::PolicySampled(pct) => (
                format!(
                    "pct={pct} of {domain} is no longer honoured: the policy applies to all mail"
                ),
                format!("remove pct from the record at _dmarc.{domain}; t=y is the way to test"),
            ),
            Kind::Unauthenticated(policy) => (
                format!(
                    "DMARC fails for {from}, and its owner asks for: {}",
                    policy.name()
                ),
                format!(
                    "sign with a published key of {from}, or send with a return path of {from} whose SPF record lets the source send"
                ),
            ),
            _ => (format!("{from} has no DMARC record"), publish),
        }
    }
}
