//! Conversations: what the client sends, what it hears, what the door gets.

use super::*;
use crate::mail::{EnhancedCode, MessageId};
use crate::units::Size;

/// A session with a door that takes everything, or what `door` says.
struct Talk {
    session: Session,
    out: Output,
    pending: Vec<u8>,
    /// Content of the messages taken, in order.
    taken: Vec<String>,
    envelopes: Vec<Envelope>,
    current: String,
    refusals: Vec<Refusal>,
    passwords: Vec<(String, Vec<u8>)>,
    closed: bool,
    door: Result<(), Reply>,
    /// The door knows its own recipients only.
    public: bool,
    opened: Result<(), Reply>,
    store: Result<(), Reply>,
}

fn context() -> Context {
    Context {
        hostname: "mta.test".into(),
        limits: Arc::new(Limits::default()),
        peer: Some([127, 0, 0, 1].into()),
        trusted: true,
        starttls: true,
        auth: true,
        auth_in_clear: false,
        public: false,
    }
}

impl Talk {
    fn with(context: Context) -> Self {
        let public = context.public;
        let mut out = Output::default();
        let session = Session::open(context, &mut out);
        assert_eq!(out.replies, b"220 mta.test ESMTP ready\r\n");
        out.replies.clear();
        Self {
            session,
            public,
            out,
            pending: Vec::new(),
            taken: Vec::new(),
            envelopes: Vec::new(),
            current: String::new(),
            refusals: Vec::new(),
            passwords: Vec::new(),
            closed: false,
            door: Ok(()),
            opened: Ok(()),
            store: Ok(()),
        }
    }

    fn limited(change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        change(&mut limits);
        Self::with(Context {
            limits: Arc::new(limits),
            ..context()
        })
    }

    /// Sends octets at once; returns what the server says until it waits.
    fn say(&mut self, octets: impl AsRef<[u8]>) -> String {
        self.pending.extend_from_slice(octets.as_ref());
        while !self.closed {
            let input = std::mem::take(&mut self.pending);
            let (consumed, step) = self.session.advance(&input, &mut self.out);
            self.pending = input[consumed..].to_vec();
            if matches!(step, Step::Read) {
                break;
            }
            self.perform(step);
            if !self.session.has_message() {
                self.current.clear();
            }
        }
        String::from_utf8(std::mem::take(&mut self.out.replies)).unwrap()
    }

    fn perform(&mut self, step: Step) {
        let next = match step {
            Step::Read | Step::Go => return,
            Step::Refused(refusal) => {
                self.closed |= refusal.close;
                self.refusals.push(*refusal);
                return;
            }
            Step::AskDoor => self.session.door_answered(self.door.clone(), &mut self.out),
            Step::AskRecipient(recipient) => {
                let known = !self.public || recipient.address.domain() == "bounce.test";
                let stranger = || Reply::local(550, EnhancedCode(5, 7, 1), "not ours", "RCPT");
                let answer = known.then_some(()).ok_or_else(stranger);
                self.session.recipient_answered(answer, &mut self.out)
            }
            Step::Begin(envelope) => {
                self.envelopes.push(*envelope);
                self.session.begun(self.opened.clone(), &mut self.out)
            }
            Step::Store => {
                self.store();
                if let Err(reply) = self.store.clone() {
                    self.session.content_refused(reply);
                }
                return;
            }
            Step::Finish => {
                self.store();
                self.taken.push(std::mem::take(&mut self.current));
                self.session.finished(Ok(MessageId(0)), &mut self.out)
            }
            Step::CheckPassword { user, password } => {
                self.passwords.push((user, password));
                self.session
                    .authenticated(AuthOutcome::Denied, &mut self.out)
            }
            Step::StartTls | Step::Close => {
                self.closed |= matches!(step, Step::Close);
                return;
            }
        };
        self.perform(next);
    }

    fn store(&mut self) {
        let content = std::mem::take(&mut self.out.content);
        self.current.push_str(&String::from_utf8_lossy(&content));
    }

