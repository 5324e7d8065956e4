//! Tag lists: `v=DKIM1; k=rsa; p=…` (RFC 6376 §3.2, RFC 9989 §4.8).

/// Names and values without the white space around them. A piece without `=` comes with an empty name.
pub fn tags(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let pieces = text.split(';').map(|piece| piece.trim_matches(WHITE));
    pieces.filter(|piece| !piece.is_empty()).map(|piece| {
        let (name, value) = piece.split_once('=').unwrap_or(("", piece));
        (name.trim_matches(WHITE), value.trim_matches(WHITE))
    })
}

const WHITE: [char; 4] = [' ', '\t', '\r', '\n'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_and_empty_pieces_do_not_matter() {
        let found: Vec<_> = tags(" v = DMARC1 ;; p=a=b; odd ;").collect();
        assert_eq!(found, [("v", "DMARC1"), ("p", "a=b"), ("", "odd")]);
    }
}
