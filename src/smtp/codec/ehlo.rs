//! The extensions of an EHLO reply (RFC 5321 §4.1.1.1): offered as a server, understood as a client.

use crate::mail::Reply;
use std::fmt::Write as _;

/// What a server offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EhloLines {
    pub pipelining: bool,
    /// RFC 1870; `Some(0)` is SIZE without a limit.
    pub size: Option<u64>,
    pub eight_bit_mime: bool,
    pub smtputf8: bool,
    pub enhanced_status_codes: bool,
    pub chunking: bool,
    pub dsn: bool,
    pub starttls: bool,
    /// RFC 8689; offered over TLS alone.
    pub requiretls: bool,
    /// Mechanisms in upper case, joined by a space; empty where AUTH is not offered.
    pub auth: String,
    /// RFC 9422 LIMITS.
    pub rcpt_max: Option<u64>,
    pub mail_max: Option<u64>,
}

impl EhloLines {
    /// Reads the text of a 250 to EHLO. Unknown keywords are passed over, as the standard asks.
    pub fn parse(reply: &Reply) -> Self {
        let mut lines = Self::default();
        // The first line is the server's name and greeting.
        for line in reply.text.split('\n').skip(1) {
            let mut words = line.split_ascii_whitespace();
            if let Some(keyword) = words.next() {
                lines.understand(&keyword.to_ascii_uppercase(), words);
            }
        }
        lines
    }

    fn understand<'a>(&mut self, keyword: &str, mut values: impl Iterator<Item = &'a str>) {
        match keyword {
            "PIPELINING" => self.pipelining = true,
            "8BITMIME" => self.eight_bit_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "CHUNKING" => self.chunking = true,
            "DSN" => self.dsn = true,
            "STARTTLS" => self.starttls = true,
            "REQUIRETLS" => self.requiretls = true,
            "SIZE" => self.size = Some(values.next().and_then(|v| v.parse().ok()).unwrap_or(0)),
            "AUTH" => {
                self.auth = values.collect::<Vec<_>>().join(" ").to_ascii_uppercase();
            }
            "LIMITS" => values.for_each(|limit| self.limit(limit)),
            _ => {}
        }
    }

    fn limit(&mut self, limit: &str) {
        let Some((name, value)) = limit.split_once('=') else {
            return;
        };
        let value = value.parse().ok().filter(|n| *n > 0);
        if name.eq_ignore_ascii_case("RCPTMAX") {
            self.rcpt_max = value;
        } else if name.eq_ignore_ascii_case("MAILMAX") {
            self.mail_max = value;
        }
    }

    /// The 250 to EHLO that offers this, greeting as `hostname`.
    pub fn reply(&self, hostname: &str) -> Reply {
        let mut text = String::from(hostname);
        let flags = [
            (self.pipelining, "PIPELINING"),
            (self.eight_bit_mime, "8BITMIME"),
            (self.smtputf8, "SMTPUTF8"),
            (self.enhanced_status_codes, "ENHANCEDSTATUSCODES"),
            (self.chunking, "CHUNKING"),
            (self.dsn, "DSN"),
            (self.starttls, "STARTTLS"),
            (self.requiretls, "REQUIRETLS"),
        ];
        for (_, keyword) in flags.iter().filter(|(offered, _)| *offered) {
            let _infallible = write!(text, "\n{keyword}");
        }
        if let Some(size) = self.size {
            let _infallible = write!(text, "\nSIZE {size}");
        }
        if !self.auth.is_empty() {
            let _infallible = write!(text, "\nAUTH {}", self.auth);
        }
        if let Some(max) = self.rcpt_max {
            let _infallible = write!(text, "\nLIMITS RCPTMAX={max}");
        }
        Reply::said(250, None, &text, "EHLO")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_understood() {
        let offered = EhloLines {
            pipelining: true,
            size: Some(1000),
            eight_bit_mime: true,
            smtputf8: true,
            enhanced_status_codes: true,
            chunking: true,
            dsn: true,
            starttls: true,
            requiretls: true,
            auth: "PLAIN LOGIN".into(),
            rcpt_max: Some(100),
            mail_max: None,
        };
        assert_eq!(EhloLines::parse(&offered.reply("mx.test")), offered);
    }

    #[test]
    fn odd_lines_are_passed_over() {
        let reply = Reply::said(
            250,
            None,
            "STARTTLS\nsize\n\nX-ODD 1\nAUTH=LOGIN\nauth plain login\nLIMITS RCPTMAX=x MAILMAX=5 y",
            "EHLO",
        );
        let lines = EhloLines::parse(&reply);
        assert!(!lines.starttls, "the greeting line is no keyword");
        assert_eq!((lines.size, lines.auth.as_str()), (Some(0), "PLAIN LOGIN"));
        assert_eq!((lines.rcpt_max, lines.mail_max), (None, Some(5)));
    }
}
