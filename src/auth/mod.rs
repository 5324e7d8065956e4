//! Who may send, and in whose name.

pub mod alignment;
pub mod ask;
mod client;
pub mod credentials;
pub mod dkim;
pub mod dmarc;
mod secret;
pub mod spf;
pub mod tags;
pub mod token_keys;

pub use client::ClientInfo;
pub use secret::Source as Secret;
