//! The remedy for a mistake: the nearest known name, and what the schema says of a key.

use serde_json::Value;

/// What to do about an error of serde's at `key`.
pub fn for_serde(message: &str, schema: &Value, key: &str) -> String {
    if let Some(name) = message.strip_prefix("unknown field ") {
        return unknown(name, "remove it", "the keys here are");
    }
    if let Some(name) = message.strip_prefix("unknown variant ") {
        return unknown(name, "choose another", "the choices are");
    }
    describe(schema, key).unwrap_or_else(|| "see config/default.toml for its form".to_owned())
}

/// serde's wording, in the quotes a configuration file has.
pub fn plain(message: &str) -> String {
    let known = message
        .split_once(", expected")
        .filter(|_| message.starts_with("unknown "));
    let short = known.map_or(message, |(fault, _)| fault);
    let short = short
        .replace("unknown field", "unknown key")
        .replace("unknown variant", "unknown choice");
    short.replace('`', "\"")
}

/// The first sentence of the description, and the default, of the key in the JSON Schema.
pub fn describe(schema: &Value, key: &str) -> Option<String> {
    let mut node = schema;
    let mut parent = schema;
    let mut last = "";
    for name in key.split('.') {
        last = name.split('[').next().unwrap_or(name);
        parent = resolve(schema, node);
        node = parent.get("properties")?.get(last)?;
        if name.ends_with(']') {
            node = resolve(schema, node).get("items")?;
        }
    }
    let text = node.get("description").and_then(Value::as_str);
    let about = text.map(|t| t.split("\n\n").next().unwrap_or(t).replace('\n', " "));
    let default = node
        .get("default")
        .or_else(|| parent.get("default")?.get(last))
        .filter(|d| !d.is_null() && !d.is_object());
    match (about, default) {
        (Some(about), Some(default)) => Some(format!("{about} (default: {default})")),
        (Some(about), None) => Some(about),
        (None, Some(default)) => Some(format!("the default is {default}")),
        (None, None) => None,
    }
}

/// Follows `$ref`, and an optional value to the value.
pub fn resolve<'s>(schema: &'s Value, node: &'s Value) -> &'s Value {
    let reference = node
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|r| r.strip_prefix('#'));
    if let Some(found) = reference.and_then(|r| schema.pointer(r)) {
        return resolve(schema, found);
    }
    let present = node
        .get("anyOf")
        .and_then(Value::as_array)
        .and_then(|any| any.iter().find(|n| n["type"] != "null"));
    present.map_or(node, |found| resolve(schema, found))
}

/// The one of `known` that `name` most likely meant.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(name.len()) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `` `nmae`, expected one of `name`, `port` `` → the nearest, or all of them.
fn unknown(names: &str, otherwise: &str, these: &str) -> String {
    let mut quoted = names.split('`').skip(1).step_by(2);
    let name = quoted.next().unwrap_or_default();
    let known: Vec<&str> = quoted.collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if known.is_empty() => format!("{otherwise}: nothing is configured here"),
        None => format!("{otherwise}; {these}: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        let names = "unknown field `lisener`, expected one of `listener`, `dns`, `http`";
        assert_eq!(
            for_serde(names, &Value::Null, "lisener"),
            "did you mean \"listener\"?"
        );
        let far = "unknown field `colour`, expected `address` or `port`";
        assert_eq!(
            for_serde(far, &Value::Null, "colour"),
            "remove it; the keys here are: address, port"
        );
        assert_eq!(plain(names), "unknown key \"lisener\"");
    }
}
