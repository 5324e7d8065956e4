//! A daemon that tells what it is asked to tell.

use super::sample;
use crate::http::*;
use crate::policy::Held;
use crate::policy::reputation::{Slice, Window};
use crate::policy::suppression::Record;
use crate::units::Timestamp;
use parking_lot::Mutex;

/// A daemon with one message, which writes down what it is told.
#[derive(Default)]
pub(crate) struct Daemon {
    pub(crate) told: Mutex<Vec<String>>,
    /// The last message it was to explain.
    pub(crate) asked: Mutex<Option<Question>>,
    /// Orders about warm-ups.
    pub(crate) orders: Mutex<Vec<Steer>>,
    /// Entries in the queue; one, where nothing is said.
    pub(crate) waiting: Option<usize>,
    pub(crate) unready: Vec<String>,
    pub(crate) broken: bool,
}

pub(crate) fn entry() -> QueueEntry {
    QueueEntry {
        id: MessageId(1).to_string(),
        recipients: vec![QueueRecipient {
            address: "ann@example.net".into(),
            state: "waiting".into(),
            attempts: 2,
            last: Some("451 4.7.1 greylisted".into()),
            suppressed: Some("suppressed (global): the address is bad".into()),
        }],
        sender: String::new(),
        domain: "example.net".into(),
        site: None,
        source: None,
        tenant: Some("acme".into()),
        campaign: None,
        size: 10,
        received: Timestamp::from_millis(0),
        state: "held".into(),
        waits: Some(Held::Operator {
            why: "looks odd".into(),
        }),
        until: None,
        expires: Timestamp::from_millis(1_000),
        verdict: None,
    }
}

impl Control for Daemon {
    async fn list(&self, which: &Selector, limit: usize) -> Listed {
        self.told
            .lock()
            .push(format!("list {:?} {limit}", which.domain));
        let all = self.waiting.unwrap_or(1);
        let entries = vec![entry(); limit.min(all)];
        Listed {
            more: entries.len() < all,
            entries,
            total: which.is_empty().then_some(all),
        }
    }

    async fn show(&self, id: MessageId) -> Vec<QueueEntry> {
        let explained = || QueueEntry {
            verdict: Some(Box::new(sample::verdict())),
            ..entry()
        };
        (id == MessageId(1)).then(explained).into_iter().collect()
    }

    async fn act(&self, action: Action, which: &Selector, why: &str) -> Done {
        let told = format!("{action:?} {:?} {why}", which.tenant);
        self.told.lock().push(told);
        Done {
            count: 3,
            wait_on: (action == Action::Retry).then_some(2),
        }
    }

    async fn reload(&self) -> Result<Reloaded, String> {
        let restart_needed = vec!["data_dir".to_owned()];
        match self.broken {
            true => Err("mailwright.toml:1: hostname: is missing".to_owned()),
            false => Ok(Reloaded { restart_needed }),
        }
    }

    async fn ready(&self) -> Result<(), Vec<String>> {
        match self.unready.is_empty() {
            true => Ok(()),
            false => Err(self.unready.clone()),
        }
    }

    fn metrics(&self) -> String {
        "# EOF\n".to_owned()
    }

    async fn explain(&self, question: &Question) -> Result<Verdict, Refusal> {
        *self.asked.lock() = Some(question.clone());
        match question.to.domain() {
            "nowhere.test" => Err(Refusal::Impossible("mail to nowhere.test bounces".into())),
            "silent.test" => Err(Refusal::Unavailable("where it goes is not known".into())),
            _ => Ok(sample::verdict()),
        }
    }

    async fn lint(
        &self,
        question: &LintQuestion,
        message: axum::body::Bytes,
    ) -> Result<Linted, Refusal> {
        let told = format!("lint {} octets as {:?}", message.len(), question.stream);
        self.told.lock().push(told);
        let message = crate::lint::Message::parse(&message);
        let findings = crate::lint::examine(&message, &crate::lint::Facts::default());
        Ok(Linted {
            blocked: crate::lint::blocks(&findings),
            findings,
        })
    }

    fn warmups(&self, which: &WhichWarmup) -> Result<Vec<Position>, Refusal> {
        warms(which.source.as_deref().unwrap_or("ip-a"))?;
        Ok(vec![sample::position("google"), sample::position("*")])
    }

