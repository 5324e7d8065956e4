//! `lint`: what mailbox providers ask of a message, checked before it is sent. No daemon is asked.

use super::files::read;
use super::{Exit, Failure, Outcome};
use crate::app::lint::{judged, said, source};
use crate::auth::credentials::Tenants;
use crate::auth::dkim::{Book, Signers};
use crate::bounce::token::Keys;
use crate::clock::Clock;
use crate::config::{Config, Refused};
use crate::http::Linted;
use crate::http::explain::return_path;
use crate::intake::lint::{Handed, Own, facts};
use crate::lint::{Facts, Finding, Level, Message, Settings, network_lines, rules};
use crate::mail::{Address, Labels, Stream};
use crate::outside::Known;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Checks a message against what mailbox providers ask of mail, and says for each rule that it does not keep who asks
/// for it, what is wrong, and what to do.
///
/// Ends with 0 where nothing blocks (warnings do not), with 65 where a rule blocks or the message cannot be read, with
/// 78 where the configuration is wrong. Without --config only what the message itself shows is checked; with it the DKIM
/// keys that would sign, the tenants' domains, what is added at submission, and the levels of `[lint]`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Whose keys, domains and levels hold.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The return path; "<>" for none.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// A recipient; may be given more than once.
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<Address>,
    /// The address that it would leave from.
    #[arg(long, value_name = "IP")]
    source: Option<IpAddr>,
    /// The tenant who hands it in.
    #[arg(long, value_name = "NAME")]
    tenant: Option<Box<str>>,
    /// marketing, which is meant where nothing is said, or transactional.
    #[arg(long, value_parser = super::explain::stream)]
    stream: Option<Stream>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Tell of rules that could not be checked here too.
    #[arg(long)]
    verbose: bool,
    /// List the rules with their ids, names and levels, and check nothing.
    #[arg(long)]
    rules: bool,
    /// The message; "-" is standard input.
    #[arg(required_unless_present = "rules", value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

const EXAMPLE: &str = "\
Example:
  mailwright lint news.eml
  mailwright lint --config mailwright.toml --stream marketing --to ann@example.net news.eml
  mailwright lint --format json - < news.eml | jq '.findings[] | [.id, .level, .evidence]'
  mailwright lint --rules";

/// Octets of a file that are read.
const LARGEST: u64 = 64 << 20;

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    let Some(file) = args.file.as_deref().filter(|_| !args.rules) else {
        return list(out);
    };
    let octets = read(file, LARGEST)
        .map_err(|error| Failure::new(Exit::Data, format!("{}: {error}", file.display())))?;
    let message = Message::parse(&network_lines(&octets));
    let now = Clock::machine().now();
    let labels = said(&message, (args.tenant.clone(), args.stream), now);
    let (settings, facts) = known(args, &message, &labels)?;
    let linted = judged(&settings, &message, &facts, &labels, args.verbose);
    match args.format {
        Format::Json => writeln!(out, "{}", serde_json::json!(linted))?,
        Format::Text => tell(&linted, &file.display().to_string(), out)?,
    }
    match linted.blocked {
        true => Err(Failure::new(Exit::Data, "")),
        false => Ok(()),
    }
}

/// What the options and the configuration say.
fn known(args: &Args, message: &Message, labels: &Labels) -> Result<(Settings, Facts), Failure> {
    let wrong = |error| Failure::new(Exit::Data, format!("--from: {error}"));
    let from = args.from.as_deref().map(return_path);
    let handed = Handed {
        tenant: labels.tenant.as_deref(),
        stream: labels.stream,
        return_path: from.transpose().map_err(wrong)?,
        recipients: args.to.clone(),
        smtputf8: None,
    };
    let config = args.config.as_deref();
    let config = config.map(|file| Config::load(Some(file))).transpose()?;
    let mut facts = match &config {
        Some(config) => with(config, args, message, handed)?,
        None => Facts {
            stream: handed.stream,
            return_path: handed.return_path,
            recipients: handed.recipients,
            ..Facts::default()
        },
    };
    let config = config.unwrap_or_default();
    if let Some(address) = args.source {
        let named = config.source.iter();
        let named = named.map(|source| (&*source.name, source.address));
        facts
            .sources
            .push(source(address, named, &Known::default()));
    }
    Ok((config.lint(), facts))
}

fn with(
    config: &Config,
    args: &Args,
    message: &Message,
    handed: Handed<'_>,
) -> Result<Facts, Failure> {
    let refused = |problems| Failure::from(Refused::located(args.config.as_deref(), problems));
    // The paths of a configuration that was read from a file are whole already.
    let book = Book::load(&config.data_dir)
        .map_err(|error| Failure::new(Exit::Config, error.to_string()))?;
    let signers = Signers::load(&config.dkim, book, Path::new("")).map_err(refused)?;
    let tenants = Tenants::load(&config.tenant, Path::new("")).map_err(refused)?;
    // What is asked of the stamps is whether there are any; no token leaves.
    let keys = Keys::new(&[[0; 32]], Duration::from_secs(1))
        .map_err(|error| Failure::new(Exit::Software, error.to_string()))?;
    let own = Own {
        signers: &signers,
        tenants: &tenants,
        stamps: Some(&config.stamps(keys)),
        bulk_from: config.lint.bulk_from,
        // Only the daemon looks at the lists of others.
        outside: &Known::default(),
    };
    Ok(facts(message, &own, handed))
}

fn list(out: &mut dyn Write) -> Outcome {
    for rule in rules() {
        writeln!(out, "{rule}  {}", rule.fix)?;
    }
    Ok(())
}

fn tell(linted: &Linted, file: &str, out: &mut dyn Write) -> std::io::Result<()> {
    let count = |level| {
        let of_level = linted.findings.iter();
        of_level.filter(|finding| finding.level == level).count()
    };
    let counted: Vec<String> = [Level::Block, Level::Warn, Level::Fix, Level::Info]
        .into_iter()
        .map(|level| (level, count(level)))
        .filter(|(_, count)| *count > 0)
        .map(|(level, count)| format!("{count} {}", level.name()))
        .collect();
    match counted.is_empty() {
        true => return writeln!(out, "{file}: nothing to say"),
        false => writeln!(out, "{file}: {}", counted.join(", "))?,
    }
    linted
        .findings
        .iter()
        .try_for_each(|finding| one(finding, out))
}

fn one(finding: &Finding, out: &mut dyn Write) -> std::io::Result<()> {
    let Finding {
        id,
        level,
        rule,
        provider,
        evidence,
        fix,
        reference,
    } = finding;
    let asked = match provider.is_empty() {
        true => String::new(),
        false => format!("{}: ", provider.join(", ")),
    };
    writeln!(out, "\n{:<5} {id} {rule}: {evidence}", level.name())?;
    writeln!(out, "      {asked}{reference}")?;
    writeln!(out, "      fix: {fix}")
}

#[cfg(test)]
mod tests;
