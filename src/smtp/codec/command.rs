//! A client's command line as a value (RFC 5321 §4.1.1 and the extensions we offer).

use super::param;
use crate::mail::{Address, AddressError, BodyType, EnhancedCode, Notify, Reply, Ret};

/// One command. Borrowed where the session needs it for no longer than the line lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<'a> {
    Helo(&'a str),
    Ehlo(&'a str),
    Mail(MailFrom),
    Rcpt(RcptTo),
    Data,
    /// RFC 3030 §2: octets in this chunk, and whether it is the last.
    Bdat {
        size: u64,
        last: bool,
    },
    /// RFC 4954 §4. `initial` is as sent: base 64, or `=` for an empty response.
    Auth {
        mechanism: &'a str,
        initial: Option<&'a str>,
    },
    StartTls,
    Rset,
    Noop,
    Quit,
    Help,
    Vrfy,
    Expn,
}

/// MAIL FROM with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailFrom {
    /// `None` is `<>`.
    pub sender: Option<Address>,
    /// RFC 1870: octets the client is about to send.
    pub size: Option<u64>,
    pub body: BodyType,
    pub smtputf8: bool,
    pub ret: Option<Ret>,
    pub envid: Option<Box<str>>,
    /// RFC 8689 §2: REQUIRETLS.
    pub require_tls: bool,
}

/// RCPT TO with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RcptTo {
    pub mailbox: Mailbox,
    pub notify: Option<Notify>,
    pub orcpt: Option<Box<str>>,
}

/// Whom RCPT names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mailbox {
    Address(Address),
    /// `<Postmaster>` without a domain, which every server must take (RFC 5321 §4.1.1.3).
    Postmaster,
}

/// Why a line is no command that we carry out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("command unrecognized")]
    Unknown,
    /// A web page in a browser on this machine can make it say HTTP to any port, with our commands in the body.
    #[error("this is SMTP, not HTTP: closing")]
    Http,
    #[error("control characters and octets outside UTF-8 have no place in a command")]
    Octets,
    #[error("syntax: {0}")]
    Syntax(&'static str),
    #[error("the sender's address is wrong: {0}")]
    Sender(AddressError),
    #[error("the recipient's address is wrong: {0}")]
    Recipient(AddressError),
    #[error("{0} takes {expected}", expected = param::expected(.0))]
    Parameter(&'static str),
    #[error("{0} was given twice")]
    Repeated(&'static str),
    #[error("the parameter {0:?} is not offered here")]
    NotOffered(Box<str>),
    #[error("the address needs SMTPUTF8")]
    NeedsSmtpUtf8,
}

impl CodecError {
    /// What the client is told of its `line`.
    pub fn reply(&self, line: &[u8]) -> Reply {
        let (code, enhanced) = match self {
            Self::Unknown => (500, EnhancedCode(5, 5, 1)),
            Self::Http => (421, EnhancedCode(4, 7, 0)),
            Self::Octets => (500, EnhancedCode(5, 5, 2)),
            Self::Syntax(_) | Self::Parameter(_) | Self::Repeated(_) => {
                (501, EnhancedCode(5, 5, 4))
            }
            Self::Sender(_) => (501, EnhancedCode(5, 1, 7)),
            Self::Recipient(_) => (501, EnhancedCode(5, 1, 3)),
            Self::NotOffered(_) => (555, EnhancedCode(5, 5, 4)),
            // RFC 6531 §3.5.
            Self::NeedsSmtpUtf8 => (553, EnhancedCode(5, 6, 7)),
        };
        let command = about_mail(line);
        Reply::local(code, enhanced, self.to_string(), command)
    }
}

impl<'a> Command<'a> {
    /// Reads a line without its CRLF.
    pub fn parse(line: &'a [u8]) -> Result<Self, CodecError> {
        // Nothing we read may hold what ends a line elsewhere: no header and no command can be injected.
        if line.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
            return Err(CodecError::Octets);
        }
        let line = std::str::from_utf8(line).map_err(|_| CodecError::Octets)?;
        let line = line.trim_end_matches([' ', '\t']);
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let is = |name: &str| verb.eq_ignore_ascii_case(name);
        match () {
            () if is("MAIL") => parse_mail(rest).map(Self::Mail),
            () if is("RCPT") => parse_rcpt(rest).map(Self::Rcpt),
            () if is("DATA") => bare(Self::Data, rest),
            () if is("BDAT") => parse_bdat(rest),
            () if is("EHLO") => client_name(rest).map(Self::Ehlo),
            () if is("HELO") => client_name(rest).map(Self::Helo),
            () if is("AUTH") => parse_auth(rest),
            () if is("STARTTLS") => bare(Self::StartTls, rest),
            () if is("RSET") => bare(Self::Rset, rest),
            () if is("QUIT") => bare(Self::Quit, rest),
            () if is("NOOP") => Ok(Self::Noop),
            () if is("HELP") => Ok(Self::Help),
            () if is("VRFY") => Ok(Self::Vrfy),
            () if is("EXPN") => Ok(Self::Expn),
            () if HTTP.iter().any(|method| is(method)) => Err(CodecError::Http),
            () => Err(CodecError::Unknown),
        }
    }
}

/// What a browser, or a proxy it reaches, begins a connection with.
const HTTP: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "PRI",
];

