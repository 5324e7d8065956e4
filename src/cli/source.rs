//! `source`: our addresses, and what keeps them from sending.

use super::Outcome;
use super::daemon::Options;
use super::table::columns;
use super::when::readable;
use crate::http::{Lift, Lifted, Membership, SourceEntry};
use crate::policy::suspension::{At, Suspension};
use crate::policy::warmup::Position;
use crate::units::Timestamp;
use std::io::{self, Write};

/// Shows the sources that mail leaves from, and ends their suspensions.
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
  mailwright source list
  mailwright source lift ip-a --provider google --why \"they answered our ticket\"";

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists sources: whether their address is one of this machine, their pools and warm-up, and what they are kept from.
    #[command(after_help = "Example:\n  mailwright source list --format json")]
    List,
    /// Lets a source send again where a reply rule keeps it from.
    #[command(after_help = "Example:\n  mailwright source lift ip-a --site mx.example.net")]
    Lift(LiftArgs),
}

#[derive(Debug, clap::Args)]
struct LiftArgs {
    /// The name of the [[source]], as `source list` shows it.
    #[arg(value_name = "SOURCE")]
    source: String,
    /// The suspension from this site; without it and --provider all of the source's.
    #[arg(long, conflicts_with = "provider")]
    site: Option<String>,
    /// The suspension from this provider.
    #[arg(long)]
    provider: Option<String>,
    /// A note for the event.
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    match &args.command {
        Command::List => {
            let entries: Vec<SourceEntry> = args.options.daemon()?.get("/api/v1/sources", &())?;
            args.options.print(&entries, out, list)
        }
        Command::Lift(which) => lift(&args.options, which, out),
    }
}

fn lift(options: &Options, which: &LiftArgs, out: &mut dyn Write) -> Outcome {
    let order = Lift {
        source: which.source.clone(),
        site: which.site.clone(),
        provider: which.provider.clone(),
        why: which.why.clone(),
    };
    let lifted: Lifted = options.daemon()?.post("/api/v1/sources/lift", &order)?;
    if lifted.lifted.is_empty() {
        eprintln!("nothing was suspended");
    }
    options.print(&lifted.lifted, out, |lifted, now, out| {
        let mut lifted = lifted.iter();
        lifted.try_for_each(|held| writeln!(out, "{}", readable(&over(held), now)))
    })
}

const HEADINGS: [&str; 7] = [
    "SOURCE",
    "ADDRESS",
    "ADDRESS IS HERE",
    "EHLO",
    "POOLS",
    "WARM-UP",
    "SUSPENDED",
];

/// One line a source, and below them what each is kept from.
fn list(entries: &[SourceEntry], now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 7]> = entries.iter().map(row).collect();
    columns(&HEADINGS, &rows, out)?;
    let suspensions = entries.iter().flat_map(|entry| &entry.suspensions);
    for (i, held) in suspensions.enumerate() {
        if i == 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}", readable(&suspension(held), now))?;
    }
    Ok(())
}

fn row(entry: &SourceEntry) -> [String; 7] {
    let address = entry.address.map(|address| address.to_string());
    let pools: Vec<String> = entry.pools.iter().map(membership).collect();
    let suspended = match entry.suspensions.len() {
        0 => "no".to_owned(),
        n => format!("from {n}"),
    };
    [
        entry.name.clone(),
        address.unwrap_or_else(|| "the kernel's".to_owned()),
        if entry.present { "yes" } else { "no" }.to_owned(),
        entry.ehlo.clone(),
        pools.join(", "),
        entry.warmup.as_ref().map_or("no".to_owned(), warmup),
        suspended,
    ]
}

/// `shared`, or where it has not the usual weight `shared 3`.
fn membership(membership: &Membership) -> String {
    match membership.weight {
        1 => membership.name.clone(),
        weight => format!("{} {weight}", membership.name),
    }
}

fn warmup(position: &Position) -> String {
    let state = super::explain::table::state(position);
    format!("{}, {state}", position.schedule)
}

fn suspension(held: &Suspension) -> String {
    format!("{held}; until {}", held.until)
}

/// `lifted: source ip-a from provider google, unusual rate (rule provider[0].rule[1]); it would have lasted until …`
fn over(held: &Suspension) -> String {
    let Suspension {
        source, why, until, ..
    } = held;
    let at = match &held.at {
        At::Site(site) => site.to_string(),
        At::Provider(provider) => format!("provider {provider}"),
    };
    format!("lifted: source {source} from {at}, {why}; it would have lasted until {until}")
}

#[cfg(test)]
mod tests;
