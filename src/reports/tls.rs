//! SMTP TLS reports (RFC 8460): which sessions to us were encrypted as our policy asks, and why others were not.

use super::period::{Period, instant};
use super::{Unreadable, text};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What one sender saw of its sessions to our domains in a period.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TlsReport {
    pub organization: Option<String>,
    pub contact: Option<String>,
    pub id: Option<String>,
    pub period: Period,
    pub policies: Vec<Policy>,
}

/// One policy that the sender went by, and how its sessions went.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Policy {
    /// In lower case and A-labels; `None` where the report leaves it out.
    pub domain: Option<String>,
    /// `tlsa`, `sts` or `no-policy-found`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub success: u64,
    pub failure: u64,
    /// Failed sessions by result type: `certificate-expired`, `starttls-not-supported`, …
    pub failure_types: BTreeMap<String, u64>,
}

/// Policies of a report.
const MOST_POLICIES: usize = 1_000;
/// Result types of a policy that are told apart; RFC 8460 knows a dozen.
const MOST_TYPES: usize = 64;

impl TlsReport {
    pub fn success(&self) -> u64 {
        self.sum(|policy| policy.success)
    }

    pub fn failure(&self) -> u64 {
        self.sum(|policy| policy.failure)
    }

    pub fn failure_types(&self) -> BTreeMap<&str, u64> {
        let mut types: BTreeMap<&str, u64> = BTreeMap::new();
        let all = self
            .policies
            .iter()
            .flat_map(|policy| &policy.failure_types);
        for (kind, count) in all {
            let sum = types.entry(kind).or_default();
            *sum = sum.saturating_add(*count);
        }
        types
    }

    fn sum(&self, count: fn(&Policy) -> u64) -> u64 {
        let counts = self.policies.iter().map(count);
        counts.fold(0, u64::saturating_add)
    }
}

/// Reads a report.
///
/// # Errors
/// It is no JSON, no report, or does not say how many sessions it counts.
pub fn read(document: &str) -> Result<TlsReport, Unreadable> {
    let document = document.trim_start_matches('\u{feff}');
    let raw: RawReport = serde_json::from_str(document)
        .map_err(|error| Unreadable::new(format!("it is no TLS report: {error}")))?;
    let period = raw.period.ok_or_else(|| {
        Unreadable::new("the TLS report does not say which time it is about (date-range)")
    })?;
    let when = |text: &Loose, what| {
        instant(&text.0).ok_or_else(|| {
            Unreadable::new(format!(
                "\"{}\" is not when a report {what}",
                text::cut(&text.0, 64)
            ))
        })
    };
    Ok(TlsReport {
        organization: raw.organization.and_then(Loose::name),
        contact: raw.contact.and_then(Loose::name),
        id: raw.id.and_then(Loose::name),
        period: Period {
            begin: when(&period.begin, "begins")?,
            end: when(&period.end, "ends")?,
        },
        policies: raw.policies.0,
    })
}

#[derive(Deserialize)]
struct RawReport {
    #[serde(rename = "organization-name")]
    organization: Option<Loose>,
    #[serde(rename = "contact-info")]
    contact: Option<Loose>,
    #[serde(rename = "report-id")]
    id: Option<Loose>,
    #[serde(rename = "date-range")]
    period: Option<RawPeriod>,
    policies: Policies,
}

#[derive(Deserialize)]
struct RawPeriod {
    #[serde(rename = "start-datetime")]
    begin: Loose,
    #[serde(rename = "end-datetime")]
    end: Loose,
}

#[derive(Deserialize)]
struct RawPolicy {
    policy: Option<RawDescription>,
    summary: RawSummary,
    #[serde(rename = "failure-details", default)]
    failures: Failures,
}

#[derive(Deserialize)]
struct RawDescription {
    #[serde(rename = "policy-type")]
    kind: Option<Loose>,
    #[serde(rename = "policy-domain")]
    domain: Option<Loose>,
}

