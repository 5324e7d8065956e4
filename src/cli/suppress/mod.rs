//! `suppress`: the list of who is not written to.

mod import;

use super::daemon::{Daemon, Options};
use super::table::columns;
use super::{Exit, Failure, Outcome};
use crate::http::{
    Addition, Additions, Changed, Erased, Erasure, IsSuppressed, Removal, SuppressedPage,
    WhichSuppressed,
};
use crate::mail::{Address, Stream};
use crate::policy::suppression::{Reason, Record, Scope};
use crate::units::Timestamp;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

/// Shows and changes the list of addresses that are not written to.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLE: &str = "\
Example:
  mailwright suppress check ann@example.net --tenant acme
  mailwright suppress add ann@example.net --scope tenant/acme --note \"asked by phone\"
  mailwright suppress import bounces.csv --reason hard
  mailwright suppress export > list.csv";

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lists what is on the list.
    #[command(after_help = "Example:\n  mailwright suppress list --reason complaint --tenant acme")]
    List(Which),
    /// Says whether mail to an address would be sent, and why not.
    #[command(
        after_help = "Example:\n  mailwright suppress check ann@example.net --tenant acme --stream marketing"
    )]
    Check(CheckArgs),
    /// Adds addresses.
    #[command(
        after_help = "Example:\n  mailwright suppress add ann@example.net bob@example.net --until 2027-01-01T00:00:00Z"
    )]
    Add(AddArgs),
    /// Takes an address off the list; who did it stays in its history.
    #[command(
        after_help = "Example:\n  mailwright suppress remove ann@example.net --scope tenant/acme"
    )]
    Remove {
        address: Address,
        #[arg(long, default_value = "global")]
        scope: Scope,
        /// Who asks for it.
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
    /// Adds what is in a file: CSV with a header row or JSON lines, our own or as SES, SendGrid and Mailgun export them.
    #[command(
        after_help = "Example:\n  mailwright suppress import sendgrid-spam-reports.csv --reason complaint --scope tenant/acme"
    )]
    Import(ImportArgs),
    /// Writes the list as CSV, or with --format json as JSON lines; `import` reads both.
    #[command(after_help = "Example:\n  mailwright suppress export --tenant acme > acme.csv")]
    Export(Which),
    /// Takes an address out of the list's records, the queue and the event log, for a request to be forgotten. It stays
    /// suppressed, by a hash that does not say whose it is.
    #[command(after_help = "Example:\n  mailwright suppress erase ann@example.net")]
    Erase {
        address: Address,
        /// It may be written to again, too.
        #[arg(long)]
        forget: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    #[arg(long)]
    tenant: Option<String>,
    #[arg(long, value_parser = reason)]
    reason: Option<Reason>,
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    address: Address,
    #[arg(long)]
    tenant: Option<String>,
    #[arg(long, value_parser = stream)]
    stream: Option<Stream>,
    #[arg(long)]
    list: Option<String>,
}

#[derive(Debug, clap::Args)]
struct AddArgs {
    #[arg(required = true)]
    addresses: Vec<Address>,
    /// global, tenant/NAME, stream/TENANT/marketing or list/TENANT/NAME.
    #[arg(long, default_value = "global")]
    scope: Scope,
    #[arg(long, value_parser = reason, default_value = "manual")]
    reason: Reason,
    /// Until then only (RFC 3339).
    #[arg(long, value_parser = instant)]
    until: Option<Timestamp>,
    #[arg(long, default_value = "")]
    note: String,
    /// Who asks for it.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

#[derive(Debug, clap::Args)]
struct ImportArgs {
    /// `-` is standard input.
    file: PathBuf,
    /// Where a line names none.
    #[arg(long, default_value = "global")]
    scope: Scope,
    /// Where a line says none: hard, soft, complaint, unsubscribe, manual, invalid.
    #[arg(long, value_parser = reason, default_value = "manual")]
    reason: Reason,
    /// Who asks for it.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// Entries in one request: each is some 300 octets, of 8 MiB.
const PIECE: usize = 5_000;

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    let options = &args.options;
    match &args.command {
        Command::List(which) => {
            let records = all(&options.daemon()?, which)?;
            options.print(&records, out, table)
        }
        Command::Export(which) => export(options, which, out),
        Command::Check(which) => check(options, which, out),
        Command::Add(new) => add(&options.daemon()?, new, out),
        Command::Remove { address, scope, by } => {
            let order = Removal {
                address: address.clone(),
                scope: scope.clone(),
                by: by.clone(),
            };
            let done: Changed = options
                .daemon()?
                .post("/api/v1/suppressions/remove", &order)?;
            match done.count {
                0 => Err(Failure::new(
                    Exit::Data,
                    format!("{address} is not suppressed in {scope}"),
                )),
                _ => Ok(writeln!(
                    out,
                    "{address} may be written to again ({scope})"
                )?),
            }
        }
        Command::Import(what) => import(&options.daemon()?, what, out),
        Command::Erase { address, forget } => {
            let order = Erasure {
                address: address.clone(),
                forget: *forget,
            };
            let done: Erased = options
                .daemon()?
                .post("/api/v1/suppressions/erase", &order)?;
            Ok(writeln!(out, "{}", erased(&done))?)
        }
    }
}

fn all(daemon: &Daemon, which: &Which) -> Result<Vec<Record>, Failure> {
    let mut records = Vec::new();
    let mut after = Some(0);
    while after.is_some() {
        let query = WhichSuppressed {
            after,
            limit: None,
            tenant: which.tenant.clone(),
            reason: which.reason,
        };
        let page: SuppressedPage = daemon.get("/api/v1/suppressions", &query)?;
        records.extend(page.records);
        after = page.next;
    }
    records.sort_by(|a, b| {
        (&a.entry.address, &a.entry.scope).cmp(&(&b.entry.address, &b.entry.scope))
    });
    Ok(records)
}

const HEADINGS: [&str; 6] = ["ADDRESS", "SCOPE", "REASON", "SINCE", "UNTIL", "NOTE"];

fn table(records: &[Record], _now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 6]> = records.iter().map(row).collect();
    columns(&HEADINGS, &rows, out)
}

