//! Who may send, and in whose name.
pub mod client;
pub mod credentials;
pub mod dkim;