    fn ready(mut self) -> Self {
        assert!(self.say("EHLO c.test\r\n").starts_with("250-mta.test\r\n"));
        self
    }

    fn in_data(mut self) -> Self {
        let heard = self.say("EHLO c.test\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n");
        assert!(
            heard.ends_with("354 End the message with <CRLF>.<CRLF>\r\n"),
            "{heard}"
        );
        self
    }
}

fn codes(heard: &str) -> Vec<&str> {
    let last = |line: &&str| line.as_bytes().get(3) == Some(&b' ');
    heard.lines().filter(last).map(|line| &line[..3]).collect()
}

#[test]
fn ehlo_offers_what_is_carried_out() {
    let heard = Talk::with(context()).say("EHLO c.test\r\n");
    for keyword in [
        "PIPELINING",
        "8BITMIME",
        "SMTPUTF8",
        "ENHANCEDSTATUSCODES",
        "CHUNKING",
        "DSN",
        "STARTTLS",
        "SIZE 52428800",
    ] {
        assert!(heard.contains(keyword), "{keyword}");
    }
    assert!(!heard.contains("AUTH"), "no AUTH in clear");
}

#[test]
fn a_pipelined_message_is_taken_with_one_group_of_replies() {
    let mut talk = Talk::with(context()).ready();
    let heard = talk.say("MAIL FROM:<a@b.c> RET=HDRS ENVID=x\r\nRCPT TO:<d@e.f> NOTIFY=NEVER\r\nRCPT TO:<g@h.i>\r\nDATA\r\n");
    assert_eq!(codes(&heard), ["250", "250", "250", "354"]);
    let heard = talk.say("Subject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n");
    assert_eq!(codes(&heard), ["250", "221"]);
    assert_eq!(talk.taken, ["Subject: x\r\n\r\n.dot\r\n"]);
    assert_eq!(talk.envelopes[0].recipients.len(), 2);
    assert!(talk.closed && talk.refusals.is_empty());
}

#[test]
fn commands_out_of_order_and_odd_ones_have_their_replies() {
    for (before, line, code) in [
        ("", "MAIL FROM:<a@b.c>", "503"),
        ("", "AUTH PLAIN", "538"),
        ("EHLO x\r\n", "RCPT TO:<a@b.c>", "503"),
        ("EHLO x\r\n", "DATA", "503"),
        ("EHLO x\r\nMAIL FROM:<>\r\n", "DATA", "554"),
        ("EHLO x\r\nMAIL FROM:<>\r\n", "MAIL FROM:<>", "503"),
        (
            "EHLO x\r\nMAIL FROM:<>\r\nRSET\r\n",
            "RCPT TO:<a@b.c>",
            "503",
        ),
        (
            "EHLO x\r\nMAIL FROM:<>\r\nEHLO x\r\n",
            "RCPT TO:<a@b.c>",
            "503",
        ),
        ("EHLO x\r\nMAIL FROM:<>\r\n", "RCPT TO:<Postmaster>", "250"),
        ("EHLO x\r\nMAIL FROM:<>\r\n", "RCPT TO:<é@b.c>", "553"),
        (
            "EHLO x\r\nMAIL FROM:<> SMTPUTF8\r\n",
            "RCPT TO:<é@b.c>",
            "250",
        ),
        ("EHLO x\r\n", "MAIL FROM:<a@b.c> SIZE=52428801", "552"),
        ("EHLO x\r\n", "BDAT 0 LAST", "503"),
        ("", "VRFY ann", "252"),
        ("", "EXPN list", "502"),
        ("", "HELP", "214"),
        ("", "NOOP", "250"),
        ("", "RSET", "250"),
        ("", "TURN", "500"),
        ("", "HELO x", "250"),
    ] {
        let mut talk = Talk::with(context());
        let _before = talk.say(before);
        let heard = talk.say(format!("{line}\r\n"));
        assert_eq!(codes(&heard), [code], "{before:?} {line}");
    }
}

