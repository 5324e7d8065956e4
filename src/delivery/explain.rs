//! The whole verdict on a message, whether it is in the queue or not.

use super::Delivery;
use super::dispatch::Target;
use super::lane::Lane;
use crate::dns::DnsFailure;
use crate::mail::{Labels, MessageId, TlsWish};
use crate::policy::explain::Explanation;
use crate::policy::{Ask, Held};
use crate::queue::{Place, View};
use crate::tls::client::Policy;
use crate::units::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A message to be explained.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Decides in which order sources are tried.
    pub id: MessageId,
    pub domain: Arc<str>,
    /// The domain of its return path as it is handed in; `None` is the null sender.
    pub sender: Option<Arc<str>>,
    pub labels: Arc<Labels>,
    /// The source of the attempt before.
    pub last: Option<Arc<str>>,
}

/// Where a message goes, from where, and what holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub domain: Arc<str>,
    /// Where its route leads: the domain's MX, or the hosts that the configuration names.
    pub by: Arc<str>,
    pub tls: Policy,
    /// What the domain itself asks: `MTA-STS, enforce: mx.example.net`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<String>,
    /// What its sender asks: `REQUIRETLS: …`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<String>,
    #[serde(flatten)]
    pub explanation: Explanation,
    /// What holds it now; `None`: it would go at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<Held>,
    /// When it would go, or be looked at again, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl From<&View> for Subject {
    fn from(view: &View) -> Self {
        let last = view.place.as_ref().filter(|_| view.attempts > 0);
        Self {
            id: view.id,
            domain: Arc::clone(&view.domain),
            sender: view.sender.clone(),
            labels: Arc::clone(&view.labels),
            last: last.map(|place| Arc::clone(&place.source)),
        }
    }
}

impl Delivery {
    /// What would become of a message now. Nothing is taken; DNS is asked.
    ///
    /// # Errors
    /// There is no site to go to, or none is known now.
    pub async fn explain(&self, subject: &Subject) -> Result<Verdict, Arc<DnsFailure>> {
        let routing = self.0.with.routing.load_full();
        let route = routing.route(&subject.domain);
        let (target, by) = match self.target_of(route) {
            Some(target) => (target, "a [[route]] of the configuration"),
            None => {
                let site = self.0.with.resolver.site(&subject.domain).await?;
                (self.target_at(&site), "its MX")
            }
        };
        let wish = subject.labels.tls;
        let known = match route.heeds_domains && wish != TlsWish::Waives {
            true => self.0.with.sts.find(&subject.domain).await,
            false => None,
        };
        let terms = self.terms(route, (target.provider.tls, wish), &subject.domain);
        let now = self.0.with.clock.now();
        let return_path = self.return_identity(&subject.labels, subject.sender.as_deref());
        let ask = Ask {
            spf: self.spf(return_path.as_ref()),
            ..target.ask_for(subject)
        };
        let mut explanation = self.0.with.policy.explain(&ask, now);
        self.add_lines(&mut explanation);
        let waits = held_by(&explanation);
        Ok(Verdict {
            domain: Arc::clone(&subject.domain),
            by: by.into(),
            tls: terms.tls,
            asks: known.map(|known| known.to_string()),
            wish: told(wish).map(str::to_owned),
            until: waits.as_ref().and_then(Held::until),
            waits,
            explanation,
        })
    }

    /// The lines that its sources have to the site.
    fn add_lines(&self, explanation: &mut Explanation) {
        let lanes = self.0.lanes.lock();
        for candidate in &mut explanation.candidates {
            let place = Place {
                site: Arc::clone(&explanation.site),
                source: Arc::clone(&candidate.source),
            };
            let mut of_place = lanes.values().filter(|lane| *lane.place == place);
            candidate.line = of_place.next().map(|lane| lane.view());
        }
    }

    /// The lane that an entry waits in.
    pub(super) fn lane_of(&self, place: &Place) -> Option<Arc<Lane>> {
        let lanes = self.0.lanes.lock();
        lanes.values().find(|lane| *lane.place == *place).cloned()
    }
}

/// What a sender's wish means for the way of its message.
fn told(wish: TlsWish) -> Option<&'static str> {
    match wish {
        TlsWish::None => None,
        TlsWish::Requires => Some(
            "REQUIRETLS: over verified TLS alone, to hosts that offer it; otherwise it bounces with 5.7.30",
        ),
        TlsWish::Waives => Some("TLS-Required: No: what the domain asks of TLS is passed over"),
        TlsWish::Prefers => {
            Some("a notice about REQUIRETLS mail: with it where the host offers it")
        }
    }
}

/// What is nearest to the message holds it: itself, the source it would leave from, that one's line, a limit.
fn held_by(explanation: &Explanation) -> Option<Held> {
    let taken = explanation.candidates.iter().find(|c| c.taken);
    let of_source = taken.and_then(|c| c.held.clone());
    let of_line = taken.and_then(|c| c.line.as_ref()?.held.clone());
    explanation.held.clone().or(of_source).or(of_line)
}

impl Target {
    fn ask_for<'a>(&'a self, subject: &'a Subject) -> Ask<'a> {
        Ask {
            id: subject.id,
            labels: &subject.labels,
            site: &self.site,
            provider: &self.provider,
            last: subject.last.as_deref(),
            avoid: None,
            families: self.families,
            spf: None,
        }
    }
}
