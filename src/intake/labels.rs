//! What a platform says about a message in its header section.
//!
//! `X-Mailwright-*` is ours: a value we cannot read refuses the message, since mail sent as if nothing had been said
//! is worse than mail not taken. The names that other MTAs use (`X-virtual-mta`, `X-job`, `X-envid`) are read where
//! ours are not given, are never a reason to refuse, and stay in the message.

use super::refuse;
use crate::mail::headers::HeaderSection;
use crate::mail::{EnhancedCode, Labels, Reply, Stream, TlsWish};
use crate::units::{Span, Timestamp};

/// Fields that begin so are read and stripped.
pub(super) const PREFIX: &str = "X-Mailwright-";

/// What may follow the prefix.
const KNOWN: [&str; 9] = [
    "Tenant",
    "Campaign",
    "Stream",
    "Pool",
    "List",
    "Engagement",
    "Send-At",
    "Expires",
    "Tag",
];

/// What another node of ours has put in: it says nothing, and is stripped.
const OURS: [&str; 3] = ["Ref", "Lint", "Alignment"];

/// Everything the fields say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub labels: Labels,
    /// The pool by the name that another MTA's field gives; not one of ours, perhaps.
    pub other_pool: Option<Box<str>>,
    pub send_at: Option<Timestamp>,
    pub expires: Option<Timestamp>,
    pub envid: Option<Box<str>>,
}

/// Reads the fields. `tenant` is who authenticated; without one the message names its tenant itself.
pub(super) fn read(
    head: &HeaderSection,
    tenant: Option<&str>,
    now: Timestamp,
) -> Result<Said, Reply> {
    refuse_unknown(head)?;
    let send_at = one(head, "Send-At")?
        .map(|text| instant("Send-At", &text))
        .transpose()?;
    let expires = one(head, "Expires")?
        .map(|text| expiry(&text, send_at.unwrap_or(now)))
        .transpose()?;
    if expires.is_some_and(|at| at <= now.max(send_at.unwrap_or(now))) {
        return Err(bad(
            "Expires",
            "lies before the message could be sent",
            EXPIRES,
        ));
    }
    let named = name(head, "Tenant")?;
    Ok(Said {
        labels: Labels {
            tenant: tenant.map(Into::into).or(named),
            campaign: name(head, "Campaign")?.or_else(|| alias(head, "X-job")),
            stream: one(head, "Stream")?.map(|text| stream(&text)).transpose()?,
            pool: name(head, "Pool")?,
            list: name(head, "List")?.or_else(|| list_id(head)),
            engagement: one(head, "Engagement")?
                .map(|text| engagement(&text))
                .transpose()?,
            tag: name(head, "Tag")?,
            tls: tls_wish(head),
        },
        other_pool: alias(head, "X-virtual-mta"),
        send_at,
        expires,
        envid: alias(head, "X-envid"),
    })
}

/// RFC 8689 §3: `TLS-Required: No`, once. Another value asks for nothing.
fn tls_wish(head: &HeaderSection) -> TlsWish {
    let said = head.first("TLS-Required").map(|field| field.text());
    let waives = said.is_some_and(|said| said.trim().eq_ignore_ascii_case("no"));
    match waives && head.count("TLS-Required") == 1 {
        true => TlsWish::Waives,
        false => TlsWish::None,
    }
}

/// The name between the angle brackets of List-Id (RFC 2919 §3), where it can be one of ours.
fn list_id(head: &HeaderSection) -> Option<Box<str>> {
    let text = head.first("List-Id")?.text();
    let (_, rest) = text.rsplit_once('<')?;
    let (name, _) = rest.split_once('>')?;
    let name = name.trim().to_ascii_lowercase();
    is_name(&name).then(|| name.into())
}

