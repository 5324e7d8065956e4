//! `reputation`: lets go what is held.

use super::Outcome;
use super::daemon::Options;
use crate::http::{Release, Released};
use std::io::Write;

/// Lets mail go that is held or slowed for its bounces or complaints.
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
    if released.released.is_empty() && released.eased.is_empty() {
        eprintln!("{slice} is neither held nor slowed");
    }
    args.options
        .print(&released.released, out, |released, _, out| {
            released.iter().try_for_each(|hold| {
                let (slice, why) = (&hold.slice, &hold.finding);
                writeln!(out, "released {slice}; it was held for {why}")
            })
        })?;
    args.options.print(&released.eased, out, |eased, _, out| {
        eased.iter().try_for_each(|slow| {
            let (slice, why) = (&slow.slice, &slow.finding);
            writeln!(out, "{slice} has its pace back; it was slowed for {why}")
        })
    })
}