#[test]
fn who_is_not_trusted_must_authenticate() {
    let stranger = Context {
        trusted: false,
        ..context()
    };
    let mut talk = Talk::with(stranger).ready();
    assert!(talk.say("MAIL FROM:<a@b.c>\r\n").starts_with("530 5.7.0 "));
    assert_eq!(talk.refusals[0].sender.as_ref().unwrap().as_str(), "a@b.c");
    let tenant = crate::auth::credentials::Tenants::load(
        &[crate::auth::credentials::Config {
            name: "acme".into(),
            domains: vec!["acme.example".into()],
            ..Default::default()
        }],
        std::path::Path::new("."),
    );
    let tenant = tenant.unwrap().get("acme").unwrap().clone();
    let step = talk
        .session
        .authenticated(AuthOutcome::Granted(tenant), &mut talk.out);
    talk.perform(step);
    talk.out.replies.clear();
    assert!(
        talk.say("MAIL FROM:<a@other.example>\r\n")
            .starts_with("550 5.7.1 other.example")
    );
    assert_eq!(
        codes(&talk.say("MAIL FROM:<a@acme.example>\r\nRSET\r\nMAIL FROM:<>\r\n")),
        ["250"; 3]
    );
    assert_eq!(talk.session.client(true).protocol, "UTF8SMTPA");
}

#[test]
fn auth_is_offered_by_tls_and_configuration() {
    for (auth, in_clear, tls, offered, code) in [
        (false, false, false, false, "502"),
        (true, false, false, false, "538"),
        (true, true, false, true, "535"),
        (true, false, true, true, "535"),
        (false, true, true, false, "502"),
    ] {
        let mut talk = Talk::with(Context {
            auth,
            auth_in_clear: in_clear,
            ..context()
        });
        if tls {
            talk.session.secured("TLSv1.3");
        }
        let heard = talk.say("EHLO x\r\n");
        assert_eq!(heard.contains("AUTH PLAIN LOGIN"), offered);
        let heard = talk.say("AUTH PLAIN AGFubgB4\r\n");
        assert_eq!(codes(&heard), [code], "{auth} {in_clear} {tls}");
    }
}

#[test]
fn auth_exchanges_run_by_the_book() {
    let open = || {
        Talk::with(Context {
            auth_in_clear: true,
            ..context()
        })
        .ready()
    };
    let mut talk = open();
    assert_eq!(talk.say("AUTH LOGIN\r\n"), "334 VXNlcm5hbWU6\r\n");
    assert_eq!(talk.say("YW5u\r\n"), "334 UGFzc3dvcmQ6\r\n");
    assert_eq!(codes(&talk.say("eA==\r\n")), ["535"]);
    assert_eq!(talk.passwords, [("ann".into(), b"x".to_vec())]);
    for (line, code) in [
        ("*", "501"),
        ("NOOP", "501"),
        ("!", "501"),
        ("Ym9iAGFubgB4", "535"),
    ] {
        let mut talk = open();
        assert_eq!(talk.say("AUTH PLAIN\r\n"), "334 \r\n");
        assert_eq!(codes(&talk.say(format!("{line}\r\n"))), [code], "{line}");
        assert_eq!(codes(&talk.say("NOOP\r\n")), ["250"], "commands again");
    }
    assert_eq!(codes(&open().say("AUTH CRAM-MD5\r\n")), ["504"]);
    assert_eq!(
        codes(&open().say("MAIL FROM:<>\r\nAUTH PLAIN\r\n")),
        ["250", "503"]
    );
}

#[test]
fn what_is_said_in_clear_does_not_survive_starttls() {
    let mut talk = Talk::with(context()).ready();
    let heard = talk.say("MAIL FROM:<a@b.c>\r\nSTARTTLS\r\n");
    assert_eq!(codes(&heard), ["250", "220"]);
    talk.session.secured("TLSv1.3");
    assert_eq!(codes(&talk.say("RCPT TO:<d@e.f>\r\n")), ["503"]);
    assert_eq!(
        codes(&talk.say("MAIL FROM:<a@b.c>\r\n")),
        ["503"],
        "EHLO is to be said again"
    );
    assert!(!talk.say("EHLO x\r\n").contains("STARTTLS"));
    assert_eq!(codes(&talk.say("STARTTLS\r\n")), ["503"]);
}

