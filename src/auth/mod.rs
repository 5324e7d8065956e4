//! Who may send, and in whose name.
pub mod credentials;
pub mod dkim;
