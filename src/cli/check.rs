//! `check`: says everything that is wrong with a configuration.

use super::Outcome;
use crate::app::Compiled;
use crate::config::{Config, Refused};
use std::io::Write;
use std::path::PathBuf;

/// Checks a configuration and prints every problem at once, each with file, line, key and remedy.
///
/// Ends with 0 where there is none, with 78 otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The configuration; without it what `serve` would take.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the JSON Schema of the configuration, for editors, and check nothing.
    #[arg(long)]
    schema: bool,
}

const EXAMPLE: &str = "\
Example:
  mailwright check --config mailwright.toml
  mailwright check --schema > mailwright.schema.json";

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    if args.schema {
        return Ok(writeln!(out, "{:#}", Config::schema())?);
    }
    let file = args.config.as_deref();
    let config = Config::load(file)?;
    // Keys and credentials are part of what has to be right.
    Compiled::new(&config).map_err(|problems| Refused::located(file, problems))?;
    match file {
        Some(file) => writeln!(out, "{}: no problems", file.display())?,
        None => writeln!(out, "no problems")?,
    }
    writeln!(out, "  hostname  {}", config.hostname)?;
    writeln!(out, "  data      {}", config.data_dir.display())?;
    writeln!(out, "  events    {}", config.events_dir().display())?;
    writeln!(out, "  http      {}", config.http.address)?;
    Ok(writeln!(out, "  dkim keys {}", config.dkim.len())?)
}
