//! The live zone against what should be there.
//!
//! What is found is not compared octet by octet: a record that does what ours would do is good.

mod dkim;
mod dmarc;
mod mail;
mod print;
mod reverse;
mod spf;

pub use print::{Report, ReportedFinding};

use super::ask::{Ask, Unknown};
use super::facts::Facts;
use super::plan::Plan;
use super::record::Record;
use super::template::Kind;
use crate::sts::Fetcher;

/// What is looked at. In the order of the harm that its lack does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    Dkim,
    Spf,
    Ptr,
    Ehlo,
    Dmarc,
    Mx,
    Host,
    DmarcReports,
    TlsRpt,
    MtaSts,
    Bimi,
}

/// How much a finding matters. In the order in which findings are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Mail is refused, distrusted or lost until it is changed.
    Must,
    /// The name servers did not answer.
    Unknown,
    /// It would be better.
    Should,
    /// Nothing to do.
    Good,
}

/// What came of one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub topic: Topic,
    pub weight: Weight,
    /// The name looked at, without the final dot.
    pub name: String,
    /// What is wrong, or what is right.
    pub message: String,
    /// What to do where that is not "publish this line".
    pub remedy: String,
    pub publish: Vec<Record>,
    /// The lines that are there; one in parentheses where there is none.
    pub found: Vec<String>,
}

/// What everything came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sum {
    Good,
    Change,
    /// What was answered is good; not everything was answered.
    Unanswered,
}

/// Looks at one domain.
pub struct Checker<'a> {
    pub ask: Ask,
    pub facts: &'a Facts,
    pub plan: &'a Plan,
    /// Fetches policies; `None` leaves them out.
    pub fetcher: Option<Fetcher>,
}

impl Topic {
    pub fn name(self) -> &'static str {
        match self {
            Self::Dkim => "dkim",
            Self::Spf => "spf",
            Self::Ptr => "ptr",
            Self::Ehlo => "ehlo",
            Self::Dmarc => "dmarc",
            Self::Mx => "mx",
            Self::Host => "host",
            Self::DmarcReports => "dmarc-reports",
            Self::TlsRpt => "tls-rpt",
            Self::MtaSts => "mta-sts",
            Self::Bimi => "bimi",
        }
    }

    /// What comes of it where it is missing or wrong.
    pub fn harm(self) -> &'static str {
        match self {
            Self::Dkim => {
                "signatures fail; without a valid one bulk mail is refused or goes to the spam"
            }
            Self::Spf => {
                "mail from an address that SPF does not list is refused or goes to the spam"
            }
            Self::Ptr => {
                "the big receivers refuse addresses whose reverse and forward names do not agree"
            }
            Self::Ehlo => {
                "many receivers refuse an EHLO name that does not lead to the address it is said from"
            }
            Self::Dmarc => "the big receivers refuse bulk mail of domains without a DMARC record",
            Self::Mx => "what comes back is lost, and bad addresses are written to again and again",
            Self::Host => "what comes back cannot be handed in",
            Self::DmarcReports => {
                "nobody tells who sends as the domain, and when the next stage is safe"
            }
            Self::TlsRpt => "nobody tells when encryption to the domain fails",
            Self::MtaSts => "what comes back can be read and diverted on its way",
            Self::Bimi => "the logo is not shown",
        }
    }
}

impl Finding {
    pub fn new(topic: Topic, weight: Weight, name: &str, message: impl Into<String>) -> Self {
        Self {
            topic,
            weight,
            name: name.to_owned(),
            message: message.into(),
            remedy: String::new(),
            publish: Vec::new(),
            found: Vec::new(),
        }
    }

    pub fn good(topic: Topic, name: &str, message: impl Into<String>) -> Self {
        Self::new(topic, Weight::Good, name, message)
    }

    pub fn unknown(topic: Topic, name: &str, Unknown(why): Unknown) -> Self {
        Self::new(topic, Weight::Unknown, name, format!("nobody knows: {why}"))
            .remedy("check again when the name servers answer")
    }

    pub fn publish(mut self, records: Vec<Record>) -> Self {
        self.publish = records;
        self
    }

    pub fn found(mut self, lines: Vec<String>) -> Self {
        self.found = lines;
        self
    }

    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

impl Checker<'_> {
    /// Every finding, the most harmful first and what is good last.
    pub async fn run(&self) -> Vec<Finding> {
        let (dkim, spf, sources, dmarc, mail) = tokio::join!(
            self.dkim(),
            self.spf(),
            self.sources(),
            self.dmarc(),
            self.mail()
        );
        let mut findings: Vec<Finding> = [dkim, spf, sources, dmarc, mail].concat();
        findings.sort_by_key(|finding| (finding.weight, finding.topic));
        findings
    }

    /// The lines that should be at `name`.
    fn wanted(&self, kind: Kind, name: &str) -> Vec<Record> {
        self.plan.at(kind, name)
    }
}

/// What the findings come to: a change that is known to be needed counts more than what nobody knows.
pub fn sum(findings: &[Finding]) -> Sum {
    let any = |weight| findings.iter().any(|finding| finding.weight == weight);
    match (any(Weight::Must), any(Weight::Unknown)) {
        (true, _) => Sum::Change,
        (_, true) => Sum::Unanswered,
        _ => Sum::Good,
    }
}
