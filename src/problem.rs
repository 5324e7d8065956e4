//! What is wrong with a configuration, gathered rather than thrown: every mistake is told at once.

/// One mistake: the key it is at, what is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted path with positions in lists, e.g. `listener[0].tls`.
    pub key: String,
    pub message: String,
    pub remedy: String,
}

/// The mistakes found so far. A module's `Config::validate(&self, at, problems)` adds its own.
#[derive(Debug, Default)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Notes that `key` (a dotted path) is wrong. `message` is the fault, `remedy` what to write instead.
    pub fn add(
        &mut self,
        key: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.0.push(Problem {
            key: key.into(),
            message: message.into(),
            remedy: remedy.into(),
        });
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
