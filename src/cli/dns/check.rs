//! `dns check`: the live zone against what should be there.

use super::{Common, facts, resolver};
use crate::cli::{Exit, Failure, Outcome};
use crate::sts::Fetcher;
use crate::tls::client::ClientTls;
use crate::zone::Plan;
use crate::zone::ask::Ask;
use crate::zone::check::{Checker, Report, Sum, sum};
use std::io::Write;

/// Compares the DNS records of a domain with those that it needs, and prints what to change, the most harmful first,
/// each with the line to publish and the one found. The policy of MTA-STS is fetched where there is one.
///
/// Ends with 0 where nothing must be changed (something may be better), with 65 where something must, with 75 where
/// nothing must as far as the name servers answered.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Do not fetch the policy of MTA-STS.
    #[arg(long)]
    no_fetch: bool,
    /// The port that policies are fetched from.
    #[arg(long, default_value_t = 443, hide = true)]
    https_port: u16,
}

const EXAMPLE: &str = "\
Example:
  mailwright dns check acme.example
  mailwright dns check acme.example --nameserver 192.0.2.53:53 --format json";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    let common = &args.common;
    let config = common.config()?;
    let templates = common.templates(&config)?;
    let facts = facts(&config, &common.domain).map_err(|problems| common.refused(problems))?;
    let plan = Plan::new(&facts, &templates)
        .map_err(|error| Failure::new(Exit::Config, format!("zone.templates: {error}")))?;
    let resolver = resolver(&config, common.nameserver)?;
    let fetcher = match args.no_fetch {
        true => None,
        false => Some(Fetcher::new(
            resolver.clone(),
            ClientTls::new(&config.tls)?,
            args.https_port,
        )),
    };
    let checker = Checker {
        ask: Ask::new(resolver),
        facts: &facts,
        plan: &plan,
        fetcher,
    };
    let findings = tokio::runtime::Runtime::new()?.block_on(checker.run());
    let report = Report::new(&facts.domain, &findings);
    match args.format {
        Format::Json => writeln!(out, "{}", serde_json::json!(report))?,
        Format::Text => report.write(out)?,
    }
    match sum(&findings) {
        Sum::Good => Ok(()),
        Sum::Change => Err(Failure::new(Exit::Data, "")),
        Sum::Unanswered => Err(Failure::new(Exit::TemporaryFailure, "")),
    }
}
