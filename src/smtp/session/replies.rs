//! What a session says. The frequent replies are octets already.

use crate::mail::{Address, EnhancedCode, Reply};

pub const OK: &[u8] = b"250 2.0.0 OK\r\n";
pub const SENDER_OK: &[u8] = b"250 2.1.0 Sender OK\r\n";
pub const RECIPIENT_OK: &[u8] = b"250 2.1.5 Recipient OK\r\n";
pub const GO_AHEAD: &[u8] = b"354 End the message with <CRLF>.<CRLF>\r\n";
pub const BYE: &[u8] = b"221 2.0.0 Bye\r\n";
pub const READY_FOR_TLS: &[u8] = b"220 2.0.0 Ready to start TLS\r\n";
pub const AUTHENTICATED: &[u8] = b"235 2.7.0 Authentication succeeded\r\n";
pub const HELP: &[u8] =
    b"214 2.0.0 EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY QUIT\r\n";
/// RFC 5321 §3.5.3: neither confirmed nor denied.
pub const CANNOT_VERIFY: &[u8] = b"252 2.5.2 Cannot verify, but will take a message for it\r\n";

fn no(code: u16, enhanced: (u8, u16, u16), text: &str, command: &str) -> Reply {
    let (class, subject, detail) = enhanced;
    Reply::local(code, EnhancedCode(class, subject, detail), text, command)
}

pub fn bare_lf() -> Reply {
    no(
        500,
        (5, 5, 2),
        "a command ends in CRLF, not in a bare LF",
        "",
    )
}
pub fn line_too_long() -> Reply {
    no(500, (5, 5, 2), "the command line is too long", "")
}
pub fn too_many_errors() -> Reply {
    no(
        421,
        (4, 7, 0),
        "too many errors in this session, closing",
        "",
    )
}
pub fn too_many_commands() -> Reply {
    no(
        421,
        (4, 7, 0),
        "too many commands without mail, closing",
        "",
    )
}
pub fn not_implemented() -> Reply {
    no(502, (5, 5, 1), "this command is not implemented", "")
}
pub fn out_of_order(text: &str, command: &str) -> Reply {
    no(503, (5, 5, 1), text, command)
}
pub fn tls_not_offered() -> Reply {
    no(502, (5, 5, 1), "STARTTLS is not offered here", "STARTTLS")
}
/// What follows STARTTLS or DATA in the same breath was put there by someone who does not wait for our answer.
pub fn said_too_early(command: &str) -> Reply {
    let text = format!("octets behind {command} before its reply, closing");
    no(421, (4, 5, 0), &text, command)
}
pub fn must_authenticate() -> Reply {
    no(530, (5, 7, 0), "authentication required", "MAIL")
}
pub fn auth_not_offered() -> Reply {
    no(502, (5, 5, 1), "AUTH is not offered here", "AUTH")
}
/// RFC 4954 §6.
pub fn auth_needs_tls() -> Reply {
    no(
        538,
        (5, 7, 11),
        "encryption required: STARTTLS first",
        "AUTH",
    )
}
pub fn unknown_mechanism() -> Reply {
    no(
        504,
        (5, 5, 4),
        "mechanism not offered: use PLAIN or LOGIN",
        "AUTH",
    )
}
pub fn malformed_response() -> Reply {
    no(501, (5, 5, 2), "cannot decode the response", "AUTH")
}
pub fn auth_cancelled() -> Reply {
    no(501, (5, 7, 0), "authentication cancelled", "AUTH")
}
pub fn bad_credentials() -> Reply {
    no(535, (5, 7, 8), "authentication credentials invalid", "AUTH")
}
pub fn too_many_failures() -> Reply {
    no(
        421,
        (4, 7, 0),
        "too many authentication failures, try again later",
        "AUTH",
    )
}
pub fn auth_unavailable() -> Reply {
    no(454, (4, 7, 0), "temporary authentication failure", "AUTH")
}
/// RFC 8689 §2 and §4.1.
pub fn no_require_tls(public: bool) -> Reply {
    match public {
        true => no(555, (5, 5, 4), "REQUIRETLS is not offered here", "MAIL"),
        false => no(
            530,
            (5, 7, 10),
            "REQUIRETLS is taken over TLS alone: STARTTLS first",
            "MAIL",
        ),
    }
}
pub fn too_big(limit: u64, command: &str) -> Reply {
    let text = format!("the message is over the limit of {limit} octets");
    no(552, (5, 3, 4), &text, command)
}
pub fn too_many_recipients(limit: usize) -> Reply {
    let text = format!("over {limit} recipients: send the rest in another message");
    no(452, (4, 5, 3), &text, "RCPT")
}
pub fn recipient_needs_smtputf8() -> Reply {
    no(553, (5, 6, 7), "the address needs SMTPUTF8 in MAIL", "RCPT")
}
pub fn no_postmaster() -> Reply {
    no(
        550,
        (5, 1, 1),
        "no postmaster here: the host has no mail domain",
        "RCPT",
    )
}
pub fn foreign_sender(tenant: &str, sender: &Address) -> Reply {
    let text = format!(
        "{} is not a domain that {tenant} may send from",
        sender.ascii_domain()
    );
    no(550, (5, 7, 1), &text, "MAIL")
}
pub fn no_recipients(command: &str) -> Reply {
    no(554, (5, 5, 1), "no valid recipients", command)
}
