//! A reply as patterns see it, and replies that stand in a configuration as examples.

use crate::mail::Reply;
use crate::smtp::codec::ReplyParser;
use std::fmt::Write as _;

/// `CODE ENHANCED TEXT` on one line, every run of blanks and line ends one space.
///
/// Servers break their lines where they like, so a pattern that had to know where would be dead the day they move the
/// break. An enhanced code that the server put behind a blank is in its place all the same.
pub fn of(reply: &Reply) -> String {
    let mut text = String::with_capacity(reply.text.len() + 16);
    // Writing into a String cannot fail.
    let _infallible = write!(text, "{}", reply.code);
    if let Some(enhanced) = reply.enhanced {
        let _infallible = write!(text, " {enhanced}");
    }
    for word in reply.text.split_whitespace() {
        text.push(' ');
        text.push_str(word);
    }
    text
}

/// Reads a reply as it goes over the wire, or as our log has it: the code, and lines with or without it.
///
/// It goes through the parser that reads servers, so that an example is what the same octets from a server would be.
/// `None` where a server could not say it.
pub fn read(example: &str) -> Option<Reply> {
    let (code, rest) = example.split_at_checked(3)?;
    if !rest.is_empty() && !rest.starts_with(['-', ' ', '\r', '\n']) {
        return None;
    }
    let lines: Vec<&str> = example
        .lines()
        .map(|line| without_code(line, code))
        .collect();
    let (last, others) = lines.split_last()?;
    let mut wire = String::new();
    for line in others {
        let _infallible = write!(wire, "{code}-{line}\r\n");
    }
    let _infallible = write!(wire, "{code} {last}\r\n");
    let (taken, reply) = ReplyParser::default().ingest(wire.as_bytes(), "").ok()?;
    reply.filter(|_| taken == wire.len())
}

fn without_code<'l>(line: &'l str, code: &str) -> &'l str {
    match line.strip_prefix(code) {
        Some("") => "",
        Some(rest) => rest.strip_prefix(['-', ' ']).unwrap_or(line),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::EnhancedCode;
    use proptest::prelude::*;

    #[test]
    fn lines_are_joined_wherever_they_break() {
        let one = "550 5.7.1 likely suspicious due to the very low reputation";
        for same in [
            one,
            "550-5.7.1 likely suspicious \n550 5.7.1 due to the very low reputation",
            "550-5.7.1 likely suspicious due\r\n550-5.7.1 to the very\n550 5.7.1 low reputation",
            "550 5.7.1 likely  suspicious\ndue to the very low reputation",
            "550-  5.7.1 likely suspicious\n550 due to the very low reputation",
        ] {
            assert_eq!(of(&read(same).unwrap()), one, "{same:?}");
        }
        let plain = "554-gmx.net (mxgmx104) Nemesis ESMTP Service not available\n554-No SMTP service\n554 IP address is block listed.";
        assert_eq!(
            of(&read(plain).unwrap()),
            "554 gmx.net (mxgmx104) Nemesis ESMTP Service not available No SMTP service IP address is block listed."
        );
    }

    #[test]
    fn what_a_server_cannot_say_is_no_example() {
        for bad in [
            "", "4", "hello", "42x no", "é21 x", "4217 x", "421x", "199 x", "600 x", "\n421 x",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert_eq!(of(&read("421").unwrap()), "421");
    }

    proptest! {
        #[test]
        fn an_example_is_what_the_same_octets_from_a_server_are(
            code in 400u16..600,
            enhanced in proptest::option::of((0u16..1000, 0u16..1000)),
            lines in prop::collection::vec("[ -~]{0,60}", 1..5),
        ) {
            let last = lines.len() - 1;
            let mut wire = String::new();
            for (i, line) in lines.iter().enumerate() {
                let separator = if i == last { ' ' } else { '-' };
                let enhanced = enhanced.map_or(String::new(), |(s, d)| format!("{}.{s}.{d} ", code / 100));
                wire.push_str(&format!("{code}{separator}{enhanced}{line}\r\n"));
            }
            let (_, said) = ReplyParser::default().ingest(wire.as_bytes(), "").unwrap();
            prop_assert_eq!(read(&wire), said);
        }

        #[test]
        fn the_text_is_one_line_that_begins_with_the_codes_and_has_every_word(
            code in 400u16..600,
            enhanced in proptest::option::of((0u16..1000, 0u16..1000)),
            text in any::<String>(),
        ) {
            let enhanced = enhanced.map(|(s, d)| EnhancedCode((code / 100) as u8, s, d));
            let reply = Reply::said(code, enhanced, &text, "RCPT");
            let seen = of(&reply);
            prop_assert!(!seen.contains(['\n', '\r', '\t']) && !seen.contains("  "));
            let mut words = seen.split(' ');
            prop_assert_eq!(words.next(), Some(&*code.to_string()));
            if let Some(enhanced) = enhanced {
                prop_assert_eq!(words.next(), Some(&*enhanced.to_string()));
            }
            let rest: Vec<&str> = words.collect();
            prop_assert_eq!(rest, reply.text.split_whitespace().collect::<Vec<_>>());
        }

        #[test]
        fn no_example_is_too_strange_to_read(text in any::<String>()) {
            if let Some(reply) = read(&text) {
                prop_assert!(of(&reply).starts_with(&reply.code.to_string()));
            }
        }
    }
}
