//! Who may send, and in whose name.

mod client;
pub mod credentials;
pub mod dkim;
mod secret;
pub mod tags;
pub mod token_keys;

pub use client::ClientInfo;
pub use secret::Source as Secret;
