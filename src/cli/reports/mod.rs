//! `reports`: what others report about our mail.

mod reach;
mod table;

use self::reach::Reach;
use super::files::Files;
use super::{Exit, Failure, Outcome};
use crate::http::WhichReports;
use crate::reports::line::Line;
use crate::reports::{Imported, Order, read};
use crate::units::Span;
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::path::PathBuf;

/// DMARC reports, TLS reports, and daily figures of mailbox providers.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Parse(Parse),
    Import(Import),
    Show(Show),
    Advise(Advise),
}

/// Which daemon is asked; where none runs, its data directory is.
#[derive(Debug, Clone, clap::Args)]
struct Which {
    /// The daemon's configuration: where it listens for HTTP, and its token. MAILWRIGHT_TOKEN overrides the token.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The daemon's HTTP address, in place of the configuration's.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// Reads reports and prints one line of JSON for each; no daemon is needed.
///
/// DMARC aggregate reports (XML) and TLS reports (JSON), in gzip or zip or not, or attached to a message; answers of Google
/// Postmaster Tools (JSON, CSV), files of Microsoft SNDS (CSV). Exit code 65 where one of them cannot be read.
#[derive(Debug, clap::Args)]
#[command(after_help = PARSE)]
struct Parse {
    #[command(flatten)]
    files: Files,
}

const PARSE: &str = "\
Example:
  mailwright reports parse report.xml.gz mail.eml | jq '[.domain, .messages, .dmarc_pass]'";

/// Stores reports, each once, and prints what became of them as a line of JSON each.
#[derive(Debug, clap::Args)]
#[command(after_help = IMPORT)]
struct Import {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    files: Files,
    /// Also reports about domains that are none of ours.
    #[arg(long)]
    any_domain: bool,
    /// Whose figures they are, where the file does not say: exports of Google's dashboards do not.
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
}

const IMPORT: &str = "\
Example:
  mailwright reports import dmarc/*.xml.gz snds.csv
  mailwright reports import --domain acme.example postmaster-export.csv";

/// Shows what is stored, added up: by domain and source, whose it is, what passed, and what receivers did.
#[derive(Debug, clap::Args)]
#[command(after_help = SHOW)]
struct Show {
    #[command(flatten)]
    which: Which,
    /// This domain and those below it.
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// From how many days ago on; by the days that reports are about.
    #[arg(long, value_name = "SPAN", default_value = "30d")]
    since: Span,
    #[arg(long, value_enum, default_value = "table")]
    format: Shape,
    /// What a CSV has: it can have one of them.
    #[arg(long, value_enum, default_value = "sources")]
    of: Part,
}

const SHOW: &str = "\
Example:
  mailwright reports show --domain acme.example --since 7d
  mailwright reports show --format csv --of figures > figures.csv";

/// Says whether p=quarantine and p=reject are safe for a domain, and whose mail they would hit.
#[derive(Debug, clap::Args)]
#[command(after_help = ADVISE)]
struct Advise {
    #[command(flatten)]
    which: Which,
    domain: String,
    #[arg(long, value_name = "SPAN", default_value = "30d")]
    since: Span,
    #[arg(long, value_enum, default_value = "table")]
    format: Shape,
}

const ADVISE: &str = "\
Example:
  mailwright reports advise acme.example --since 60d";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    Table,
    Json,
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Sources,
    Tls,
    Figures,
}

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    match &args.command {
        Command::Parse(args) => parse(args, out),
        Command::Import(args) => import(args, out),
        Command::Show(args) => show(args, out),
        Command::Advise(args) => advise(args, out),
    }
}

fn parse(args: &Parse, out: &mut dyn Write) -> Outcome {
    let refused = Cell::new(false);
    args.files.each(out, |file, octets| {
        let line = Line::of(file, read(octets));
        refused.set(refused.get() || line.said.is_refused());
        line
    })?;
    unless(refused.get())
}

/// What became of a file.
#[derive(Serialize)]
struct ImportLine {
    file: String,
    #[serde(flatten)]
    imported: Option<Imported>,
}

fn import(args: &Import, out: &mut dyn Write) -> Outcome {
    let reach = Reach::of(&args.which)?;
    let order = Order {
        any_domain: args.any_domain,
        domain: args.domain.clone(),
    };
    let (refused, failure) = (Cell::new(false), RefCell::new(None));
    args.files.each(out, |file, octets| {
        let failed = failure.borrow().is_some();
        let imported = match failed {
            true => None,
            false => match reach.import(octets, &order) {
                Ok(imported) => Some(imported),
                Err(why) => {
                    failure.replace(Some(why));
                    None
                }
            },
        };
        let is_refused = imported
            .as_ref()
            .is_none_or(|imported| imported.result.is_none());
        refused.set(refused.get() || is_refused);
        ImportLine { file, imported }
    })?;
    match failure.into_inner() {
        Some(failure) => Err(failure),
        None => unless(refused.get()),
    }
}

fn unless(refused: bool) -> Outcome {
    match refused {
        true => Err(Failure::new(Exit::Data, "")),
        false => Ok(()),
    }
}

fn show(args: &Show, out: &mut dyn Write) -> Outcome {
    let which = WhichReports {
        domain: args.domain.clone(),
        since: args.since,
    };
    let shown = Reach::of(&args.which)?.show(&which)?;
    if shown.more {
        eprintln!("there is more than this: ask for one --domain, or a shorter --since");
    }
    match args.format {
        Shape::Table => Ok(table::shown(&shown, args.since, out)?),
        Shape::Json => Ok(table::json(&shown, out)?),
        Shape::Csv => table::csv(&shown, args.of, out),
    }
}

fn advise(args: &Advise, out: &mut dyn Write) -> Outcome {
    let which = WhichReports {
        domain: Some(args.domain.clone()),
        since: args.since,
    };
    let advice = Reach::of(&args.which)?.advise(&which)?;
    match args.format {
        Shape::Table => Ok(table::advice(&advice, out)?),
        Shape::Json => Ok(writeln!(out, "{}", serde_json::json!(advice))?),
        Shape::Csv => table::csv_of(&advice.hit, out),
    }
}

#[cfg(test)]
mod tests;
