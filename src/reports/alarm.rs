//! What reports give reason to tell.

use super::config::Settings;
use super::dmarc::{Source, Tally};
use super::period::Day;
use super::rows::SourceDay;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A domain, a source and a day of which too much failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    pub domain: String,
    pub day: Day,
    pub address: Option<IpAddr>,
    /// Which of our sources it is; `None`: somebody else's.
    pub source: Option<Arc<str>>,
    pub tally: Tally,
}

/// What is to be told of a row, where that is not told yet.
pub fn judge(
    row: &SourceDay,
    (domain, day, address): (&str, Day, Source),
    settings: &Settings,
) -> Option<Alarm> {
    let source = row.ours.as_deref();
    let (failed, enough) = match source {
        Some(_) => (row.tally.failed(), settings.own_failing),
        // What is forwarded fails by nature, and nobody pretends anything.
        None => {
            let failed = row.tally.failed().saturating_sub(row.tally.forwarded);
            (failed, settings.foreign_failing)
        }
    };
    let is_told = row.told || failed < enough;
    (!is_told).then(|| Alarm {
        domain: domain.to_owned(),
        day,
        address,
        source: source.map(Into::into),
        tally: row.tally,
    })
}

impl Alarm {
    /// As events name it.
    pub fn reason(&self) -> &'static str {
        match self.source {
            Some(_) => "own-stream-fails",
            None => "foreign-sender",
        }
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            messages,
            quarantine,
            reject,
            ..
        } = self.tally;
        let (domain, day, failed) = (&self.domain, self.day, self.tally.failed());
        let address = self
            .address
            .map_or("an unnamed address".to_owned(), |address| {
                address.to_string()
            });
        match &self.source {
            Some(source) => write!(
                f,
                "our own mail from {domain} by {source} ({address}) fails DMARC: {failed} of {messages} messages of {day} \
                 passed neither DKIM nor SPF in alignment"
            )?,
            None => write!(
                f,
                "somebody else sends as {domain}: {failed} of {messages} messages of {day} from {address}, which is none of \
                 our sources, passed neither DKIM nor SPF in alignment"
            )?,
        }
        write!(f, "; {quarantine} quarantined, {reject} rejected")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ours: Option<&str>, tally: Tally, told: bool) -> Option<String> {
        let row = SourceDay {
            tally,
            ours: ours.map(str::to_owned),
            told,
            seen: 0,
        };
        let settings = Settings {
            own_failing: 2,
            foreign_failing: 10,
            ..Settings::default()
        };
        let about = ("acme.example", Day(20_000), "192.0.2.1".parse().ok());
        judge(&row, about, &settings).map(|alarm| alarm.to_string())
    }

    fn tally(messages: u64, pass: u64, forwarded: u64) -> Tally {
        Tally {
            messages,
            pass,
            forwarded,
            ..Tally::default()
        }
    }

    #[test]
    fn each_is_told_from_its_own_threshold_and_once() {
        assert_eq!(told(Some("ip-a"), tally(10, 9, 0), false), None);
        let own = told(Some("ip-a"), tally(10, 8, 0), false).unwrap();
        assert!(
            own.contains("ip-a (192.0.2.1) fails DMARC: 2 of 10 messages of 2024-10-04"),
            "{own}"
        );
        assert_eq!(told(None, tally(10, 8, 0), false), None);
        let foreign = told(None, tally(10, 0, 0), false).unwrap();
        assert!(
            foreign.starts_with("somebody else sends as acme.example: 10 of 10"),
            "{foreign}"
        );
        assert_eq!(told(None, tally(100, 0, 95), false), None);
        assert_eq!(told(None, tally(100, 0, 0), true), None);
    }
}
