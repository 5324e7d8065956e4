//! `check_host()` of RFC 7208 §4.

use super::error::{MAX_SECONDS, SpfError};
use super::macros::{MacroString, Scene};
use super::record::{Directive, Mechanism, Record, is_spf};
use super::report::{Identity, Report, SpfResult};
use super::run::Run;
use crate::auth::ask::{Ask, a_labels, askable};
use crate::clock::Clock;
use crate::dns;
use hickory_resolver::proto::rr::RecordType;
use std::borrow::Cow;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

/// What is to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Where the connection comes from. An IPv4 address mapped into IPv6 counts as IPv4 (RFC 7208 §5).
    pub ip: IpAddr,
    /// The return path without its brackets; empty for notices, whose identity is that of `helo`.
    pub sender: &'a str,
    /// The name given in EHLO.
    pub helo: &'a str,
    /// The host that asks, for explanations: `%{r}`.
    pub receiver: &'a str,
}

/// Judges, within the limits of RFC 7208 §4.6.4; the twenty seconds are measured on `clock`.
pub async fn check<A: Ask>(ask: &A, clock: &Clock, question: &Question<'_>) -> Report {
    let now = clock.now();
    let mut run = Run::new(ask, now);
    let (local, domain) = sender(question);
    let domain = a_labels(domain);
    let mut host = CheckHost {
        run: &mut run,
        scene: Scene {
            ip: question.ip.to_canonical(),
            local,
            sender_domain: &domain,
            domain: &domain,
            helo: question.helo,
            receiver: question.receiver,
            now,
            validated: "",
        },
        names: None,
    };
    let found = tokio::select! {
        found = host.judge(&domain) => found,
        () = clock.sleep_until(now + Duration::from_secs(MAX_SECONDS)) => Err(SpfError::Time),
    };
    let identity = match question.sender.is_empty() {
        true => Identity::Helo,
        false => Identity::MailFrom,
    };
    report(run, &domain, identity, found)
}

/// RFC 7208 §2.4 and §4.3: without a local part it is `postmaster`.
fn sender<'a>(question: &Question<'a>) -> (&'a str, &'a str) {
    let (local, domain) = match question.sender {
        "" => ("", question.helo),
        sender => sender.rsplit_once('@').unwrap_or(("", sender)),
    };
    let local = if local.is_empty() {
        "postmaster"
    } else {
        local
    };
    (local, domain)
}

fn report<A: Ask>(
    run: Run<'_, A>,
    domain: &str,
    identity: Identity,
    found: Result<Found, SpfError>,
) -> Report {
    let (found, error) = match found {
        Ok(found) => (found, None),
        Err(error) => (Found::of(error.result()), Some(error)),
    };
    Report {
        result: found.result,
        domain: domain.into(),
        identity,
        mechanism: found.mechanism,
        explanation: found.explanation.map(Into::into),
        lookups: run.lookups,
        voids: run.voids,
        error,
        trace: run.trace,
        personal: run.personal,
        expires: run.expires,
    }
}

/// What a record says.
struct Found {
    result: SpfResult,
    mechanism: Option<Box<str>>,
    explanation: Option<String>,
}

impl Found {
    fn of(result: SpfResult) -> Self {
        Self {
            result,
            mechanism: None,
            explanation: None,
        }
    }
}

type Judged<'f, T> = Pin<Box<dyn Future<Output = Result<T, SpfError>> + Send + 'f>>;

pub(super) struct CheckHost<'r, 'a, A> {
    pub(super) run: &'r mut Run<'a, A>,
    pub(super) scene: Scene<'a>,
    /// The validated names of the address, once they are known.
    pub(super) names: Option<Vec<String>>,
}

/// Where in the tree of includes and redirects a record stands.
#[derive(Clone, Copy)]
struct At<'d> {
    domain: &'d str,
    depth: u8,
    /// Behind an `include`, where explanations are of no interest (RFC 7208 §6.2).
    included: bool,
}

impl<A: Ask> CheckHost<'_, '_, A> {
    async fn judge(&mut self, domain: &str) -> Result<Found, SpfError> {
        // RFC 7208 §4.3: what cannot be a domain, such as a literal or a single label, has no policy.
        if !domain.contains('.') || domain.starts_with('[') || askable(domain).is_none() {
            return Ok(Found::of(SpfResult::None));
        }
        let at = At {
            domain,
            depth: 0,
            included: false,
        };
        self.policy(at).await
    }

    /// The policy of a domain, evaluated. Boxed because policies refer to policies.
    fn policy<'f>(&'f mut self, at: At<'f>) -> Judged<'f, Found> {
        Box::pin(async move {
            let Some(record) = self.record(at.domain).await? else {
                return Ok(Found::of(SpfResult::None));
            };
            for directive in &record.directives {
                if self.matches(directive, at).await? {
                    return Ok(self.decided(directive, &record, at).await);
                }
            }
            match &record.redirect {
                Some(target) => self.redirect(target, at).await,
                None => Ok(Found {
                    mechanism: Some("default".into()),
                    ..Found::of(SpfResult::Neutral)
                }),
            }
        })
    }