/// The command of a line that was to bring mail forward; empty for any other.
fn about_mail(line: &[u8]) -> &'static str {
    let start = line.get(..4).unwrap_or_default();
    let found = ["MAIL", "RCPT", "DATA", "BDAT"]
        .into_iter()
        .find(|verb| start.eq_ignore_ascii_case(verb.as_bytes()));
    found.unwrap_or_default()
}

fn bare<'a>(command: Command<'a>, rest: &str) -> Result<Command<'a>, CodecError> {
    if rest.is_empty() {
        Ok(command)
    } else {
        Err(CodecError::Syntax("this command takes no arguments"))
    }
}

/// RFC 5321 §4.1.1.1 wants a domain or a literal. Clients behind address translation say anything; what matters is
/// that the word can stand in a Received field.
fn client_name(rest: &str) -> Result<&str, CodecError> {
    let name = rest.trim_matches(' ');
    let fine = (1..=255).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b) || !b.is_ascii());
    let fine = fine && !name.chars().any(char::is_control);
    fine.then_some(name).ok_or(CodecError::Syntax(
        "give the client's host name or address literal",
    ))
}

fn parse_bdat<'a>(rest: &str) -> Result<Command<'a>, CodecError> {
    const WRONG: CodecError = CodecError::Syntax("BDAT <octets> [LAST]");
    let mut words = rest.split(' ').filter(|w| !w.is_empty());
    let size = words.next().ok_or(WRONG)?;
    let size = param::octets(size).ok_or(WRONG)?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(WRONG),
    };
    if words.next().is_some() {
        return Err(WRONG);
    }
    Ok(Command::Bdat { size, last })
}

fn parse_auth(rest: &str) -> Result<Command<'_>, CodecError> {
    const WRONG: CodecError = CodecError::Syntax("AUTH <mechanism> [initial response]");
    let mut words = rest.split(' ').filter(|w| !w.is_empty());
    let mechanism = words.next().ok_or(WRONG)?;
    let initial = words.next();
    if words.next().is_some() {
        return Err(WRONG);
    }
    Ok(Command::Auth { mechanism, initial })
}

fn parse_mail(rest: &str) -> Result<MailFrom, CodecError> {
    const WRONG: CodecError = CodecError::Syntax("MAIL FROM:<address> [parameters]");
    let (path, parameters) = split_path(rest, "FROM:").ok_or(WRONG)?;
    let mut mail = MailFrom::default();
    if !path.is_empty() {
        let sender = path.parse().map_err(CodecError::Sender)?;
        mail.sender = Some(sender);
    }
    let mut seen = Seen::default();
    for word in parameters.split(' ').filter(|w| !w.is_empty()) {
        let (name, value) = split_parameter(word);
        let name = seen.first(name, &MAIL_PARAMETERS)?;
        mail.set(name, value)?;
    }
    let ascii = mail.sender.as_ref().is_none_or(Address::is_ascii);
    if !ascii && !mail.smtputf8 {
        return Err(CodecError::NeedsSmtpUtf8);
    }
    Ok(mail)
}

impl MailFrom {
    fn set(&mut self, name: &'static str, value: Option<&str>) -> Result<(), CodecError> {
        let given = value.ok_or(CodecError::Parameter(name));
        match name {
            "SIZE" => self.size = Some(param::size(given?)?),
            "BODY" => self.body = param::body(given?)?,
            "RET" => self.ret = Some(param::ret(given?)?),
            "ENVID" => self.envid = Some(param::envid(given?)?),
            // RFC 4954 §5: who submitted first. We trust no such claim, and say so by taking it as `<>`.
            "AUTH" => {
                param::decode_xtext(given?).ok_or(CodecError::Parameter(name))?;
            }
            _ if value.is_some() => return Err(CodecError::Parameter(name)),
            "REQUIRETLS" => self.require_tls = true,
            _ => self.smtputf8 = true,
        }
        Ok(())
    }
}

