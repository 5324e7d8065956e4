//! `reputation`: lets go what is held.

use super::Outcome;
use super::daemon::Options;
use crate::http::{Release, Released};
use std::io::Write;

/// Lets mail go that is held for its bounces or complaints.
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
  mailwright report --by campaign,stream
  mailwright reputation release campaign/acme/spring --why \"ann: the list is cleaned\"";

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lets a slice send again; what was counted of it before does not count any more.
    #[command(after_help = EXAMPLE)]
    Release {
        /// As `report` and `queue show` write it.
        slice: String,
        /// Who, and why: for the event.
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
    },
}

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    let Command::Release { slice, why } = &args.command;
    let order = Release {
        slice: slice.clone(),
        why: why.clone(),
    };
    let daemon = args.options.daemon()?;
    let released: Released = daemon.post("/api/v1/reputation/release", &order)?;
    if released.released.is_empty() {
        eprintln!("{slice} is not held");
    }
    args.options
        .print(&released.released, out, |released, _, out| {
            released.iter().try_for_each(|hold| {
                writeln!(
                    out,
                    "released {}; it was held for {}",
                    hold.slice, hold.finding
                )
            })
        })
}
