//! Lists of `tag=value`, as DKIM, DMARC, MTA-STS, TLS-RPT and BIMI write them (RFC 6376 §3.2, RFC 9989 §4.8).

/// Names and values without the white space around them. A piece without `=` comes with an empty name.
pub fn tags(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let pieces = text.split(';').map(|piece| piece.trim_matches(WHITE));
    pieces.filter(|piece| !piece.is_empty()).map(|piece| {
        let (name, value) = piece.split_once('=').unwrap_or(("", piece));
        (name.trim_matches(WHITE), value.trim_matches(WHITE))
    })
}

const WHITE: [char; 4] = [' ', '\t', '\r', '\n'];

/// The tags of a record in their order. White space around names and values is of no account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Tags<'a> {
    /// `None` where a piece has no `=`, or a tag comes twice.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut tags: Vec<(&str, &str)> = Vec::new();
        for piece in text.split(';').filter(|piece| !piece.trim().is_empty()) {
            let (name, value) = piece.split_once('=')?;
            let name = name.trim();
            if tags.iter().any(|(known, _)| *known == name) {
                return None;
            }
            tags.push((name, value.trim()));
        }
        Some(Self(tags))
    }

    /// The tags of a record whose first is `v=VERSION`.
    pub fn of_version(text: &'a str, version: &str) -> Option<Self> {
        let tags = Self::parse(text)?;
        let first = tags.0.first()?;
        (*first == ("v", version)).then_some(tags)
    }

    pub fn get(&self, name: &str) -> Option<&'a str> {
        let tag = self.0.iter().find(|(known, _)| *known == name)?;
        Some(tag.1)
    }
}

/// Whether a text means to be of this version, even where the rest of it is wrong.
pub fn claims(text: &str, version: &str) -> bool {
    let Some((name, rest)) = text.split_once('=') else {
        return false;
    };
    let rest = rest.trim_start();
    let value = rest.split([';', ' ', '\t']).next().unwrap_or_default();
    name.trim().eq_ignore_ascii_case("v") && value.eq_ignore_ascii_case(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_and_empty_pieces_do_not_matter() {
        let found: Vec<_> = tags(" v = DMARC1 ;; p=a=b; odd ;").collect();
        assert_eq!(found, [("v", "DMARC1"), ("p", "a=b"), ("", "odd")]);
    }

    #[test]
    fn tags_are_read_with_white_space_anywhere() {
        let tags = Tags::of_version("v=DMARC1 ; p = reject;rua=mailto:a@b.test; ", "DMARC1");
        let tags = tags.unwrap();
        assert_eq!(tags.get("p"), Some("reject"));
        assert_eq!(tags.get("rua"), Some("mailto:a@b.test"));
        assert_eq!(tags.get("sp"), None);
    }

    #[test]
    fn what_is_no_list_or_of_another_version_is_none() {
        for text in [
            "",
            "v=DMARC1; p",
            "v=DMARC1; p=a; p=b",
            "p=none; v=DMARC1",
            "v=spf1 -all",
        ] {
            assert_eq!(Tags::of_version(text, "DMARC1"), None, "{text}");
        }
        assert!(claims("v=DMARC1; p", "DMARC1"));
        assert!(claims("v=spf1 -all", "spf1") && !claims("v=spf10 -all", "spf1"));
    }
}
