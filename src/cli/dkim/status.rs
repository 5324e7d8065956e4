//! `dkim status`: the keys, what DNS has of them, and what comes next.

use super::rotate::{compare, longest_life, unusable};
use crate::auth::dkim::{Book, Config as DkimConfig, Entry, Key, State};
use crate::cli::daemon::{Format, Options};
use crate::cli::table::columns;
use crate::cli::{Outcome, dns};
use crate::config::Config;
use crate::units::Timestamp;
use crate::zone::ask::Ask;
use serde::Serialize;
use std::io::Write;
use std::net::SocketAddr;

/// Shows the DKIM keys: which sign, which are published for later or kept for mail on its way, and what DNS has.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    #[command(flatten)]
    options: Options,
    /// Only the keys of this domain.
    #[arg(long)]
    domain: Option<String>,
    /// The name server to ask, in place of the configuration's.
    #[arg(long, value_name = "IP:PORT")]
    nameserver: Option<SocketAddr>,
}

const EXAMPLE: &str = "\
Example:
  mailwright dkim status --domain acme.example";

/// One key.
#[derive(Debug, Serialize)]
struct Row {
    domain: String,
    selector: String,
    tenant: Option<String>,
    algorithm: &'static str,
    /// `published`, `active` or `retiring`.
    state: &'static str,
    /// `null` for a key that no rotation has touched.
    since: Option<Timestamp>,
    /// What DNS has.
    dns: String,
    next: String,
}

pub fn run(args: &Args, out: &mut dyn Write) -> Outcome {
    let config = args.options.config()?;
    let book = Book::load(&config.data_dir).map_err(unusable)?;
    let ask = dns::ask(&config, args.nameserver)?;
    let domain = args.domain.as_deref().map(super::plain);
    let mut keys = book.published(&config.dkim);
    keys.retain(|(key, _)| {
        domain
            .as_ref()
            .is_none_or(|domain| super::plain(&key.domain) == *domain)
    });
    let runtime = tokio::runtime::Runtime::new()?;
    let rows: Vec<Row> = runtime.block_on(async {
        let mut rows = Vec::new();
        for (key, state) in keys {
            let known = book.keys.iter().find(|entry| entry.is(&key));
            rows.push(row(&config, &ask, &key, state, known).await);
        }
        rows
    });
    if args.options.format == Format::Json {
        return args.options.print(&rows, out, |_, _, _| Ok(()));
    }
    let cells: Vec<[String; 6]> = rows.iter().map(cells).collect();
    Ok(columns(
        &["KEY", "ALGORITHM", "STATE", "SINCE", "DNS", "NEXT"],
        &cells,
        out,
    )?)
}

async fn row(
    config: &Config,
    ask: &Ask,
    key: &DkimConfig,
    state: State,
    known: Option<&Entry>,
) -> Row {
    let dns = match compare(ask, key).await {
        Ok((published, _)) => published.what().to_owned(),
        Err(failure) => failure
            .message
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned(),
    };
    let algorithm = Key::load(&key.key).map_or("unreadable", |key| key.public().algorithm().name());
    Row {
        domain: super::plain(&key.domain),
        selector: key.selector.clone(),
        tenant: key.tenant.clone(),
        algorithm,
        state: state.name(),
        since: known.map(|entry| entry.since),
        dns,
        next: match (state, known) {
            (State::Published, _) => "publish it, then \"dkim rotate\" has it sign".to_owned(),
            (State::Retiring, Some(entry)) => {
                format!(
                    "its record stays until {} at least",
                    entry.free_at(longest_life(config))
                )
            }
            _ => "\"dkim rotate\" makes the next one".to_owned(),
        },
    }
}

fn cells(row: &Row) -> [String; 6] {
    let tenant = row.tenant.as_ref().map(|tenant| format!(" ({tenant})"));
    [
        format!(
            "{}._domainkey.{}{}",
            row.selector,
            row.domain,
            tenant.unwrap_or_default()
        ),
        row.algorithm.to_owned(),
        row.state.to_owned(),
        row.since.map_or("-".to_owned(), |since| since.to_string()),
        row.dns.clone(),
        row.next.clone(),
    ]
}
