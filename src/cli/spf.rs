//! `spf check`: what a receiver finds.

use super::{Exit, Failure, Outcome};
use crate::auth::spf::{Identity, Question, Report, SpfResult, check};
use crate::clock::Clock;
use crate::config::Config;
use crate::dns::{self, Resolver};
use serde::Serialize;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Sender Policy Framework.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Check(Check),
}

/// Asks DNS whether an address may send for a domain, and prints the result of RFC 7208 as one line of JSON.
///
/// Ends with 0 whatever the result is.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
struct Check {
    /// The address that connects.
    #[arg(long)]
    ip: IpAddr,
    /// The return path; "" for that of notices, where the name in EHLO is checked.
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    from: String,
    /// The name given in EHLO; without it the domain of --from.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    helo: Option<String>,
    /// The name server to ask, instead of those of the configuration. Its port is 53 where none is written.
    #[arg(long, value_name = "IP:PORT", value_parser = name_server)]
    nameserver: Option<SocketAddr>,
    /// The configuration whose [dns] counts; without it what `serve` would take.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const EXAMPLE: &str = "\
Example:
  mailwright spf check --ip 192.0.2.10 --from bounces@news.example.com --helo mta1.example.com
  mailwright spf check --ip 2001:db8::25 --from \"\" --helo mta1.example.com --nameserver 127.0.0.1:5353";

#[derive(Debug, Serialize)]
struct Line {
    result: SpfResult,
    domain: Box<str>,
    identity: Identity,
    mechanism: Option<Box<str>>,
    explanation: Option<Box<str>>,
    lookups: u8,
    voids: u8,
    error: Option<String>,
    trace: Vec<String>,
}

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    let Command::Check(asked) = &args.command;
    let sender = asked.from.trim_start_matches('<').trim_end_matches('>');
    let domain = sender.rsplit_once('@').map_or(sender, |(_, domain)| domain);
    let helo = asked.helo.as_deref().unwrap_or(domain);
    if sender.is_empty() && helo.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            "--from is empty\n    give the name in EHLO with --helo",
        ));
    }
    let config = asked.dns()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(async {
        let clock = Clock::machine();
        let resolver = Resolver::new(&config, clock.clone()).map_err(|error| {
            Failure::new(Exit::Unavailable, format!("no name servers: {error}"))
        })?;
        let question = Question {
            ip: asked.ip,
            sender,
            helo,
            receiver: "unknown",
        };
        Ok::<_, Failure>(check(&resolver, &clock, &question).await)
    })?;
    let line = serde_json::to_string(&Line::from(report));
    let line = line.map_err(|error| Failure::new(Exit::Software, error.to_string()))?;
    Ok(writeln!(out, "{line}")?)
}

impl Check {
    /// A name server on the command line makes the configuration needless, unless one is named too.
    fn dns(&self) -> Result<dns::Config, Failure> {
        let mut dns = match (&self.config, self.nameserver) {
            (None, Some(_)) => dns::Config::default(),
            (file, _) => Config::load(file.as_deref())?.dns,
        };
        if let Some(server) = self.nameserver {
            dns.nameservers = vec![server];
        }
        Ok(dns)
    }
}

fn name_server(text: &str) -> Result<SocketAddr, String> {
    let bare = || text.parse().map(|ip| SocketAddr::new(ip, 53)).ok();
    let found = text.parse().ok().or_else(bare);
    found.ok_or_else(|| "write an address such as 127.0.0.1:5353".into())
}

impl From<Report> for Line {
    fn from(report: Report) -> Self {
        Self {
            result: report.result,
            domain: report.domain,
            identity: report.identity,
            mechanism: report.mechanism,
            explanation: report.explanation,
            lookups: report.lookups,
            voids: report.voids,
            error: report.error.map(|error| error.to_string()),
            trace: report.trace.iter().map(ToString::to_string).collect(),
        }
    }
}
