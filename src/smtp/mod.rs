//! SMTP: codec and session as functions of bytes; sockets in `listener` and `client`.

pub mod client;
pub mod codec;
pub mod listener;
pub mod session;