#[test]
fn commands_injected_behind_starttls_end_the_session() {
    let mut talk = Talk::with(context()).ready();
    let heard = talk.say("STARTTLS\r\nMAIL FROM:<evil@b.c>\r\n");
    assert_eq!(codes(&heard), ["421"]);
    assert!(talk.closed);
}

#[test]
fn content_ahead_of_the_354_ends_the_session() {
    let mut talk = Talk::with(context()).ready();
    let heard = talk.say("MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nx\r\n.\r\n");
    assert_eq!(codes(&heard), ["250", "250", "421"]);
    assert!(talk.closed && talk.taken.is_empty());
}

#[test]
fn no_end_of_data_but_the_standards_lets_a_second_message_in() {
    for end in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r\n.\r",
        "\r\n.\r\r\n",
        "\r.\r\n",
        "\r\n\0.\r\n",
    ] {
        for line_endings in [
            crate::smtp::codec::LineEndings::Refuse,
            crate::smtp::codec::LineEndings::Fix,
        ] {
            let mut talk = Talk::limited(|l| l.line_endings = line_endings).in_data();
            let smuggled = "MAIL FROM:<evil@b.c>\r\nRCPT TO:<x@y.z>\r\nDATA\r\nevil\r\n.\r\n";
            let heard = talk.say(format!("hello{end}{smuggled}"));
            assert_eq!(codes(&heard).len(), 1, "{end:?}: {heard}");
            assert_eq!(talk.envelopes.len(), 1, "{end:?}");
        }
    }
}

#[test]
fn content_that_breaks_a_rule_is_refused_and_the_session_goes_on() {
    for (content, code) in [
        ("a\nb", "550 5.6.0"),
        ("a\rb", "550 5.6.0"),
        ("a\0b", "550 5.6.0"),
        ("é", "550 5.6.1"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "550 5.6.0"),
        (
            "a\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na\r\na",
            "552 5.3.4",
        ),
    ] {
        let mut talk = Talk::limited(|l| {
            l.max_message_size = Size(40);
            l.max_line_length = Size(20);
        })
        .in_data();
        let heard = talk.say(format!("{content}\r\n.\r\n"));
        assert!(heard.starts_with(code), "{content:?}: {heard}");
        assert_eq!(
            (codes(&talk.say("NOOP\r\n")), talk.taken.len()),
            (vec!["250"], 0)
        );
        assert_eq!(talk.refusals[0].sender.as_ref().unwrap().as_str(), "a@b.c");
    }
}

#[test]
fn endless_content_is_not_read_for_ever() {
    let mut talk = Talk::limited(|l| l.max_message_size = Size(40)).in_data();
    let heard = talk.say("0123456789\r\n".repeat(20));
    assert!(heard.starts_with("552 5.3.4"));
    assert!(talk.closed);
}

#[test]
fn content_of_nothing_but_what_is_refused_is_not_read_for_ever() {
    for octet in ["\0", "\n", "\r"] {
        let mut talk = Talk::limited(|l| l.max_message_size = Size(40)).in_data();
        talk.say(octet.repeat(200));
        assert!(talk.closed, "{octet:?}");
    }
}

#[test]
fn empty_chunks_bring_no_message_forward() {
    let mut talk = Talk::limited(|l| l.max_idle_commands = 5).ready();
    talk.say("MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\n");
    let heard = talk.say("BDAT 0\r\n".repeat(10));
    assert_eq!(codes(&heard).last(), Some(&"421"));
    assert!(talk.closed);
}

