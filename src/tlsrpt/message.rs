//! The report as a message (RFC 8460 §5.3).

use super::document::Document;
use crate::mail::headers::folded;
use crate::mail::{Address, BodyType, Envelope, Notify, Recipient, base64_lines};

/// The message for the intake, which adds Date, Message-ID, Received and signature. `packed` is [`Document::packed`].
pub fn message(report: &Document<'_>, packed: &[u8], from: &Address, to: &Address) -> Vec<u8> {
    let (domain, submitter, id) = (report.domain, report.submitter, report.id());
    let boundary = format!("=_tlsrpt/{}", report.day);
    let mut out = String::new();
    let mut field = |name: &str, value: &str| {
        out.push_str(&format!("{name}: {}\r\n", folded(name, value)));
    };
    field("From", &format!("<{from}>"));
    field("To", &format!("<{to}>"));
    let subject = format!("Report Domain: {domain} Submitter: {submitter} Report-ID: <{id}>");
    field("Subject", &subject);
    field("TLS-Report-Domain", domain);
    field("TLS-Report-Submitter", submitter);
    // What is wrong with TLS must not keep the report from whom it is for (RFC 8689 §3).
    field("TLS-Required", "No");
    field("Auto-Submitted", "auto-generated");
    field("MIME-Version", "1.0");
    let kind = format!("multipart/report; report-type=\"tlsrpt\"; boundary=\"{boundary}\"");
    field("Content-Type", &kind);
    let words = format!(
        "This is an aggregate TLS report from {submitter} about mail to {domain} on {} (UTC).\r\n",
        report.day
    );
    out.push_str(&format!(
        "\r\n--{boundary}\r\nContent-Type: text/plain; charset=\"us-ascii\"\r\n\
         Content-Transfer-Encoding: 7bit\r\n\r\n{words}\r\n\
         --{boundary}\r\nContent-Type: application/tlsrpt+gzip\r\n\
         Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment;\r\n\tfilename=\"{}\"\r\n\r\n",
        report.file_name()
    ));
    let end = format!("\r\n--{boundary}--\r\n");
    [out.as_bytes(), &base64_lines(packed), end.as_bytes()].concat()
}

/// Nobody is told by mail that a report did not arrive: it would be about a report.
pub fn envelope(from: Address, to: Address) -> Envelope {
    Envelope {
        sender: Some(from),
        recipients: vec![Recipient {
            notify: Some(Notify::Never),
            ..Recipient::new(to)
        }],
        body: BodyType::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
    }
}
