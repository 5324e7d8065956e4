//! Who may send, and in whose name.

mod client;
pub mod credentials;
pub mod dkim;
pub mod tags;
pub mod token_keys;

pub use client::ClientInfo;
