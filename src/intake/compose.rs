//! From the header section as it came to the one that is sent: what is refused, stripped and added.

use super::labels::PREFIX;
use super::refuse;
use crate::auth::ClientInfo;
use crate::auth::credentials::Tenant;
use crate::mail::headers::{HeaderError, HeaderSection};
use crate::mail::mailbox::mailboxes;
use crate::mail::{Address, EnhancedCode, Reply};
use crate::spool::Meta;

/// Reads the octets of a header section; its faults as a reply.
pub(super) fn parse(octets: Vec<u8>) -> Result<HeaderSection, Reply> {
    HeaderSection::parse(octets).map_err(|error| match error {
        HeaderError::BareControl(_) => refuse(550, EnhancedCode(5, 6, 11), error.to_string()),
        _ => refuse(
            550,
            EnhancedCode(5, 6, 0),
            format!("{error} (RFC 5322 section 2.2)"),
        ),
    })
}

/// RFC 5321 §6.3: a message with as many trace fields as this goes round in circles.
pub(super) fn refuse_loops(head: &HeaderSection, limit: usize) -> Result<(), Reply> {
    let count = head.count("Received");
    if count <= limit {
        return Ok(());
    }
    let text = format!("a mail loop: {count} Received fields, {limit} are allowed");
    Err(refuse(554, EnhancedCode(5, 4, 6), text))
}

/// RFC 6532 §3: octets over 127 are UTF-8, and only in a transaction that says so.
pub(super) fn refuse_eight_bit(head: &HeaderSection, smtputf8: bool) -> Result<(), Reply> {
    let Some(field) = head.fields().find(|field| !field.raw().is_ascii()) else {
        return Ok(());
    };
    let text = if !smtputf8 {
        format!(
            "8-bit text in {} needs SMTPUTF8, or encoded words (RFC 2047)",
            field.name()
        )
    } else if std::str::from_utf8(field.raw()).is_err() {
        format!("{} is not UTF-8 (RFC 6532)", field.name())
    } else {
        return Ok(());
    };
    Err(refuse(550, EnhancedCode(5, 6, 7), text))
}

/// The first mailbox of the one From field. Each must be of the tenant that sends.
pub(super) fn author(head: &HeaderSection, tenant: Option<&Tenant>) -> Result<Address, Reply> {
    let bad = |text: String| refuse(550, EnhancedCode(5, 6, 0), text);
    let mut fields = head.all("From");
    let from = fields
        .next()
        .ok_or_else(|| bad("the message has no From field (RFC 5322 section 3.6)".into()))?;
    if fields.next().is_some() {
        return Err(bad(
            "the message has more than one From field (RFC 5322 section 3.6)".into(),
        ));
    }
    let authors = mailboxes(&from.text()).map_err(|error| bad(format!("From: {error}")))?;
    for author in &authors {
        if let Some(tenant) = tenant
            && !tenant.may_use(author.domain())
        {
            let text = format!(
                "From: {} may not send as {}: add the domain to the tenant's domains, or use one of them",
                tenant.name,
                author.domain()
            );
            return Err(refuse(550, EnhancedCode(5, 7, 1), text));
        }
    }
    let first = authors.into_iter().next();
    first.ok_or_else(|| bad("From names no mailbox".into()))
}

/// Takes out what is not for receivers: labels, blind copies, and a return path that is not ours to write
/// (RFC 5321 §4.4).
pub(super) fn strip(head: &mut HeaderSection) {
    head.remove(|field| {
        let name = field.name();
        let ours = name
            .get(..PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
        ours || ["Bcc", "Resent-Bcc", "Return-Path"]
            .iter()
            .any(|name| field.is(name))
    });
}

/// Where and when a message came in.
pub(super) struct Arrival<'a> {
    pub hostname: &'a str,
    pub client: &'a ClientInfo,
    pub meta: &'a Meta,
    /// Leads answers back to the message.
    pub token: Option<&'a str>,
}

