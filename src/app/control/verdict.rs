//! The whole verdict on one message, with the keys of the configuration that decide about it.

use super::Daemon;
use super::advice::{Matter, advise, pool_key, route_of, source_key, tenant_key};
use super::holds::{busy, closed, full};
use crate::config::Config;
use crate::delivery::{Explained, Subject};
use crate::dns::DnsFailure;
use crate::http::explain::{summary, until, way};
use crate::http::{Advice, Keys, Question, Refusal, Verdict, Window};
use crate::mail::{Labels, MessageId};
use crate::policy::window::{SendWindows, State};
use crate::policy::{Arrival, Held};
use crate::queue::View;
use crate::units::Timestamp;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Where the providers stand that come with the program.
const SHIPPED: &str = "config/providers.toml";

impl Daemon {
    pub(super) async fn explain_question(&self, question: &Question) -> Result<Verdict, Refusal> {
        let subject = Subject {
            id: stand_in(question),
            domain: question.to.domain().into(),
            sender: question
                .from
                .as_ref()
                .map(|from| from.ascii_domain().into()),
            labels: Arc::new(self.labels_of(question)),
            last: None,
        };
        let explained = self.delivery.explain(&subject).await;
        let explained = explained.map_err(|failure| nowhere(&subject.domain, &failure))?;
        let now = self.clock.now();
        let later = question.send_at.filter(|at| *at > now);
        let first = later.map(|at| (Held::SendAt, Some(at)));
        let mut verdict = self.verdict(explained, &subject, None, first);
        let arrival = Arrival {
            labels: &subject.labels,
            send_at: question.send_at,
            expires: question.expires,
        };
        verdict.refused = self.policy.receive(&arrival, now).err();
        verdict.notes.extend(self.notes(question));
        let sources = verdict.explained.explanation.candidates.len();
        if sources > 1 {
            verdict.notes.push(format!(
                "another recipient may draw another of the {sources} sources"
            ));
        }
        verdict.summary = summary(&verdict.explained, verdict.refused.as_ref());
        verdict.alignment = self.aligned(question, &verdict.explained).await;
        self.add_suppression(&mut verdict, &question.to, &subject.labels)
            .await;
        if let Some(door) = self.at_the_door(question) {
            verdict.summary = format!("{door}; else it {}", verdict.summary);
        }
        Ok(verdict)
    }

    /// The verdict on an entry of the queue, of which `held` is the first answer. `None` where nobody knows where it
    /// goes.
    pub(super) async fn explain_entry(&self, view: &View, held: &Held) -> Option<Verdict> {
        let subject = Subject::from(view);
        let explained = self.delivery.explain(&subject).await.ok()?;
        let first = match held {
            // What would hold it next is of more interest.
            Held::Sending { .. } | Held::Routing { .. } => None,
            held => Some((held.clone(), held.until().or(view.due))),
        };
        Some(self.verdict(explained, &subject, Some(view.id), first))
    }

    /// `first` is known to hold it before anything else does, until an instant.
    fn verdict(
        &self,
        mut explained: Explained,
        subject: &Subject,
        id: Option<MessageId>,
        first: Option<(Held, Option<Timestamp>)>,
    ) -> Verdict {
        let config = self.config.lock();
        let windows = self.windows(&explained, subject, &config);
        let waits = explained.waits.take();
        let waits = waits.or_else(|| closed(&windows, subject.labels.stream));
        let waits = waits.or_else(|| full(&explained.explanation));
        explained.waits = waits.or_else(|| busy(&explained.explanation));
        explained.until = explained.waits.as_ref().and_then(Held::until);
        let mut notes = Vec::new();
        if let Some((held, until)) = first {
            notes.extend(then(&held, &explained));
            (explained.waits, explained.until) = (Some(held), until);
        }
        let id = id.map(|id| id.to_string());
        let matter = Matter {
            domain: &subject.domain,
            tenant: subject.labels.tenant.as_deref(),
            id: id.as_deref(),
            source: None,
        };
        Verdict {
            summary: summary(&explained, None),
            refused: None,
            suppressed: None,
            alignment: Vec::new(),
            windows,
            advice: everything(&explained, &matter, &config),
            keys: keys(&explained, &subject.labels, &config),
            notes,
            explained,
        }
    }

