//! An event as one JSON object: the record that the log, webhooks and streams carry.
//!
//! The field names are fixed by the project's interface; a field without a value is left out. An
//! empty `sender` is the null sender.

use super::{About, Attempt, Event};
use crate::mail::{Address, Disposition, Finding, MessageId, Reply};
use crate::units::Timestamp;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::net::IpAddr;

/// An event with its instant: what one JSON line holds.
pub struct Line<'a> {
    pub at: Timestamp,
    pub event: &'a Event,
}

impl Line<'_> {
    /// The JSON text with its line end.
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(512);
        // Every field is a text, a number or a map of them, so this cannot fail.
        if let Err(error) = serde_json::to_writer(&mut text, self) {
            tracing::error!(%error, kind = self.event.kind(), "an event has no JSON form");
            text.clear();
        }
        text.push(b'\n');
        text
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = match self.event {
            Event::Accepted { about, peer, why } => Fields {
                peer: *peer,
                why: why.clone(),
                ..Fields::about(about)
            },
            Event::Rejected {
                tenant,
                sender,
                recipient,
                peer,
                reply,
            } => Fields {
                tenant: tenant.as_deref(),
                sender: sender.as_ref().map(Address::as_str),
                recipient: recipient.as_ref(),
                reply: Some(reply),
                peer: *peer,
                ..Fields::default()
            },
            Event::Outcome {
                about,
                attempt,
                disposition,
            } => Fields::outcome(about, attempt, disposition),
            Event::Held { about, why } | Event::Released { about, why } => Fields {
                why: Some(why.clone()),
                ..Fields::about(about)
            },
            Event::Suppressed {
                tenant,
                recipient,
                id,
                scope,
                reason,
                until,
                why,
            } => Fields {
                id: *id,
                scope: Some(scope),
                tenant: tenant.as_deref(),
                recipient: Some(recipient),
                reason: *reason,
                until: *until,
                why: Some(why.clone()),
                ..Fields::default()
            },
            Event::Returned {
                about,
                attempt,
                finding,
                reply,
            } => Fields {
                reply: Some(reply),
                finding: Some(*finding),
                why: Some(RETURNED.to_owned()),
                ..Fields::attempt(about, attempt)
            },
            Event::Complained {
                about,
                attempt,
                feedback,
                why,
            } => Fields {
                reason: Some(feedback),
                why: Some(why.clone()),
                ..Fields::attempt(about, attempt)
            },
            Event::Unsubscribed { about, why } => Fields {
                why: Some(why.clone()),
                ..Fields::about(about)
            },
            Event::Unread {
                peer,
                sender,
                recipient,
                why,
            } => Fields {
                sender: Some(sender.as_ref().map_or("", Address::as_str)),
                recipient: recipient.as_ref(),
                peer: *peer,
                why: Some(why.clone()),
                ..Fields::default()
            },
            Event::Warmup {
                source,
                provider,
                until,
                why,
            } => Fields {
                source: Some(source),
                provider: Some(provider),
                until: *until,
                why: Some(why.clone()),
                ..Fields::default()
            },
            Event::Breaker {
                state,
                source,
                site,
                provider,
                until,
                failures,
                reply,
                why,
            } => Fields {
                failures: *failures,
                state: Some(state.name()),
                source: Some(source),
                site: site.as_deref(),
                provider: Some(provider),
                until: *until,
                reply: reply.as_ref(),
                why: Some(why.clone()),
                ..Fields::default()
            },
            Event::Reputation {
                slice,
                action,
                until,
                why,
            } => Fields {
                slice: Some(slice),
                reason: Some(action),
                until: *until,
                why: Some(why.clone()),
                ..Fields::default()
            },
            Event::Report {
                domain,
                source,
                peer,
                reason,
                why,
            } => Fields {
                domain: Some(domain),
                source: source.as_deref(),
                peer: *peer,
                reason: Some(reason),
                why: Some(why.clone()),
                ..Fields::default()
            },
            Event::Tls {
                domain,
                host,
                reason,
                until,
                why,
            } => Fields {
                domain: domain.as_deref(),
                site: host.as_deref(),
                reason: Some(reason),
                until: *until,
                why: Some(why.clone()),
                ..Fields::default()
            },
            Event::Dkim {
                domain,
                selector,
                state,
                why,
            } => Fields {
                domain: Some(domain),
                selector: Some(selector),
                reason: Some(state),
                why: Some(why.clone()),
                ..Fields::default()
            },
            Event::Outside {
                action,
                source,
                peer,
                domain,
                zone,
                page,
                why,
            } => Fields {
                source: source.as_deref(),
                peer: *peer,
                domain: domain.as_deref(),
                zone: zone.as_deref(),
                reason: Some(action),
                page: page.then_some(true),
                why: Some(why.clone()),
                ..Fields::default()
            },
            Event::Config { ok, why } => Fields {
                ok: Some(*ok),
                why: Some(why.clone()),
                ..Fields::default()
            },
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &self.at)?;
        map.serialize_entry("type", self.event.kind())?;
        fields.write(&mut map)?;
        map.end()
    }
}

