//! A refusal as rules see it.

use super::Said;
use crate::mail::EnhancedCode;
use std::borrow::Cow;

/// A refusal in one form, wherever it was said: codes apart, the text on one line without them.
///
/// An address in the text is `@` (`<ann@example.net>` is `<@>`) and of a URL its host is left, because the name of a
/// mailbox or a link must not look like a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<'a> {
    pub code: Option<u16>,
    pub enhanced: Option<EnhancedCode>,
    pub text: String,
    pub command: &'a str,
    pub provider: Option<&'a str>,
}

/// What of a text is looked at, in octets.
const MOST: usize = 4096;

impl<'a> Seen<'a> {
    pub fn of(said: &Said<'a>) -> Self {
        let mut seen = Self {
            code: said.code.filter(|code| (400..600).contains(code)),
            enhanced: said.enhanced.filter(says_something),
            text: String::with_capacity(said.text.len().min(MOST)),
            command: match said.command {
                "" => answered(said.text),
                command => command,
            },
            provider: said.provider,
        };
        let mut end = said.text.len().min(MOST);
        while !said.text.is_char_boundary(end) {
            end -= 1;
        }
        let said_text = said.text.get(..end).unwrap_or_default();
        let said_text = said_text.split(" (in reply to ").next().unwrap_or_default();
        for word in said_text.split_whitespace() {
            seen.take(word);
        }
        seen.enhanced = seen.enhanced.or(said.enhanced);
        seen
    }

    /// Reads a reply as it goes over the wire, or as logs and notices have it. Both codes may be missing.
    pub fn read(text: &'a str, command: &'a str, provider: Option<&'a str>) -> Self {
        Self::of(&Said {
            text,
            command,
            provider,
            ..Said::default()
        })
    }

    /// It is to be tried again. Where its two codes do not agree it is not for good, and neither is what has none of
    /// them said to be for now.
    pub fn is_temporary(&self) -> bool {
        let enhanced = self.enhanced.is_some_and(|code| code.0 == 4);
        self.code.is_some_and(|code| code < 500) || enhanced
    }

    fn take(&mut self, word: &str) {
        let Some(word) = self.without_code(word) else {
            return;
        };
        if let Some(code) = enhanced(word).filter(|code| self.agrees(*code)) {
            self.enhanced.get_or_insert(code);
            return;
        }
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(&masked(word));
    }

    /// What is left of a word beside the reply code, which servers and those who join lines repeat: `550-5.1.1`.
    fn without_code<'w>(&mut self, word: &'w str) -> Option<&'w str> {
        let Some((digits, rest)) = word.split_at_checked(3) else {
            return Some(word);
        };
        let code = digits.parse::<u16>().ok();
        let Some(code) = code.filter(|code| (400..600).contains(code)) else {
            return Some(word);
        };
        let is_first = self.code.is_none() && self.text.is_empty();
        let rest = match rest.strip_prefix('-') {
            Some(rest) => rest,
            None if rest.is_empty() => rest,
            None => return Some(word),
        };
        if is_first {
            self.code = Some(code);
        }
        if self.code != Some(code) {
            return Some(word);
        }
        (!rest.is_empty()).then_some(rest)
    }

    /// Three numbers with dots amid a text are a version or a date where they do not begin as the reply code does.
    fn agrees(&self, code: EnhancedCode) -> bool {
        let class = u16::from(code.0);
        let agrees = self.code.is_none_or(|reply| reply / 100 == class);
        class != 2 && code.1 <= 7 && (agrees || self.text.is_empty())
    }
}

/// The command that Postfix names behind what a server said.
fn answered(text: &str) -> &'static str {
    let Some((_, command)) = text.rsplit_once("(in reply to ") else {
        return "";
    };
    let commands = [
        ("end of DATA", "."),
        ("DATA", "DATA"),
        ("RCPT TO", "RCPT"),
        ("MAIL FROM", "MAIL"),
        ("STARTTLS", "STARTTLS"),
        ("EHLO", "EHLO"),
    ];
    let named = commands.iter().find(|(name, _)| command.starts_with(name));
    named.map_or("", |(_, command)| command)
}

/// `5.0.0` is what is written where nothing is known.
fn says_something(code: &EnhancedCode) -> bool {
    (code.1, code.2) != (0, 0)
}

/// A word that is an enhanced code, bare or as `(#5.1.1)`.
fn enhanced(word: &str) -> Option<EnhancedCode> {
    let bare =
        word.trim_matches(|c: char| matches!(c, '(' | ')' | '[' | ']' | '#' | ':' | ',' | ';'));
    let code = EnhancedCode::split(bare).map(|(code, _)| code);
    code.filter(says_something)
}

