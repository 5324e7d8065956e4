//! A session answers anything, always moves on, and says only whole reply lines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailwright::mail::MessageId;
use mailwright::smtp::session::{AuthOutcome, Context, Limits, Output, Session, Step};
use std::sync::Arc;

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, octets) = input;
    let context = Context {
        hostname: "mta.test".into(),
        limits: Arc::new(Limits::default()),
        peer: None,
        trusted: true,
        starttls: true,
        auth: true,
        auth_in_clear: true,
        public: piece % 2 == 1,
    };
    let mut out = Output::default();
    let mut session = Session::open(context, &mut out);
    let mut waiting = Vec::new();
    for piece in octets.chunks(usize::from(piece) + 1) {
        waiting.extend_from_slice(piece);
        if !converse(&mut session, &mut waiting, &mut out) {
            break;
        }
    }
    for line in out.replies.split_inclusive(|b| *b == b'\n') {
        assert!(line.ends_with(b"\r\n") && line.len() <= 1024);
        assert!(line[..3].iter().all(u8::is_ascii_digit));
    }
});

/// Performs steps until the session waits. False where it has ended.
fn converse(session: &mut Session, waiting: &mut Vec<u8>, out: &mut Output) -> bool {
    loop {
        let (consumed, step) = session.advance(waiting, out);
        waiting.drain(..consumed);
        let step = match step {
            Step::AskDoor => session.door_answered(Ok(()), out),
            Step::CheckPassword { .. } => session.authenticated(AuthOutcome::Denied, out),
            Step::AskRecipient(_) => session.recipient_answered(Ok(()), out),
            Step::Begin(_) => session.begun(Ok(()), out),
            Step::Finish => session.finished(Ok(MessageId(1)), out),
            other => other,
        };
        match step {
            Step::Read => return true,
            Step::Close => return false,
            Step::Refused(refusal) if refusal.close => return false,
            Step::StartTls => session.secured("TLSv1.3"),
            _ => {}
        }
        out.content.clear();
    }
}
