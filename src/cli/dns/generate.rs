//! `dns generate`: the records that a domain needs.

use super::{Common, ask, facts};
use crate::cli::{Exit, Failure, Outcome};
use crate::config::Config;
use crate::zone::ask::{Ask, Unknown};
use crate::zone::spf::{self, MOST_LOOKUPS, Spf};
use crate::zone::{Facts, Plan, Stage};
use std::io::Write;

/// Prints the DNS records that a domain needs to send, made from dns-templates and the configuration: DKIM, SPF, the
/// names and PTR of every source, DMARC, the MX of what comes back, TLS-RPT, MTA-STS with its policy, BIMI.
///
/// DNS is asked only where the SPF record includes those of other services ([[zone.domain]] spf_include), to count its
/// lookups. Ends with 0; with 65 where the record would take more lookups than receivers make (10); with 78 where
/// configuration, keys or templates are wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Lines of zone files, or JSON.
    #[arg(long, value_enum, default_value = "bind")]
    format: Format,
    /// The DMARC stage, in place of the configuration's.
    #[arg(long, value_enum)]
    dmarc: Option<DmarcStage>,
    /// Write the networks of included SPF records in place of their names. They have to be written anew whenever those
    /// services change theirs.
    #[arg(long)]
    flatten: bool,
}

const EXAMPLE: &str = "\
Example:
  mailwright dns generate acme.example
  mailwright dns generate acme.example --dmarc quarantine --format json";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Bind,
    Json,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum DmarcStage {
    None,
    Quarantine,
    Reject,
}

impl From<DmarcStage> for Stage {
    fn from(stage: DmarcStage) -> Self {
        match stage {
            DmarcStage::None => Self::None,
            DmarcStage::Quarantine => Self::Quarantine,
            DmarcStage::Reject => Self::Reject,
        }
    }
}

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    let common = &args.common;
    let config = common.config()?;
    let templates = common.templates(&config)?;
    let mut facts = facts(&config, &common.domain).map_err(|problems| common.refused(problems))?;
    if let Some(stage) = args.dmarc {
        facts.dmarc = stage.into();
    }
    if !facts.spf_others.is_empty() {
        count(args, &config, &mut facts)?;
    }
    let plan = Plan::new(&facts, &templates)
        .map_err(|error| Failure::new(Exit::Config, format!("zone.templates: {error}")))?;
    match args.format {
        Format::Json => writeln!(out, "{}", serde_json::json!(plan.printed()))?,
        Format::Bind => write!(out, "{}", plan.zone_lines())?,
    }
    Ok(())
}

/// Counts the lookups of what is included, and flattens it where that is asked for.
fn count(args: &Args, config: &Config, facts: &mut Facts) -> Outcome {
    let ask = ask(config, args.common.nameserver)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let read = runtime.block_on(read_all(&ask, &facts.spf_others));
    let read = match read {
        Ok(read) => read,
        Err(Unknown(why)) if args.flatten => {
            let message = format!("SPF cannot be flattened now: {why}");
            return Err(Failure::new(Exit::TemporaryFailure, message));
        }
        Err(Unknown(why)) => {
            facts
                .gaps
                .push(format!("the lookups of SPF could not be counted: {why}"));
            return Ok(());
        }
    };
    facts.spf_others = if args.flatten {
        flattened(&read)
    } else {
        facts.spf_others.clone()
    };
    let left = read
        .iter()
        .filter(|one| !args.flatten || one.spf.flat().is_none());
    let lookups: usize = left.clone().map(|one| one.spf.lookups).sum();
    for one in left.filter(|_| args.flatten) {
        let name = &one.mechanism;
        facts.gaps.push(format!(
            "{name} depends on the message and is not flattened"
        ));
    }
    for one in &read {
        for mistake in &one.spf.mistakes {
            facts
                .gaps
                .push(format!("SPF is broken by {}: {mistake}", one.mechanism));
        }
    }
    if lookups > MOST_LOOKUPS {
        let message = format!(
            "SPF of {} would take {lookups} lookups, and receivers stop at {MOST_LOOKUPS}\n    use --flatten, or take \
             services out of [[zone.domain]] spf_include",
            facts.domain
        );
        return Err(Failure::new(Exit::Data, message));
    }
    facts.gaps.push(format!(
        "SPF of {} takes {lookups} of {MOST_LOOKUPS} lookups",
        facts.domain
    ));
    Ok(())
}

/// One `include` with what it leads to.
struct Included {
    mechanism: String,
    spf: Spf,
}

async fn read_all(ask: &Ask, mechanisms: &[String]) -> Result<Vec<Included>, Unknown> {
    let mut all = Vec::new();
    for mechanism in mechanisms {
        // Read as a record of its own, which has the one term.
        let spf = spf::read(ask, "", &format!("v=spf1 {mechanism}")).await?;
        all.push(Included {
            mechanism: mechanism.clone(),
            spf,
        });
    }
    Ok(all)
}

/// The networks behind each, or the name where they cannot be told.
fn flattened(read: &[Included]) -> Vec<String> {
    let each = read.iter();
    each.flat_map(|one| {
        one.spf
            .flat()
            .unwrap_or_else(|| vec![one.mechanism.clone()])
    })
    .collect()
}