/// Puts Received in front, and behind it Message-ID and Date where the message has none (RFC 6409 §8).
pub(super) fn complete(head: &mut HeaderSection, arrival: &Arrival<'_>) {
    let Meta {
        id, received: now, ..
    } = arrival.meta;
    if head.first("Date").is_none() {
        head.prepend("Date", &now.to_rfc5322());
    }
    if head.first("Message-ID").is_none() {
        let hostname = arrival.hostname;
        let name = match arrival.token {
            Some(token) => format!("<{token}@{hostname}>"),
            None => format!("<{id}@{hostname}>"),
        };
        head.prepend("Message-ID", &name);
    }
    head.prepend("Received", &received(arrival));
}

/// RFC 5321 §4.4. The recipient is named only where it is the only one: others' blind copies are nobody's business.
fn received(arrival: &Arrival<'_>) -> String {
    let Arrival {
        hostname,
        client,
        meta,
        ..
    } = arrival;
    let Meta {
        id,
        envelope,
        received: now,
        ..
    } = meta;
    let mut out = String::with_capacity(200);
    if let Some(peer) = client.peer {
        let literal = match peer.to_canonical() {
            std::net::IpAddr::V4(v4) => format!("[{v4}]"),
            std::net::IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
        };
        let helo = said_name(&client.helo);
        let helo = if helo.is_empty() { &literal } else { &helo };
        out.push_str(&format!("from {helo} ({literal})\r\n\t"));
    }
    out.push_str(&format!("by {hostname}"));
    if !client.protocol.is_empty() {
        out.push_str(&format!(" with {}", client.protocol));
    }
    if let Some(version) = client.tls {
        out.push_str(&format!(" ({version})"));
    }
    out.push_str(&format!("\r\n\tid {id}"));
    if let [only] = envelope.recipients.as_slice()
        && (only.address.is_ascii() || envelope.smtputf8)
    {
        out.push_str(&format!("\r\n\tfor <{}>", only.address));
    }
    out.push_str(&format!(";\r\n\t{}", now.to_rfc5322()));
    out
}

