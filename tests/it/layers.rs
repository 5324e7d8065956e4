//! The import order. rustc allows modules of one crate to use each other in circles; this keeps them from it.
//!
//! Every module has a layer; a file may use its own layer and those before it. Code under `#[cfg(test)]` is free.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules by layer; the longest path that fits a file or an import counts.
const LAYERS: &[(usize, &[&str])] = &[
    // Values and parsers: no tokio, no clock, no I/O.
    (
        0,
        &[
            "units",
            "problem",
            "tables",
            "mail",
            "smtp::codec",
            "bounce",
            "lint",
            "reports::advice",
            "reports::attachments",
            "reports::config",
            "reports::dmarc",
            "reports::figures",
            "reports::line",
            "reports::period",
            "reports::read",
            "reports::rows",
            "reports::text",
            "reports::tls",
            "reports::unpack",
            "reports::unreadable",
            "reports::xml",
            "tlsrpt::config",
            "policy::limits::config",
            "policy::limits::rate",
            "policy::reputation::config",
            "policy::reputation::counts",
            "policy::reputation::judge",
            "policy::reputation::rings",
            "policy::share",
            "policy::suppression::config",
            "policy::suppression::entry",
            "policy::window",
        ],
    ),
    // Ground services.
    (
        1,
        &[
            "clock", "events", "store", "spool", "books", "reports", "dns", "tls", "sts", "tlsrpt",
        ],
    ),
    // Identity.
    (2, &["auth"]),
    // Policy.
    (3, &["policy", "zone", "outside"]),
    // Time.
    (4, &["queue", "smtp::client"]),
    // The door.
    (5, &["intake"]),
    // Movement.
    (
        6,
        &["delivery", "inbound", "tlsrpt::daily", "tlsrpt::record"],
    ),
    // Faces.
    (7, &["smtp", "http", "peers"]),
    // Assembly.
    (8, &["config", "app", "cli", "lib", "main"]),
];

#[test]
fn no_file_imports_from_a_layer_above_its_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 40, "the sources were not found");
    let mut found = Vec::new();
    for file in files {
        let module = module_of(file.strip_prefix(&root).unwrap());
        let text = fs::read_to_string(&file).unwrap();
        found.extend(violations(&module, &text));
    }
    assert!(
        found.is_empty(),
        "imports against the layers:\n{}",
        found.join("\n")
    );
}

#[test]
fn an_import_upwards_is_found_however_it_is_written() {
    for text in [
        "use crate::config::Config;",
        "use crate::config;",
        "use crate::{mail, config::Config};",
        "use crate::{\n    mail::{Address, Reply},\n    smtp::{codec, session::Session},\n};",
        "fn f(x: &crate::app::App) {}",
        "pub(crate) use crate::smtp::listener as l;",
    ] {
        assert_eq!(violations("spool::log", text).len(), 1, "{text}");
    }
}

#[test]
fn imports_downwards_comments_and_tests_are_free() {
    for text in [
        "use crate::mail::{Address, Reply};\nuse crate::{clock::Clock, units::Size};",
        "use crate::spool::Draft;",
        "use crate::smtp::codec::Command;",
        "//! As [`crate::config::Config`] says.\nfn f() {} // crate::app",
        "fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::config::Config;\n}",
    ] {
        assert_eq!(
            violations("spool::log", text),
            Vec::<String>::new(),
            "{text}"
        );
    }
}

#[test]
fn a_module_without_a_layer_is_told() {
    assert_eq!(violations("novelty", "").len(), 1);
    assert_eq!(violations("spool", "use crate::novelty::X;").len(), 1);
}

/// What is wrong with the imports of `module`, whose source is `text`.
fn violations(module: &str, text: &str) -> Vec<String> {
    let Some(own) = layer_of(module) else {
        return vec![format!(
            "{module} has no layer: give it one in tests/it/layers.rs"
        )];
    };
    imports(text)
        .into_iter()
        .filter_map(|path| match layer_of(&path) {
            Some(layer) if layer <= own => None,
            Some(layer) => Some(format!(
                "{module} (layer {own}) uses {path} (layer {layer})"
            )),
            None => Some(format!("{module} uses {path}, which has no layer")),
        })
        .collect()
}

fn layer_of(path: &str) -> Option<usize> {
    let fits = |module: &str| {
        path.strip_prefix(module)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    LAYERS
        .iter()
        .flat_map(|(layer, modules)| modules.iter().map(move |module| (*layer, *module)))
        .filter(|(_, module)| fits(module))
        .max_by_key(|(_, module)| module.len())
        .map(|(layer, _)| layer)
}

/// The paths behind each `crate::`, groups written out.
fn imports(text: &str) -> Vec<String> {
    let code = without_comments_and_tests(text);
    let mut paths = Vec::new();
    for (at, marker) in code.match_indices("crate::") {
        // `$crate::` and identifiers that end in "crate" are something else.
        let before = code[..at].chars().next_back();
        if !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            expand("", &code[at + marker.len()..], &mut paths);
        }
    }
    paths
}

/// Writes out the use tree at the start of `tree`: `a::{b, c::d}` is `a::b` and `a::c::d`. Gives what is behind it.
fn expand<'t>(prefix: &str, tree: &'t str, paths: &mut Vec<String>) -> &'t str {
    let tree = tree.trim_start();
    if let Some(mut rest) = tree.strip_prefix('{') {
        loop {
            rest = expand(prefix, rest, paths).trim_start();
            // `as name` is of no interest.
            rest = rest.trim_start_matches(|c: char| c != ',' && c != '}');
            match rest.strip_prefix(',') {
                Some(more) if !more.trim_start().starts_with('}') => rest = more,
                Some(end) => return end.trim_start().trim_start_matches('}'),
                None => return rest.strip_prefix('}').unwrap_or(""),
            }
        }
    }
    let end = tree
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(tree.len());
    let (name, rest) = tree.split_at(end);
    let path = match prefix {
        "" => name.to_owned(),
        _ => format!("{prefix}::{name}"),
    };
    match rest.strip_prefix("::") {
        Some(below) => expand(&path, below, paths),
        None => {
            paths.push(path);
            rest
        }
    }
}

fn without_comments_and_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        // A test module is the last thing of a file; `mod x;` behind the attribute is a file of its own.
        if line.trim() == "#[cfg(test)]" {
            match lines.peek() {
                Some(next) if next.trim_end().ends_with(';') => continue,
                _ => break,
            }
        }
        code.push_str(line.split("//").next().unwrap_or_default());
        code.push('\n');
    }
    code
}

/// All source files but those that hold tests alone.
fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" {
            sources(&path, found);
        } else if name.ends_with(".rs") && !["tests.rs", "sample.rs"].contains(&name) {
            found.push(path);
        }
    }
}

/// `smtp/client/mod.rs` is `smtp::client`.
fn module_of(file: &Path) -> String {
    let text = file.with_extension("");
    let parts: Vec<&str> = text.iter().map(|part| part.to_str().unwrap()).collect();
    let parts = parts.strip_suffix(&["mod"]).unwrap_or(&parts);
    parts.join("::")
}
