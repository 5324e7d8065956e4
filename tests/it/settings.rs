//! The configuration of a daemon under test: keys that bind it to its world, overlaid with the keys of the story.

use toml::{Table, Value};

/// `keys` over `base`: tables are merged, everything else is replaced. Both are TOML.
pub fn overlay(base: &str, keys: &str) -> String {
    let mut settings: Table = base.parse().expect("the base is TOML");
    merge(
        &mut settings,
        keys.parse().unwrap_or_else(|e| panic!("{keys}: {e}")),
    );
    toml::to_string(&settings).expect("a table is TOML")
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

#[test]
fn the_keys_of_a_story_win() {
    let text = overlay(
        "[a]\nx = 1\ny = 2\n[[l]]\nn = 1\n",
        "[a]\ny = 3\n[[l]]\nn = 2\n",
    );
    assert_eq!(text, "[a]\nx = 1\ny = 3\n\n[[l]]\nn = 2\n");
}