/// Why an attempt's event says so; fixed, so that scripts can look for it.
const POSSIBLE_DUPLICATE: &str =
    "possible duplicate: an earlier attempt may have handed the message over, without an answer";

/// Why a recipient bounces that was delivered before.
const RETURNED: &str = "a notice came back after the message had been delivered";

/// Everything a line may hold beside its instant and type.
#[derive(Default)]
struct Fields<'a> {
    about: Option<&'a About>,
    /// Where there is no `about`.
    id: Option<MessageId>,
    reason: Option<&'a str>,
    slice: Option<&'a str>,
    scope: Option<&'a str>,
    zone: Option<&'a str>,
    state: Option<&'a str>,
    failures: Option<u32>,
    tenant: Option<&'a str>,
    sender: Option<&'a str>,
    recipient: Option<&'a Address>,
    /// Where there is no `recipient`.
    domain: Option<&'a str>,
    selector: Option<&'a str>,
    attempt: Option<&'a Attempt>,
    site: Option<&'a str>,
    provider: Option<&'a str>,
    source: Option<&'a str>,
    reply: Option<&'a Reply>,
    finding: Option<Finding>,
    until: Option<Timestamp>,
    ok: Option<bool>,
    page: Option<bool>,
    peer: Option<IpAddr>,
    why: Option<String>,
}

impl<'a> Fields<'a> {
    fn about(about: &'a About) -> Self {
        Self {
            about: Some(about),
            tenant: about.labels.tenant.as_deref(),
            sender: Some(about.sender.as_ref().map_or("", Address::as_str)),
            recipient: about.recipient.as_ref(),
            ..Self::default()
        }
    }

    fn attempt(about: &'a About, attempt: &'a Attempt) -> Self {
        Self {
            attempt: Some(attempt),
            site: attempt.site.as_deref(),
            provider: attempt.provider.as_deref(),
            source: attempt.source.as_deref(),
            ..Self::about(about)
        }
    }

    fn outcome(about: &'a About, attempt: &'a Attempt, disposition: &'a Disposition) -> Self {
        let until = match disposition {
            Disposition::Deferred { until, .. } => Some(*until),
            Disposition::Delivered(_) | Disposition::Bounced { .. } => None,
        };
        Self {
            reply: Some(disposition.reply()),
            finding: disposition.finding(),
            until,
            why: why(attempt, disposition.reply()),
            ..Self::attempt(about, attempt)
        }
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.write_message(map)?;
        self.write_outcome(map)?;
        optional(map, "peer", self.peer.as_ref())?;
        optional(map, "page", self.page.as_ref())?;
        optional(map, "ok", self.ok.as_ref())?;
        optional(map, "why", self.why.as_ref())
    }

