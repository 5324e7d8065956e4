//! Macros (RFC 7208 §7): `%{ir}.%{v}._spf.%{d2}`.

use crate::units::Timestamp;
use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;

/// Text with macros, known to be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacroString(Box<[Piece]>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    /// `%%`, `%_` and `%-`.
    Sign(&'static str),
    Value(Value),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Value {
    letter: Letter,
    /// Written as a capital: URL-escaped.
    escape: bool,
    /// So many parts from the right; all of them at most.
    keep: usize,
    reverse: bool,
    delimiters: Box<str>,
}

/// RFC 7208 §7.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Letter {
    Sender,
    Local,
    SenderDomain,
    Domain,
    Ip,
    Validated,
    Version,
    Helo,
    ReadableIp,
    Receiver,
    Time,
}

/// Where a macro string stands; `c`, `r` and `t` are for explanations (RFC 7208 §7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Domain,
    Anywhere,
}

/// What macros are replaced by.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    pub ip: IpAddr,
    pub local: &'a str,
    pub sender_domain: &'a str,
    /// The domain whose record is being evaluated.
    pub domain: &'a str,
    pub helo: &'a str,
    pub receiver: &'a str,
    pub now: Timestamp,
    /// The name that `%{p}` stands for.
    pub validated: &'a str,
}

impl MacroString {
    /// A `domain-spec`: it ends in a macro, or in a dot and a label that can be a top-level domain.
    pub fn domain(text: &str) -> Result<Self, &'static str> {
        let pieces = Self::parse(text, Place::Domain)?;
        let ends = match pieces.0.last() {
            Some(Piece::Text(text)) => ends_in_top_label(text),
            Some(_) => true,
            None => return Err("the domain is empty"),
        };
        ends.then_some(pieces)
            .ok_or("does not end in a top-level domain")
    }

    /// Visible ASCII and, in an explanation, spaces.
    pub fn parse(text: &str, place: Place) -> Result<Self, &'static str> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            let (piece, behind) = expansion(after, place)?;
            pieces.push(piece);
            rest = behind;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        Ok(Self(pieces.into()))
    }

    /// Whether it holds `%{p}`, which takes questions to answer.
    pub fn wants_validated(&self) -> bool {
        let mut values = self.values();
        values.any(|value| value.letter == Letter::Validated)
    }

    /// Whether the outcome may differ from one address of a domain to the next.
    pub fn is_personal(&self) -> bool {
        let mut values = self.values();
        values.any(|value| matches!(value.letter, Letter::Sender | Letter::Local))
    }

    pub fn expand(&self, scene: &Scene<'_>) -> String {
        let mut expanded = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => expanded.push_str(text),
                Piece::Sign(sign) => expanded.push_str(sign),
                Piece::Value(value) => value.expand(scene, &mut expanded),
            }
        }
        expanded
    }

    /// As a name to ask for: labels on the left are dropped until 253 octets are left (RFC 7208 §7.3).
    pub fn expand_name(&self, scene: &Scene<'_>) -> String {
        let expanded = self.expand(scene);
        let mut name = expanded.strip_suffix('.').unwrap_or(&expanded);
        while name.len() > 253 {
            let Some((_, shorter)) = name.split_once('.') else {
                break;
            };
            name = shorter;
        }
        name.to_owned()
    }

    fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Value(value) => Some(value),
            _ => None,
        })
    }
}

/// RFC 7208 §7.1 `toplabel`: letters, digits and inner hyphens, but not digits alone.
fn ends_in_top_label(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let Some((_, label)) = text.rsplit_once('.') else {
        return false;
    };
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let octets = label.as_bytes();
    let all = octets
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    let numeric = octets.iter().all(u8::is_ascii_digit);
    all && !numeric && edge(octets.first()) && edge(octets.last())
}

/// What stands behind a `%`, and what is behind that.
fn expansion(text: &str, place: Place) -> Result<(Piece, &str), &'static str> {
    for (sign, stands_for) in [("%", "%"), ("_", " "), ("-", "%20")] {
        if let Some(rest) = text.strip_prefix(sign) {
            return Ok((Piece::Sign(stands_for), rest));
        }
    }
    let inner = text
        .strip_prefix('{')
        .ok_or("\"%\" is not followed by \"{\", \"%\", \"-\" or \"_\"")?;
    let (inner, rest) = inner.split_once('}').ok_or("a macro is not closed")?;
    Ok((Piece::Value(Value::parse(inner, place)?), rest))
}

