use super::*;

fn refusal(text: &str) -> Refused {
    Config::parse(text, Path::new("/etc/mailwright/mailwright.toml")).unwrap_err()
}

#[test]
fn what_cannot_be_judged_is_not_refused_or_held_for_it() {
    let text = "[alignment]\naction = \"warn\"\n[[tenant]]\nname = \"a\"\ndomains = [\"a.test\"]\n\
                [tenant.alignment]\naction = \"reject\"\n";
    let told = refusal(text).to_string();
    for key in ["alignment.action", "tenant[0].alignment.action"] {
        assert!(told.contains(&format!("{key}: nobody can tell")), "{told}");
    }
    let source = "[[source]]\nname = \"ip-a\"\naddress = \"192.0.2.1\"\nehlo = \"a.test\"\n";
    let text = format!("{text}{source}");
    let config = Config::parse(&text, Path::new("mailwright.toml")).unwrap();
    let action = |tenant| config.alignment().action(tenant);
    use auth::alignment::Action;
    assert_eq!(
        (action(Some("a")), action(Some("b")), action(None)),
        (Action::Reject, Action::Warn, Action::Warn)
    );
    let told = refusal("[alignment]\naction = \"refuse\"\n").to_string();
    assert!(
        told.contains("alignment.action") && told.contains("reject"),
        "{told}"
    );
}

#[test]
fn the_shipped_file_is_the_built_in_defaults() {
    let text = include_str!("../../config/default.toml");
    let shipped = Config::parse(text, Path::new("default.toml")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(shipped, Config::default());
}

#[test]
fn every_key_is_documented_in_the_shipped_file() {
    let schema = Config::schema();
    let mut missing = Vec::new();
    undocumented(&schema, &schema, "", &mut missing);
    assert_eq!(missing, Vec::<String>::new());
}

/// Walks the schema; a key counts as documented where a line of its section, commented out or not, sets it.
fn undocumented(
    schema: &serde_json::Value,
    node: &serde_json::Value,
    at: &str,
    missing: &mut Vec<String>,
) {
    let node = help::resolve(schema, node);
    let Some(properties) = node.get("properties").and_then(|p| p.as_object()) else {
        return;
    };
    for (name, below) in properties {
        let key = document::join(at, name);
        let inner = help::resolve(schema, below);
        let element = inner.get("items").map(|i| help::resolve(schema, i));
        let table = element
            .filter(|e| e.get("properties").is_some())
            .unwrap_or(inner);
        if !is_documented(at, name) {
            missing.push(key.clone());
        }
        undocumented(schema, table, &key, missing);
    }
}

fn is_documented(section: &str, name: &str) -> bool {
    let text = include_str!("../../config/default.toml");
    let mut current = String::new();
    for line in text.lines() {
        let line = line.trim_start_matches(['#', ' ']);
        if line.starts_with('[') {
            let header = line.split(']').next().unwrap_or_default();
            current = header.trim_start_matches('[').to_owned();
            let key = document::join(section, name);
            if current == key || current.starts_with(&format!("{key}.")) {
                return true;
            }
        }
        let set = line
            .strip_prefix(name)
            .is_some_and(|rest| rest.trim_start().starts_with('='));
        let inline = line.contains(&format!("{name} = "));
        let inside = section.strip_prefix(current.as_str()).is_some() && section != current;
        if (set && current == section) || (inline && inside) {
            return true;
        }
    }
    false
}

#[test]
fn the_shipped_schema_is_current() {
    let shipped: serde_json::Value =
        serde_json::from_str(include_str!("../../config/schema.json")).unwrap();
    assert_eq!(
        shipped,
        Config::schema(),
        "config/schema.json is old: write it anew with `mailwright check --schema > config/schema.json`"
    );
}

#[test]
fn every_mistake_is_told_at_once_with_its_line_and_remedy() {
    let refused = refusal(
        "\
hostname = \"-bad-\"
data_dir = 7

[http]
address = \"0.0.0.0:8025\"
tokns = \"file:x\"

[events]
rotate_size = \"12\"
keep = \"forever\"
[evnts]
",
    );
    let told: Vec<(usize, &str)> = refused
        .findings
        .iter()
        .map(|f| (f.line, f.key.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (1, "hostname"),
            (2, "data_dir"),
            (5, "http.address"),
            (6, "http.tokns"),
            (9, "events.rotate_size"),
            (10, "events.keep"),
            (11, "evnts"),
        ]
    );
    let text = refused.to_string();
    assert!(
        text.contains(
            "/etc/mailwright/mailwright.toml:6: http.tokns: unknown key \"tokns\"\n    did you mean \"tokens\"?"
        ),
        "{text}"
    );
    assert!(text.contains("did you mean \"events\"?"), "{text}");
}

#[test]
fn text_that_is_not_toml_is_told_line_by_line() {
    let refused = refusal("hostname = \nx = \"y\"\n[http\n");
    let lines: Vec<usize> = refused.findings.iter().map(|f| f.line).collect();
    assert_eq!(lines, [1, 3]);
}

#[test]
fn relative_paths_count_from_the_file() {
    let text = "data_dir = \"data\"\n[http]\ntokens = \"file:tokens\"\n";
    let config = Config::parse(text, Path::new("/etc/mailwright/mailwright.toml")).unwrap();
    assert_eq!(config.data_dir, Path::new("/etc/mailwright/data"));
    assert_eq!(
        config.http.tokens.as_deref(),
        Some("file:/etc/mailwright/tokens")
    );
    assert_eq!(
        config.events_dir(),
        Path::new("/etc/mailwright/data/events")
    );
}

#[test]
fn a_file_that_cannot_be_read_is_a_finding() {
    let refused = Config::load(Some(Path::new("/nowhere/mailwright.toml"))).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("/nowhere/mailwright.toml:1: cannot be read")
    );
}

#[test]
fn keys_of_tokens_count_from_the_file_and_links_need_a_place() {
    let text = "[return_path]\nkeys = [\"file:token.key\", \"env:KEY\"]\n";
    let config = Config::parse(text, Path::new("/etc/mailwright/mailwright.toml")).unwrap();
    let keys = ["file:/etc/mailwright/token.key", "env:KEY"];
    assert_eq!(config.return_path.keys, keys);

    let tenant = "[[tenant]]\nname = \"a\"\nlist_unsubscribe = true\n";
    let refused = refusal(tenant);
    assert_eq!(refused.findings[0].key, "tenant[0].list_unsubscribe");
    let with = format!("{tenant}[unsubscribe]\nurl = \"https://u.example.com\"\n");
    assert!(Config::parse(&with, Path::new("mailwright.toml")).is_ok());
}