/// A word without the name of a mailbox and without the path of a URL.
pub(in crate::bounce) fn masked(word: &str) -> Cow<'_, str> {
    if let Some((scheme, rest)) = word.split_once("://") {
        let end = rest.find(['/', '?', '#', '>', ')', ',', ';', '\'', '"']);
        let host = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
        return Cow::Owned(format!("{scheme}://{host}"));
    }
    match word.find('@') {
        Some(at) if word.len() > 1 => Cow::Owned(format!(
            "{}@{}",
            before_address(word.get(..at).unwrap_or_default()),
            behind_address(word.get(at + 1..).unwrap_or_default())
        )),
        _ => Cow::Borrowed(word),
    }
}

/// What stands before the local part: `to=<`.
fn before_address(local: &str) -> &str {
    let end = local.rfind(['<', '(', '[', '"', '\'', ':', '=', ',']);
    let end = end.map_or(0, |at| at + 1);
    local.get(..end).unwrap_or_default()
}

/// What stands behind the domain: `>:`.
fn behind_address(domain: &str) -> &str {
    let is_domain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
    let end = domain.find(|c| !is_domain(c)).unwrap_or(domain.len());
    let end = domain
        .get(..end)
        .unwrap_or_default()
        .trim_end_matches('.')
        .len();
    domain.get(end..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> (Option<u16>, Option<String>, String) {
        let seen = Seen::read(text, "", None);
        (
            seen.code,
            seen.enhanced.map(|code| code.to_string()),
            seen.text,
        )
    }

    #[test]
    fn codes_are_found_wherever_servers_and_notices_put_them() {
        for (text, code, enhanced, left) in [
            ("550 5.1.1 no", Some(550), Some("5.1.1"), "no"),
            (
                "550-5.1.1 no\r\n550 5.1.1 user",
                Some(550),
                Some("5.1.1"),
                "no user",
            ),
            ("550-no 550 user", Some(550), None, "no user"),
            ("no user (#5.1.1)", None, Some("5.1.1"), "no user"),
            ("5.1.1 no", None, Some("5.1.1"), "no"),
            ("550 #5.1.0 no", Some(550), Some("5.1.0"), "no"),
            ("550 5.0.0 no", Some(550), None, "5.0.0 no"),
            ("550 4.1.1 no", Some(550), Some("4.1.1"), "no"),
            ("550 in 451 days", Some(550), None, "in 451 days"),
            ("550 Exim 4.92.3", Some(550), None, "Exim 4.92.3"),
            ("550 Postfix 2.5.6", Some(550), None, "Postfix 2.5.6"),
            ("no at 550 5.1.1", None, Some("5.1.1"), "no at 550"),
        ] {
            let expected = (code, enhanced.map(str::to_owned), left.to_owned());
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn a_code_in_the_text_counts_where_the_notice_has_none_that_says_anything() {
        let said = |enhanced| Said {
            enhanced: Some(enhanced),
            text: "550 5.1.1 no",
            ..Said::default()
        };
        let seen = |enhanced| Seen::of(&said(enhanced)).enhanced;
        assert_eq!(seen(EnhancedCode(5, 0, 0)), Some(EnhancedCode(5, 1, 1)));
        assert_eq!(seen(EnhancedCode(5, 2, 2)), Some(EnhancedCode(5, 2, 2)));
    }

    #[test]
    fn what_was_answered_is_read_where_a_notice_says_it() {
        let seen = Seen::read("550 no (in reply to end of DATA command)", "", None);
        assert_eq!((seen.command, &*seen.text), (".", "no"));
        assert_eq!(
            Seen::read("550 no (in reply to RCPT TO command)", "", None).command,
            "RCPT"
        );
        assert_eq!(
            Seen::read("550 no (in reply to X command)", "", None).command,
            ""
        );
        assert_eq!(
            Seen::read("550 no (in reply to DATA)", "MAIL", None).command,
            "MAIL"
        );
    }

    #[test]
    fn mailboxes_and_links_are_no_reasons() {
        for (word, masked_word) in [
            ("<user-unknown@spam.example>:", "<@>:"),
            ("ann@example.net...", "@..."),
            ("to=<ann@example.net>,", "to=<@>,"),
            ("\"ann@example.net\"", "\"@\""),
            ("@", "@"),
            (
                "https://help.example/spam?user=unknown",
                "https://help.example",
            ),
            ("<http://help.example>", "<http://help.example"),
            ("plain", "plain"),
        ] {
            assert_eq!(masked(word), masked_word);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_seen(text in any::<String>(), code in any::<Option<u16>>()) {
            let seen = Seen::of(&Said { code, text: &text, ..Said::default() });
            prop_assert!(seen.text.len() <= MOST * 2);
            prop_assert!(!seen.text.contains('\n'));
        }
    }
}