fn row(record: &Record) -> [String; 6] {
    let entry = &record.entry;
    [
        entry.address.to_string(),
        entry.scope.to_string(),
        entry.reason.name().to_owned(),
        record.since.to_string(),
        entry
            .until
            .map_or_else(String::new, |until| until.to_string()),
        entry.note.to_string(),
    ]
}

fn export(options: &Options, which: &Which, out: &mut dyn Write) -> Outcome {
    let records = all(&options.daemon()?, which)?;
    if options.format == super::daemon::Format::Json {
        return options.print(&records, out, |_, _, _| Ok(()));
    }
    let mut writer = csv::Writer::from_writer(out);
    let unwritten = |error: csv::Error| Failure::from(io::Error::from(error));
    writer
        .write_record(HEADINGS.map(str::to_lowercase))
        .map_err(unwritten)?;
    for record in &records {
        writer.write_record(row(record)).map_err(unwritten)?;
    }
    Ok(writer.flush()?)
}

fn check(options: &Options, which: &CheckArgs, out: &mut dyn Write) -> Outcome {
    let query = IsSuppressed {
        address: which.address.clone(),
        tenant: which.tenant.clone(),
        stream: which.stream,
        list: which.list.clone(),
    };
    let found: Vec<Record> = options
        .daemon()?
        .get("/api/v1/suppressions/check", &query)?;
    if found.is_empty() {
        eprintln!("{} may be written to", which.address);
    }
    options.print(&found, out, |records, _, out| {
        records.iter().try_for_each(|record| tell(record, out))
    })
}

/// All there is to know of an entry.
fn tell(record: &Record, out: &mut dyn Write) -> io::Result<()> {
    let entry = &record.entry;
    let until = entry
        .until
        .map_or_else(String::new, |until| format!(" until {until}"));
    let source = entry
        .source
        .map_or_else(String::new, |id| format!(", message {id}"));
    writeln!(
        out,
        "{} is suppressed{until} for {}: {}, by {}{source}, since {}",
        entry.address,
        entry.scope,
        entry.reason.told(),
        entry.by,
        record.since
    )?;
    if !entry.note.is_empty() {
        writeln!(out, "  {}", entry.note)?;
    }
    for change in &record.history {
        writeln!(
            out,
            "  before: {} by {} at {}",
            change.what, change.by, change.at
        )?;
    }
    Ok(())
}

fn erased(done: &Erased) -> String {
    let lines = match done.lines {
        Some(lines) => format!("{lines} lines of the event log"),
        None => "lines of the event log, which are still looked for".to_owned(),
    };
    format!(
        "gone: {} records, {} waiting messages, {lines}",
        done.records, done.messages
    )
}

fn add(daemon: &Daemon, new: &AddArgs, out: &mut dyn Write) -> Outcome {
    let addition = |address: &Address| Addition {
        address: address.clone(),
        scope: new.scope.clone(),
        reason: new.reason,
        until: new.until,
        note: new.note.clone(),
    };
    let entries: Vec<Addition> = new.addresses.iter().map(addition).collect();
    let count = send(daemon, &entries, new.by.as_deref())?;
    Ok(writeln!(out, "{count} suppressed")?)
}

fn import(daemon: &Daemon, what: &ImportArgs, out: &mut dyn Write) -> Outcome {
    let unread =
        |error: io::Error| Failure::new(Exit::Data, format!("{}: {error}", what.file.display()));
    let input: Box<dyn io::Read> = match what.file == Path::new("-") {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(&what.file).map_err(unread)?),
    };
    let defaults = import::Defaults {
        scope: what.scope.clone(),
        reason: what.reason,
    };
    let (mut piece, mut count, mut bad) = (Vec::new(), 0, 0_u64);
    for line in import::read(BufReader::new(input), defaults).map_err(unread)? {
        match line {
            Ok(addition) => piece.push(addition),
            Err(why) => {
                bad += 1;
                eprintln!("{}: {why}", what.file.display());
            }
        }
        if piece.len() >= PIECE {
            count += send(daemon, &std::mem::take(&mut piece), what.by.as_deref())?;
        }
    }
    count += send(daemon, &piece, what.by.as_deref())?;
    writeln!(out, "{count} suppressed, {bad} lines left out")?;
    match bad {
        0 => Ok(()),
        _ => Err(Failure::new(Exit::Data, "")),
    }
}

fn send(daemon: &Daemon, entries: &[Addition], by: Option<&str>) -> Result<u64, Failure> {
    let mut count = 0;
    for piece in entries.chunks(PIECE) {
        let order = Additions {
            entries: piece.to_vec(),
            by: by.map(str::to_owned),
        };
        let done: Changed = daemon.post("/api/v1/suppressions/add", &order)?;
        count += done.count;
    }
    Ok(count)
}

fn reason(text: &str) -> Result<Reason, String> {
    let names = || Reason::ALL.map(Reason::name).join(", ");
    Reason::named(text).ok_or_else(|| format!("write one of {}", names()))
}

fn stream(text: &str) -> Result<Stream, String> {
    Stream::named(text).ok_or_else(|| "write marketing or transactional".to_owned())
}

fn instant(text: &str) -> Result<Timestamp, String> {
    serde_json::from_value(text.into()).map_err(|_| "write such as 2027-01-01T00:00:00Z".to_owned())
}
