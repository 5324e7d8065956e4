//! A rule as such: what it is called, who asks for it, what to do about it. Each stands beside the code that checks it.

use super::checks;
use super::finding::Level;

/// One thing that is asked of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its family, `L01` to `L27`.
    pub id: &'static str,
    /// Unique among the rules.
    pub name: &'static str,
    pub level: Level,
    /// It blocks the mail of senders in bulk, whatever its level is for others.
    pub blocks_bulk: bool,
    pub marketing_only: bool,
    pub provider: &'static [&'static str],
    pub reference: &'static str,
    pub fix: &'static str,
}

/// Google, Yahoo and Microsoft publish demands on who sends in bulk; these are the names in `providers.toml`.
pub(super) const BIG_THREE: &[&str] = &["google", "yahoo", "outlook"];

impl Rule {
    pub(super) const fn new(id: &'static str, name: &'static str, level: Level) -> Self {
        Self {
            id,
            name,
            level,
            blocks_bulk: false,
            marketing_only: false,
            provider: &[],
            reference: "",
            fix: "",
        }
    }

    pub(super) const fn blocks_bulk(self) -> Self {
        Self {
            blocks_bulk: true,
            ..self
        }
    }

    pub(super) const fn marketing(self) -> Self {
        Self {
            marketing_only: true,
            ..self
        }
    }

    pub(super) const fn of(self, provider: &'static [&'static str]) -> Self {
        Self { provider, ..self }
    }

    pub(super) const fn says(self, reference: &'static str, fix: &'static str) -> Self {
        Self {
            reference,
            fix,
            ..self
        }
    }
}

/// Every rule, by family.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    checks::RULES.iter().flat_map(|rules| rules.iter().copied())
}