    /// What it is about.
    fn write_message<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let labels = self.about.map(|about| &about.labels);
        optional(
            map,
            "id",
            self.about
                .map(|about| about.id)
                .or(self.id)
                .map(|id| id.to_string())
                .as_ref(),
        )?;
        optional(map, "tenant", self.tenant.as_ref())?;
        optional(map, "campaign", labels.and_then(|l| l.campaign.as_ref()))?;
        optional(map, "stream", labels.and_then(|l| l.stream.as_ref()))?;
        optional(map, "sender", self.sender.as_ref())?;
        optional(map, "recipient", self.recipient)?;
        let domain = self.recipient.map(Address::domain).or(self.domain);
        optional(map, "domain", domain.as_ref())?;
        optional(map, "selector", self.selector.as_ref())?;
        optional(map, "pool", labels.and_then(|l| l.pool.as_ref()))?;
        optional(map, "tag", labels.and_then(|l| l.tag.as_ref()))?;
        optional(map, "size", self.about.map(|about| about.size).as_ref())
    }

    /// What became of it.
    fn write_outcome<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let attempt = self.attempt;
        optional(map, "site", self.site)?;
        optional(map, "provider", self.provider)?;
        optional(map, "source", self.source)?;
        optional(map, "attempt", attempt.map(|a| a.number).as_ref())?;
        optional(map, "reply", self.reply.map(Said::from).as_ref())?;
        let finding = self.finding;
        optional(map, "slice", self.slice.as_ref())?;
        optional(map, "scope", self.scope.as_ref())?;
        optional(map, "zone", self.zone.as_ref())?;
        optional(map, "state", self.state.as_ref())?;
        optional(map, "failures", self.failures.as_ref())?;
        optional(map, "reason", self.reason.as_ref())?;
        optional(map, "class", finding.map(|found| found.class).as_ref())?;
        optional(
            map,
            "subject",
            finding.and_then(|found| found.subject).as_ref(),
        )?;
        optional(map, "severity", finding.map(Finding::severity).as_ref())?;
        optional(map, "until", self.until.as_ref())?;
        optional(map, "tls", attempt.and_then(|a| a.tls.as_ref()))?;
        let latency = attempt.map(|a| u64::try_from(a.latency.as_millis()).unwrap_or(u64::MAX));
        optional(map, "latency_ms", latency.as_ref())?;
        let doubt = attempt.is_some_and(|a| a.possible_duplicate);
        optional(map, "possible_duplicate", doubt.then_some(&true))
    }
}

fn optional<M: SerializeMap, T: Serialize + ?Sized>(
    map: &mut M,
    name: &str,
    value: Option<&T>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(name, value),
        None => Ok(()),
    }
}

/// The doubt first, then our own finding where no server spoke.
fn why(attempt: &Attempt, reply: &Reply) -> Option<String> {
    let finding = (reply.local && !reply.is_positive()).then(|| reply.text.to_string());
    match (attempt.possible_duplicate, finding) {
        (true, Some(finding)) => Some(format!("{POSSIBLE_DUPLICATE}; {finding}")),
        (true, None) => Some(POSSIBLE_DUPLICATE.to_owned()),
        (false, finding) => finding,
    }
}

/// The `reply` object.
#[derive(Serialize)]
struct Said<'a> {
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    enhanced: Option<String>,
    text: &'a str,
    command: &'a str,
}

