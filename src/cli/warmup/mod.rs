//! `warmup`: where new sources are on their way to a reputation, and what operators do about it. `plan` needs no daemon.

mod plan;
mod table;

use super::daemon::{Daemon, Options};
use super::{Exit, Failure, Outcome};
use crate::http::{Pause, Resume, Set, Steered, WhichWarmup};
use crate::policy::warmup::{NotAStage, Position, Stage};
use crate::units::{Span, Timestamp, UnitError};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::Write;

/// Shows and steers the warm-up of sources, and plans it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLE: &str = "\
Example:
  mailwright warmup show --source ip-a
  mailwright warmup plan --schedule standard --target 100000 --list 2000000
  mailwright warmup pause ip-a google --for 4h --why \"complaints\"
  mailwright warmup resume ip-a google";

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Shows stage, cap, what of it is used, and with --rates the rates that the health gate goes by.
    ///
    /// A line of provider * is the source as a whole. PLAN is the stage it would be at if every day since its start had
    /// been a good one. Rates are of the days that the gate looks back on: bounces and blocks of what was answered for
    /// good, deferrals of all answers, complaints of what was delivered.
    #[command(after_help = "Example:\n  mailwright warmup show --provider google")]
    Show(Show),
    /// Prints the calendar of a schedule, without sending anything and without a daemon.
    #[command(after_help = plan::EXAMPLE)]
    Plan(plan::Args),
    /// Sends nothing, until an instant or until it is resumed.
    #[command(
        after_help = "Example:\n  mailwright warmup pause ip-a google --for 4h --why \"complaints\""
    )]
    Pause(PauseArgs),
    /// Ends pauses, whether a block or an operator began them.
    ///
    /// With a provider it ends that provider's pause. Without one, or with "*", it ends that of the source as a whole
    /// and those of all its providers: there is no resuming the one without the others.
    #[command(
        after_help = "Example:\n  mailwright warmup resume ip-a google\n  mailwright warmup resume ip-a"
    )]
    Resume(ResumeArgs),
    /// Goes to another stage. A higher cap holds at once, a lower one from the next day.
    ///
    /// The answer says from when the new cap holds. What was sent today without a cap counts against the cap that
    /// today gets.
    #[command(
        after_help = "Example:\n  mailwright warmup set ip-a google 5\n  mailwright warmup set ip-a warm"
    )]
    Set(SetArgs),
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The name of a [[source]].
    #[arg(long)]
    source: Option<String>,
    /// "*" is the source as a whole.
    #[arg(long)]
    provider: Option<String>,
    /// Shows the sending day, and the rates that the health gate goes by, below. JSON has them always.
    #[arg(long)]
    rates: bool,
}

#[derive(Debug, clap::Args)]
struct Which {
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Without it, or with "*", the source as a whole.
    #[arg(value_name = "PROVIDER")]
    provider: Option<String>,
}

#[derive(Debug, clap::Args)]
struct ResumeArgs {
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Without it, or with "*", the source as a whole and each provider.
    #[arg(value_name = "PROVIDER")]
    provider: Option<String>,
}

#[derive(Debug, clap::Args)]
struct PauseArgs {
    #[command(flatten)]
    which: Which,
    /// A note for the event and for `warmup show`.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// Such as 2026-11-01T08:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    until: Option<Timestamp>,
    /// Such as 4h or 2d.
    #[arg(long = "for", value_name = "SPAN", conflicts_with = "until", value_parser = span)]
    span: Option<Span>,
}

#[derive(Debug, clap::Args)]
struct SetArgs {
    #[arg(value_name = "SOURCE")]
    source: String,
    /// A provider and a stage, or a stage for the source as a whole and each provider. A stage is a number from 1, or
    /// "warm".
    #[arg(value_name = "[PROVIDER] STAGE", num_args = 1..=2, required = true)]
    place: Vec<String>,
}

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    let options = &args.options;
    match &args.command {
        Command::Show(which) => show(options, which, out),
        Command::Plan(args) => plan::run(args, options, out),
        Command::Pause(args) => pause(options, args, out),
        Command::Resume(which) => {
            let order = Resume {
                source: which.source.clone(),
                provider: which.provider.clone(),
            };
            let steered = steer(options, "resume", &order)?;
            if !steered.done {
                eprintln!("nothing was paused");
            }
            options.print(&steered.positions, out, table::positions)
        }
        Command::Set(args) => {
            let steered = steer(options, "set", &args.order()?)?;
            options.print(&steered.positions, out, table::answer)
        }
    }
}

fn show(options: &Options, which: &Show, out: &mut dyn Write) -> Outcome {
    let query = WhichWarmup {
        source: which.source.clone(),
        provider: None,
    };
    let mut positions: Vec<Position> = options.daemon()?.get("/api/v1/warmup", &query)?;
    if positions.is_empty() {
        eprintln!("nothing warms: a [[source]] with a warmup does");
    } else if let Some(provider) = &which.provider {
        let known: BTreeSet<String> = positions.iter().map(|p| p.provider.clone()).collect();
        positions.retain(|position| position.provider == *provider);
        if positions.is_empty() {
            return Err(no_such_provider(provider, &known));
        }
    }
    options.print(&positions, out, |positions, now, out| {
        table::positions(positions, now, out)?;
        match which.rates {
            true => writeln!(out).and_then(|()| table::rates(positions, out)),
            false => Ok(()),
        }
    })
}

fn no_such_provider(provider: &str, known: &BTreeSet<String>) -> Failure {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let known = known.join(", ");
    let message = format!(
        "no such provider \"{provider}\" in the warm-up: those with mail so far are {known}"
    );
    Failure::new(Exit::Data, message)
}

fn pause(options: &Options, args: &PauseArgs, out: &mut dyn Write) -> Outcome {
    let order = Pause {
        source: args.which.source.clone(),
        provider: args.which.provider.clone(),
        why: args.why.clone(),
        until: args.until,
        span: args.span,
    };
    let steered = steer(options, "pause", &order)?;
    options.print(&steered.positions, out, table::positions)
}

/// Gives an order; tells where the mail concerned is then.
fn steer(options: &Options, name: &str, order: &impl Serialize) -> Result<Steered, Failure> {
    let daemon: Daemon = options.daemon()?;
    Ok(daemon.post(&format!("/api/v1/warmup/{name}"), order)?)
}

impl SetArgs {
    fn order(&self) -> Result<Set, Failure> {
        let (provider, stage) = match self.place.as_slice() {
            [provider, stage] => (Some(provider.clone()), stage),
            [stage] => (None, stage),
            _ => return Err(Failure::new(Exit::Usage, "write a stage")),
        };
        let stage = stage.parse::<Stage>();
        let wrong = |error: NotAStage| Failure::new(Exit::Usage, error.to_string());
        Ok(Set {
            source: self.source.clone(),
            provider,
            stage: stage.map_err(wrong)?,
        })
    }
}

fn instant(text: &str) -> Result<Timestamp, String> {
    let instant: Option<jiff::Timestamp> = text.parse().ok();
    let millis = instant.and_then(|at| u64::try_from(at.as_millisecond()).ok());
    let wrong = || "write a date of RFC 3339, such as 2026-11-01T08:00:00Z".to_owned();
    millis.map(Timestamp::from_millis).ok_or_else(wrong)
}

fn span(text: &str) -> Result<Span, UnitError> {
    text.parse()
}

#[cfg(test)]
mod tests;
