//! `mailwright sink`.

use super::{EndOfData, Keep, Sink, SinkConfig, Totals};
use crate::peers::script::Rule;
use crate::peers::{Format, Latency};
use crate::units::Span;
use serde::Serialize;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Take mail and count it: an SMTP server with scripted replies and latencies
///
/// Example: mailwright sink --listen 127.0.0.1:2526 --reply 'RCPT *@full.example 452 4.2.2 mailbox full'
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Address and port to listen on
    #[arg(long, default_value = "127.0.0.1:2526")]
    pub listen: SocketAddr,
    /// Name in the greeting
    #[arg(long, default_value = "sink.invalid")]
    pub hostname: String,
    /// STAGE [PATTERN] [first=N] [each=N] [p=0.1] [after=50ms] ACTION; the first that applies answers. Stages:
    /// CONNECT EHLO STARTTLS AUTH MAIL RCPT DATA DOT RSET QUIT. Actions: a reply, pass, close, silence, garbage
    #[arg(long = "reply", value_name = "RULE")]
    pub rules: Vec<String>,
    /// Wait this long before each batch of answers
    #[arg(long, default_value = "0ms")]
    pub latency: Span,
    /// Share of messages answered with 451 at the final dot, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    pub fail_rate: f64,
    /// Recipients per transaction; more get 452
    #[arg(long)]
    pub rcpt_max: Option<usize>,
    /// Offer STARTTLS with a certificate made for this run
    #[arg(long)]
    pub starttls: bool,
    /// EHLO keyword not to offer, for instance PIPELINING
    #[arg(long, value_name = "KEYWORD")]
    pub without: Vec<String>,
    /// Write each message (N.eml) and its envelope (N.json) to this directory
    #[arg(long, value_name = "DIR")]
    pub dump: Option<PathBuf>,
    /// End messages at any mix of CR and LF around a dot, as careless servers do
    #[arg(long)]
    pub lax: bool,
    /// Tell at the end how long messages of `mailwright load` on this machine were on their way, from when each was due
    /// to its final dot here, and how many said when they were due
    #[arg(long)]
    pub transit: bool,
    /// Print the counts this often
    #[arg(long, value_name = "SPAN")]
    pub stats: Option<Span>,
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Runs a sink until `stop`, printing counts to `out` at each interval and at the end.
///
/// # Errors
/// The address or the directory cannot be used, a rule cannot be read (`InvalidInput`), `out` is closed.
pub async fn run(args: Args, stop: CancellationToken, out: &mut dyn Write) -> io::Result<()> {
    let sink = Sink::bind(args.config()?).await?;
    if args.format == Format::Table {
        writeln!(out, "sink listening on {}", sink.address())?;
        out.flush()?;
    }
    let interval = args.stats.map_or(std::time::Duration::MAX, |s| s.0);
    let mut before = Totals::default();
    while stop
        .run_until_cancelled(tokio::time::sleep(interval))
        .await
        .is_some()
    {
        let now = sink.totals();
        print(out, args.format, &now, now.messages - before.messages, None)?;
        before = now;
    }
    let end = sink.totals();
    let transit = args.transit.then(|| sink.transit());
    print(
        out,
        args.format,
        &end,
        end.messages - before.messages,
        transit,
    )
}

impl Args {
    fn config(&self) -> io::Result<SinkConfig> {
        let mut config = SinkConfig {
            listen: self.listen,
            hostname: self.hostname.as_str().into(),
            rcpt_max: self.rcpt_max,
            latency: self.latency.0,
            transit: self.transit,
            ..SinkConfig::default()
        };
        for rule in &self.rules {
            config.rules.push(Arc::new(rule.parse().map_err(invalid)?));
        }
        if self.fail_rate > 0.0 {
            let rule = format!("DOT p={} 451 4.3.0 not now", self.fail_rate);
            let rule: Rule = rule.parse().map_err(invalid)?;
            config.rules.push(Arc::new(rule));
        }
        config.extensions.retain(|extension| {
            let keyword = extension.split(' ').next().unwrap_or_default();
            !self.without.iter().any(|w| w.eq_ignore_ascii_case(keyword))
        });
        if self.starttls {
            config.tls = Some(self_signed(&self.hostname)?);
        }
        if let Some(dir) = &self.dump {
            config.keep = Keep::Directory(dir.clone());
        }
        if self.lax {
            config.end_of_data = EndOfData::Lax;
        }
        Ok(config)
    }
}

/// A line of JSON.
#[derive(Serialize)]
struct Counted<'a> {
    #[serde(flatten)]
    totals: &'a Totals,
    /// Messages whose time is within `transit_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    transit_messages: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transit_ms: Option<Latency>,
}

fn print(
    out: &mut dyn Write,
    format: Format,
    totals: &Totals,
    new: u64,
    transit: Option<(u64, Latency)>,
) -> io::Result<()> {
    if format == Format::Json {
        let (transit_messages, transit_ms) = transit.unzip();
        let counted = Counted {
            totals,
            transit_messages,
            transit_ms,
        };
        writeln!(out, "{}", serde_json::to_string(&counted)?)?;
        return out.flush();
    }
    writeln!(
        out,
        "messages {} (+{new})  recipients {}  octets {}  refused {}  connections {} ({} open)",
        totals.messages,
        totals.recipients,
        totals.octets,
        totals.refused,
        totals.connections,
        totals.open
    )?;
    if let Some((count, latency)) = transit {
        writeln!(out, "transit ms  {latency}  of {count} messages")?;
    }
    out.flush()
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// STARTTLS with a certificate for `name` that is made on the spot.
///
/// # Errors
/// `name` is no host name.
pub fn self_signed(name: &str) -> io::Result<Arc<rustls::ServerConfig>> {
    let made =
        rcgen::generate_simple_self_signed(vec![name.to_owned()]).map_err(io::Error::other)?;
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.into()], key.into())
        .map_err(io::Error::other)?;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_json_tells_times_only_with_how_many_they_are_of() {
        let line = |transit| {
            let mut out = Vec::new();
            print(&mut out, Format::Json, &Totals::default(), 0, transit).unwrap();
            serde_json::from_slice::<serde_json::Value>(&out).unwrap()
        };
        let asked = line(Some((3, Latency::default())));
        assert_eq!(asked["transit_messages"], 3);
        assert_eq!(asked["transit_ms"]["p50"], 0.0);
        let not_asked = line(None);
        assert!(
            not_asked
                .as_object()
                .unwrap()
                .keys()
                .all(|key| !key.starts_with("transit"))
        );
    }
}
