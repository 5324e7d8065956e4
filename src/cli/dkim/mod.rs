//! `dkim`: makes keys, and changes one for the next.

mod rotate;
mod status;

use super::{Exit, Failure, Outcome};
use crate::auth::dkim::{Algorithm, Config, ascii_domain, generate};
use crate::problem::Problems;
use crate::zone::Record;
use std::io::Write;
use std::path::PathBuf;

/// DKIM keys.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Keygen(Keygen),
    Rotate(rotate::Args),
    Status(status::Args),
}

/// Makes a private key (a file with mode 0600 that must not exist yet) and prints the TXT record to publish.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
struct Keygen {
    /// The domain that signs.
    #[arg(long)]
    domain: String,
    /// The selector to publish the key at.
    #[arg(long)]
    selector: String,
    /// The kind of key. Receivers that know Ed25519 are few: sign with RSA as well.
    #[arg(long, value_enum, default_value = "rsa2048")]
    algorithm: Kind,
    /// The file to write; without it DOMAIN.SELECTOR.pem here.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

const EXAMPLE: &str = "\
Example:
  mailwright dkim keygen --domain example.com --selector s1 --out keys/example.com.s1.pem";

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    Rsa2048,
    Ed25519,
}

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    match &args.command {
        Command::Keygen(keygen) => make(keygen, out),
        Command::Rotate(args) => rotate::run(args, out),
        Command::Status(args) => status::run(args, out),
    }
}

fn make(keygen: &Keygen, out: &mut dyn Write) -> Outcome {
    let (domain, selector) = (&keygen.domain, &keygen.selector);
    check(domain, selector)?;
    let customary = || PathBuf::from(format!("{domain}.{selector}.pem"));
    let path = keygen.out.clone().unwrap_or_else(customary);
    let algorithm = match keygen.algorithm {
        Kind::Rsa2048 => Algorithm::Rsa2048,
        Kind::Ed25519 => Algorithm::Ed25519,
    };
    let public = generate(algorithm, &path)
        .map_err(|e| Failure::new(Exit::Io, format!("{e}\n    {}", e.remedy())))?;
    writeln!(out, "; publish this record")?;
    let name = format!("{selector}._domainkey.{domain}");
    writeln!(out, "{}", Record::txt(name, public.text()))?;
    writeln!(out, "; and configure the key")?;
    writeln!(
        out,
        "; [[dkim]]\n; domain = \"{domain}\"\n; selector = \"{selector}\""
    )?;
    Ok(writeln!(out, "; key = \"{}\"", path.display())?)
}

/// Domain and selector as the configuration wants them; the key is yet to be made.
fn check(domain: &str, selector: &str) -> Outcome {
    let entry = Config {
        domain: domain.to_owned(),
        selector: selector.to_owned(),
        ..Config::default()
    };
    let mut problems = Problems::default();
    entry.validate("dkim", &mut problems);
    let wrong = problems.0.into_iter().find(|p| p.key != "dkim.key");
    wrong.map_or(Ok(()), |p| {
        Err(Failure::new(
            Exit::Usage,
            format!("{}\n    {}", p.message, p.remedy),
        ))
    })
}

/// As `[[dkim]]` domains are compared.
fn plain(domain: &str) -> String {
    ascii_domain(domain).unwrap_or_else(|_| domain.to_ascii_lowercase())
}
