//! A report that an operator hands in, as an API and a command do it.

use super::{Domains, Report, Reports, ReportsError, Taken, read, text};
use serde::{Deserialize, Serialize};

/// How a report is to be taken.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Order {
    /// Also where it is about domains that are none of ours.
    pub any_domain: bool,
    /// Whose figures they are, where the file does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Imported {
    /// `null` where it could not be read.
    pub result: Option<Taken>,
    /// `dmarc`, `tlsrpt`, `postmaster`, `snds` or `unknown`.
    pub kind: String,
    pub organization: Option<String>,
    pub report_id: Option<String>,
    pub domain: Option<String>,
    /// Messages, sessions, or days of figures.
    pub count: u64,
    /// Why it is not stored.
    pub why: Option<String>,
}

impl Reports {
    /// Reads a file and takes the report in it. Where no domain of ours is known, it may be about any. Blocks for the
    /// disk.
    ///
    /// # Errors
    /// The file of reports cannot be used.
    pub fn import(&self, octets: &[u8], order: &Order) -> Result<Imported, ReportsError> {
        let mut report = match read(octets) {
            Ok(report) => report,
            Err(unreadable) => return Ok(unread(unreadable.to_string())),
        };
        if let Some(domain) = &order.domain {
            let Some(domain) = text::domain(domain) else {
                return Ok(unread(format!(
                    "\"{}\" is no domain",
                    text::cut(domain, 64)
                )));
            };
            name_subjects(&mut report, &domain);
        }
        let any = order.any_domain || self.settings().domains.is_empty();
        let domains = if any { Domains::Any } else { Domains::Ours };
        let taken = self.take(&report, domains)?;
        Ok(Imported {
            result: Some(taken),
            why: why(taken, &report),
            ..Imported::of(&report)
        })
    }
}

fn name_subjects(report: &mut Report, domain: &str) {
    if let Report::Figures(figures) = report {
        for figure in &mut figures.figures {
            figure.subject.get_or_insert_with(|| domain.to_owned());
        }
    }
}

fn unread(why: String) -> Imported {
    Imported {
        result: None,
        kind: "unknown".to_owned(),
        organization: None,
        report_id: None,
        domain: None,
        count: 0,
        why: Some(why),
    }
}

fn why(taken: Taken, report: &Report) -> Option<String> {
    let nameless = match report {
        Report::Figures(figures) => figures
            .figures
            .iter()
            .all(|figure| figure.subject.is_none()),
        _ => false,
    };
    match taken {
        Taken::Stored => None,
        Taken::Duplicate => Some("it was stored before".to_owned()),
        Taken::NotOurs if nameless => {
            Some("it does not say whose figures they are: say --domain".to_owned())
        }
        Taken::NotOurs => Some(
            "it is about domains that are none of ours: name them in [reports] domains, or say --any-domain".to_owned(),
        ),
        Taken::Ahead => Some("it is about days that have not been".to_owned()),
        Taken::Full => Some("there is no room for more reports".to_owned()),
    }
}

impl Imported {
    fn of(report: &Report) -> Self {
        let blank = unread(String::new());
        match report {
            Report::Dmarc(report) => Self {
                kind: "dmarc".to_owned(),
                organization: report.organization.clone(),
                report_id: report.id.clone(),
                domain: Some(report.domain.clone()),
                count: report.total().messages,
                ..blank
            },
            Report::Tls(report) => Self {
                kind: "tlsrpt".to_owned(),
                organization: report.organization.clone(),
                report_id: report.id.clone(),
                domain: report
                    .policies
                    .iter()
                    .find_map(|policy| policy.domain.clone()),
                count: report.success().saturating_add(report.failure()),
                ..blank
            },
            Report::Figures(figures) => Self {
                kind: figures.provider.name().to_owned(),
                domain: figures
                    .figures
                    .iter()
                    .find_map(|figure| figure.subject.clone()),
                count: figures.figures.len() as u64,
                ..blank
            },
        }
    }
}
