//! `dns`: what our domains need in DNS, and what they have.

mod check;
mod facts;
mod generate;
#[cfg(test)]
mod tests;

pub use facts::facts;

use super::{Failure, Outcome};
use crate::clock::Clock;
use crate::config::Config;
use crate::dns::Resolver;
use crate::zone::Templates;
use crate::zone::ask::Ask;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Writes the DNS records that a domain needs to send, and compares those it has with them.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLE: &str = "\
Example:
  mailwright dns generate acme.example > acme.example.zone
  mailwright dns check acme.example";

#[derive(Debug, clap::Subcommand)]
enum Command {
    Generate(generate::Args),
    Check(check::Args),
}

/// Whose configuration, and who is asked.
#[derive(Debug, clap::Args)]
struct Common {
    /// The domain of the From addresses.
    #[arg(value_name = "DOMAIN")]
    domain: String,
    /// The configuration that says what is needed.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The name server to ask, in place of the configuration's.
    #[arg(long, value_name = "IP:PORT")]
    nameserver: Option<SocketAddr>,
}

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    match &args.command {
        Command::Generate(args) => generate::run(args, out),
        Command::Check(args) => check::run(args, out),
    }
}

impl Common {
    fn config(&self) -> Result<Config, Failure> {
        Ok(Config::load(self.config.as_deref())?)
    }

    fn templates(&self, config: &Config) -> Result<Templates, Failure> {
        Templates::load(config.zone.templates.as_deref()).map_err(|problems| self.refused(problems))
    }

    fn refused(&self, problems: crate::problem::Problems) -> Failure {
        crate::config::Refused::located(self.config.as_deref(), problems).into()
    }
}

/// Asks `nameserver`, or whom the configuration names. Answers are not kept beyond the command.
pub fn ask(config: &Config, nameserver: Option<SocketAddr>) -> Result<Ask, Failure> {
    Ok(Ask::new(resolver(config, nameserver)?))
}

fn resolver(config: &Config, nameserver: Option<SocketAddr>) -> Result<Resolver, Failure> {
    let mut dns = config.dns.clone();
    if let Some(address) = nameserver {
        dns.nameservers = vec![address];
    }
    Ok(Resolver::new(&dns, Clock::machine())?)
}
