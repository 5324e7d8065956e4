//! What an operator sets of the event log.

use crate::problem::Problems;
use crate::units::{Size, Span};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The log of events, one JSON object a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Events")]
pub struct Config {
    /// Directory of the log; a relative one counts from `data_dir`. The newest events are in `events.jsonl` there.
    pub dir: PathBuf,
    /// The file is rotated when it has grown to this.
    pub rotate_size: Size,
    /// The file is rotated, with the next event, when it is this old.
    pub rotate_every: Span,
    /// Rotated files, which are compressed with zstd, are removed after this.
    pub keep: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("events"),
            rotate_size: Size::mib(256),
            rotate_every: Span::days(1),
            keep: Span::days(30),
        }
    }
}

/// A smaller file would be rotated all the time.
const SMALLEST_FILE: Size = Size::kib(64);

impl Config {
    /// Adds what is wrong. `at` is the key of this section.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.rotate_size < SMALLEST_FILE {
            problems.add(
                format!("{at}.rotate_size"),
                format!("{} is too small for a file of events", self.rotate_size),
                format!("write {SMALLEST_FILE} or more, such as \"256MiB\""),
            );
        }
        if self.rotate_every < Span::minutes(1) {
            problems.add(
                format!("{at}.rotate_every"),
                format!("{} is too short", self.rotate_every),
                "write 1m or more, such as \"1d\"",
            );
        }
        if self.keep < self.rotate_every {
            problems.add(
                format!("{at}.keep"),
                format!(
                    "{} is shorter than rotate_every ({})",
                    self.keep, self.rotate_every
                ),
                "keep rotated files at least as long as one of them covers",
            );
        }
        if self.dir.as_os_str().is_empty() {
            problems.add(
                format!("{at}.dir"),
                "is empty",
                "write a directory, such as \"events\"",
            );
        }
    }
}
