//! Mailboxes as a From field lists them (RFC 5322 §3.4).

use super::{Address, AddressError};

/// What keeps a field value from being a list of mailboxes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailboxError {
    #[error("it names no mailbox")]
    None,
    #[error("a quoted string, a comment or an angle bracket is not closed")]
    Unclosed,
    #[error("it holds a group, which has no one address")]
    Group,
    #[error("there is text behind a closing angle bracket")]
    Trailing,
    #[error(
        "{0:?} looks like an address and stands before another one: quote it as a name, or remove it"
    )]
    Ambiguous(String),
    #[error(transparent)]
    Address(#[from] AddressError),
}

/// The addresses of an unfolded `mailbox-list`. Display names and comments are left out; what two readers could take
/// differently (two bracketed addresses in one mailbox, text behind the brackets) is refused.
pub fn mailboxes(value: &str) -> Result<Vec<Address>, MailboxError> {
    let mut found = Vec::new();
    let mut mailbox = Mailbox::default();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '(' => skip_comment(&mut chars)?,
            '"' => mailbox.push_quoted(&mut chars)?,
            '<' => mailbox.open(&mut chars)?,
            ',' => mailbox.close(&mut found)?,
            ':' | ';' => return Err(MailboxError::Group),
            _ => mailbox.push(c)?,
        }
    }
    mailbox.close(&mut found)?;
    (!found.is_empty())
        .then_some(found)
        .ok_or(MailboxError::None)
}

/// One element of the list while it is read.
#[derive(Default)]
struct Mailbox {
    /// Display name, or the address where there are no brackets.
    plain: String,
    /// Of that, what no quotes hold.
    unquoted: String,
    bracketed: Option<String>,
}

impl Mailbox {
    fn push(&mut self, c: char) -> Result<(), MailboxError> {
        if self.bracketed.is_some() && !c.is_whitespace() {
            return Err(MailboxError::Trailing);
        }
        self.plain.push(c);
        self.unquoted.push(c);
        Ok(())
    }

    fn push_quoted(&mut self, chars: &mut std::str::Chars<'_>) -> Result<(), MailboxError> {
        if self.bracketed.is_some() {
            return Err(MailboxError::Trailing);
        }
        quoted(chars, &mut self.plain)
    }

    fn open(&mut self, chars: &mut std::str::Chars<'_>) -> Result<(), MailboxError> {
        if self.bracketed.is_some() {
            return Err(MailboxError::Trailing);
        }
        let mut inside = String::new();
        loop {
            match chars.next().ok_or(MailboxError::Unclosed)? {
                '>' => break,
                '"' => quoted(chars, &mut inside)?,
                '(' => skip_comment(chars)?,
                c => inside.push(c),
            }
        }
        self.bracketed = Some(inside);
        Ok(())
    }

    fn close(&mut self, found: &mut Vec<Address>) -> Result<(), MailboxError> {
        let Self {
            plain,
            unquoted,
            bracketed,
        } = std::mem::take(self);
        // RFC 5322 §4.4: elements of a list may be empty.
        if bracketed.is_none() && plain.trim().is_empty() {
            return Ok(());
        }
        if let Some(address) = &bracketed {
            no_other(&unquoted, address.trim())?;
        }
        found.push(bracketed.unwrap_or(plain).trim().parse()?);
        Ok(())
    }
}

/// A name holds `@` only in quotes or encoded words (RFC 5322 §3.4). Lenient readers take the first address they see;
/// the one in the brackets, said twice, misleads nobody.
fn no_other(name: &str, address: &str) -> Result<(), MailboxError> {
    let encoded = |word: &str| word.starts_with("=?") && word.ends_with("?=");
    let mut words = name.split_whitespace();
    let other = words
        .find(|word| word.contains('@') && !encoded(word) && !word.eq_ignore_ascii_case(address));
    other.map_or(Ok(()), |word| Err(MailboxError::Ambiguous(word.into())))
}

/// Copies a quoted string, quotes and escapes included, up to its end.
fn quoted(chars: &mut std::str::Chars<'_>, out: &mut String) -> Result<(), MailboxError> {
    out.push('"');
    loop {
        let c = chars.next().ok_or(MailboxError::Unclosed)?;
        out.push(c);
        match c {
            '"' => return Ok(()),
            '\\' => out.push(chars.next().ok_or(MailboxError::Unclosed)?),
            _ => {}
        }
    }
}

/// RFC 5322 §3.2.2: comments nest.
fn skip_comment(chars: &mut std::str::Chars<'_>) -> Result<(), MailboxError> {
    let mut depth = 1usize;
    while depth > 0 {
        match chars.next().ok_or(MailboxError::Unclosed)? {
            '(' => depth += 1,
            ')' => depth -= 1,
            '\\' => {
                chars.next().ok_or(MailboxError::Unclosed)?;
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(value: &str) -> Vec<String> {
        let found = mailboxes(value).unwrap_or_else(|error| panic!("{value}: {error}"));
        found.into_iter().map(String::from).collect()
    }

    #[test]
    fn addresses_are_found_behind_names_and_comments() {
        for (value, expected) in [
            ("ann@example.test", &["ann@example.test"][..]),
            (" Ann <ann@example.test> ", &["ann@example.test"]),
            (
                "\"Ann, B. <eve@evil.test>\" <ann@example.test>",
                &["ann@example.test"],
            ),
            (
                "(a \\) (nested) <x@y>) ann@example.test (b)",
                &["ann@example.test"],
            ),
            (
                "=?utf-8?q?J=C3=BC?= <ju@example.test> (c)",
                &["ju@example.test"],
            ),
            (
                "a@b.test, \"B\" <c@d.test>,, e@f.test,",
                &["a@b.test", "c@d.test", "e@f.test"],
            ),
            (
                "<\"odd > one\"@example.test>",
                &["\"odd > one\"@example.test"],
            ),
            (
                "ann@example.test <ann@example.test>, =?utf-8?q?eve@evil.test?= <b@c.test>",
                &["ann@example.test", "b@c.test"],
            ),
            ("J\u{fc} <j\u{fc}@example.test>", &["j\u{fc}@example.test"]),
        ] {
            assert_eq!(read(value), expected, "{value}");
        }
    }

    #[test]
    fn what_is_no_clear_list_of_mailboxes_is_refused() {
        for value in [
            "",
            " , ",
            "Ann",
            "<>",
            "Ann <>",
            "<ann@example.test> <eve@evil.test>",
            "<ann@example.test> eve@evil.test",
            "<ann@example.test> \"x\"",
            "Ann <ann@example.test",
            "\"Ann <ann@example.test>",
            "(Ann <ann@example.test>",
            "team: ann@example.test, bob@example.test;",
            "<@relay.test:ann@example.test>",
            "ann@example.test eve@evil.test",
            "eve@evil.test <ann@example.test>",
            "Eve eve@evil.test <ann@example.test>",
            "\"x\"eve@evil.test <ann@example.test>",
        ] {
            assert!(mailboxes(value).is_err(), "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(value in "[a@.<>\"(),:; \\\\]{0,30}|\\PC{0,40}") {
            if let Ok(found) = mailboxes(&value) {
                prop_assert!(!found.is_empty());
            }
        }
    }
}
