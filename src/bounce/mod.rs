//! What receivers say when they refuse, and the notices we write (RFC 3464).
pub mod classify;
pub mod notice;