    async fn steer(&self, order: &Steer) -> Result<Steered, Refusal> {
        warms(order.source())?;
        if let Steer::Set(Set { stage, .. }) = order
            && *stage == crate::policy::warmup::Stage::At(99)
        {
            let why = "the schedule of ip-a has 64 stages, and no stage 99";
            return Err(Refusal::Impossible(why.into()));
        }
        self.orders.lock().push(order.clone());
        Ok(Steered {
            done: true,
            positions: vec![sample::position("google")],
        })
    }

    fn sources(&self) -> Vec<SourceEntry> {
        vec![sample::source()]
    }

    async fn reports(&self, which: &WhichReports) -> Result<Shown, Refusal> {
        self.told.lock().push(format!("reports {which:?}"));
        Ok(sample::shown())
    }

    async fn import_report(
        &self,
        octets: Vec<u8>,
        order: &ReportOrder,
    ) -> Result<Imported, Refusal> {
        let length = octets.len();
        self.told.lock().push(format!("import {length} {order:?}"));
        Ok(sample::imported())
    }

    async fn advise(&self, which: &WhichReports) -> Result<DmarcAdvice, Refusal> {
        let domain = which.domain.as_deref().unwrap_or_default();
        Ok(crate::reports::advice::advise(domain, &sample::shown()))
    }

    async fn suppressed(&self, _which: &WhichSuppressed) -> Result<SuppressedPage, Refusal> {
        Ok(SuppressedPage::default())
    }

    async fn is_suppressed(&self, _which: &IsSuppressed) -> Result<Vec<Record>, Refusal> {
        Ok(Vec::new())
    }

    async fn suppress(&self, order: &Suppress) -> Result<Changed, Refusal> {
        self.told.lock().push(format!("{order:?}"));
        Ok(Changed { count: 1 })
    }

    async fn erase(&self, order: &Erasure) -> Result<Erased, Refusal> {
        self.told.lock().push(format!("{order:?}"));
        Ok(Erased {
            records: 1,
            messages: 0,
            lines: None,
        })
    }

    fn reputations(&self, which: &WhichReputation) -> Result<Report, Refusal> {
        match which.by.as_str() {
            "" | "campaign" => Ok(Report {
                since: Window::named(&which.since).unwrap_or(Window::Day),
                at: Timestamp::from_millis(0),
                slices: Vec::new(),
                replies: vec![sample::reply(true)],
                suppressed: Vec::new(),
                outside: crate::outside::Book::default(),
            }),
            by => Err(Refusal::Unknown(format!("there is no report by {by}"))),
        }
    }

    async fn release(&self, order: &Release) -> Result<Released, Refusal> {
        let slice: Result<Slice, _> = order.slice.parse();
        slice.map_err(|error| Refusal::Unknown(error.to_string()))?;
        Ok(Released {
            released: Vec::new(),
            eased: Vec::new(),
        })
    }

    async fn feed(&self, told: &[Told]) -> Result<Fed, Refusal> {
        let errors = told
            .iter()
            .enumerate()
            .filter(|(_, told)| told.event == "gone");
        let unfed = |(index, _)| Unfed {
            index,
            error: "it is not in the books".into(),
        };
        let errors: Vec<Unfed> = errors.map(unfed).collect();
        Ok(Fed {
            counted: told.len() - errors.len(),
            repeated: 0,
            errors,
        })
    }

    fn replies(&self, since: Option<&str>) -> Result<Vec<ReplyPattern>, Refusal> {
        match since {
            None | Some("24h") => Ok(vec![sample::reply(true), sample::reply(false)]),
            Some(since) => Err(Refusal::Unknown(format!("{since} is no window"))),
        }
    }

    fn lift(&self, order: &Lift) -> Result<Lifted, Refusal> {
        let Lift {
            source,
            site,
            provider,
            why,
        } = order;
        warms(source)?;
        let told = format!("lift {source} {site:?} {provider:?} {why:?}");
        self.told.lock().push(told);
        Ok(Lifted {
            lifted: vec![Arc::new(sample::suspension())],
        })
    }
}

fn warms(source: &str) -> Result<(), Refusal> {
    match source {
        "ip-a" => Ok(()),
        "ip-down" => Err(Refusal::Unavailable("the store does not answer".into())),
        _ => Err(Refusal::Unknown(format!("no source \"{source}\" warms"))),
    }
}