fn parse_rcpt(rest: &str) -> Result<RcptTo, CodecError> {
    const WRONG: CodecError = CodecError::Syntax("RCPT TO:<address> [parameters]");
    let (path, parameters) = split_path(rest, "TO:").ok_or(WRONG)?;
    let mailbox = if path.eq_ignore_ascii_case("postmaster") {
        Mailbox::Postmaster
    } else {
        Mailbox::Address(path.parse().map_err(CodecError::Recipient)?)
    };
    let (mut notify, mut orcpt) = (None, None);
    let mut seen = Seen::default();
    for word in parameters.split(' ').filter(|w| !w.is_empty()) {
        let (name, value) = split_parameter(word);
        let name = seen.first(name, &RCPT_PARAMETERS)?;
        let value = value.ok_or(CodecError::Parameter(name))?;
        match name {
            "NOTIFY" => notify = Some(param::notify(value)?),
            _ => orcpt = Some(param::orcpt(value)?),
        }
    }
    Ok(RcptTo {
        mailbox,
        notify,
        orcpt,
    })
}

const MAIL_PARAMETERS: [&str; 7] = [
    "SIZE",
    "BODY",
    "SMTPUTF8",
    "RET",
    "ENVID",
    "AUTH",
    "REQUIRETLS",
];
const RCPT_PARAMETERS: [&str; 2] = ["NOTIFY", "ORCPT"];

/// Of the name of a parameter that we do not know, so much is said back.
const SHOWN: usize = 32;

/// Which parameters of a command have been given.
#[derive(Default)]
struct Seen(u8);

impl Seen {
    /// The canonical name of `name`, the first time it is given.
    fn first(&mut self, name: &str, known: &[&'static str]) -> Result<&'static str, CodecError> {
        let found = known
            .iter()
            .enumerate()
            .find(|(_, k)| k.eq_ignore_ascii_case(name));
        let unknown = || CodecError::NotOffered(name.chars().take(SHOWN).collect());
        let (position, canonical) = found.ok_or_else(unknown)?;
        if self.0 & 1 << position != 0 {
            return Err(CodecError::Repeated(canonical));
        }
        self.0 |= 1 << position;
        Ok(canonical)
    }
}

fn split_parameter(word: &str) -> (&str, Option<&str>) {
    match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    }
}

/// `FROM:<path> parameters` → the path without brackets and source route, and the parameters.
///
/// Spaces between colon and bracket are against RFC 5321 §3.3, harmless, and sent by many clients.
fn split_path<'a>(rest: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let head = rest.get(..keyword.len())?;
    if !head.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let open = rest.get(keyword.len()..)?.trim_start_matches(' ');
    let inner = open.strip_prefix('<')?;
    let end = closing_bracket(inner)?;
    let (path, rest) = (inner.get(..end)?, inner.get(end + 1..)?);
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    Some((without_route(path), rest))
}

/// Position of the `>` that no quoted string holds.
fn closing_bracket(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(i),
            _ => {}
        }
    }
    None
}