    /// As the intake would have them.
    fn labels_of(&self, question: &Question) -> Labels {
        let settings = self.policy.settings();
        let other = question.virtual_mta.clone();
        let other = other.filter(|pool| settings.sources.named(pool).is_some());
        let of_tenant = || {
            let tenants = self.lives.tenants.load();
            tenants.get(question.tenant.as_deref()?)?.pool.clone()
        };
        Labels {
            tenant: question.tenant.clone(),
            campaign: question.campaign.clone(),
            stream: question.stream,
            list: question.list.clone(),
            pool: question.pool.clone().or(other).or_else(of_tenant),
            engagement: question.engagement,
            ..Labels::default()
        }
    }

    /// What of the question is not as its asker may think.
    fn notes(&self, question: &Question) -> Vec<String> {
        let mut notes = Vec::new();
        let config = self.config.lock();
        if let Some(name) = question.tenant.as_deref() {
            let tenants = self.lives.tenants.load();
            if tenants.get(name).is_none() {
                notes.push(format!(
                    "no [[tenant]] is named {name}: the name is a label and no more"
                ));
            }
        }
        let other = question.virtual_mta.as_deref();
        if let Some(name) = other.filter(|name| pool_key(name, &config).is_none()) {
            notes.push(format!(
                "X-virtual-mta is not heeded: no [[pool]] is named {name}"
            ));
        }
        notes
    }

    /// What the tenant is told who sends as a domain that is not its own.
    fn at_the_door(&self, question: &Question) -> Option<String> {
        let (name, domain) = (
            question.tenant.as_deref()?,
            question.from.as_ref()?.domain(),
        );
        let may = self.lives.tenants.load().get(name)?.may_use(domain);
        let config = self.config.lock();
        (!may).then(|| not_theirs(name, domain, &config))
    }

    /// The hours of the tenant and of the provider.
    fn windows(&self, explained: &Explained, subject: &Subject, config: &Config) -> Vec<Window> {
        let now = self.clock.now();
        let name = subject.labels.tenant.as_deref();
        let tenant = config.tenant.iter().find(|t| name == Some(t.name.as_str()));
        let of_tenant = tenant.and_then(|tenant| {
            let key = tenant_key(name, config)?;
            window(
                &format!("tenant {}", tenant.name),
                &tenant.send_window,
                &key,
                now,
            )
        });
        let settings = self.policy.settings();
        let provider = settings.providers.get(&explained.explanation.provider);
        let of_provider = provider.and_then(|provider| {
            let (of, key) = (
                format!("provider {}", provider.name),
                format!("provider.{}", provider.name),
            );
            window(&of, &provider.send_window, &key, now)
        });
        of_tenant.into_iter().chain(of_provider).collect()
    }
}

/// What the SMTP door says of a return path, and the intake of an author.
fn not_theirs(tenant: &str, domain: &str, config: &Config) -> String {
    let key = tenant_key(Some(tenant), config).unwrap_or_default();
    format!(
        "would be refused at submission by who authenticates as {tenant}: {domain} is not theirs, neither as return \
         path nor in From: ({key}.domains)"
    )
}

/// What comes behind something that holds the message by itself.
fn then(held: &Held, explained: &Explained) -> Option<String> {
    match (held, &explained.waits) {
        (Held::Retry { .. } | Held::SendAt | Held::Operator { .. }, None) => {
            let way = way(explained);
            Some(format!("when its time comes it would go {way}"))
        }
        (Held::Retry { .. } | Held::SendAt | Held::Operator { .. }, Some(next)) => {
            let next = until(next, explained.until);
            Some(format!("when its time comes it would wait for {next}"))
        }
        _ => None,
    }
}

