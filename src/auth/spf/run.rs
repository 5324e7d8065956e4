//! What one evaluation has used up, and what it saw on the way.

use super::error::{MAX_LOOKUPS, MAX_VOIDS, SpfError};
use super::report::Step;
use crate::auth::ask::{Ask, FAILURE_HOLD, NO_NAME_HOLD};
use crate::dns::{DnsFailure, Records};
use crate::units::Timestamp;
use hickory_resolver::proto::rr::{RData, RecordType};
use std::sync::Arc;

/// The account of an evaluation. Every question of it goes through here.
pub struct Run<'a, A> {
    ask: &'a A,
    pub now: Timestamp,
    pub lookups: u8,
    pub voids: u8,
    pub trace: Vec<Step>,
    pub personal: bool,
    pub expires: Timestamp,
}

/// What came of a question; the records are kept alive by the answer.
pub enum Answer {
    Found(Arc<Records>),
    /// No such records, or no such name.
    Nothing,
}

impl<'a, A: Ask> Run<'a, A> {
    pub fn new(ask: &'a A, now: Timestamp) -> Self {
        Self {
            ask,
            now,
            lookups: 0,
            voids: 0,
            trace: Vec::new(),
            personal: false,
            expires: Timestamp::from_millis(u64::MAX),
        }
    }

    /// Asks DNS. `name` is one that DNS can hold.
    pub async fn look(&mut self, name: &str, kind: RecordType) -> Result<Answer, SpfError> {
        match self.ask.ask(name, kind).await {
            Ok(records) => {
                self.expires = self.expires.min(records.expires);
                Ok(match records.data.is_empty() {
                    true => Answer::Nothing,
                    false => Answer::Found(records),
                })
            }
            Err(DnsFailure::NoSuchDomain(_)) => {
                self.expires = self.expires.min(self.now + NO_NAME_HOLD);
                Ok(Answer::Nothing)
            }
            Err(failure) => {
                self.expires = self.expires.min(self.now + FAILURE_HOLD);
                Err(SpfError::Dns(failure))
            }
        }
    }

    /// Notes a term that asks DNS; where it stands in the trace.
    pub fn begin(&mut self, domain: &str, term: &str, depth: u8) -> Result<usize, SpfError> {
        if self.lookups >= MAX_LOOKUPS {
            let (domain, term) = (domain.into(), term.into());
            return Err(SpfError::Lookups { domain, term });
        }
        self.lookups += 1;
        Ok(self.note(domain, term, depth))
    }

    /// Notes a term that asks nothing.
    pub fn note(&mut self, domain: &str, term: &str, depth: u8) -> usize {
        let (domain, term) = (domain.into(), term.into());
        self.trace.push(Step {
            domain,
            depth,
            term,
            matched: None,
        });
        self.trace.len() - 1
    }

    pub fn end(&mut self, step: usize, matched: bool) {
        if let Some(step) = self.trace.get_mut(step) {
            step.matched = Some(matched);
        }
    }

    /// Counts the term as one that found nothing.
    pub fn void(&mut self, step: usize) -> Result<(), SpfError> {
        self.voids += 1;
        match self.trace.get(step).filter(|_| self.voids > MAX_VOIDS) {
            Some(Step { domain, term, .. }) => Err(SpfError::Voids {
                domain: domain.clone(),
                term: term.clone(),
            }),
            None => Ok(()),
        }
    }
}

impl Answer {
    pub fn data(&self) -> &[RData] {
        match self {
            Self::Found(records) => &records.data,
            Self::Nothing => &[],
        }
    }
}
