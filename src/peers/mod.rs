//! Peers of an MTA, small enough to run inside a test or on a developer's machine.

pub mod dns;
