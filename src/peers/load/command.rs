//! `mailwright load`.

use super::{LoadConfig, Report};
use crate::peers::Format;
use crate::units::{Size, Span};
use std::io::{self, Write};
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// Hand in mail and measure: rates, failures by reply, latency percentiles
///
/// Example: mailwright load --to 127.0.0.1:2525 --sessions 50 --duration 30s --rate 500
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Server to load, host:port
    #[arg(long, default_value = "127.0.0.1:2525")]
    pub to: String,
    /// Connections at once
    #[arg(long, default_value_t = 50)]
    pub sessions: usize,
    /// Messages to send; 10000 where no duration is given
    #[arg(long)]
    pub messages: Option<u64>,
    /// Send for this long
    #[arg(long)]
    pub duration: Option<Span>,
    /// Octets of a message, about
    #[arg(long, default_value = "10KiB")]
    pub size: Size,
    /// Messages a second whatever the server does (open loop): 500 or 500/s, at least one a day. Without it each
    /// session sends its next message when the last was answered
    #[arg(long, value_parser = per_second)]
    pub rate: Option<f64>,
    /// Messages on one connection before it is closed
    #[arg(long)]
    pub per_connection: Option<u64>,
    /// Recipients of a message
    #[arg(long, default_value_t = 1)]
    pub recipients: usize,
    /// Different recipient domains, d0.load.example and on
    #[arg(long, default_value_t = 100)]
    pub domains: u64,
    /// Sender
    #[arg(long, default_value = "load@load.example")]
    pub from: String,
    /// A header field of every message, such as "X-Mailwright-Campaign: spring"; may be given several times
    #[arg(long, value_name = "NAME: VALUE", value_parser = field)]
    pub header: Vec<Box<str>>,
    /// Insist on TLS; any certificate will do
    #[arg(long)]
    pub starttls: bool,
    /// Authenticate with AUTH PLAIN
    #[arg(long, value_name = "USER:PASSWORD", value_parser = credentials)]
    pub auth: Option<(Box<str>, Box<str>)>,
    /// Append "dot ID" before a message's final dot and "250 ID" after its 250
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Sends what `args` say and prints the report to `out`.
///
/// # Errors
/// The ledger cannot be opened, or `out` is closed.
pub async fn run(args: Args, stop: CancellationToken, out: &mut dyn Write) -> io::Result<Report> {
    let format = args.format;
    let report = super::run(args.into(), stop).await?;
    match format {
        Format::Table => writeln!(out, "{report}")?,
        Format::Json => writeln!(out, "{}", serde_json::to_string(&report)?)?,
    }
    out.flush()?;
    Ok(report)
}

impl From<Args> for LoadConfig {
    fn from(args: Args) -> Self {
        let default = LoadConfig::default();
        Self {
            to: args.to.into(),
            sessions: args.sessions,
            messages: match args.duration {
                Some(_) => args.messages,
                None => args.messages.or(default.messages),
            },
            duration: args.duration.map(|span| span.0),
            size: args.size.0,
            rate: args.rate,
            per_connection: args.per_connection,
            recipients: args.recipients,
            domains: args.domains,
            from: args.from.into(),
            fields: args
                .header
                .iter()
                .map(|field| format!("{field}\r\n"))
                .collect(),
            starttls: args.starttls,
            auth: args.auth,
            ledger: args.ledger,
            run: default.run,
        }
    }
}

/// One line, with a name of RFC 5322 §3.6.8.
fn field(text: &str) -> Result<Box<str>, String> {
    let named = text.split_once(':').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic())
    });
    match named && !text.contains(char::is_control) {
        true => Ok(text.into()),
        false => Err("write a name, a colon and a value: \"X-Mailwright-Pool: new\"".to_owned()),
    }
}

fn per_second(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= ONE_A_DAY => Ok(rate),
        Ok(rate) if rate > 0.0 && rate.is_finite() => {
            Err("that is less than one message a day".to_owned())
        }
        _ => Err("write messages a second, such as 500 or 500/s".to_owned()),
    }
}

/// Messages a second; at less there is nothing to measure.
const ONE_A_DAY: f64 = 1.0 / 86_400.0;

fn credentials(text: &str) -> Result<(Box<str>, Box<str>), String> {
    let (user, password) = text.split_once(':').ok_or("write user:password")?;
    Ok((user.into(), password.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_messages_a_second_and_at_least_one_a_day() {
        for (text, rate) in [("500", 500.0), ("500/s", 500.0), ("0.5/s", 0.5)] {
            assert_eq!(per_second(text), Ok(rate));
        }
        for tiny in ["0.00001", "1e-300/s"] {
            assert!(per_second(tiny).unwrap_err().contains("one message a day"));
        }
        for other in ["0", "-1", "inf", "NaN", "fast", ""] {
            assert!(per_second(other).unwrap_err().contains("500/s"), "{other}");
        }
    }
}
