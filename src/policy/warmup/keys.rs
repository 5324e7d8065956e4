//! Where the store has what is known of a unit.

use super::tally::Outcome;
use jiff::civil::Date;

/// What stands for the source as a whole in keys, events and tables.
pub const WHOLE: &str = "*";

/// The keys of one unit.
#[derive(Debug)]
pub(super) struct Keys {
    /// `SOURCE/PROVIDER`
    name: String,
}

impl Keys {
    /// `None`: the source as a whole.
    pub fn new(source: &str, provider: Option<&str>) -> Self {
        let provider = provider.map_or(WHOLE.into(), segment);
        Self {
            name: format!("{}/{provider}", segment(source)),
        }
    }

    /// The state.
    pub fn unit(&self) -> String {
        format!("{UNIT}/{}", self.name)
    }

    /// The counter of what has been taken of the cap of `date`.
    pub fn used(&self, date: Date) -> String {
        format!("warmup/used/{}/{date}", self.name)
    }

    /// The counter of what came of the mail on `date`.
    pub fn tally(&self, date: Date, outcome: Outcome) -> String {
        format!("warmup/tally/{}/{date}/{}", self.name, outcome.name())
    }
}

/// What the keys of all states of a source begin with.
pub(super) fn states_of(source: &str) -> String {
    format!("{UNIT}/{}/", segment(source))
}

/// The provider whose state is at `key`, one of `source`'s; `None` within is the source as a whole.
pub(super) fn provider_at(key: &str, source: &str) -> Option<Option<String>> {
    let provider = key.strip_prefix(&states_of(source))?;
    if provider == WHOLE {
        return Some(None);
    }
    let mut name = provider.to_owned();
    for (character, escape) in ESCAPES.into_iter().rev() {
        name = name.replace(escape, character);
    }
    Some(Some(name))
}

/// A name as one segment of a key: nothing in it parts segments or stands for the whole.
fn segment(name: &str) -> String {
    let mut segment = name.to_owned();
    for (character, escape) in ESCAPES {
        segment = segment.replace(character, escape);
    }
    segment
}

const UNIT: &str = "warmup/unit";
/// `%` first: the others bring it in.
const ESCAPES: [(&str, &str); 3] = [("%", "%25"), ("/", "%2F"), ("*", "%2A")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_kind_have_keys_of_their_own() {
        let key = |source, provider| Keys::new(source, provider).unit();
        assert_eq!(key("ip-a", Some("google")), "warmup/unit/ip-a/google");
        assert_eq!(key("ip-a", None), "warmup/unit/ip-a/*");
        let odd = ["a", "a/b", "b", "*", "%2F", "%", "", "a/"];
        let mut keys = std::collections::BTreeSet::new();
        for source in odd {
            for provider in odd.map(Some).into_iter().chain([None]) {
                let key = key(source, provider);
                assert_eq!(provider_at(&key, source), Some(provider.map(str::to_owned)));
                assert!(keys.insert(key));
            }
        }
        assert_eq!(provider_at("warmup/unit/ip-ab/google", "ip-a"), None);
    }
}
