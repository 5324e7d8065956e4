//! An SMTP reply, and the one value that says what happened to a recipient.

use super::Finding;
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest reply text that is kept, in octets. What a server says beyond it is cut.
pub const MAX_TEXT: usize = 2048;

/// RFC 3463 §2: class, subject, detail. Detail has up to three digits and providers use them all (`4.7.650`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnhancedCode(pub u8, pub u16, pub u16);

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl EnhancedCode {
    /// Reads `4.7.650` at the start of `text`; returns the code and the text behind it.
    pub fn split(text: &str) -> Option<(EnhancedCode, &str)> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut parts = word.split('.');
        let class = parts.next().filter(|c| matches!(*c, "2" | "4" | "5"))?;
        let mut number = || {
            let part = parts.next()?;
            let digits = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse::<u16>().ok()).flatten()
        };
        let (subject, detail) = (number()?, number()?);
        parts.next().is_none().then_some(())?;
        Some((EnhancedCode(class.parse().ok()?, subject, detail), rest))
    }
}

/// A whole SMTP reply: code, enhanced code where the server gave one, text with its lines joined by `\n`.
///
/// A failure of our own making (no connection, no answer, no MX) is a reply too, so that one type runs from the
/// socket to the report; [`Reply::local`] marks it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reply {
    pub code: u16,
    pub enhanced: Option<EnhancedCode>,
    pub text: Box<str>,
    /// What we had said when this came: `MAIL`, `RCPT`, `DATA`, `.`, `connect`, …
    pub command: Box<str>,
    /// Made by us, not said by a server.
    pub local: bool,
}

impl Reply {
    /// What a server said in answer to `command`. Text beyond [`MAX_TEXT`] is cut at a character.
    pub fn said(code: u16, enhanced: Option<EnhancedCode>, text: &str, command: &str) -> Self {
        let mut end = text.len().min(MAX_TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self {
            code,
            enhanced,
            text: text[..end].into(),
            command: command.into(),
            local: false,
        }
    }

    /// A finding of our own in the form of a reply.
    pub fn local(code: u16, enhanced: EnhancedCode, text: impl AsRef<str>, command: &str) -> Self {
        let mut reply = Self::said(code, Some(enhanced), text.as_ref(), command);
        reply.local = true;
        reply
    }

    /// 2xx (RFC 5321 §4.2.1).
    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// 5xx.
    pub fn is_permanent(&self) -> bool {
        (500..600).contains(&self.code)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        write!(f, " {}", self.text)
    }
}

/// What happened to one recipient, from the socket to the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "an outcome that nobody records is mail sent twice or lost"]
pub enum Disposition {
    Delivered(Reply),
    Deferred {
        until: Timestamp,
        finding: Finding,
        why: Reply,
    },
    Bounced {
        finding: Finding,
        why: Reply,
    },
}

impl Disposition {
    pub fn reply(&self) -> &Reply {
        match self {
            Self::Delivered(reply) => reply,
            Self::Deferred { why, .. } | Self::Bounced { why, .. } => why,
        }
    }

    /// What was found of the refusal.
    pub fn finding(&self) -> Option<Finding> {
        match self {
            Self::Delivered(_) => None,
            Self::Deferred { finding, .. } | Self::Bounced { finding, .. } => Some(*finding),
        }
    }

    /// The message was sent whole and the answer to its final dot never came: the server may have it, and whoever
    /// tries again may repeat it (RFC 1047).
    pub fn leaves_doubt(&self) -> bool {
        matches!(self, Self::Deferred { why, .. } if why.local && &*why.command == ".")
    }

    /// Nothing more will be tried for this recipient.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Deferred { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enhanced_codes_keep_three_digits() {
        let (code, rest) = EnhancedCode::split("4.7.650 try later").unwrap();
        assert_eq!((code, rest), (EnhancedCode(4, 7, 650), "try later"));
        for bad in [
            "",
            "6.1.1 x",
            "5.1 x",
            "5.1.1.1 x",
            "5.1111.1 x",
            "5..1",
            "5.+1.1 x",
            "5.1.1x",
        ] {
            assert_eq!(EnhancedCode::split(bad), None, "{bad}");
        }
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let reply = Reply::said(550, None, &"é".repeat(MAX_TEXT), "RCPT");
        assert_eq!(reply.text.len(), MAX_TEXT);
    }
}
