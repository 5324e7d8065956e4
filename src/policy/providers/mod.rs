//! Who has the mailboxes, and what they want.
//!
//! A provider is recognised by the names of its MX hosts, so that hosted domains count with their host. Those in
//! `config/providers.toml` are compiled in; the operator's `[[provider]]` and `[[rule]]` change and extend them. What a
//! refusal means at a provider is said by its rules: the first whose pattern is found in the reply counts, the
//! provider's own before those of all providers, the operator's before the shipped ones.

mod check;
mod config;
mod hosts;
mod merge;
mod rules;
mod text;

pub use check::validate;
pub use config::{ProviderConfig, RuleConfig, Scope, TreatAs};
pub use rules::{Rule, Suspend};

use crate::mail::Reply;
use crate::policy::limits;
use crate::policy::window::SendWindows;
use crate::problem::Problems;
use crate::tls::client::Policy;
use hosts::Hosts;
use merge::{Entry, Shipped};
use rules::Rules;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;

/// The provider of every host that none of the others has.
pub const OTHER: &str = "other";

/// Every provider, shipped and configured. A reload makes a new one.
#[derive(Debug)]
pub struct Providers {
    /// As in `config/providers.toml`, then as configured; [`OTHER`] among them.
    all: Vec<Arc<Provider>>,
    other: Arc<Provider>,
    hosts: Hosts<Arc<Provider>>,
}

/// One provider as it is used.
#[derive(Debug)]
pub struct Provider {
    pub name: Arc<str>,
    /// What one source may do here, all sites of the provider together.
    pub limits: limits::Config,
    pub messages_per_connection: Option<NonZeroU32>,
    pub recipients_per_transaction: Option<NonZeroU16>,
    /// What the provider demands, where it does.
    pub tls: Option<Policy>,
    /// It tells senders of complaints.
    pub feedback_loop: bool,
    /// At which hours marketing mail goes here.
    pub send_window: SendWindows,
    own: Rules,
    generic: Arc<Rules>,
}

impl Providers {
    /// The shipped providers with the operator's `[[provider]]` and `[[rule]]` in them.
    ///
    /// # Errors
    /// What keeps them from being used. [`validate`] finds more: it tries the examples too.
    pub fn new(providers: &[ProviderConfig], rules: &[RuleConfig]) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let shipped = Shipped::read(&mut problems);
        let built = Self::build(&shipped, (providers, rules), &mut problems);
        if problems.is_empty() {
            Ok(built)
        } else {
            Err(problems)
        }
    }

    fn build(
        shipped: &Shipped,
        (providers, rules): (&[ProviderConfig], &[RuleConfig]),
        problems: &mut Problems,
    ) -> Self {
        let entries = merge::merge(shipped, providers);
        let generic = Rules::compile(&merge::generic(shipped, rules), problems);
        // Whoever is not recognised is not one provider: what would keep a source from it keeps it from the site.
        let at_sites = Arc::new(generic.narrowed());
        let generic = Arc::new(generic);
        let provider = |entry: &Entry<'_>, problems: &mut Problems| {
            let is_other = entry.config.name == OTHER;
            let generic = if is_other { &at_sites } else { &generic };
            Arc::new(Provider::new(entry, generic.clone(), problems))
        };
        let mut all = Vec::with_capacity(entries.len() + 1);
        all.extend(entries.iter().map(|entry| provider(entry, problems)));
        let hosts = merge::hosts(&entries, problems).map(|i| all.get(i).cloned());
        let known = all.iter().find(|provider| provider.is_other()).cloned();
        let other = known.unwrap_or_else(|| {
            let other = provider(&Entry::bare(OTHER), problems);
            all.push(other.clone());
            other
        });
        Self { all, other, hosts }
    }

    /// Whose hosts these are: every one of a domain's MX hosts must be of the same provider, else it is [`OTHER`].
    /// Upper case and a final dot do not matter.
    pub fn of<'h>(&self, hosts: impl IntoIterator<Item = &'h str>) -> &Arc<Provider> {
        let mut hosts = hosts.into_iter().map(|host| self.hosts.find(host));
        let Some(Some(first)) = hosts.next() else {
            return &self.other;
        };
        let same = hosts.all(|host| host.is_some_and(|other| Arc::ptr_eq(first, other)));
        if same { first } else { &self.other }
    }

    /// The provider of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Provider>> {
        self.all.iter().find(|provider| &*provider.name == name)
    }

    /// All of them, [`OTHER`] included.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.all.iter()
    }
}

impl Provider {
    fn new(entry: &Entry<'_>, generic: Arc<Rules>, problems: &mut Problems) -> Self {
        let config = &entry.config;
        let own = Rules::compile(&entry.rules, problems);
        Self {
            name: config.name.as_str().into(),
            limits: config.limits.clone(),
            messages_per_connection: config.messages_per_connection.and_then(NonZeroU32::new),
            recipients_per_transaction: config.recipients_per_transaction.and_then(NonZeroU16::new),
            tls: config.tls,
            feedback_loop: config.feedback_loop.unwrap_or(false),
            send_window: config.send_window.clone(),
            own: if config.name == OTHER {
                own.narrowed()
            } else {
                own
            },
            generic,
        }
    }

    /// Nobody in particular: everyone whom no entry recognises. Nothing may count or wait for all of them together.
    pub fn is_other(&self) -> bool {
        &*self.name == OTHER
    }

    /// The first rule that has something to say about this refusal. Replies that are no refusals, and those of our own
    /// making, have none.
    pub fn judge(&self, reply: &Reply) -> Option<&Rule> {
        if reply.local || reply.code < 400 {
            return None;
        }
        let text = text::of(reply);
        self.own.first(&text).or_else(|| self.generic.first(&text))
    }

    /// The rules in the order in which they are asked.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.own.iter().chain(self.generic.iter())
    }
}

#[cfg(test)]
mod tests;
