//! Addresses in fields and in running text.

/// An address and where it stands in its text, angle brackets included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'t> {
    pub address: &'t str,
    pub start: usize,
    pub end: usize,
}

/// Addresses in a line that are looked at.
const MOST: usize = 32;
/// Octets of an address (RFC 5321 §4.5.3.1).
const LONGEST: usize = 320;

/// The addresses in a text, from left to right.
pub fn addresses(text: &str) -> Vec<Found<'_>> {
    let mut found: Vec<Found<'_>> = Vec::new();
    for (at, _) in text.match_indices('@') {
        let free = found.last().map_or(0, |last| last.end);
        if at >= free
            && let Some(address) = around(text, free, at)
        {
            found.push(address);
        }
        if found.len() == MOST {
            break;
        }
    }
    found
}

/// The first address of a text, without what encloses it.
pub fn first_address(text: &str) -> Option<&str> {
    addresses(text).first().map(|found| found.address)
}

/// The address whose `@` stands at `at` and that begins at `free` or later.
fn around(text: &str, free: usize, at: usize) -> Option<Found<'_>> {
    let (before, behind) = (text.get(free..at)?, text.get(at + 1..)?);
    let local = local_part(before);
    let length = behind.find(|c: char| !in_domain(c)).unwrap_or(behind.len());
    let domain = behind.get(..length)?.trim_end_matches(['.', '-', '_']);
    let domain = domain.split("..").next()?;
    let (start, end) = (at - local.len(), at + 1 + domain.len());
    let address = text.get(start..end)?;
    let is_address = !local.is_empty() && !domain.is_empty() && address.len() <= LONGEST;
    let is_enclosed = text.get(..start)?.ends_with('<') && text.get(end..)?.starts_with('>');
    let width = usize::from(is_enclosed);
    is_address.then_some(Found {
        address,
        start: start - width,
        end: end + width,
    })
}

/// The end of a text that is a local part: quoted, or what RFC 5322 lets be one and some more that is met.
fn local_part(before: &str) -> &str {
    if let Some(inner) = before.strip_suffix('"') {
        let start = inner.rfind('"').unwrap_or(before.len());
        return before.get(start..).unwrap_or_default();
    }
    let opened = before.rfind('<').and_then(|at| before.get(at + 1..));
    if let Some(inner) = opened
        && !inner.contains(|c: char| c.is_whitespace() || matches!(c, '>' | ':' | ',' | '"'))
    {
        return inner;
    }
    let start = before
        .char_indices()
        .rev()
        .take_while(|(_, c)| in_local(*c))
        .last()
        .map_or(before.len(), |(at, _)| at);
    let local = before.get(start..).unwrap_or_default();
    local.trim_start_matches(['\'', '=', '.', '*', '/', '`', '-', '|'])
}

fn in_local(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c)
}

/// Beyond ASCII only letters: a full stop of another script ends a domain.
fn in_domain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-' | '_')
}

/// The address in a field that names a recipient by its type (RFC 3464 §2.1.2, RFC 6533 §3): `rfc822; ann@example.net`.
/// Types of other mail systems have none.
pub fn typed(value: &str) -> Option<String> {
    let (kind, address) = value.split_once(';').unwrap_or(("rfc822", value));
    let kind = kind.trim().to_ascii_lowercase();
    if ["x-", "x4", "x5"]
        .iter()
        .any(|other| kind.starts_with(other))
    {
        return None;
    }
    let mut address = unescaped(address.trim());
    if !address.contains(['<', ' ', '"']) {
        address = format!("<{address}>");
    }
    first_address(&address).map(str::to_owned)
}

/// Characters that RFC 6533 §3 writes as `\x{E9}`.
fn unescaped(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    let mut rest = address;
    while let Some((before, behind)) = rest.split_once("\\x{") {
        out.push_str(before);
        let (digits, behind) = behind.split_once('}').unwrap_or((behind, ""));
        let character = u32::from_str_radix(digits, 16)
            .ok()
            .and_then(char::from_u32);
        out.extend(character.filter(|c| !c.is_control()));
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Whether two addresses are one mailbox, as far as anybody can tell.
pub fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<&str> {
        addresses(text).iter().map(|found| found.address).collect()
    }

    #[test]
    fn addresses_stand_out_of_a_text() {
        for (text, found) in [
            ("<ann@example.net>: host said", vec!["ann@example.net"]),
            (
                "write to ann@example.net, bob@example.org.",
                vec!["ann@example.net", "bob@example.org"],
            ),
            ("rfc822;ann+x=y@example.net", vec!["ann+x=y@example.net"]),
            ("'ann@example.net' (user)", vec!["ann@example.net"]),
            (
                "\"ann smith\"@example.net",
                vec!["\"ann smith\"@example.net"],
            ),
            ("<grüße@bücher.example>", vec!["grüße@bücher.example"]),
            ("RCPT TO:<ann@localhost>", vec!["ann@localhost"]),
            ("meet @ noon, @home, x@", vec![]),
            ("a@b@c", vec!["a@b"]),
            ("宛先ann@example.net。", vec!["ann@example.net"]),
        ] {
            assert_eq!(all(text), found, "{text}");
        }
    }

    #[test]
    fn only_addresses_of_mail_are_taken_from_typed_fields() {
        for (value, address) in [
            ("rfc822; <ann@example.net>", Some("ann@example.net")),
            ("RFC822;ann@example.net (Ann)", Some("ann@example.net")),
            ("utf-8; gr\\x{FC}n@example.net", Some("grün@example.net")),
            ("ann@example.net", Some("ann@example.net")),
            ("x400; /G=ann/S=x@y/", None),
            ("rfc822; /var/mail/ann", None),
        ] {
            assert_eq!(typed(value).as_deref(), address, "{value}");
        }
    }
}
