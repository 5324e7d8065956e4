//! `queue`: what waits, why, and what to do about it. Asks the running daemon.

mod daemon;
mod offline;
mod table;

use super::{Exit, Failure, Outcome};
use crate::config::Config;
use crate::http::{Action, Order, QueueEntry};
use crate::queue::Selector;
use daemon::{Daemon, Trouble};
use std::io::Write;
use std::path::PathBuf;

/// Shows and steers the queue of the running daemon. `list` and `show` read the data directory where none runs.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The daemon's configuration: where it listens for HTTP, and its token. MAILWRIGHT_TOKEN overrides the token.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The daemon's HTTP address, in place of the configuration's.
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    #[arg(long, global = true, value_enum, default_value = "table")]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLE: &str = "\
Example:
  mailwright queue list --domain example.net
  mailwright queue show 0ky3w2m4e0000
  mailwright queue hold --campaign spring --why \"wrong price\"
  mailwright queue release --campaign spring";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

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
    Show { id: String },
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
    match &args.command {
        Command::List { which, limit } => list(args, &which.selector(), *limit, out),
        Command::Show { id } => show(args, id, out),
        Command::Retry(target) => act(args, Action::Retry, target, out),
        Command::Hold(target) => act(args, Action::Hold, target, out),
        Command::Release(target) => act(args, Action::Release, target, out),
        Command::Drop(target) => act(args, Action::Drop, target, out),
    }
}

fn list(args: &Args, which: &Selector, limit: usize, out: &mut dyn Write) -> Outcome {
    let config = Config::load(args.config.as_deref())?;
    let entries = match Daemon::of(args, &config)?.list(which, limit) {
        Err(Trouble::Nobody(why)) => offline::list(args, &config, which, limit, &why)?,
        answer => answer?,
    };
    print(args.format, &entries, out, table::list)
}

fn show(args: &Args, id: &str, out: &mut dyn Write) -> Outcome {
    let config = Config::load(args.config.as_deref())?;
    let entries = match Daemon::of(args, &config)?.show(id) {
        Err(Trouble::Nobody(why)) => offline::show(args, &config, id, &why)?,
        answer => answer?,
    };
    print(args.format, &entries, out, table::show)
}

fn act(args: &Args, action: Action, target: &Target, out: &mut dyn Write) -> Outcome {
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
    let config = Config::load(args.config.as_deref())?;
    let done = Daemon::of(args, &config)?.act(action, &order)?;
    match args.format {
        Format::Json => writeln!(out, "{}", serde_json::json!(done))?,
        Format::Table => writeln!(out, "{} done", done.count)?,
    }
    Ok(())
}

fn print(
    format: Format,
    entries: &[QueueEntry],
    out: &mut dyn Write,
    table: fn(&[QueueEntry], &mut dyn Write) -> std::io::Result<()>,
) -> Outcome {
    if format == Format::Table {
        return Ok(table(entries, out)?);
    }
    for entry in entries {
        writeln!(out, "{}", serde_json::json!(entry))?;
    }
    Ok(())
}
