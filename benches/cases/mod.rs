//! What a message costs outside the kernel, function by function. `instructions.rs` counts the cases, `clock.rs` times
//! them.

pub mod auth;
pub mod codec;
pub mod content;
pub mod headers;
pub mod movement;
pub mod policy;
pub mod spool;
pub mod telling;
pub mod tokens;

use std::task::{Context, Poll, Waker};

/// One measured call.
pub trait Case {
    type Input;
    type Output;

    /// What a measured call works on. Not measured.
    fn input() -> Self::Input;

    /// The measured call. What it returns is dropped outside the measurement.
    fn run(input: Self::Input) -> Self::Output;
}

/// Hands every case to the macro `$each` as `name: type`.
#[macro_export]
macro_rules! every_case {
    ($each:ident) => {
        $each! {
            command_envelope: $crate::cases::codec::CommandEnvelope,
            reply_write: $crate::cases::codec::ReplyWrite,
            reply_envelope: $crate::cases::codec::ReplyEnvelope,
            reply_ehlo: $crate::cases::codec::ReplyEhlo,
            address: $crate::cases::headers::Addresses,
            data_in_1k: $crate::cases::codec::DataIn<1>,
            data_in_10k: $crate::cases::codec::DataIn<10>,
            data_out_1k: $crate::cases::codec::DataOut<1>,
            data_out_10k: $crate::cases::codec::DataOut<10>,
            header_scan: $crate::cases::headers::HeaderScan,
            header_parse: $crate::cases::headers::HeaderParse,
            from_mailbox: $crate::cases::headers::FromMailbox,
            dkim_body_1k: $crate::cases::auth::BodyHash<1>,
            dkim_body_10k: $crate::cases::auth::BodyHash<10>,
            dkim_sign_ed25519: $crate::cases::auth::SignEd25519,
            preflight_known: $crate::cases::auth::PreflightKnown,
            token_seal: $crate::cases::tokens::Seal,
            spool_accept_1k: $crate::cases::spool::Accept<1>,
            spool_accept_10k: $crate::cases::spool::Accept<10>,
            spool_recover: $crate::cases::spool::Recover,
            event_line: $crate::cases::telling::EventLine,
            queue_life: $crate::cases::movement::QueueLife,
            route_and_source: $crate::cases::movement::RouteAndSource,
            line_up: $crate::cases::movement::LineUp,
            line: $crate::cases::movement::PushAndTake,
            choose: $crate::cases::policy::Choose,
            admit: $crate::cases::policy::Admit<$crate::cases::policy::Free>,
            admit_warming: $crate::cases::policy::Admit<$crate::cases::policy::Warming>,
            admit_suspensions: $crate::cases::policy::Admit<$crate::cases::policy::Suspending>,
            admit_refused: $crate::cases::policy::Admit<$crate::cases::policy::Refused>,
        }
    };
}

/// The first step of a future, on this thread.
pub fn first_step<F: Future + ?Sized>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The outcome of a future that has nothing to wait for.
pub fn at_once<F: Future>(future: F) -> F::Output {
    match first_step(std::pin::pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits for something"),
    }
}