/// A field of ours that we do not know is most likely one that we do, misspelt.
fn refuse_unknown(head: &HeaderSection) -> Result<(), Reply> {
    let label = |name: &'_ str| -> Option<String> {
        let (start, label) = name.split_at_checked(PREFIX.len())?;
        let mut known = KNOWN.iter().chain(&OURS);
        let unknown = !known.any(|known| known.eq_ignore_ascii_case(label));
        (start.eq_ignore_ascii_case(PREFIX) && unknown).then(|| label.to_owned())
    };
    let unknown = head.fields().find_map(|field| label(field.name()));
    unknown.map_or(Ok(()), |label| {
        let shown: String = label.chars().take(64).collect();
        let remedy = format!("write one of {}, or leave it out", KNOWN.join(", "));
        Err(bad(&shown, "is not a label", &remedy))
    })
}

/// The value of one of our fields, which may be there once.
fn one(head: &HeaderSection, label: &str) -> Result<Option<String>, Reply> {
    let field = format!("{PREFIX}{label}");
    let mut found = head.all(&field).map(|field| field.text().into_owned());
    let value = found.next();
    if found.next().is_some() {
        return Err(bad(label, "is there more than once", "give it once"));
    }
    Ok(value)
}

/// A name: printable and short enough for a log line and a metric.
fn name(head: &HeaderSection, label: &str) -> Result<Option<Box<str>>, Reply> {
    let Some(text) = one(head, label)? else {
        return Ok(None);
    };
    if !is_name(&text) {
        let remedy = "give 1 to 128 printable characters, or leave the field out";
        return Err(bad(label, "is not a name", remedy));
    }
    Ok(Some(text.into()))
}

fn alias(head: &HeaderSection, field: &str) -> Option<Box<str>> {
    let text = head.first(field)?.text().into_owned();
    is_name(&text).then(|| text.into())
}

/// Whether a text can be the name of a tenant, a campaign and such.
pub fn is_name(text: &str) -> bool {
    // U+FFFD stands for octets that were no UTF-8.
    (1..=128).contains(&text.chars().count())
        && !text.contains(|c: char| c.is_control() || c == '\u{fffd}')
}

fn stream(text: &str) -> Result<Stream, Reply> {
    Stream::named(&text.to_ascii_lowercase()).ok_or_else(|| {
        bad(
            "Stream",
            "is not a stream",
            "write \"marketing\" or \"transactional\"",
        )
    })
}

fn engagement(text: &str) -> Result<u8, Reply> {
    text.parse()
        .ok()
        .filter(|value| *value <= 100)
        .ok_or_else(|| {
            bad(
                "Engagement",
                "is not a whole number from 0 to 100",
                "write such a number",
            )
        })
}

fn instant(label: &str, text: &str) -> Result<Timestamp, Reply> {
    let instant: Option<jiff::Timestamp> = text.parse().ok();
    instant
        .and_then(|at| u64::try_from(at.as_millisecond()).ok())
        .map(Timestamp::from_millis)
        .ok_or_else(|| {
            bad(
                label,
                "is not a date of RFC 3339",
                "write such as \"2026-11-01T09:00:00Z\"",
            )
        })
}

/// An instant, or a span from when the message may first go.
fn expiry(text: &str, from: Timestamp) -> Result<Timestamp, Reply> {
    if let Ok(Span(span)) = text.parse::<Span>() {
        return Ok(from + span);
    }
    instant("Expires", text).map_err(|_| {
        bad(
            "Expires",
            "is neither a date of RFC 3339 nor a span",
            EXPIRES,
        )
    })
}

const EXPIRES: &str = "write such as \"2026-11-01T09:00:00Z\" or \"4h\"";

