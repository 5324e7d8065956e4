//! `feedback parse`: what complaints say.

use super::Outcome;
use super::files::{Files, shipped_rules};
use crate::bounce::report::{Feedback, Report, is_message, read};
use crate::bounce::rules::Classifier;
use serde::Serialize;
use std::io::Write;

/// Complaints of recipients.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Parse(Parse),
}

/// Reads feedback reports (RFC 5965) and forwarded messages, and prints one line of JSON for each.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
struct Parse {
    #[command(flatten)]
    files: Files,
}

const EXAMPLE: &str = "\
Example:
  mailwright feedback parse complaint.eml | jq '[.feedback_type, .original.token]'";

/// `feedback_type` is null where the message is no complaint.
#[derive(Debug, Serialize, Default)]
struct Line {
    file: String,
    kind: &'static str,
    feedback_type: Option<String>,
    original_recipient: Option<String>,
    original_mail_from: Option<String>,
    source_ip: Option<String>,
    reporting_mta: Option<String>,
    reported_domain: Option<String>,
    arrival_date: Option<String>,
    user_agent: Option<String>,
    original: Back,
}

#[derive(Debug, Serialize, Default)]
struct Back {
    message_id: Option<String>,
    token: Option<String>,
}

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    let Command::Parse(parse) = &args.command;
    let classifier = shipped_rules()?;
    parse
        .files
        .each(out, |file, octets| line(file, octets, &classifier))
}

fn line(file: String, octets: &[u8], classifier: &Classifier) -> Line {
    let original = match read(octets, classifier) {
        Report::Feedback(feedback) => return complaint(file, feedback),
        Report::Notice(notice) => notice.original,
        Report::Autoreply(original) | Report::Message(original) => original,
    };
    Line {
        file,
        kind: match is_message(octets) {
            true => "message",
            false => "unknown",
        },
        original: Back {
            message_id: original.message_id,
            token: original.tokens.into_iter().next(),
        },
        ..Line::default()
    }
}

fn complaint(file: String, feedback: Feedback) -> Line {
    Line {
        file,
        kind: "feedback",
        feedback_type: Some(feedback.feedback_type),
        original_recipient: feedback.original_recipient,
        original_mail_from: feedback.original_mail_from,
        source_ip: feedback.source_ip,
        reporting_mta: feedback.reporting_mta,
        reported_domain: feedback.reported_domain,
        arrival_date: feedback.arrival_date,
        user_agent: feedback.user_agent,
        original: Back {
            message_id: feedback.original.message_id,
            token: feedback.original.tokens.into_iter().next(),
        },
    }
}
