//! What of a new configuration cannot be taken over while running.

use super::Config;
use serde_json::Value;

/// Keys (and what is below them) that are read once, at start.
const RESTART: &[&str] = &[
    "hostname",
    "data_dir",
    "listener",
    "auth",
    "spool",
    "dns",
    "delivery.max_connections",
    "tls",
    "mta_sts",
    "http",
    "unsubscribe.address",
    "unsubscribe.certificate",
    "unsubscribe.key",
    "events",
    "suppression.hash_key",
    "suppression.size",
];

/// The changed keys that need a restart, in order; everything else is taken over by a reload.
pub fn restart_needed(old: &Config, new: &Config) -> Vec<String> {
    let tree = |config: &Config| serde_json::to_value(config).unwrap_or_default();
    changed(&tree(old), &tree(new))
        .into_iter()
        .filter(|key| RESTART.iter().any(|fixed| is_at_or_below(key, fixed)))
        .collect()
}

/// The keys whose values differ. Lists differ as a whole where their lengths do.
fn changed(old: &Value, new: &Value) -> Vec<String> {
    let mut keys = Vec::new();
    compare(old, new, "", &mut keys);
    keys
}

fn compare(old: &Value, new: &Value, at: &str, keys: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let added = b.keys().filter(|name| !a.contains_key(*name));
            for name in a.keys().chain(added) {
                let below = super::document::join(at, name);
                let value = |map: &serde_json::Map<String, Value>| map.get(name).cloned();
                compare(
                    &value(a).unwrap_or_default(),
                    &value(b).unwrap_or_default(),
                    &below,
                    keys,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (x, y)) in a.iter().zip(b).enumerate() {
                compare(x, y, &format!("{at}[{i}]"), keys);
            }
        }
        _ if old != new => keys.push(at.to_owned()),
        _ => {}
    }
}

/// `listener[0].address` is at or below `listener`, and matches `listener[].address`.
fn is_at_or_below(key: &str, fixed: &str) -> bool {
    let mut bare = String::with_capacity(key.len());
    let mut inside = false;
    for c in key.chars() {
        inside = (inside || c == '[') && c != ']';
        if !inside || c == '[' {
            bare.push(c);
        }
    }
    bare.strip_prefix(fixed)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changed_keys_that_are_read_once_are_named() {
        let old = Config::default();
        let mut new = old.clone();
        new.retry.factor = 3.0;
        assert_eq!(restart_needed(&old, &new), Vec::<String>::new());
        new.data_dir = "/elsewhere".into();
        new.http.address = "127.0.0.1:1".parse().unwrap();
        assert_eq!(restart_needed(&old, &new), ["data_dir", "http.address"]);
    }

    #[test]
    fn positions_in_lists_are_covered_by_their_key() {
        assert!(is_at_or_below("listener[0].address", "listener"));
        assert!(is_at_or_below("listener[12].address", "listener[].address"));
        assert!(!is_at_or_below("listeners", "listener"));
        let (a, b) = (
            serde_json::json!({"l": [1, 2]}),
            serde_json::json!({"l": [1, 3], "n": 1}),
        );
        assert_eq!(changed(&a, &b), ["l[1]", "n"]);
    }
}
