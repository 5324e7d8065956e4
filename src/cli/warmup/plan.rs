//! `warmup plan`: what a schedule comes to where every day is a good one.

use super::table;
use crate::cli::daemon::{Format, Options};
use crate::cli::{Exit, Failure, Outcome};
use crate::clock::Clock;
use crate::config::Config;
use crate::policy::providers::Providers;
use crate::policy::warmup::{self, Ramp, Schedule, SourceWarmup, WHOLE, Zone, plan};
use crate::problem::Problems;
use jiff::civil::Date;
use std::io::Write;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A schedule, of the configuration or one that comes with the program.
    #[arg(long, value_name = "NAME", required_unless_present = "source")]
    schedule: Option<String>,
    /// The schedule of a [[source]], with what the source says otherwise.
    #[arg(long, value_name = "NAME", conflicts_with = "schedule")]
    source: Option<String>,
    /// The first sending day, such as 2026-11-01; without it the source's own, else today.
    #[arg(long, value_name = "DATE")]
    start: Option<Date>,
    /// Messages a day when the source is warm, in place of the schedule's.
    #[arg(long, value_name = "N")]
    target: Option<u64>,
    /// A list of so many messages: how many days does it take?
    #[arg(long, value_name = "N")]
    list: Option<u64>,
    /// What of the caps is for this provider.
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
}

pub const EXAMPLE: &str = "\
Example:
  mailwright warmup plan --schedule standard --start 2026-11-01 --target 100000 --list 2000000
  mailwright warmup plan --source ip-a --provider google --config mailwright.toml";

pub fn run(args: &Args, options: &Options, out: &mut dyn Write) -> Outcome {
    let config = options.config()?;
    if let Some(provider) = &args.provider {
        must_be_known(provider, &config)?;
    }
    let warmup = wanted(args, &config)?;
    let ramp = ramp(&warmup, &config.warmup, args.provider.as_deref())?;
    let start = args
        .start
        .or(warmup.started.filter(|_| args.source.is_some()));
    let today = today(&config.warmup);
    let start = start.unwrap_or(today);
    let plan = plan(&ramp, start, args.list);
    match options.format {
        Format::Json => writeln!(out, "{}", serde_json::json!(plan))?,
        Format::Table => table::plan(&plan, &ramp, today, out)?,
    }
    Ok(())
}

/// A slip of the pen would get the caps of the source as a whole.
fn must_be_known(provider: &str, config: &Config) -> Result<(), Failure> {
    let providers = Providers::new(&config.provider, &config.rule);
    let providers = providers.map_err(|problems| Failure::new(Exit::Data, told(&problems)))?;
    if provider == WHOLE || providers.get(provider).is_some() {
        return Ok(());
    }
    let names: Vec<&str> = providers.iter().map(|known| &*known.name).collect();
    let names = names.join(", ");
    let message = format!("no provider \"{provider}\": write one of {names}");
    Err(Failure::new(Exit::Data, message))
}

/// The warm-up that is asked about, with what the command line says otherwise.
fn wanted(args: &Args, config: &Config) -> Result<SourceWarmup, Failure> {
    let named = match (&args.source, &args.schedule) {
        (Some(source), _) => of_source(source, config)?,
        (None, Some(schedule)) => SourceWarmup {
            schedule: schedule.clone(),
            ..SourceWarmup::default()
        },
        (None, None) => return Err(Failure::new(Exit::Usage, "name a schedule or a source")),
    };
    Ok(SourceWarmup {
        target: args.target.or(named.target),
        ..named
    })
}

fn of_source(name: &str, config: &Config) -> Result<SourceWarmup, Failure> {
    let warming = || {
        config
            .source
            .iter()
            .filter(|source| source.warmup.is_some())
    };
    let found = warming().find(|source| source.name == name);
    if let Some(warmup) = found.and_then(|source| source.warmup.clone()) {
        return Ok(warmup);
    }
    let names: Vec<&str> = warming().map(|source| source.name.as_str()).collect();
    let remedy = match names.as_slice() {
        [] => "no [[source]] has a warmup; name a schedule with --schedule".to_owned(),
        names => format!("those that do are {}", names.join(", ")),
    };
    let message = format!("no source \"{name}\" warms: {remedy}");
    Err(Failure::new(Exit::Data, message))
}

fn ramp(
    warmup: &SourceWarmup,
    config: &warmup::Config,
    provider: Option<&str>,
) -> Result<Ramp, Failure> {
    let Some(whole) = warmup.ramp(config) else {
        return Err(faults(warmup, config));
    };
    let Some(provider) = provider else {
        return Ok(whole);
    };
    // What a provider gets of each cap is a schedule too.
    let name = format!("{}, {provider}", whole.name);
    let days = (1..=whole.stages()).map(|stage| whole.cap(stage, Some(provider)));
    let schedule = Schedule {
        days: days.collect(),
        spread: whole.spread,
        ..Schedule::default()
    };
    let config = warmup::Config {
        schedule: [(name.clone(), schedule)].into(),
        ..warmup::Config::default()
    };
    let own = SourceWarmup {
        schedule: name,
        ..SourceWarmup::default()
    };
    own.ramp(&config).ok_or_else(|| faults(&own, &config))
}

/// What is wrong with it, each with the remedy.
pub(super) fn faults(warmup: &SourceWarmup, config: &warmup::Config) -> Failure {
    let mut problems = Problems::default();
    let pools: Vec<&str> = match &warmup.overflow {
        // Pools are no matter here.
        warmup::Overflow::Pool(pool) => vec![pool],
        _ => Vec::new(),
    };
    warmup.validate("", config, &pools, &mut problems);
    Failure::new(Exit::Data, told(&problems))
}

fn told(problems: &Problems) -> String {
    let told = problems.0.iter().map(|problem| {
        let key = problem.key.trim_start_matches('.');
        format!("{key}: {}: {}", problem.message, problem.remedy)
    });
    told.collect::<Vec<String>>().join("\n")
}

/// In the zone whose midnights part sending days.
fn today(config: &warmup::Config) -> Date {
    let zone = Zone::named(&config.zone).unwrap_or_else(Zone::utc);
    zone.date(Clock::machine().now())
}