#[test]
fn a_browser_that_is_made_to_post_commands_is_cut_off() {
    let mut talk = Talk::with(context());
    let heard = talk.say(
        "POST / HTTP/1.1\r\nHost: localhost:2525\r\n\r\nEHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\n\
         BDAT 16 LAST\r\nFrom: a@b.c\r\n\r\n\r\n",
    );
    assert_eq!(codes(&heard), ["421"]);
    assert!(talk.closed && talk.taken.is_empty());
}

#[test]
fn mail_refused_for_its_parameters_is_told_as_mail() {
    let mut talk = Talk::with(context()).ready();
    let heard = talk.say(
        "MAIL FROM:<a@b.c> RET=ALL\r\nMAIL FROM:<a@b.c> XYZ=1\r\nMAIL FROM:<é@b.c>\r\n\
         MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f> NOTIFY=EVER\r\n",
    );
    assert!(heard.contains("RET takes FULL or HDRS"), "{heard}");
    assert!(heard.contains("\"XYZ\" is not offered"), "{heard}");
    let told = talk
        .refusals
        .iter()
        .map(|r| (&*r.reply.command, r.sender.is_some()));
    let mail = ("MAIL", false);
    assert_eq!(told.collect::<Vec<_>>(), [mail, mail, mail, ("RCPT", true)]);
}

#[test]
fn eight_bit_content_is_taken_where_it_is_declared() {
    let mut talk = Talk::with(context()).ready();
    let heard = talk.say("MAIL FROM:<a@b.c> BODY=8BITMIME\r\nRCPT TO:<d@e.f>\r\nDATA\r\n");
    assert_eq!(codes(&heard), ["250", "250", "354"]);
    assert_eq!(codes(&talk.say("é\r\n.\r\n")), ["250"]);
}

#[test]
fn chunks_make_a_message_and_may_be_pipelined() {
    let mut talk = Talk::with(context()).ready();
    let heard =
        talk.say("MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nBDAT 3\r\na\r\nBDAT 5\r\n.\r\nb\r");
    assert_eq!(codes(&heard), ["250", "250", "250", "250"]);
    assert_eq!(codes(&talk.say("DATA\r\nMAIL FROM:<>\r\n")), ["503", "503"]);
    assert_eq!(
        codes(&talk.say("BDAT 1 LAST\r\n\nNOOP\r\n")),
        ["250", "250"]
    );
    assert_eq!(talk.taken, ["a\r\n.\r\nb\r\n"]);
}

#[test]
fn chunks_nobody_asked_for_are_read_as_chunks() {
    let mut talk = Talk::with(context()).ready();
    assert_eq!(
        codes(&talk.say("BDAT 6\r\nQUIT\r\nNOOP\r\n")),
        ["503", "250"]
    );
    let mut talk = Talk::with(context()).ready();
    let heard = talk.say(
        "MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nBDAT 4\r\na\nb\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
    );
    assert_eq!(codes(&heard), ["250", "250", "550", "503", "250"]);
    assert!(!talk.closed && talk.taken.is_empty());
}

#[test]
fn a_chunk_over_the_limit_closes_and_rset_drops_chunks() {
    let mut talk = Talk::limited(|l| l.max_message_size = Size(10)).ready();
    let heard =
        talk.say("MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nBDAT 2\r\nabRSET\r\nMAIL FROM:<>\r\n");
    assert_eq!(codes(&heard), ["250", "250", "250", "250", "250"]);
    assert!(talk.current.is_empty());
    assert_eq!(codes(&talk.say("BDAT 11\r\n")), ["552"]);
    assert!(talk.closed);
}