fn bad(label: &str, fault: &str, remedy: &str) -> Reply {
    let text = format!("{PREFIX}{label} {fault}: {remedy}");
    refuse(550, EnhancedCode(5, 6, 0), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn read_from(fields: &str, tenant: Option<&str>) -> Result<Said, Reply> {
        let head = HeaderSection::parse(fields.as_bytes().to_vec()).unwrap();
        read(&head, tenant, NOW)
    }

    #[test]
    fn every_label_is_read() {
        let said = read_from(
            "X-Mailwright-Tenant: acme\r\nX-MAILWRIGHT-CAMPAIGN: spring\r\n sale\r\nx-mailwright-stream: Transactional\r\n\
             X-Mailwright-Pool: shared\r\nX-Mailwright-Engagement: 100\r\nX-Mailwright-Tag: \u{fc}\r\n\
             X-Mailwright-Send-At: 2023-11-15T00:00:00+01:00\r\nX-Mailwright-Expires: 4h\r\nX-envid: e1\r\n",
            None,
        )
        .unwrap();
        let labels = &said.labels;
        assert_eq!(labels.tenant.as_deref(), Some("acme"));
        assert_eq!(labels.campaign.as_deref(), Some("spring sale"));
        assert_eq!(labels.stream, Some(Stream::Transactional));
        assert_eq!(labels.pool.as_deref(), Some("shared"));
        assert_eq!(labels.engagement, Some(100));
        assert_eq!(labels.tag.as_deref(), Some("\u{fc}"));
        assert_eq!(
            said.send_at.unwrap().to_string(),
            "2023-11-14T23:00:00.000Z"
        );
        assert_eq!(
            said.expires.unwrap().to_string(),
            "2023-11-15T03:00:00.000Z"
        );
        assert_eq!(said.envid.as_deref(), Some("e1"));
    }

    #[test]
    fn other_mtas_names_are_read_where_ours_are_missing_and_never_refuse() {
        let said = read_from(
            "X-virtual-mta: blue\r\nX-job: j1\r\nX-Mailwright-Campaign: c\r\n",
            None,
        )
        .unwrap();
        assert_eq!(said.labels.pool, None);
        assert_eq!(said.other_pool.as_deref(), Some("blue"));
        assert_eq!(said.labels.campaign.as_deref(), Some("c"));
        assert_eq!(
            read_from("X-job: \r\nX-virtual-mta:\r\n", None).unwrap(),
            Said::default()
        );
    }

    #[test]
    fn who_authenticated_is_the_tenant_whatever_the_message_says() {
        let said = read_from("X-Mailwright-Tenant: other\r\n", Some("acme")).unwrap();
        assert_eq!(said.labels.tenant.as_deref(), Some("acme"));
    }

    #[test]
    fn a_bad_value_is_refused_with_its_name_and_the_remedy() {
        for (fields, field, remedy) in [
            (
                "X-Mailwright-Stream: bulk\r\n",
                "X-Mailwright-Stream",
                "transactional",
            ),
            (
                "X-Mailwright-Engagement: 101\r\n",
                "X-Mailwright-Engagement",
                "number",
            ),
            (
                "X-Mailwright-Engagement: -1\r\n",
                "X-Mailwright-Engagement",
                "number",
            ),
            (
                "X-Mailwright-Send-At: tomorrow\r\n",
                "X-Mailwright-Send-At",
                "2026-11-01T09:00:00Z",
            ),
            (
                "X-Mailwright-Expires: soon\r\n",
                "X-Mailwright-Expires",
                "4h",
            ),
            (
                "X-Mailwright-Expires: 2001-01-01T00:00:00Z\r\n",
                "X-Mailwright-Expires",
                "4h",
            ),
            ("X-Mailwright-Campaign:\r\n", "X-Mailwright-Campaign", "128"),
            (
                "X-Mailwright-Tag: a\r\nX-Mailwright-Tag: b\r\n",
                "X-Mailwright-Tag",
                "once",
            ),
        ] {
            let reply = read_from(fields, None).unwrap_err();
            assert!(reply.is_permanent());
            assert!(
                reply.text.contains(field) && reply.text.contains(remedy),
                "{reply}"
            );
        }
    }

    #[test]
    fn a_label_that_is_none_is_refused_and_the_known_ones_are_told() {
        let head = HeaderSection::parse(b"X-Mailwright-SendAt: 2026-11-01T09:00:00Z\r\n".to_vec());
        let refusal = read(&head.unwrap(), None, Timestamp::from_millis(0)).unwrap_err();
        assert_eq!(refusal.code, 550);
        assert!(refusal.text.contains("X-Mailwright-SendAt is not a label"));
        assert!(refusal.text.contains("Send-At"));
    }
}
