//! SMTP as octets, both ways.

use super::{Case, content};
use mailwright::mail::{EnhancedCode, Reply};
use mailwright::smtp::codec::line::{Line, first_line};
use mailwright::smtp::codec::{
    Command, ContentRules, DataReceiver, EhloLines, LineEndings, ReplyParser, Stuffer, write_reply,
};
use std::hint::black_box;

/// The commands of a transaction with two recipients, as one pipelined read brings them.
pub struct CommandEnvelope;

impl Case for CommandEnvelope {
    type Input = &'static [u8];
    type Output = usize;

    fn input() -> Self::Input {
        b"MAIL FROM:<bounce-42@news.example.com> BODY=8BITMIME SIZE=10240\r\n\
          RCPT TO:<ann@example.net>\r\n\
          RCPT TO:<bob.other@mail.example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;bob@example.org\r\n\
          DATA\r\n"
    }

    fn run(mut input: Self::Input) -> usize {
        let mut good = 0;
        while let Line::Whole { text, consumed } = first_line(input) {
            good += usize::from(black_box(Command::parse(text)).is_ok());
            input = &input[consumed..];
        }
        good
    }
}

/// The 250 that accepts a message, as a server writes it.
pub struct ReplyWrite;

impl Case for ReplyWrite {
    type Input = (Reply, Vec<u8>);
    type Output = (Reply, Vec<u8>);

    fn input() -> Self::Input {
        let reply = Reply::said(
            250,
            Some(EnhancedCode(2, 0, 0)),
            "queued as 1vtk6c80g0001",
            ".",
        );
        (reply, Vec::with_capacity(512))
    }

    fn run((reply, mut out): Self::Input) -> Self::Output {
        write_reply(&reply, &mut out);
        (reply, out)
    }
}

/// The replies to that transaction and its dot, as a client reads them.
pub struct ReplyEnvelope;

impl Case for ReplyEnvelope {
    type Input = (ReplyParser, &'static [u8]);
    type Output = Vec<Reply>;

    fn input() -> Self::Input {
        (
            ReplyParser::default(),
            b"250 2.1.0 Sender ok\r\n\
              250 2.1.5 Recipient ok\r\n\
              250 2.1.5 Recipient ok\r\n\
              354 Go ahead\r\n\
              250 2.0.0 OK 1795426200 d2e1a72fcca58-7c0f3a9be1csi1234567b3a.42 - gsmtp\r\n",
        )
    }

    fn run((mut parser, input): Self::Input) -> Self::Output {
        let mut replies = Vec::with_capacity(8);
        let mut rest = input;
        for command in ["MAIL", "RCPT", "RCPT", "DATA", "."] {
            let (taken, reply) = parser.ingest(rest, command).expect("a reply");
            replies.extend(reply);
            rest = &rest[taken..];
        }
        replies
    }
}

/// A reply of nine lines to EHLO, read and understood.
pub struct ReplyEhlo;

impl Case for ReplyEhlo {
    type Input = (ReplyParser, &'static [u8]);
    type Output = EhloLines;

    fn input() -> Self::Input {
        (
            ReplyParser::default(),
            b"250-mx.example.net at your service, [192.0.2.7]\r\n\
              250-SIZE 157286400\r\n250-8BITMIME\r\n250-STARTTLS\r\n250-AUTH PLAIN LOGIN XOAUTH2\r\n\
              250-ENHANCEDSTATUSCODES\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 SMTPUTF8\r\n",
        )
    }

    fn run((mut parser, input): Self::Input) -> EhloLines {
        let (_, reply) = parser.ingest(input, "EHLO").expect("a reply");
        EhloLines::parse(&reply.expect("a whole reply"))
    }
}

/// A message of `KIB` KiB behind 354, its dots unstuffed.
pub struct DataIn<const KIB: usize>;

impl<const KIB: usize> Case for DataIn<KIB> {
    type Input = (Vec<u8>, Vec<u8>);
    type Output = (Vec<u8>, Vec<u8>);

    fn input() -> Self::Input {
        let (_, wire) = DataOut::<KIB>::run(DataOut::<KIB>::input());
        let room = Vec::with_capacity(wire.len());
        (wire, room)
    }

    fn run((wire, mut out): Self::Input) -> Self::Output {
        let mut receiver = DataReceiver::new(RULES);
        let progress = receiver.ingest(&wire, &mut out);
        assert!(progress.done && receiver.violation().is_none());
        (wire, out)
    }
}

/// The same message as it leaves: line ends checked, dots stuffed, ended.
pub struct DataOut<const KIB: usize>;

impl<const KIB: usize> Case for DataOut<KIB> {
    type Input = (Vec<u8>, Vec<u8>);
    type Output = (Vec<u8>, Vec<u8>);

    fn input() -> Self::Input {
        let message = content::message::<KIB>();
        let room = Vec::with_capacity(message.len() + 256);
        (message, room)
    }

    fn run((message, mut out): Self::Input) -> Self::Output {
        let mut stuffer = Stuffer::default();
        stuffer.push(&message, &mut out);
        stuffer.finish(&mut out);
        (message, out)
    }
}

const RULES: ContentRules = ContentRules {
    max_size: 50 << 20,
    max_line: 1000,
    eight_bit: true,
    line_endings: LineEndings::Refuse,
};