impl Value {
    fn parse(text: &str, place: Place) -> Result<Self, &'static str> {
        let mut chars = text.chars();
        let sign = chars.next().ok_or("an empty macro")?;
        let letter = Letter::of(sign, place).ok_or("no such macro here")?;
        let rest = chars.as_str();
        let tail = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = &rest[..rest.len() - tail.len()];
        let keep = match digits {
            "" => usize::MAX,
            // More parts than a name can have are all of them.
            _ => digits.parse().unwrap_or(usize::MAX),
        };
        if keep == 0 {
            return Err("a macro keeps no part");
        }
        let delimiters = tail.strip_prefix(['r', 'R']);
        let (reverse, delimiters) = (delimiters.is_some(), delimiters.unwrap_or(tail));
        if !delimiters.chars().all(|c| ".-+,/_=".contains(c)) {
            return Err("not a delimiter of macros");
        }
        Ok(Self {
            letter,
            escape: sign.is_ascii_uppercase(),
            keep,
            reverse,
            delimiters: if delimiters.is_empty() {
                "."
            } else {
                delimiters
            }
            .into(),
        })
    }

    fn expand(&self, scene: &Scene<'_>, to: &mut String) {
        let value = self.letter.value(scene);
        let mut parts: Vec<&str> = value.split(|c| self.delimiters.contains(c)).collect();
        if self.reverse {
            parts.reverse();
        }
        let kept = &parts[parts.len().saturating_sub(self.keep)..];
        let text = kept.join(".");
        match self.escape {
            true => escape(&text, to),
            false => to.push_str(&text),
        }
    }
}

impl Letter {
    fn of(sign: char, place: Place) -> Option<Self> {
        let letter = match sign.to_ascii_lowercase() {
            's' => Self::Sender,
            'l' => Self::Local,
            'o' => Self::SenderDomain,
            'd' => Self::Domain,
            'i' => Self::Ip,
            'p' => Self::Validated,
            'v' => Self::Version,
            'h' => Self::Helo,
            'c' => Self::ReadableIp,
            'r' => Self::Receiver,
            't' => Self::Time,
            _ => return None,
        };
        let explains = matches!(letter, Self::ReadableIp | Self::Receiver | Self::Time);
        (place == Place::Anywhere || !explains).then_some(letter)
    }

    fn value<'a>(self, scene: &Scene<'a>) -> Cow<'a, str> {
        match self {
            Self::Sender => Cow::Owned(format!("{}@{}", scene.local, scene.sender_domain)),
            Self::Local => Cow::Borrowed(scene.local),
            Self::SenderDomain => Cow::Borrowed(scene.sender_domain),
            Self::Domain => Cow::Borrowed(scene.domain),
            Self::Ip => Cow::Owned(dotted(scene.ip)),
            Self::Validated => Cow::Borrowed(scene.validated),
            Self::Version => Cow::Borrowed(version(scene.ip)),
            Self::Helo => Cow::Borrowed(scene.helo),
            Self::ReadableIp => Cow::Owned(scene.ip.to_string()),
            Self::Receiver => Cow::Borrowed(scene.receiver),
            Self::Time => Cow::Owned(scene.now.as_secs().to_string()),
        }
    }
}

/// IPv4 in its usual form, IPv6 as 32 digits with dots between them.
pub fn dotted(ip: IpAddr) -> String {
    let IpAddr::V6(v6) = ip else {
        return ip.to_string();
    };
    let digits = format!("{:032x}", v6.to_bits());
    let digits: Vec<String> = digits.chars().map(String::from).collect();
    digits.join(".")
}

/// The label above which addresses are mapped to names.
pub fn version(ip: IpAddr) -> &'static str {
    match ip {
        IpAddr::V4(_) => "in-addr",
        IpAddr::V6(_) => "ip6",
    }
}

/// RFC 7208 §7.3: everything but the unreserved of RFC 3986 §2.3.
fn escape(text: &str, to: &mut String) {
    for byte in text.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => to.push(byte.into()),
            // Writing to a String does not fail.
            byte => drop(write!(to, "%{byte:02X}")),
        }
    }
}
