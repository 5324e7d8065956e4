//! The daemon, or, where none runs, its file of reports.

use super::Which;
use crate::cli::daemon::{Daemon, Format, Options, Trouble};
use crate::cli::{Exit, Failure};
use crate::clock::Clock;
use crate::config::Config;
use crate::events::Events;
use crate::http::WhichReports;
use crate::reports::advice::{Advice, advise};
use crate::reports::period::Day;
use crate::reports::rows::Shown;
use crate::reports::{Imported, Order, Reports, ReportsError, text};
use arc_swap::ArcSwap;
use std::sync::Arc;

/// How reports are reached.
pub struct Reach {
    daemon: Daemon,
    config: Config,
    /// A daemon that is named has its data directory elsewhere.
    is_named: bool,
}

impl Reach {
    pub fn of(which: &Which) -> Result<Self, Failure> {
        let options = Options {
            config: which.config.clone(),
            url: which.url.clone(),
            format: Format::Json,
        };
        let config = options.config()?;
        Ok(Self {
            daemon: Daemon::of(&options, &config)?,
            config,
            is_named: which.url.is_some(),
        })
    }

    pub fn import(&self, octets: &[u8], order: &Order) -> Result<Imported, Failure> {
        let path = "/api/v1/reports/import";
        let answered = self.daemon.post_octets(path, order, octets);
        self.or(answered, |reports| reports.import(octets, order))
    }

    pub fn show(&self, which: &WhichReports) -> Result<Shown, Failure> {
        let answered = self.daemon.get("/api/v1/reports", which);
        self.or(answered, |reports| shown(reports, which))
    }

    pub fn advise(&self, which: &WhichReports) -> Result<Advice, Failure> {
        let answered = self.daemon.get("/api/v1/reports/advice", which);
        let domain = which.domain.as_deref().and_then(text::domain);
        self.or(answered, |reports| {
            let shown = shown(reports, which)?;
            Ok(advise(&domain.unwrap_or_default(), &shown))
        })
    }

    /// What the daemon answers; where nobody answers, what the file says.
    fn or<T>(
        &self,
        answered: Result<T, Trouble>,
        act: impl FnOnce(&Reports) -> Result<T, ReportsError>,
    ) -> Result<T, Failure> {
        match answered {
            Err(Trouble::Nobody(_)) if !self.is_named => {
                let clock = Clock::machine();
                let settings = Arc::new(ArcSwap::from_pointee(self.config.reported()));
                // Nobody hears the events of a daemon that does not run; what they say is in `show`.
                let events = Events::new(clock.clone(), Vec::new());
                let reports = Reports::new(self.config.reports_dir(), settings, clock, events);
                let done = act(&reports);
                done.map_err(|error| Failure::new(Exit::TemporaryFailure, error.to_string()))
            }
            answered => Ok(answered?),
        }
    }
}

fn shown(reports: &Reports, which: &WhichReports) -> Result<Shown, ReportsError> {
    let now = Clock::machine().now().as_secs();
    reports.show(&crate::reports::Which {
        domain: which.domain.as_deref().and_then(text::domain),
        since: Day::of(now.saturating_sub(which.since.0.as_secs())),
    })
}