#[test]
fn every_limit_has_its_reply() {
    let mut talk = Talk::limited(|l| l.max_recipients = 1).ready();
    let heard = talk.say("MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n");
    assert_eq!(codes(&heard), ["250", "250", "452", "354"]);
    assert!(heard.contains("452 4.5.3"));

    let mut talk = Talk::limited(|l| l.max_errors = 2);
    assert_eq!(
        codes(&talk.say("X\r\nX\r\nX\r\nNOOP\r\n")),
        ["500", "500", "500", "421"]
    );
    assert!(talk.closed);

    let mut talk = Talk::limited(|l| l.max_idle_commands = 2);
    assert_eq!(
        codes(&talk.say("NOOP\r\nNOOP\r\nNOOP\r\n")),
        ["250", "250", "421"]
    );
    assert!(talk.closed);

    let mut talk = Talk::with(context());
    let long = format!("NOOP {}\r\nNOOP\r\n", "x".repeat(5000));
    let heard = talk.say(long);
    assert_eq!(codes(&heard), ["500", "250"]);
    assert_eq!(codes(&talk.say("NOOP\nNOOP\r\n")), ["500", "250"]);
}

#[test]
fn the_door_can_say_no_at_every_step() {
    let full = Reply::local(452, EnhancedCode(4, 3, 1), "no space", "MAIL");
    let mut talk = Talk::with(context()).ready();
    talk.door = Err(full.clone());
    assert_eq!(
        codes(&talk.say("MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\n")),
        ["452", "503"]
    );

    let mut talk = Talk::with(context()).ready();
    talk.opened = Err(full.clone());
    let heard = talk.say("MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n");
    assert_eq!(codes(&heard), ["250", "250", "452"]);
    let heard = talk.say("MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nBDAT 3 LAST\r\na\r\nNOOP\r\n");
    assert_eq!(codes(&heard), ["250", "250", "452", "250"]);

    let mut talk = Talk::with(context()).in_data();
    talk.store = Err(full);
    assert_eq!(
        talk.say("a\r\n"),
        "",
        "no reply before the end of the message"
    );
    assert_eq!(codes(&talk.say("b\r\n.\r\n")), ["452"]);
    assert!(talk.taken.is_empty());
}

#[test]
fn octet_by_octet_is_heard_the_same() {
    let wire = "EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nBDAT 4\r\n..\r\nBDAT 0 LAST\r\nMAIL FROM:<>\r\nNONSENSE\r\nQUIT\r\n";
    let mut whole = Talk::with(context());
    let heard = whole.say(wire);
    let mut cut = Talk::with(context());
    let pieces: String = wire.bytes().map(|b| cut.say([b])).collect();
    assert_eq!((heard, whole.taken), (pieces, cut.taken));
}

#[test]
fn a_public_session_takes_mail_from_anybody_for_those_the_door_knows() {
    let mut talk = Talk::with(Context {
        public: true,
        trusted: false,
        auth: false,
        ..context()
    });
    talk.say("EHLO x\r\n");
    assert_eq!(codes(&talk.say("MAIL FROM:<>\r\n")), ["250"]);
    let heard = talk.say("RCPT TO:<b@bounce.test>\r\nRCPT TO:<a@elsewhere.test>\r\n");
    assert_eq!(codes(&heard), ["250", "550"]);
    assert_eq!(
        talk.refusals[0].recipient.as_ref().unwrap().as_str(),
        "a@elsewhere.test"
    );
    assert_eq!(codes(&talk.say("DATA\r\n")), ["354"]);
    assert_eq!(codes(&talk.say("x\r\n.\r\n")), ["250"]);
    assert_eq!(talk.envelopes[0].recipients.len(), 1);
    let heard = talk.say("VRFY b\r\nEXPN b\r\nAUTH PLAIN AGFubgB4\r\n");
    assert_eq!(codes(&heard), ["502", "502", "502"]);
}

#[test]
fn a_public_session_without_a_recipient_that_is_known_takes_nothing() {
    let mut talk = Talk::with(Context {
        public: true,
        ..context()
    });
    let heard = talk.say("EHLO x\r\nMAIL FROM:<s@x.test>\r\nRCPT TO:<a@elsewhere.test>\r\n");
    assert!(heard.contains("550 5.7.1"), "{heard}");
    assert_eq!(codes(&talk.say("DATA\r\n")), ["554"]);
}
