//! Any file or message in which a report may be.

use super::unpack::{Budget, GZIP, ZIP};
use super::{Unreadable, attachments, dmarc, figures, text, tls};
use crate::bounce::report::is_message;
use memchr::memmem;

/// What was sent to us about our mail.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    Dmarc(Box<dmarc::Aggregate>),
    Tls(tls::TlsReport),
    /// Daily figures of a mailbox provider.
    Figures(figures::Figures),
}

/// Octets of a report when it is unpacked, with everything that it is packed in.
const LARGEST: u64 = 20 << 20;
/// Of a file or message as it comes.
const LARGEST_FILE: usize = 32 << 20;
/// How deep a report may be in archives and messages.
const DEEPEST: usize = 5;

/// Reads a report: XML, JSON or CSV, packed in gzip or zip or not, or a message that has such a thing attached.
///
/// A function of octets; what it may cost is bounded, whatever comes.
///
/// # Errors
/// There is none in it, or it is broken; the first that is broken says why.
pub fn read(octets: &[u8]) -> Result<Report, Unreadable> {
    if octets.len() > LARGEST_FILE {
        return Err(Unreadable::new(format!(
            "it has {} octets; {LARGEST_FILE} are read at most",
            octets.len()
        )));
    }
    let mut budget = Budget::new(LARGEST);
    open(octets, &mut budget, DEEPEST)
}

/// What octets look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Gzip,
    Zip,
    Xml,
    Json,
    Csv,
    Message,
}

fn open(octets: &[u8], budget: &mut Budget, depth: usize) -> Result<Report, Unreadable> {
    let Some(deeper) = depth.checked_sub(1) else {
        return Err(Unreadable::new("it is packed too often, one in another"));
    };
    match Form::of(octets) {
        Some(Form::Gzip) => open(&budget.gunzip(octets)?, budget, deeper),
        Some(Form::Zip) => open(&budget.unzip(octets)?, budget, deeper),
        Some(Form::Message) => within(octets, budget, deeper),
        Some(Form::Xml) => {
            dmarc::read(&document(octets)?).map(|report| Report::Dmarc(Box::new(report)))
        }
        Some(Form::Json) => json(&document(octets)?),
        Some(Form::Csv) => figures::csv(&document(octets)?).map(Report::Figures),
        None => Err(Unreadable::stranger()),
    }
}

fn document(octets: &[u8]) -> Result<String, Unreadable> {
    match octets.len() as u64 > LARGEST {
        true => Err(Unreadable::new(format!(
            "it has {} octets; {LARGEST} are read at most",
            octets.len()
        ))),
        false => text::decode(octets),
    }
}

fn json(document: &str) -> Result<Report, Unreadable> {
    match figures::is_postmaster(document) {
        true => figures::postmaster(document).map(Report::Figures),
        false => tls::read(document).map(Report::Tls),
    }
}

/// The first report among the parts of a message; where there is none, what is wrong with the first that could be one.
fn within(message: &[u8], budget: &mut Budget, depth: usize) -> Result<Report, Unreadable> {
    let mut found = Err(Unreadable::stranger());
    attachments::each(message, &mut |part| {
        // Texts for people are no messages of their own, whatever they begin with.
        if matches!(Form::of(part), None | Some(Form::Message | Form::Csv)) {
            return false;
        }
        let read = open(part, budget, depth);
        if found.as_ref().is_err_and(Unreadable::is_stranger) || read.is_ok() {
            found = read;
        }
        found.is_ok()
    });
    found
}

impl Form {
    fn of(octets: &[u8]) -> Option<Self> {
        let content = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
        let content = content.trim_ascii_start();
        match content {
            _ if octets.starts_with(GZIP) => Some(Self::Gzip),
            _ if octets.starts_with(ZIP) => Some(Self::Zip),
            [b'<', ..] if is_report(content) => Some(Self::Xml),
            [0xff, 0xfe, b'<', ..] | [0xfe, 0xff, 0, b'<', ..] => Some(Self::Xml),
            [b'{', ..] => Some(Self::Json),
            [b'[', rest @ ..] if rest.trim_ascii_start().starts_with(b"{") => Some(Self::Json),
            _ if figures::is_csv(content) => Some(Self::Csv),
            _ if is_message(octets) => Some(Self::Message),
            _ => None,
        }
    }
}

