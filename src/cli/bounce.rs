//! `bounce parse`: what notices of failure say.

use super::Outcome;
use super::files::{Files, shipped_rules};
use crate::bounce::report::{Action, Notice, Original, Report, Returned, is_message, read};
use crate::bounce::rules::Classifier;
use crate::mail::{BounceClass, Severity, Subject};
use serde::Serialize;
use std::io::Write;

/// Mail that comes back.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Parse(Parse),
}

/// Reads notices of failure and prints one line of JSON for each: which addresses failed, why, and of which message.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
struct Parse {
    #[command(flatten)]
    files: Files,
}

const EXAMPLE: &str = "\
Example:
  mailwright bounce parse notice.eml | jq '.recipients[] | [.address, .class, .severity]'";

#[derive(Debug, Serialize)]
struct Line {
    file: String,
    kind: &'static str,
    recipients: Vec<Recipient>,
    original: Back,
}

#[derive(Debug, Serialize)]
struct Recipient {
    address: String,
    action: Action,
    status: Option<String>,
    diagnostic: Option<String>,
    remote_mta: Option<String>,
    class: Option<BounceClass>,
    subject: Option<Subject>,
    severity: Severity,
}

#[derive(Debug, Serialize, Default)]
struct Back {
    message_id: Option<String>,
    return_path: Option<String>,
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
    let of = |kind, original: Original| Line {
        file,
        kind,
        recipients: Vec::new(),
        original: original.into(),
    };
    match read(octets, classifier) {
        Report::Notice(Notice {
            recipients,
            original,
        }) => Line {
            recipients: recipients.into_iter().map(Recipient::from).collect(),
            ..of("dsn", original)
        },
        Report::Feedback(feedback) => of("feedback", feedback.original),
        Report::Autoreply(original) => of("autoreply", original),
        Report::Message(original) if is_message(octets) => of("message", original),
        Report::Message(original) => of("unknown", original),
    }
}

impl From<Returned> for Recipient {
    fn from(returned: Returned) -> Self {
        // Of what succeeded there is nothing to classify.
        let failed = matches!(returned.action, Action::Failed | Action::Delayed);
        Self {
            class: failed.then_some(returned.finding.class),
            subject: returned.finding.subject.filter(|_| failed),
            severity: match failed {
                true => returned.finding.severity(),
                false => Severity::None,
            },
            address: returned.address,
            action: returned.action,
            status: returned.status,
            diagnostic: returned.diagnostic,
            remote_mta: returned.remote_mta,
        }
    }
}

impl From<Original> for Back {
    fn from(original: Original) -> Self {
        Self {
            message_id: original.message_id,
            return_path: original.return_path,
            token: original.tokens.into_iter().next(),
        }
    }
}