    /// RFC 7208 §4.4, §4.5: the one record there may be.
    async fn record(&mut self, domain: &str) -> Result<Option<Record>, SpfError> {
        let answer = self.run.look(domain, RecordType::TXT).await?;
        let texts = answer.data().iter().filter_map(dns::text);
        let mut texts = texts.filter(|text| is_spf(text));
        let Some(text) = texts.next() else {
            return Ok(None);
        };
        if texts.next().is_some() {
            return Err(SpfError::SeveralRecords(domain.into()));
        }
        let record = Record::parse(&text).map_err(|wrong| SpfError::Syntax {
            domain: domain.into(),
            term: wrong.term,
            why: wrong.why,
        });
        record.map(Some)
    }

    async fn decided(&mut self, directive: &Directive, record: &Record, at: At<'_>) -> Found {
        let result = directive.qualifier.into();
        let explains = result == SpfResult::Fail && !at.included;
        let explanation = match &record.explanation {
            Some(target) if explains => self.explanation(target, at.domain).await,
            _ => None,
        };
        Found {
            result,
            mechanism: Some(directive.mechanism_text().into()),
            explanation,
        }
    }

    async fn redirect(&mut self, target: &MacroString, at: At<'_>) -> Result<Found, SpfError> {
        let name = self.name(target, at.domain).await;
        let term = format!("redirect={name}");
        let step = self.run.begin(at.domain, &term, at.depth)?;
        let found = match askable(&name) {
            Some(domain) => {
                let depth = at.depth + 1;
                self.policy(At {
                    domain,
                    depth,
                    ..at
                })
                .await?
            }
            None => Found::of(SpfResult::None),
        };
        if found.result == SpfResult::None {
            return Err(no_record(at.domain, &term, &name));
        }
        self.run.end(step, true);
        Ok(found)
    }

    async fn matches(&mut self, directive: &Directive, at: At<'_>) -> Result<bool, SpfError> {
        let asks = !matches!(directive.mechanism, Mechanism::All | Mechanism::Ip(_));
        if !asks {
            let matched = match directive.mechanism {
                Mechanism::Ip(network) => network.contains(&self.scene.ip),
                _ => true,
            };
            // Networks that do not match say nothing; a record may hold hundreds.
            if matched {
                let step = self.run.note(at.domain, &directive.text, at.depth);
                self.run.end(step, true);
            }
            return Ok(matched);
        }
        let step = self.run.begin(at.domain, &directive.text, at.depth)?;
        let matched = self.asks(directive, at, step).await?;
        self.run.end(step, matched);
        Ok(matched)
    }

    async fn asks(&mut self, of: &Directive, at: At<'_>, step: usize) -> Result<bool, SpfError> {
        let target = match &of.mechanism {
            Mechanism::Include(target) | Mechanism::Exists(target) => Some(target),
            Mechanism::A(target, _) | Mechanism::Mx(target, _) | Mechanism::Ptr(target) => {
                target.as_ref()
            }
            Mechanism::All | Mechanism::Ip(_) => None,
        };
        let name = match target {
            Some(target) => Cow::Owned(self.name(target, at.domain).await),
            None => Cow::Borrowed(at.domain),
        };
        if let Mechanism::Include(_) = of.mechanism {
            return self.include(&name, &of.text, at).await;
        }
        let Some(name) = askable(&name) else {
            return Ok(false);
        };
        match of.mechanism {
            Mechanism::A(_, lengths) => self.a(name, lengths, step).await,
            Mechanism::Mx(_, lengths) => self.mx(name, lengths, step).await,
            Mechanism::Exists(_) => self.exists(name, step).await,
            _ => self.ptr(name, step).await,
        }
    }

    /// RFC 7208 §5.2.
    async fn include(&mut self, name: &str, term: &str, at: At<'_>) -> Result<bool, SpfError> {
        let result = match askable(name) {
            Some(domain) => {
                let depth = at.depth + 1;
                let included = true;
                let at = At {
                    domain,
                    depth,
                    included,
                };
                self.policy(at).await?.result
            }
            None => SpfResult::None,
        };
        match result {
            SpfResult::Pass => Ok(true),
            SpfResult::None => Err(no_record(at.domain, term, name)),
            _ => Ok(false),
        }
    }
}

fn no_record(domain: &str, term: &str, target: &str) -> SpfError {
    SpfError::NoRecord {
        domain: domain.into(),
        term: term.into(),
        target: target.into(),
    }
}
