//! `explain`: what would become of one message now. Asks the running daemon, which takes nothing.

mod message;
mod pace;
pub mod table;

use super::daemon::{Format, Options};
use super::when::readable;
use super::{Exit, Failure, Outcome};
use crate::clock::Clock;
use crate::http::explain::return_path;
use crate::http::{Question, Verdict};
use crate::intake::Said;
use crate::mail::{Address, Stream};
use std::io::Write;
use std::path::PathBuf;

/// Says what would become of one message now: from which source it would leave, or what it waits for and until when,
/// and which key of the configuration decides about that. Nothing is sent, and no limit is touched.
///
/// Ends with 0 whether it would go or wait, with 65 where an address or the message is wrong, or the domain takes no
/// mail, with 69 where no daemon runs.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(flatten)]
    options: Options,
    /// The return path; "<>" for none.
    #[arg(long, value_name = "ADDRESS")]
    from: String,
    /// The recipient.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// The tenant who hands it in: its pool, its limits and its hours.
    #[arg(long, value_name = "NAME")]
    tenant: Option<Box<str>>,
    /// The campaign it is part of: its limits, and its turn among the tenant's campaigns.
    #[arg(long, value_name = "NAME")]
    campaign: Option<Box<str>>,
    /// marketing, which is meant where nothing is said, or transactional.
    #[arg(long, value_parser = stream)]
    stream: Option<Stream>,
    /// The mailing list that it is of.
    #[arg(long, value_name = "NAME")]
    list: Option<Box<str>>,
    /// The pool of sources, in place of the tenant's.
    #[arg(long)]
    pool: Option<Box<str>>,
    /// 0 to 100; while a source warms, the most engaged go first.
    #[arg(long, value_name = "POINTS", value_parser = clap::value_parser!(u8).range(0..=100))]
    engagement: Option<u8>,
    /// A message whose X-Mailwright-* fields say what the options do not.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

const EXAMPLE: &str = "\
Example:
  mailwright explain --from news@acme.example --to ann@example.net --tenant acme
  mailwright explain --from news@acme.example --to ann@example.net message.eml --format json";

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    let question = question(args)?;
    let daemon = args.options.daemon()?;
    let verdict: Verdict = daemon.get("/api/v1/explain", &question)?;
    match args.options.format {
        Format::Json => writeln!(out, "{}", serde_json::json!(verdict))?,
        Format::Table => {
            let mut said = String::new();
            table::verdict(&verdict, &mut said).map_err(std::io::Error::other)?;
            out.write_all(readable(&said, Clock::machine().now()).as_bytes())?;
        }
    }
    Ok(())
}

/// What the options say, and where they say nothing the message.
fn question(args: &Args) -> Result<Question, Failure> {
    let wrong = |option: &str, error| Failure::new(Exit::Data, format!("{option}: {error}"));
    let from = return_path(&args.from).map_err(|error| wrong("--from", error))?;
    let to: Address = args.to.parse().map_err(|error| wrong("--to", error))?;
    let said = match &args.file {
        Some(file) => message::read(file, Clock::machine().now())?,
        None => Said::default(),
    };
    let (labels, own) = (said.labels, args);
    Ok(Question {
        from,
        to,
        tenant: own.tenant.clone().or(labels.tenant),
        campaign: own.campaign.clone().or(labels.campaign),
        stream: own.stream.or(labels.stream),
        list: own.list.clone().or(labels.list),
        pool: own.pool.clone().or(labels.pool),
        virtual_mta: said.other_pool.filter(|_| own.pool.is_none()),
        engagement: own.engagement.or(labels.engagement),
        send_at: said.send_at,
        expires: said.expires,
    })
}

pub(super) fn stream(text: &str) -> Result<Stream, String> {
    Stream::named(text).ok_or_else(|| "write marketing or transactional".to_owned())
}

#[cfg(test)]
mod tests;
