//! Who may send.

/// An automation platform, a brand or a stream, and what it may use.
#[derive(Debug, Clone, Default)]
pub struct Tenant {
    pub name: Box<str>,
    pub pool: Option<Box<str>>,
    pub domains: Vec<Box<str>>,
}

impl Tenant {
    /// Whether this is one of its From and return-path domains.
    pub fn may_use(&self, domain: &str) -> bool {
        self.domains
            .iter()
            .any(|own| own.eq_ignore_ascii_case(domain))
    }
}
