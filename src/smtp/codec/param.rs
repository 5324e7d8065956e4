//! Values of MAIL and RCPT parameters (RFC 1870, RFC 6152, RFC 6531, RFC 3461).

use super::command::CodecError;
use crate::mail::{BodyType, Notify, Ret};

/// RFC 3461 §4.4.
const MAX_ENVID: usize = 100;
/// RFC 3461 §4.2.
const MAX_ORCPT: usize = 500;

type Parsed<T> = Result<T, CodecError>;

/// What may stand behind the `=` of a parameter, for the client that wrote something else.
pub fn expected(name: &str) -> &'static str {
    match name {
        "SIZE" => "a number of octets",
        "BODY" => "7BIT or 8BITMIME",
        "RET" => "FULL or HDRS",
        "ENVID" => "up to 100 octets of xtext (RFC 3461 section 4)",
        "NOTIFY" => "NEVER, or a list of SUCCESS, FAILURE and DELAY",
        "ORCPT" => "a type, a semicolon and an address in xtext (RFC 3461 section 4.2)",
        "AUTH" => "an address in xtext, or <> (RFC 4954 section 5)",
        _ => "no value",
    }
}

/// RFC 1870 §6.1.
pub fn size(value: &str) -> Parsed<u64> {
    octets(value).ok_or(CodecError::Parameter("SIZE"))
}

/// Up to twenty digits. Those can pass `u64`; such a number is over any limit all the same.
pub fn octets(value: &str) -> Option<u64> {
    let digits = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

pub fn body(value: &str) -> Parsed<BodyType> {
    if value.eq_ignore_ascii_case("7BIT") {
        Ok(BodyType::SevenBit)
    } else if value.eq_ignore_ascii_case("8BITMIME") {
        Ok(BodyType::EightBitMime)
    } else {
        Err(CodecError::Parameter("BODY"))
    }
}

pub fn ret(value: &str) -> Parsed<Ret> {
    if value.eq_ignore_ascii_case("FULL") {
        Ok(Ret::Full)
    } else if value.eq_ignore_ascii_case("HDRS") {
        Ok(Ret::Headers)
    } else {
        Err(CodecError::Parameter("RET"))
    }
}

pub fn envid(value: &str) -> Parsed<Box<str>> {
    if value.len() > MAX_ENVID {
        return Err(CodecError::Parameter("ENVID"));
    }
    decode_xtext(value).ok_or(CodecError::Parameter("ENVID"))
}

/// RFC 3461 §4.1: `NEVER` stands alone.
pub fn notify(value: &str) -> Parsed<Notify> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Ok(Notify::Never);
    }
    let (mut success, mut failure, mut delay) = (false, false, false);
    for word in value.split(',') {
        let flag = match () {
            () if word.eq_ignore_ascii_case("SUCCESS") => &mut success,
            () if word.eq_ignore_ascii_case("FAILURE") => &mut failure,
            () if word.eq_ignore_ascii_case("DELAY") => &mut delay,
            () => return Err(CodecError::Parameter("NOTIFY")),
        };
        *flag = true;
    }
    Ok(Notify::On {
        success,
        failure,
        delay,
    })
}

/// `addr-type ";" xtext`; the address is decoded once, the type kept. RFC 6533 §3 adds the type `utf-8`, whose
/// address may stand unencoded.
pub fn orcpt(value: &str) -> Parsed<Box<str>> {
    const WRONG: CodecError = CodecError::Parameter("ORCPT");
    if value.len() > MAX_ORCPT {
        return Err(WRONG);
    }
    let (kind, address) = value.split_once(';').ok_or(WRONG)?;
    let kind_fine =
        !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !kind_fine || address.is_empty() {
        return Err(WRONG);
    }
    let address = if kind.eq_ignore_ascii_case("utf-8") && !address.is_ascii() {
        let fine = !address.chars().any(|c| c.is_control() || c.is_whitespace());
        fine.then(|| Box::from(address)).ok_or(WRONG)?
    } else {
        decode_xtext(address).ok_or(WRONG)?
    };
    Ok(format!("{kind};{address}").into())
}

/// RFC 3461 §4: `+` and two upper-case hexadecimal digits stand for an octet. `None` where the text is not xtext or
/// where it stands for a control character, which could end a line in a notice or a log.
pub fn decode_xtext(text: &str) -> Option<Box<str>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'+' => {
                let [high, low, tail @ ..] = rest else {
                    return None;
                };
                octets.push(hex(*high)? << 4 | hex(*low)?);
                rest = tail;
            }
            b'=' => return None,
            b'!'..=b'~' => octets.push(*first),
            _ => return None,
        }
    }
    let text = String::from_utf8(octets).ok()?;
    (!text.chars().any(char::is_control)).then(|| text.into())
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_is_decoded_once_and_hides_no_controls() {
        assert_eq!(decode_xtext("a+2Bb+3D+20c").as_deref(), Some("a+b= c"));
        assert_eq!(decode_xtext("+2B2B").as_deref(), Some("+2B"));
        for bad in [
            "a=b", "+2", "+", "+2b", "+GG", "a b", "x+0D+0Ay", "+00", "+7F", "+FF", "é",
        ] {
            assert_eq!(decode_xtext(bad), None, "{bad}");
        }
    }

    #[test]
    fn parameters_that_are_not_the_standards_are_refused() {
        assert_eq!(size("99999999999999999999"), Ok(u64::MAX));
        assert!(size("-1").is_err() && size("").is_err() && size("+5").is_err());
        assert!(body("BINARYMIME").is_err() && ret("BODY").is_err());
        assert_eq!(notify("never"), Ok(Notify::Never));
        assert!(notify("NEVER,FAILURE").is_err() && notify("").is_err());
        assert!(orcpt("rfc822").is_err() && orcpt(";a").is_err() && orcpt("a b;c").is_err());
        assert_eq!(orcpt("rfc822;a+2Bb@c.d").as_deref(), Ok("rfc822;a+b@c.d"));
        assert_eq!(orcpt("utf-8;é@c.d").as_deref(), Ok("utf-8;é@c.d"));
        assert!(envid(&"x".repeat(101)).is_err());
    }
}