/// RFC 5321 §4.1.1.3 and appendix C: a source route is accepted and ignored.
fn without_route(path: &str) -> &str {
    match path.split_once(':') {
        Some((route, mailbox)) if route.starts_with('@') => mailbox,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mail(line: &str) -> Result<MailFrom, CodecError> {
        match Command::parse(line.as_bytes())? {
            Command::Mail(mail) => Ok(mail),
            other => panic!("{other:?}"),
        }
    }

    fn rcpt(line: &str) -> Result<RcptTo, CodecError> {
        match Command::parse(line.as_bytes())? {
            Command::Rcpt(rcpt) => Ok(rcpt),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn commands_are_read_in_any_case() {
        for (line, command) in [
            ("EHLO a.b", Command::Ehlo("a.b")),
            ("helo [192.0.2.1]", Command::Helo("[192.0.2.1]")),
            ("data", Command::Data),
            ("RSET ", Command::Rset),
            ("noop whatever", Command::Noop),
            ("STARTTLS", Command::StartTls),
            (
                "BDAT 0 last",
                Command::Bdat {
                    size: 0,
                    last: true,
                },
            ),
            (
                "BDAT 10",
                Command::Bdat {
                    size: 10,
                    last: false,
                },
            ),
            (
                "BDAT 99999999999999999999",
                Command::Bdat {
                    size: u64::MAX,
                    last: false,
                },
            ),
            (
                "AUTH PLAIN",
                Command::Auth {
                    mechanism: "PLAIN",
                    initial: None,
                },
            ),
            (
                "auth login eA==",
                Command::Auth {
                    mechanism: "login",
                    initial: Some("eA=="),
                },
            ),
        ] {
            assert_eq!(Command::parse(line.as_bytes()), Ok(command), "{line}");
        }
    }

    #[test]
    fn mail_carries_its_parameters() {
        let all =
            mail("MAIL FROM:<a@b.c> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x+2By AUTH=<> requiretls")
                .unwrap();
        assert_eq!(all.sender.unwrap().as_str(), "a@b.c");
        assert_eq!((all.size, all.body), (Some(10), BodyType::EightBitMime));
        assert!(all.smtputf8 && all.require_tls);
        assert_eq!(
            (all.ret, all.envid.as_deref()),
            (Some(Ret::Headers), Some("x+y"))
        );
        assert_eq!(mail("mail from:<>").unwrap(), MailFrom::default());
        assert!(mail("MAIL FROM: <a@b.c>").is_ok());
        let routed = mail("MAIL FROM:<@x.y,@z.w:a@b.c>").unwrap();
        assert_eq!(routed.sender.unwrap().as_str(), "a@b.c");
        let quoted = mail("MAIL FROM:<\"a> b\"@b.c> SIZE=1").unwrap();
        assert_eq!(quoted.sender.unwrap().local(), "\"a> b\"");
    }

    #[test]
    fn rcpt_carries_its_parameters() {
        let all = rcpt("RCPT TO:<a@b.c> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;d+2Be@f.g").unwrap();
        assert_eq!(all.orcpt.as_deref(), Some("rfc822;d+e@f.g"));
        let asked = Notify::On {
            success: true,
            failure: false,
            delay: true,
        };
        assert_eq!(all.notify, Some(asked));
        assert_eq!(
            rcpt("rcpt to:<PostMaster>").unwrap().mailbox,
            Mailbox::Postmaster
        );
    }

    #[test]
    fn each_mistake_has_its_code() {
        for (line, code) in [
            (&b""[..], 500),
            (b"HELLO x", 500),
            (b"NOOP\0", 500),
            (b"NOOP \rx", 500),
            (b"MAIL FROM:<\xff@b.c>", 500),
            (b"EHLO", 501),
            (b"EHLO a b", 501),
            (b"EHLO a\"b", 501),
            (b"DATA now", 501),
            (b"BDAT", 501),
            (b"BDAT x", 501),
            (b"BDAT -1", 501),
            (b"BDAT 1 FIRST", 501),
            (b"POST / HTTP/1.1", 421),
            (b"AUTH", 501),
            (b"AUTH PLAIN a b", 501),
            (b"MAIL", 501),
            (b"MAIL FROM:a@b.c", 501),
            (b"MAIL FROM:<a@b.c", 501),
            (b"MAIL FROM:<a@b.c>SIZE=1", 501),
            (b"MAIL FROM:<a>", 501),
            (b"MAIL FROM:<a@b.c> SIZE", 501),
            (b"MAIL FROM:<a@b.c> SIZE=1 SIZE=2", 501),
            (b"MAIL FROM:<a@b.c> SMTPUTF8=yes", 501),
            (b"MAIL FROM:<a@b.c> REQUIRETLS=yes", 501),
            (b"MAIL FROM:<a@b.c> ENVID=+0D+0A", 501),
            (b"MAIL FROM:<a@b.c> XYZ=1", 555),
            (b"MAIL FROM:<a@b.c> =", 555),
            (b"MAIL FROM:<\xc3\xa9@b.c>", 553),
            (b"RCPT TO:<>", 501),
            (b"RCPT TO:<a@b.c> NOTIFY", 501),
            (b"RCPT TO:<a@b.c> NOTIFY=NEVER,DELAY", 501),
            (b"RCPT TO:<a@b.c> ORCPT=rfc822;+0A", 501),
        ] {
            let error = Command::parse(line).unwrap_err();
            assert_eq!(
                error.reply(line).code,
                code,
                "{}",
                String::from_utf8_lossy(line)
            );
        }
    }

    proptest! {
        #[test]
        fn no_line_panics_and_no_command_holds_controls(line in "(?i)(mail from:|rcpt to:|ehlo |auth |bdat )?[ -~\r\n\0é]{0,40}") {
            if let Ok(command) = Command::parse(line.as_bytes()) {
                let told = format!("{command:?}");
                prop_assert!(!told.contains('\n') && !told.contains('\0'));
            }
        }
    }
}