/// `None` where no hour is closed.
fn window(of: &str, windows: &SendWindows, at: &str, now: Timestamp) -> Option<Window> {
    let (open, until) = match windows.state(now) {
        State::Open { until } => (true, until),
        State::Closed { until } => (false, until),
    };
    (!windows.is_empty()).then(|| Window {
        of: of.to_owned(),
        window: windows.to_string(),
        open,
        until,
        key: format!("{at}.send_window"),
    })
}

/// What can be done about everything that holds the message or one of its sources; each once.
fn everything(explained: &Explained, matter: &Matter<'_>, config: &Config) -> Vec<Advice> {
    let explanation = &explained.explanation;
    let whole = [&explained.waits, &explanation.held];
    let whole = whole.into_iter().flatten().map(|held| (held, None));
    let of_sources = explanation.candidates.iter().flat_map(|candidate| {
        let line = candidate.line.as_ref().and_then(|line| line.held.as_ref());
        let held = candidate.held.iter().chain(line);
        held.map(|held| (held, Some(&*candidate.source)))
    });
    let mut advice: Vec<Advice> = Vec::new();
    for (held, source) in whole.chain(of_sources) {
        if advice.iter().all(|advice| advice.held != *held) {
            let matter = Matter { source, ..*matter };
            advice.push(advise(held, &matter, config));
        }
    }
    advice
}

fn keys(explained: &Explained, labels: &Labels, config: &Config) -> Keys {
    let explanation = &explained.explanation;
    let mut providers = config.provider.iter();
    let at = providers.position(|p| *p.name == *explanation.provider);
    let own = at.map(|at| format!("provider[{at}]"));
    let route = route_of(&explained.domain, config);
    let tls = match &route {
        Some((key, route)) if route.tls.is_some() => format!("{key}.tls"),
        _ if config.delivery.tls == explained.tls => "delivery.tls".to_owned(),
        _ => own.as_ref().map_or_else(
            || format!("{SHIPPED}: {}, tls", explanation.provider),
            |own| format!("{own}.tls"),
        ),
    };
    let tenant = tenant_key(labels.tenant.as_deref(), config);
    let sources = explanation.candidates.iter().map(|candidate| {
        let key = source_key(&candidate.source, config);
        (Arc::clone(&candidate.source), key)
    });
    Keys {
        site: route
            .filter(|(_, route)| !route.next_hop.is_empty())
            .map(|(key, _)| format!("{key}.next_hop")),
        pool: pool(labels, config),
        sources: sources.collect(),
        provider: own.unwrap_or_else(|| SHIPPED.to_owned()),
        tls,
        tenant,
    }
}

/// Where it says that this is the pool.
fn pool(labels: &Labels, config: &Config) -> Option<String> {
    let pool = labels.pool.as_deref()?;
    let named = labels.tenant.as_deref();
    let of_tenant = |t: &&crate::auth::credentials::Config| named == Some(t.name.as_str());
    let tenant = config.tenant.iter().find(of_tenant);
    match tenant.filter(|tenant| tenant.pool == pool) {
        Some(_) => Some(format!("{}.pool", tenant_key(named, config)?)),
        None => pool_key(pool, config),
    }
}

/// Its sources are tried in an order of its own, as if a message had this id: the same question, the same answer.
fn stand_in(question: &Question) -> MessageId {
    let mut hasher = DefaultHasher::new();
    let address = |address: &crate::mail::Address| address.as_str().to_owned();
    question.from.as_ref().map(address).hash(&mut hasher);
    question.to.as_str().hash(&mut hasher);
    question.campaign.hash(&mut hasher);
    MessageId(hasher.finish())
}

fn nowhere(domain: &str, failure: &DnsFailure) -> Refusal {
    match failure.bounce_class() {
        Some(_) => Refusal::Impossible(format!("mail to {domain} bounces: {failure}")),
        None => Refusal::Unavailable(format!(
            "where mail to {domain} goes is not known: {failure}"
        )),
    }
}

#[cfg(test)]
mod tests;
