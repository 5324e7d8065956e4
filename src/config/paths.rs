//! Keys that hold paths. A relative one counts from the directory of the configuration file.

use super::document::Document;
use std::path::{Path, PathBuf};

/// Every key that holds a path; `[]` stands for every position of a list.
///
/// `events.dir` is not here: it counts from `data_dir`.
const PATHS: &[&str] = &[
    "data_dir",
    "listener[].certificate",
    "listener[].key",
    "dkim[].key",
    "zone.templates",
    "tls.ca_file",
    "unsubscribe.certificate",
    "unsubscribe.key",
];

/// Every key that holds a reference to a secret, `file:PATH` or `env:NAME`.
const REFERENCES: &[&str] = &[
    "http.tokens",
    "tenant[].credentials",
    "return_path.keys[]",
    "suppression.hash_key",
    "outside.zone[].key",
];

/// Joins the relative paths of `document` with `base`.
pub fn anchor(document: &mut Document<'_>, base: &Path) {
    // Going through the components drops the `.` of "./data".
    let join = |path: &str| {
        let joined: PathBuf = base.join(path).components().collect();
        Some(joined.to_str()?.to_owned())
    };
    for key in PATHS {
        document.rewrite(key, &join);
    }
    for key in REFERENCES {
        document.rewrite(key, &|text| {
            Some(format!("file:{}", join(text.strip_prefix("file:")?)?))
        });
    }
}
