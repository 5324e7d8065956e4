//! Texts that may be tokens of ours ([`crate::bounce::token`]); whether they are, their signature says.

/// Letters of a token in lower case, and how many.
const ALPHABET: &str = "0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 40;
/// Candidates of a report that are kept.
const MOST: usize = 16;

/// Candidates in the order in which they were found, each once, in lower case.
#[derive(Debug, Default)]
pub struct Tokens(Vec<String>);

impl Tokens {
    /// Notes every candidate in a text: a word of letters and digits that has the length and the letters of a token.
    pub fn note(&mut self, text: &str) {
        let text = without_escapes(text);
        for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
            if word.len() != LENGTH || self.0.len() == MOST {
                continue;
            }
            let word = word.to_ascii_lowercase();
            if word.chars().all(|c| ALPHABET.contains(c)) && !self.0.contains(&word) {
                self.0.push(word);
            }
        }
    }

    /// As [`Tokens::note`], in the local part of an address alone.
    pub fn note_local(&mut self, address: &str) {
        if let Some((local, _)) = address.rsplit_once('@') {
            self.note(local);
        }
    }

    pub fn into_vec(self) -> Vec<String> {
        self.0
    }
}

/// `%3D` in a URL is no part of a word.
fn without_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut pieces = text.split('%');
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let is_escape = piece
            .get(..2)
            .is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        out.push(' ');
        out.push_str(if is_escape {
            piece.get(2..).unwrap_or_default()
        } else {
            piece
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "01abcdefghjkmnpqrstvwxyz0123456789abcdef";

    fn noted(text: &str) -> Vec<String> {
        let mut tokens = Tokens::default();
        tokens.note(text);
        tokens.into_vec()
    }

    #[test]
    fn a_token_is_found_wherever_it_stands_and_in_any_case() {
        assert_eq!(TOKEN.len(), LENGTH);
        for text in [
            format!("b-{TOKEN}@bounces.example.com"),
            format!("<x.{}@example.com>", TOKEN.to_uppercase()),
            format!("<https://u.example.com/u?t%3D{TOKEN}>"),
            format!("{TOKEN}, {TOKEN}"),
        ] {
            assert_eq!(noted(&text), [TOKEN], "{text}");
        }
    }

    #[test]
    fn words_of_another_length_or_other_letters_are_none() {
        assert!(noted(&format!("{TOKEN}0 {}", &TOKEN[1..])).is_empty());
        assert!(noted(&TOKEN.replace('a', "u")).is_empty());
        assert!(noted(&"é".repeat(20)).is_empty());
    }

    #[test]
    fn a_flood_of_candidates_is_cut() {
        let words: Vec<_> = (0..1000).map(|i| format!("{i:040}")).collect();
        assert_eq!(noted(&words.join(" ")).len(), MOST);
    }

    #[test]
    fn the_domain_of_a_return_path_has_none() {
        let mut tokens = Tokens::default();
        tokens.note_local(&format!("ann@{TOKEN}.example.com"));
        assert!(tokens.into_vec().is_empty());
    }
}
