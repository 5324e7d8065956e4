//! Rules that say what a refusal means: patterns of replies, by provider, each with a class and a subject.

use crate::mail::{BounceClass, EnhancedCode, Finding};
use crate::problem::Problems;

/// What was said when mail was refused, live or in a notice.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said<'a> {
    pub code: Option<u16>,
    pub enhanced: Option<EnhancedCode>,
    pub text: &'a str,
    /// What we had said; empty where it is not known.
    pub command: &'a str,
    /// Who has the mailbox, where that is known.
    pub provider: Option<&'a str>,
}

/// All rules, shipped and the operator's. Cheap to share, made once a configuration.
#[derive(Debug, Default)]
pub struct Classifier {}

impl Classifier {
    /// The shipped rules.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new() -> Result<Self, Problems> {
        Ok(Self {})
    }

    /// What a refusal means, whether for now or for good.
    pub fn judge(&self, said: &Said<'_>) -> Finding {
        let _ = said;
        BounceClass::Unknown.into()
    }
}