impl<'a> From<&'a Reply> for Said<'a> {
    fn from(reply: &'a Reply) -> Self {
        Self {
            code: reply.code,
            enhanced: reply.enhanced.map(|code| code.to_string()),
            text: &reply.text,
            command: &reply.command,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::mail::BounceClass;
    use crate::mail::EnhancedCode;

    fn json(event: &Event) -> String {
        let at = Timestamp::from_millis(86_400_123);
        let line = Line { at, event }.to_json();
        String::from_utf8(line).unwrap()
    }

    const START: &str = r#"{"time":"1970-01-02T00:00:00.123Z","type":""#;
    const MESSAGE: &str = r#"","id":"0000000000001","tenant":"acme","campaign":"spring","stream":"transactional","sender":"bounce@acme.example","recipient":"ann@example.net","domain":"example.net","size":1234"#;
    const ATTEMPT: &str =
        r#","site":"mx.example.net","provider":"google","source":"ip-a","attempt":2"#;
    const TLS: &str = r#","tls":{"version":"TLSv1.3","policy":"opportunistic"},"latency_ms":1500"#;

    /// The line of a message event: its type, and what follows the message's own fields.
    fn expect(kind: &str, rest: &str) -> String {
        format!("{START}{kind}{MESSAGE}{rest}}}\n")
    }

    #[test]
    fn accepted_says_from_where() {
        assert_eq!(
            json(&sample::accepted()),
            expect("accepted", r#","peer":"192.0.2.7""#)
        );
    }

    #[test]
    fn delivered_has_the_whole_reply() {
        let reply =
            r#","reply":{"code":250,"enhanced":"2.0.0","text":"queued as 17","command":"."}"#;
        assert_eq!(
            json(&sample::delivered(false)),
            expect("delivered", &format!("{ATTEMPT}{reply}{TLS}"))
        );
        let doubt = format!(r#","possible_duplicate":true,"why":"{POSSIBLE_DUPLICATE}""#);
        assert_eq!(
            json(&sample::delivered(true)),
            expect("delivered", &format!("{ATTEMPT}{reply}{TLS}{doubt}"))
        );
    }

    #[test]
    fn deferred_says_until_when_and_why() {
        let rest = concat!(
            r#","site":"mx.example.net","attempt":2"#,
            r#","reply":{"code":451,"enhanced":"4.4.1","text":"no answer from mx.example.net","command":"connect"}"#,
            r#","class":"throttled","subject":"source-ip","severity":"soft""#,
            r#","until":"1970-01-02T01:00:00.000Z","latency_ms":1500,"why":"no answer from mx.example.net""#,
        );
        assert_eq!(json(&sample::deferred()), expect("deferred", rest));
    }

    #[test]
    fn bounced_says_class_subject_and_severity() {
        let reply =
            r#","reply":{"code":550,"enhanced":"5.1.1","text":"no such user","command":"RCPT"}"#;
        for (class, told) in [
            (
                BounceClass::Hard,
                r#","class":"hard","subject":"recipient","severity":"hard""#,
            ),
            (
                BounceClass::Soft,
                r#","class":"soft","subject":"recipient","severity":"soft""#,
            ),
            (
                BounceClass::Block,
                r#","class":"block","subject":"source-ip","severity":"soft""#,
            ),
            (
                BounceClass::Policy,
                r#","class":"policy","subject":"message","severity":"soft""#,
            ),
            (
                BounceClass::Config,
                r#","class":"config","subject":"us","severity":"none""#,
            ),
        ] {
            assert_eq!(
                json(&sample::bounced(class)),
                expect("bounced", &format!("{ATTEMPT}{reply}{told}{TLS}"))
            );
        }
    }

    #[test]
    fn expired_and_dropped_have_types_of_their_own() {
        let expired = concat!(
            r#","reply":{"code":554,"enhanced":"5.4.7","text":"not delivered in 3 days","command":"."}"#,
            r#","class":"expired","severity":"soft""#,
        );
        assert_eq!(
            json(&sample::bounced(BounceClass::Expired)),
            expect(
                "expired",
                &format!(r#"{ATTEMPT}{expired}{TLS},"why":"not delivered in 3 days""#)
            )
        );
        let dropped = json(&sample::bounced(BounceClass::Dropped));
        assert!(
            dropped.starts_with(&format!("{START}dropped\"")),
            "{dropped}"
        );
        assert!(dropped.contains(r#""class":"dropped","subject":"us","severity":"none""#));
    }

    #[test]
    fn the_null_sender_is_empty_and_a_held_message_says_why() {
        let about = About {
            sender: None,
            recipient: None,
            ..sample::about(1)
        };
        let held = Event::Held {
            about,
            why: "looks \"odd\"\n".to_owned(),
        };
        let line = json(&held);
        assert!(
            line.contains(r#""sender":"","size":1234,"why":"looks \"odd\"\n"}"#),
            "{line}"
        );
    }

    #[test]
    fn what_was_refused_in_session_and_a_configuration_have_no_message() {
        let rejected = Event::Rejected {
            tenant: None,
            sender: None,
            recipient: Some("x@example.net".parse().unwrap()),
            peer: Some([192, 0, 2, 7].into()),
            reply: Reply::local(550, EnhancedCode(5, 7, 1), "relaying denied", "RCPT"),
        };
        assert_eq!(
            json(&rejected),
            format!(
                "{START}rejected\",{}\n",
                concat!(
                    r#""recipient":"x@example.net","domain":"example.net","#,
                    r#""reply":{"code":550,"enhanced":"5.7.1","text":"relaying denied","command":"RCPT"},"peer":"192.0.2.7"}"#
                )
            )
        );
        let config = Event::Config {
            ok: false,
            why: "2 problems".to_owned(),
        };
        assert_eq!(
            json(&config),
            format!("{START}config\",\"ok\":false,\"why\":\"2 problems\"}}\n")
        );
    }
}