/// HTML begins like XML.
fn is_report(content: &[u8]) -> bool {
    let head = content.get(..HEAD).unwrap_or(content).to_ascii_lowercase();
    let has = |what: &[u8]| memmem::find(&head, what).is_some();
    head.starts_with(b"<?xml") || has(b"<feedback") || has(b":feedback")
}

/// Octets in which a report says what it is.
const HEAD: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write;

    const XML: &str = "<feedback><report_metadata><date_range><begin>1</begin><end>2</end></date_range></report_metadata>\
                       <policy_published><domain>a.example</domain></policy_published></feedback>";

    fn gz(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn mail(parts: &[&str]) -> Vec<u8> {
        let parts: Vec<String> = parts.iter().map(|part| format!("--b\n{part}\n")).collect();
        format!(
            "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n{}--b--\n",
            parts.concat()
        )
        .into_bytes()
    }

    fn base64(octets: &[u8]) -> String {
        base64::engine::general_purpose::STANDARD.encode(octets)
    }

    #[test]
    fn a_report_is_found_however_it_is_packed() {
        let packed = gz(XML.as_bytes());
        let attached = format!(
            "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n{}",
            base64(&packed)
        );
        for octets in [
            XML.as_bytes().to_vec(),
            packed.clone(),
            gz(&packed),
            mail(&["\nhello", &attached]),
            mail(&["Content-Type: text/html\n\n<html><br></html>", &attached]),
            mail(&[&format!("\n{}", base64(&packed))]),
            gz(&mail(&[&attached])),
        ] {
            assert!(
                matches!(read(&octets), Ok(Report::Dmarc(_))),
                "{}",
                String::from_utf8_lossy(&octets)
            );
        }
    }

    #[test]
    fn what_is_no_report_is_a_stranger_and_what_is_broken_says_why() {
        for octets in [
            &b""[..],
            b"hello",
            b"Subject: hi\n\nhello",
            b"<html></html>",
            b"\0\0\0",
        ] {
            assert!(read(octets).unwrap_err().is_stranger());
        }
        let broken = format!(
            "Content-Type: text/xml\n\n{}",
            XML.replace("</feedback>", "")
        );
        let refused = read(&mail(&[
            "\nhello",
            &broken,
            "Content-Type: text/html\n\n<p>",
        ]))
        .unwrap_err();
        assert!(refused.to_string().contains("cut off"), "{refused}");
        // A broken one beside a whole one is no fault.
        assert!(read(&mail(&[&broken, &format!("\n{XML}")])).is_ok());
    }

    #[test]
    fn bombs_are_refused_within_the_bounds() {
        let mut bomb = vec![b' '; 30 << 20];
        bomb[..10].copy_from_slice(b"<feedback>");
        let refused = read(&bomb).unwrap_err().to_string();
        assert!(refused.contains("at most"), "{refused}");
        let refused = read(&gz(&bomb)).unwrap_err().to_string();
        assert!(refused.contains("more in it"), "{refused}");
        let mut nested = XML.as_bytes().to_vec();
        for _ in 0..DEEPEST {
            nested = gz(&nested);
        }
        assert!(read(&nested).unwrap_err().to_string().contains("too often"));
        let laughs = format!(
            "<?xml version='1.0'?><!DOCTYPE feedback [<!ENTITY a 'ha'>{}]><feedback>&i;</feedback>",
            (b'b'..=b'i')
                .map(|c| format!(
                    "<!ENTITY {} '{}'>",
                    c as char,
                    format!("&{};", (c - 1) as char).repeat(10)
                ))
                .collect::<String>()
        );
        assert!(
            read(laughs.as_bytes())
                .unwrap_err()
                .to_string()
                .contains("document type")
        );
    }

    proptest! {
        #[test]
        fn whatever_comes_is_answered(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _answered = read(&octets);
        }

        #[test]
        fn an_archive_with_anything_in_it_is_answered(at in 0usize..100, octet in any::<u8>(), end in 0usize..200) {
            let mut packed = gz(XML.as_bytes());
            let length = packed.len();
            packed[at % length] ^= octet;
            packed.truncate(end.max(1));
            let _answered = read(&packed);
        }
    }
}
