//! TLS as a server.
