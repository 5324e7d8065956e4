//! Why something is not read.

/// Why a report is not read; says what is wrong, for the person who looks at it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unreadable {
    why: String,
    /// It is no report at all, rather than one that is broken.
    stranger: bool,
}

/// Octets of a reason.
const LONGEST: usize = 500;

impl Unreadable {
    pub fn new(why: impl AsRef<str>) -> Self {
        Self {
            why: super::text::cut(why.as_ref(), LONGEST).to_owned(),
            stranger: false,
        }
    }

    /// Nothing in it looks like a report.
    pub fn stranger() -> Self {
        Self {
            why: "it is no report, and has none attached".to_owned(),
            stranger: true,
        }
    }

    /// Whether there is no report in it, not even a broken one.
    pub fn is_stranger(&self) -> bool {
        self.stranger
    }

    /// The same, with where it was found.
    pub fn within(mut self, place: &str) -> Self {
        if !self.why.contains("at octet") {
            self.why = format!("{} ({place})", self.why);
        }
        self
    }
}
