//! From the text of a record to its terms. All terms are read, also those that evaluation would not reach
//! (RFC 7208 §4.6).

use super::macros::{MacroString, Place};
use super::record::{Directive, Lengths, Mechanism, Qualifier, Record, body};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The first term that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub term: Box<str>,
    pub why: &'static str,
}

type Parsed<T> = Result<T, &'static str>;

impl Record {
    /// Reads a record that [`super::is_spf`].
    pub fn parse(text: &[u8]) -> Result<Self, Wrong> {
        let mut record = Self {
            directives: Vec::new(),
            redirect: None,
            explanation: None,
        };
        let terms = body(text).unwrap_or_default().split(|byte| *byte == b' ');
        for term in terms.filter(|term| !term.is_empty()) {
            let wrong = |why| Wrong {
                term: String::from_utf8_lossy(term)
                    .escape_debug()
                    .collect::<String>()
                    .into(),
                why,
            };
            record.add(visible(term).map_err(wrong)?).map_err(wrong)?;
        }
        Ok(record)
    }

    fn add(&mut self, term: &str) -> Parsed<()> {
        match modifier(term) {
            Some((name, value)) => self.modify(name, value),
            None => {
                self.directives.push(directive(term)?);
                Ok(())
            }
        }
    }

    fn modify(&mut self, name: &str, value: &str) -> Parsed<()> {
        let slot = if name.eq_ignore_ascii_case("redirect") {
            &mut self.redirect
        } else if name.eq_ignore_ascii_case("exp") {
            &mut self.explanation
        } else if is_name(name) {
            // Unknown modifiers are ignored, but their macros have to be right (RFC 7208 §6).
            return MacroString::parse(value, Place::Anywhere).map(drop);
        } else {
            return Err("not the name of a modifier");
        };
        if slot.is_some() {
            return Err("a modifier may stand once only");
        }
        *slot = Some(MacroString::domain(value)?);
        Ok(())
    }
}

/// RFC 7208 §4.6.1: what is between spaces is visible ASCII.
fn visible(term: &[u8]) -> Parsed<&str> {
    match term.iter().all(u8::is_ascii_graphic) {
        true => std::str::from_utf8(term).map_err(|_| "not ASCII"),
        false => Err("holds something other than visible ASCII"),
    }
}

/// Name and value of `name=value`. A `:` or `/` before the `=` makes it a mechanism.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let end = term.find(['=', ':', '/'])?;
    let (name, value) = term.split_at(end);
    Some((name, value.strip_prefix('=')?))
}

fn is_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(inner)
}

fn directive(term: &str) -> Parsed<Directive> {
    let (qualifier, rest) = match term.split_at_checked(1) {
        Some(("+", rest)) => (Qualifier::Pass, rest),
        Some(("-", rest)) => (Qualifier::Fail, rest),
        Some(("~", rest)) => (Qualifier::SoftFail, rest),
        Some(("?", rest)) => (Qualifier::Neutral, rest),
        _ => (Qualifier::Pass, term),
    };
    Ok(Directive {
        qualifier,
        mechanism: mechanism(rest)?,
        text: term.into(),
    })
}

fn mechanism(text: &str) -> Parsed<Mechanism> {
    let end = text.find([':', '/']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    Ok(match name.to_ascii_lowercase().as_str() {
        "all" if rest.is_empty() => Mechanism::All,
        "all" => return Err("\"all\" takes no argument"),
        "include" => Mechanism::Include(required(rest)?),
        "exists" => Mechanism::Exists(required(rest)?),
        "ptr" => Mechanism::Ptr(optional(rest)?),
        "a" => {
            let (rest, lengths) = lengths(rest)?;
            Mechanism::A(optional(rest)?, lengths)
        }
        "mx" => {
            let (rest, lengths) = lengths(rest)?;
            Mechanism::Mx(optional(rest)?, lengths)
        }
        "ip4" => Mechanism::Ip(ip4(rest)?),
        "ip6" => Mechanism::Ip(ip6(rest)?),
        _ => return Err("no such mechanism"),
    })
}

fn required(rest: &str) -> Parsed<MacroString> {
    optional(rest)?.ok_or("needs a domain behind a colon")
}

fn optional(rest: &str) -> Parsed<Option<MacroString>> {
    if rest.is_empty() {
        return Ok(None);
    }
    let domain = rest.strip_prefix(':').ok_or("not a prefix length")?;
    MacroString::domain(domain).map(Some)
}

/// RFC 7208 §5.3: the end of the text in the form `/24`, `//64` or `/24//64`, and what is before it.
fn lengths(text: &str) -> Parsed<(&str, Lengths)> {
    let mut found = Lengths::WHOLE;
    let mut head = text;
    if let Some((before, digits)) = head.rsplit_once("//").filter(|(_, end)| is_number(end)) {
        (head, found.v6) = (before, length(digits, 128)?);
    }
    if let Some((before, digits)) = head.rsplit_once('/').filter(|(_, end)| is_number(end)) {
        (head, found.v4) = (before, length(digits, 32)?);
    }
    Ok((head, found))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn length(digits: &str, most: u8) -> Parsed<u8> {
    let padded = digits.len() > 1 && digits.starts_with('0');
    let number = digits
        .parse()
        .ok()
        .filter(|n| *n <= most && !padded && is_number(digits));
    number.ok_or("not a prefix length of this family")
}

fn ip4(rest: &str) -> Parsed<IpNet> {
    let text = rest
        .strip_prefix(':')
        .ok_or("needs an address behind a colon")?;
    let (address, digits) = text.split_once('/').unwrap_or((text, "32"));
    let address = address.parse().map_err(|_| "not an IPv4 address")?;
    let network = Ipv4Net::new(address, length(digits, 32)?);
    network.map(IpNet::V4).map_err(|_| "not a prefix length")
}

fn ip6(rest: &str) -> Parsed<IpNet> {
    let text = rest
        .strip_prefix(':')
        .ok_or("needs an address behind a colon")?;
    let (address, digits) = text.split_once('/').unwrap_or((text, "128"));
    let address = address.parse().map_err(|_| "not an IPv6 address")?;
    let network = Ipv6Net::new(address, length(digits, 128)?);
    network.map(IpNet::V6).map_err(|_| "not a prefix length")
}
