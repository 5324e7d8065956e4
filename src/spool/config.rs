//! `[spool]` of the configuration.

use crate::problem::Problems;
use crate::units::Size;
use serde::{Deserialize, Serialize};

/// How mail is kept on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Wait for the disk before a message is acknowledged. `false` is faster and loses acknowledged mail when the
    /// power fails or the kernel stops; a crash of the daemon alone loses nothing.
    pub sync: bool,
    /// Size of one segment of the log. Takes effect on segments made from then on.
    pub segment_size: Size,
    /// Segments kept written with zeros ahead of need. At least 2: one of them is kept back so that outcomes can be
    /// recorded on a full disk.
    pub ready_segments: u16,
    /// Emptied segments kept for the next use; more than that are deleted.
    pub recycle_segments: u16,
    /// Bodies up to this size are kept in the log, larger ones in a file each.
    pub inline_limit: Size,
    /// Memory for messages just accepted, so that their first attempt reads no disk. One that is not tried within ten
    /// seconds makes room for newer ones.
    pub cache: Size,
    /// With less free disk space than this new mail is refused with 452; delivery goes on.
    pub reserve_space: Size,
    /// With fewer free inodes than this new mail is refused with 452. Ignored where the file system counts none.
    pub reserve_inodes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sync: true,
            segment_size: Size::mib(64),
            ready_segments: 3,
            recycle_segments: 16,
            inline_limit: Size::kib(256),
            cache: Size::mib(32),
            reserve_space: Size::mib(256),
            reserve_inodes: 1000,
        }
    }
}

/// A segment below this would hold a handful of messages, above it would take seconds to zero or to compact.
const SEGMENT_SIZES: std::ops::RangeInclusive<Size> = Size::mib(4)..=Size::mib(1024);

impl Config {
    /// Adds what is wrong with these settings; `at` is their key, `spool`.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if !SEGMENT_SIZES.contains(&self.segment_size) {
            problems.add(
                format!("{at}.segment_size"),
                format!("{} is no size for a segment", self.segment_size),
                "write a size from \"4MiB\" to \"1GiB\"; the default is \"64MiB\"",
            );
        }
        if self.inline_limit.0 > self.segment_size.0 / 4 {
            problems.add(
                format!("{at}.inline_limit"),
                format!(
                    "bodies of {} do not fit well into segments",
                    self.inline_limit
                ),
                format!(
                    "write at most a quarter of segment_size ({})",
                    self.segment_size
                ),
            );
        }
        if self.ready_segments < 2 {
            problems.add(
                format!("{at}.ready_segments"),
                "outcomes could not be recorded on a full disk",
                "write 2 or more; the default is 3",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_settings_are_valid_and_bad_ones_are_all_told() {
        let mut problems = Problems::default();
        Config::default().validate("spool", &mut problems);
        assert!(problems.is_empty());
        let bad = Config {
            segment_size: Size::kib(1),
            ready_segments: 0,
            ..Config::default()
        };
        bad.validate("spool", &mut problems);
        let keys: Vec<_> = problems.0.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "spool.segment_size",
                "spool.inline_limit",
                "spool.ready_segments"
            ]
        );
    }
}