/// What the client called itself, without anything that could end the field or open a comment.
fn said_name(helo: &str) -> String {
    helo.chars()
        .filter(|c| c.is_ascii_alphanumeric() || ".-_:[]".contains(*c))
        .take(255)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::credentials::{Config, Tenants};
    use crate::mail::{BodyType, Envelope, MessageId, Recipient};
    use crate::units::Timestamp;
    use std::sync::Arc;

    fn head(fields: &str) -> HeaderSection {
        HeaderSection::parse(fields.as_bytes().to_vec()).unwrap()
    }

    /// A tenant that may use `acme.test`.
    fn acme() -> Arc<Tenant> {
        let config = Config {
            name: "acme".into(),
            domains: vec!["acme.test".into()],
            ..Config::default()
        };
        let tenants = Tenants::load(&[config], std::path::Path::new(".")).unwrap();
        Arc::clone(tenants.get("acme").unwrap())
    }

    fn app() -> ClientInfo {
        ClientInfo {
            peer: Some("192.0.2.7".parse().unwrap()),
            helo: "app.acme.test".into(),
            protocol: "ESMTPSA",
            tls: Some("TLSv1.3"),
            require_tls: false,
            tenant: None,
        }
    }

    fn to(recipients: &[&str]) -> Meta {
        let envelope = Envelope {
            sender: None,
            recipients: recipients
                .iter()
                .map(|r| Recipient::new(r.parse().unwrap()))
                .collect(),
            body: BodyType::default(),
            smtputf8: false,
            ret: None,
            envid: None,
        };
        Meta {
            id: MessageId(0),
            envelope,
            labels: Arc::default(),
            received: Timestamp::from_millis(0),
            send_at: None,
            expires: None,
            eight_bit_header: false,
            eight_bit_body: false,
        }
    }

    fn completed(fields: &str, client: &ClientInfo, meta: &Meta) -> String {
        let mut head = head(fields);
        strip(&mut head);
        let arrival = Arrival {
            hostname: "mta.test",
            client,
            meta,
            token: None,
        };
        complete(&mut head, &arrival);
        String::from_utf8(head.to_octets(b"")).unwrap()
    }

    #[test]
    fn trace_identity_and_date_are_put_in_front_and_private_fields_are_gone() {
        let sent = completed(
            "Return-Path: <x@y.test>\r\nFrom: a@acme.test\r\nbcc: b@c.test,\r\n d@e.test\r\nx-mailwright-Campaign: c\r\nX-Mailwright: stays\r\n",
            &app(),
            &to(&["bob@example.org"]),
        );
        assert_eq!(
            sent,
            "Received: from app.acme.test ([192.0.2.7])\r\n\tby mta.test with ESMTPSA (TLSv1.3)\r\n\tid 0000000000000\r\n\
             \tfor <bob@example.org>;\r\n\tThu, 1 Jan 1970 00:00:00 +0000\r\n\
             Message-ID: <0000000000000@mta.test>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n\
             From: a@acme.test\r\nX-Mailwright: stays\r\n\r\n"
        );
    }

    #[test]
    fn what_is_there_is_kept_and_many_recipients_stay_unnamed() {
        let sent = completed(
            "Date: yesterday\r\nmessage-id: <x@y>\r\n",
            &app(),
            &to(&["bob@example.org", "eve@example.org"]),
        );
        assert_eq!(
            sent.matches("Date:").count() + sent.matches("Message-ID:").count(),
            1
        );
        assert!(!sent.contains("example.org"), "{sent}");
    }

    #[test]
    fn a_client_cannot_write_fields_through_its_name() {
        let client = ClientInfo {
            helo: "x\r\nBcc: all@example.org (".into(),
            peer: Some("::ffff:192.0.2.7".parse().unwrap()),
            ..app()
        };
        let sent = completed("From: a@acme.test\r\n", &client, &to(&["a@b.test"]));
        assert!(
            sent.starts_with("Received: from xBcc:allexample.org ([192.0.2.7])\r\n\t"),
            "{sent}"
        );
    }

    #[test]
    fn a_tenant_sends_as_its_own_domains_only() {
        assert!(author(&head("From: A <a@ACME.test>\r\n"), Some(&acme())).is_ok());
        for from in [
            "eve@evil.test",
            "a@acme.test, eve@evil.test",
            "a@sub.acme.test",
        ] {
            let reply = author(&head(&format!("From: {from}\r\n")), Some(&acme())).unwrap_err();
            assert_eq!(
                (reply.code, reply.enhanced),
                (550, Some(EnhancedCode(5, 7, 1))),
                "{from}"
            );
        }
        assert!(author(&head("From: eve@evil.test\r\n"), None).is_ok());
    }

    #[test]
    fn a_message_has_one_from_field_that_can_be_read() {
        for fields in [
            "To: x@y.test\r\n",
            "From: a@acme.test\r\nFROM: a@acme.test\r\n",
            "From: Ann\r\n",
            "From: \"Ann <a@acme.test>\r\n",
        ] {
            let reply = author(&head(fields), Some(&acme())).unwrap_err();
            assert_eq!(
                (reply.code, reply.enhanced),
                (550, Some(EnhancedCode(5, 6, 0))),
                "{fields}"
            );
        }
    }

    #[test]
    fn faults_of_the_section_are_told_with_their_line() {
        let reply = parse(b"From: a@b.test\r\nno colon\r\n\r\n".to_vec()).unwrap_err();
        assert!(reply.text.contains("line 2"), "{reply}");
        let reply = parse(b"From: a@b.test\nX: y\r\n".to_vec()).unwrap_err();
        assert_eq!(reply.enhanced, Some(EnhancedCode(5, 6, 11)));
    }

    #[test]
    fn loops_and_eight_bit_fields_are_refused() {
        let fifty = head(&"Received: x\r\n".repeat(50));
        assert!(refuse_loops(&fifty, 50).is_ok());
        let reply = refuse_loops(&fifty, 49).unwrap_err();
        assert_eq!(
            (reply.code, reply.enhanced),
            (554, Some(EnhancedCode(5, 4, 6)))
        );

        let utf8 = head("Subject: gr\u{fc}n\r\n");
        assert!(refuse_eight_bit(&utf8, true).is_ok());
        assert_eq!(
            refuse_eight_bit(&utf8, false).unwrap_err().enhanced,
            Some(EnhancedCode(5, 6, 7))
        );
        let latin1 = HeaderSection::parse(b"Subject: gr\xfcn\r\n".to_vec()).unwrap();
        assert_eq!(
            refuse_eight_bit(&latin1, true).unwrap_err().enhanced,
            Some(EnhancedCode(5, 6, 7))
        );
    }
}