#[derive(Deserialize)]
struct RawSummary {
    #[serde(rename = "total-successful-session-count")]
    success: Count,
    #[serde(rename = "total-failure-session-count")]
    failure: Count,
}

#[derive(Deserialize)]
struct RawFailure {
    #[serde(rename = "result-type")]
    kind: Option<Loose>,
    #[serde(rename = "failed-session-count")]
    count: Option<Count>,
}

impl From<RawPolicy> for Policy {
    fn from(raw: RawPolicy) -> Self {
        let (kind, domain) = raw
            .policy
            .map_or((None, None), |policy| (policy.kind, policy.domain));
        Self {
            domain: domain.and_then(|domain| text::domain(&domain.0)),
            kind: kind.and_then(|kind| text::word(&kind.0)),
            success: raw.summary.success.0,
            failure: raw.summary.failure.0,
            failure_types: raw.failures.0,
        }
    }
}

/// A text, or what can be written as one.
struct Loose(String);

impl Loose {
    fn name(self) -> Option<String> {
        text::name(&self.0)
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor).map(Self)
    }
}

struct LooseVisitor;

/// Octets of a text that are kept before it is looked at.
const LONGEST: usize = 512;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text::cut(text, LONGEST).to_owned())
    }

    fn visit_u64<E>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_i64<E>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E>(self, number: f64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_bool<E>(self, is: bool) -> Result<String, E> {
        Ok(is.to_string())
    }

    fn visit_unit<E>(self) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<String, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(String::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(String::new())
    }
}

/// A number of sessions; some write it as a text.
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Loose(text) = Loose::deserialize(deserializer)?;
        let count = text.trim().parse().map_err(|_| {
            let text = text::cut(&text, 64);
            serde::de::Error::custom(format!("\"{text}\" is no number of sessions"))
        })?;
        Ok(Self(count))
    }
}

/// A list of which each element is folded into what is kept: a hostile one costs no memory.
trait Fold: Default {
    type Element: for<'de> Deserialize<'de>;

    /// # Errors
    /// There are too many.
    fn fold(&mut self, element: Self::Element) -> Result<(), &'static str>;
}

#[derive(Default)]
struct Policies(Vec<Policy>);

impl Fold for Policies {
    type Element = RawPolicy;

    fn fold(&mut self, raw: RawPolicy) -> Result<(), &'static str> {
        if self.0.len() >= MOST_POLICIES {
            return Err("there are more than 1000 policies");
        }
        self.0.push(raw.into());
        Ok(())
    }
}

#[derive(Default)]
struct Failures(BTreeMap<String, u64>);

impl Fold for Failures {
    type Element = RawFailure;

    fn fold(&mut self, raw: RawFailure) -> Result<(), &'static str> {
        let kind = raw.kind.and_then(|kind| text::word(&kind.0));
        let kind = kind.unwrap_or_else(|| "unspecified".to_owned());
        let is_known = self.0.contains_key(&kind);
        let kind = match is_known || self.0.len() < MOST_TYPES {
            true => kind,
            false => "other".to_owned(),
        };
        let count = self.0.entry(kind).or_default();
        *count = count.saturating_add(raw.count.map_or(0, |count| count.0));
        Ok(())
    }
}

struct Folding<F>(F);

impl<'de, F: Fold> Visitor<'de> for Folding<F> {
    type Value = F;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<F, E> {
        Ok(self.0)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<F, A::Error> {
        while let Some(element) = list.next_element()? {
            self.0.fold(element).map_err(serde::de::Error::custom)?;
        }
        Ok(self.0)
    }
}

impl<'de> Deserialize<'de> for Policies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Folding(Self::default()))
    }
}

