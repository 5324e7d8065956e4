//! The command line.
//!
//! Every command ends with an exit code of sysexits.h: 0 done, 64 wrong use, 65 bad data, 69 nobody answers, 74 input or
//! output failed, 75 try again, 78 the configuration is wrong. What was asked for goes to standard output, everything else to standard error.

mod auth;
mod bounce;
mod check;
mod daemon;
mod dkim;
mod dns;
mod exit;
mod explain;
mod feedback;
mod files;
mod lint;
mod peers;
mod queue;
mod report;
mod reports;
mod reputation;
mod serve;
mod source;
mod spf;
mod suppress;
mod table;
mod telemetry;
mod warmup;
mod when;

pub use exit::{Exit, Failure};

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// Mailwright delivers mail: it takes messages in, signs and keeps them, and sends them on.
#[derive(Debug, Parser)]
#[command(name = "mailwright", version, after_help = EXAMPLE, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLE: &str = "\
Example:
  mailwright serve                        run on loopback, everything under ./data
  mailwright check --config /etc/mailwright/mailwright.toml
  mailwright queue list --domain example.net
  mailwright explain --from news@acme.example --to ann@example.net";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Check(check::Args),
    Auth(auth::Args),
    Dkim(dkim::Args),
    Dns(dns::Args),
    Queue(queue::Args),
    Explain(Box<explain::Args>),
    Lint(Box<lint::Args>),
    Warmup(warmup::Args),
    Source(source::Args),
    Spf(spf::Args),
    Suppress(suppress::Args),
    Bounce(bounce::Args),
    Feedback(feedback::Args),
    Report(report::Args),
    Reports(reports::Args),
    Reputation(reputation::Args),
    Sink(crate::peers::sink::Args),
    Load(crate::peers::load::Args),
}

/// What a command gives: its output is written, or this is what went wrong.
type Outcome = Result<(), Failure>;

/// Runs the command of the process's arguments.
pub fn main() -> ExitCode {
    let mut out = std::io::stdout().lock();
    run(std::env::args_os(), &mut out).into()
}

/// Runs the command that `args` (the program's name first) ask for; its output goes to `out`.
pub fn run(args: impl IntoIterator<Item = OsString>, out: &mut dyn Write) -> Exit {
    let outcome = match Cli::try_parse_from(args) {
        Ok(cli) => dispatch(cli.command, out),
        Err(refusal) => not_a_command(&refusal, out),
    };
    match outcome.and_then(|()| out.flush().map_err(Failure::from)) {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("{}", failure.message);
            }
            failure.exit
        }
    }
}

fn dispatch(command: Command, out: &mut dyn Write) -> Outcome {
    match command {
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args, out),
        Command::Auth(args) => auth::run(&args, out),
        Command::Dkim(args) => dkim::run(&args, out),
        Command::Dns(args) => dns::run(&args, out),
        Command::Queue(args) => queue::run(&args, out),
        Command::Explain(args) => explain::run(&args, out),
        Command::Lint(args) => lint::run(&args, out),
        Command::Warmup(args) => warmup::run(&args, out),
        Command::Source(args) => source::run(&args, out),
        Command::Spf(args) => spf::run(&args, out),
        Command::Suppress(args) => suppress::run(&args, out),
        Command::Bounce(args) => bounce::run(&args, out),
        Command::Feedback(args) => feedback::run(&args, out),
        Command::Report(args) => report::run(&args, out),
        Command::Reports(args) => reports::run(&args, out),
        Command::Reputation(args) => reputation::run(&args, out),
        Command::Sink(args) => peers::sink(args, out),
        Command::Load(args) => peers::load(args, out),
    }
}

/// Help and version are answers; anything else is wrong use.
fn not_a_command(refusal: &clap::Error, out: &mut dyn Write) -> Outcome {
    let text = refusal.render().to_string();
    if refusal.use_stderr() {
        return Err(Failure::new(Exit::Usage, text.trim_end()));
    }
    Ok(write!(out, "{text}")?)
}

#[cfg(test)]
mod tests;
