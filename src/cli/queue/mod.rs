//! `queue`: what waits, why, and what to do about it. Asks the running daemon.

mod offline;
pub(super) mod table;

use super::daemon::{Daemon, Format, Options, Trouble};
use super::{Exit, Failure, Outcome};
use crate::config::Config;
use crate::http::{Action, Done, Listed, Order, QueueEntry};
use crate::queue::Selector;
use std::io::Write;

/// Shows and steers the queue of the running daemon. `list` and `show` read the data directory where none runs.
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
  mailwright queue list --domain example.net
  mailwright queue show 0ky3w2m4e0000
  mailwright queue hold --campaign spring --why \"wrong price\"
  mailwright queue release --campaign spring";

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists what waits, one line a message and recipient domain.
    #[command(after_help = "Example:\n  mailwright queue list --tenant acme --limit 20")]
    List {
        #[command(flatten)]
        which: Which,
        /// Lines at most.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Shows one message: its recipients, what it waits for and until when.
    #[command(after_help = "Example:\n  mailwright queue show 0ky3w2m4e0000 --format json")]
    Show {
        /// As the reply to the message's end gave it (250 … queued as ID), and as `queue list` shows it.
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Tries now what waits for its next attempt.
    #[command(after_help = "Example:\n  mailwright queue retry --site mx.example.net")]
    Retry(Target),
    /// Keeps messages until they are released.
    #[command(
        after_help = "Example:\n  mailwright queue hold --campaign spring --why \"wrong price\""
    )]
    Hold(Target),
    /// Lets held messages go on.
    #[command(after_help = "Example:\n  mailwright queue release --all")]
    Release(Target),
    /// Gives messages up, without a notice to the sender.
    #[command(after_help = "Example:\n  mailwright queue drop 0ky3w2m4e0000")]
    Drop(Target),
}

/// Which messages are meant: all that every option given fits.
#[derive(Debug, Clone, clap::Args)]
struct Which {
    /// The message with this id.
    #[arg(value_name = "ID")]
    message: Option<String>,
    /// The message with this id.
    #[arg(long, conflicts_with = "message")]
    id: Option<String>,
    /// Messages to this site (the canonical name of a set of MX hosts).
    #[arg(long)]
    site: Option<String>,
    /// Messages to recipients of this domain.
    #[arg(long)]
    domain: Option<String>,
    /// Messages of this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Messages of this campaign.
    #[arg(long)]
    campaign: Option<String>,
    /// Messages to leave from this source.
    #[arg(long)]
    source: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Target {
    #[command(flatten)]
    which: Which,
    /// The whole queue.
    #[arg(long)]
    all: bool,
    /// A note for the events and for `queue show`.
    #[arg(long, default_value = "")]
    why: String,
}

impl Which {
    fn selector(&self) -> Selector {
        let which = self.clone();
        Selector {
            id: which.id.or(which.message),
            site: which.site,
            domain: which.domain,
            tenant: which.tenant,
            campaign: which.campaign,
            source: which.source,
        }
    }
}

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    let options = &args.options;
    match &args.command {
        Command::List { which, limit } => list(options, &which.selector(), *limit, out),
        Command::Show { id } => show(options, id, out),
        Command::Retry(target) => act(options, Action::Retry, target, out),
        Command::Hold(target) => act(options, Action::Hold, target, out),
        Command::Release(target) => act(options, Action::Release, target, out),
        Command::Drop(target) => act(options, Action::Drop, target, out),
    }
}

fn list(options: &Options, which: &Selector, limit: usize, out: &mut dyn Write) -> Outcome {
    let config = options.config()?;
    let listed = listed(options, &config, which, limit)?;
    let rest = table::rest(&listed, !which.is_empty());
    match (options.format, rest) {
        // What reads it wants entries and nothing else.
        (Format::Json, Some(rest)) if listed.more => eprintln!("{rest}"),
        (Format::Table, Some(rest)) if listed.entries.is_empty() => {
            return Ok(writeln!(out, "{rest}")?);
        }
        (Format::Table, Some(rest)) => {
            options.print::<QueueEntry>(&listed.entries, out, table::list)?;
            return Ok(writeln!(out, "{rest}")?);
        }
        _ => {}
    }
    options.print::<QueueEntry>(&listed.entries, out, table::list)
}

/// Entries of the daemon's queue, or where none runs of the data directory's.
pub fn listed(
    options: &Options,
    config: &Config,
    which: &Selector,
    limit: usize,
) -> Result<Listed, Failure> {
    let query = Listing { which, limit };
    match Daemon::of(options, config)?.list(&query) {
        Err(Trouble::Nobody(why)) => offline::list(options, config, which, limit, &why),
        answer => Ok(answer?),
    }
}

/// The query of a listing.
#[derive(serde::Serialize)]
struct Listing<'a> {
    #[serde(flatten)]
    which: &'a Selector,
    limit: usize,
}

fn show(options: &Options, id: &str, out: &mut dyn Write) -> Outcome {
    if id.parse::<crate::mail::MessageId>().is_err() {
        let message = format!("\"{id}\" is not a message id");
        return Err(Failure::new(Exit::Data, message));
    }
    let config = options.config()?;
    let path = format!("/api/v1/queue/{id}");
    let entries = match Daemon::of(options, &config)?.get(&path, &()) {
        Err(Trouble::Nobody(why)) => offline::show(options, &config, id, &why)?,
        answer => answer?,
    };
    options.print::<QueueEntry>(&entries, out, table::show)
}

fn act(options: &Options, action: Action, target: &Target, out: &mut dyn Write) -> Outcome {
    let order = Order {
        select: target.which.selector(),
        all: target.all,
        why: target.why.clone(),
    };
    if order.select.is_empty() != order.all {
        let message =
            "say which messages with an id or an option, or --all for the whole queue, not both";
        return Err(Failure::new(Exit::Usage, message));
    }
    let name = serde_json::json!(action);
    let path = format!("/api/v1/queue/{}", name.as_str().unwrap_or_default());
    let done: Done = options.daemon()?.post(&path, &order)?;
    match options.format {
        Format::Json => writeln!(out, "{}", serde_json::json!(done))?,
        Format::Table => writeln!(out, "{}", table::done(action, &done))?,
    }
    Ok(())
}