impl<'de> Deserialize<'de> for Failures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Folding(Self::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REPORT: &str = r#"{"organization-name": " Sender ", "report-id": 7, "contact-info": null, "more": [{}],
        "date-range": {"start-datetime": "2016-04-01T00:00:00Z", "end-datetime": "2016-04-01T23:59:59+00:00"},
        "policies": [
            {"policy": {"policy-type": "STS", "policy-domain": "Acme.Example", "mx-host": ["a", "b"]},
             "summary": {"total-successful-session-count": "5", "total-failure-session-count": 4},
             "failure-details": [{"result-type": "certificate-expired", "failed-session-count": 1},
                                 {"result-type": "certificate-expired", "failed-session-count": 2}, {"x": 1}]},
            {"policy": {"policy-type": "no-policy-found"}, "failure-details": null,
             "summary": {"total-successful-session-count": 1, "total-failure-session-count": 0}}]}"#;

    #[test]
    fn sessions_are_added_up_by_policy_and_failures_by_type() {
        let report = read(REPORT).unwrap();
        assert_eq!(
            (report.organization.as_deref(), report.id.as_deref()),
            (Some("Sender"), Some("7"))
        );
        assert_eq!((report.success(), report.failure()), (6, 4));
        assert_eq!(report.period.end - report.period.begin, 86_399);
        let [sts, none] = report.policies.as_slice() else {
            panic!("{:?}", report.policies)
        };
        assert_eq!(
            (sts.domain.as_deref(), sts.kind.as_deref()),
            (Some("acme.example"), Some("sts"))
        );
        assert_eq!(none.domain, None);
        let types = report.failure_types();
        assert_eq!((types["certificate-expired"], types["unspecified"]), (3, 0));
    }

    #[test]
    fn what_gives_a_report_its_meaning_may_not_be_missing() {
        for (what, instead, why) in [
            ("\"summary\"", "\"summer\"", "missing field `summary`"),
            ("\"policies\"", "\"police\"", "missing field `policies`"),
            ("\"date-range\"", "\"date\"", "date-range"),
            ("2016-04-01T00:00:00Z", "soon", "\"soon\" is not when"),
            ("\"5\"", "-5", "\"-5\" is no number"),
            ("]}]}", "]}", "EOF"),
        ] {
            let text = REPORT.replacen(what, instead, 1);
            let text = if why == "EOF" {
                &REPORT[..REPORT.len() - 2]
            } else {
                &text
            };
            let refused = read(text).unwrap_err().to_string();
            assert!(refused.contains(why), "{what}: {refused}");
        }
    }

    #[test]
    fn lists_are_bounded() {
        let one = r#"{"summary": {"total-successful-session-count": 1, "total-failure-session-count": 0}}"#;
        let policies = [one; MOST_POLICIES + 1].join(",");
        let range = r#""date-range": {"start-datetime": "1", "end-datetime": "2"}"#;
        let refused = read(&format!("{{{range}, \"policies\": [{policies}]}}")).unwrap_err();
        assert!(refused.to_string().contains("more than 1000 policies"));
        let details: Vec<String> = (0..1000)
            .map(|n| format!(r#"{{"result-type": "t{n}", "failed-session-count": 1}}"#))
            .collect();
        let many = one.replace(
            "}}",
            &format!("}}, \"failure-details\": [{}]}}", details.join(",")),
        );
        let report = read(&format!("{{{range}, \"policies\": [{many}]}}")).unwrap();
        let types = report.failure_types();
        assert_eq!(
            (types.len(), types["other"]),
            (MOST_TYPES + 1, 1000 - MOST_TYPES as u64)
        );
        assert!(read(&"[".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn whatever_comes_is_answered(text in ".{0,400}") {
            let _answered = read(&text);
        }

        #[test]
        fn a_report_with_anything_in_it_is_answered(at in 0..REPORT.len(), what in "[ -~]{0,10}", drop in 0usize..20) {
            let mut octets = REPORT.as_bytes().to_vec();
            let end = (at + drop).min(octets.len());
            octets.splice(at..end, what.into_bytes());
            let _answered = read(&String::from_utf8_lossy(&octets));
        }
    }
}
