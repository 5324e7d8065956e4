//! Mailwright is a mail transfer agent that sends: platforms hand it messages by SMTP; it signs them, stores them
//! durably, and delivers them to each recipient's MX, telling what happened to every one of them.
//!
//! # The way of a message
//!
//! Every arrow is a function; start reading at any of them.
//!
//! ```text
//!  client ─▶ smtp::listener ─▶ Session (sans-I/O) ─▶ Intake::begin ─▶ Reception::push … finish
//!                                                                      │  headers, lint, alignment, DKIM
//!                                                                      ▼
//!                                  250 to the client ◀── durable ── Spool::commit
//!                                                                      │
//!                                                                      ▼
//!   Queue::insert ─▶ (due) Queue::due ─▶ Delivery::dispatch ─▶ Policy::choose ─▶ Lane::offer
//!        ▲                                                                      │
//!        │              Delivery::serve ◀── Lease ── Way::admit ◀── Lane::next ──┘
//!        │                     │
//!        │                     └───────────────────▶ plan ─▶ checkout ─▶ transact ─▶ settle
//!        │                                                                      │
//!        └──────────── Queue::settle (what is left, and when) ◀─────────────────┤
//!                                                                               ▼
//!                                              Spool::mark ─▶ Events::emit ─▶ log · metrics
//! ```
//!
//! # Four ideas
//!
//! * [`mail::Disposition`] is the one value that says what happened to a recipient, from the socket to the report.
//! * [`policy::Held`] is the one value that says why mail waits, and [`policy::Lease`] the one that lets it go.
//! * [`spool`] has a state table: every legal state of a message on disk, and what a crash in each leaves.
//! * A *lane*, one source × site, is the unit of movement: connections, windows and breakers are its.
//!
//! # Two promises
//!
//! Accepted mail is never lost: 250 is sent after the message is on disk, and a recipient leaves the spool only by a
//! final disposition. Nobody gets a message twice unmarked: the only window is the one between the final dot and its
//! reply; it is journalled before the dot leaves, and what is sent again is told as a possible duplicate.
//!
//! # Layers
//!
//! A file imports only from its own layer and those above it; a test reads the imports and keeps it so.
//!
//! | layer | modules | owns |
//! |---|---|---|
//! | 0 values and parsers | [`units`] [`problem`] [`tables`] [`mail`] [`smtp::codec`] [`bounce`] [`lint`] [`reports::read()`] | values; lines and octets; tables for millions; what a message should be; no clock, no I/O |
//! | 1 ground services | [`clock`] [`events`] [`store`] [`spool`] [`books`] [`reports`] [`dns`] [`tls`] [`sts`] [`tlsrpt`] | time, telling, one truth that survives, durable messages, what left, what others report of it, names, certificates, what domains ask, what is reported to them |
//! | 2 identity | [`auth`] | DKIM keys and signatures; who may send; what receivers will make of it |
//! | 3 policy | [`policy`] [`zone`] [`outside`] | from which source, whether now, and why not; what our domains need in DNS; how others see us |
//! | 4 time | [`queue`] [`smtp::client`] | when a message is tried; one SMTP conversation |
//! | 5 the door | [`intake`] | the single way in |
//! | 6 movement | [`delivery`] | how many connections go where, and what each attempt came to |
//! | 7 faces | [`smtp::session`] [`smtp::listener`] [`http`] [`peers`] | sockets, API, test peers |
//! | 8 assembly | [`config`] [`app`] [`cli`] | one typed configuration; [`app::App::build`] |
//!
//! Nothing is process-global: collaborators are handed in, so that two MTAs can talk to each other in one test.
#![forbid(unsafe_code)]

pub mod app;
pub mod auth;
pub mod books;
pub mod bounce;
pub mod cli;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod dns;
pub mod events;
pub mod http;
pub mod inbound;
pub mod intake;
pub mod lint;
pub mod mail;
pub mod outside;
pub mod peers;
pub mod policy;
pub mod problem;
pub mod queue;
pub mod reports;
pub mod smtp;
pub mod spool;
pub mod store;
pub mod sts;
pub mod tables;
pub mod tls;
pub mod tlsrpt;
pub mod units;
pub mod zone;
