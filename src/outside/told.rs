//! What changed, as an event.

use super::book::{Certificate, Change, Fault, Subject, What};
use super::config::Settings;
use crate::events::Event;

/// The event of a change.
pub fn event(change: &Change, settings: &Settings) -> Event {
    match change {
        Change::Begun(fault) => {
            let (action, why) = begun(fault);
            of(fault, action, is_urgent(&fault.subject, settings), why)
        }
        Change::Ended(fault) => {
            let why = format!("it was so since {}: {}", fault.since, fault.detail);
            of(fault, ended(fault.subject.what), false, why)
        }
        Change::Expires(certificate, days) => {
            let Certificate { file, expires, .. } = certificate;
            let why = match days {
                0 => format!("{file} expired at {expires}: renew it and reload"),
                _ => format!(
                    "{file} expires at {expires}, in {days} days at most: renew it and reload"
                ),
            };
            of_certificate("certificate-expires", *days <= 1, why)
        }
        Change::Renewed(Certificate { file, expires, .. }) => {
            let why = format!("{file} is good until {expires}");
            of_certificate("certificate-renewed", false, why)
        }
    }
}

fn begun(fault: &Fault) -> (&'static str, String) {
    let Fault {
        subject,
        detail,
        since,
        ..
    } = fault;
    match subject.what {
        What::Listed => (
            "listed",
            format!(
                "{detail}, since {since}: stop what led to it, then ask the list to take it off"
            ),
        ),
        What::Ptr => (
            "ptr-lost",
            format!("{detail}: have the owner of the address publish its EHLO name as PTR"),
        ),
        What::Ehlo => (
            "ehlo-mismatch",
            format!("{detail}: `mailwright dns check` has the records to publish"),
        ),
        What::Refused => ("check-failed", detail.clone()),
        What::Unanswered => (
            "check-failed",
            format!("{detail}: if that stays so, take the list out of [[outside.zone]]"),
        ),
    }
}

fn ended(what: What) -> &'static str {
    match what {
        What::Listed => "delisted",
        What::Ptr => "ptr-regained",
        What::Ehlo => "ehlo-matches",
        What::Refused | What::Unanswered => "check-works",
    }
}

/// Whether a person should look at it now.
fn is_urgent(subject: &Subject, settings: &Settings) -> bool {
    match (subject.what, &subject.zone) {
        (What::Listed, Some(zone)) => settings.zone(zone).is_some_and(|zone| zone.page),
        (What::Ptr, _) => true,
        _ => false,
    }
}

fn of(fault: &Fault, action: &'static str, page: bool, why: String) -> Event {
    let Subject {
        what,
        name,
        address,
        zone,
    } = &fault.subject;
    let is_domain = *what == What::Listed && address.is_none();
    Event::Outside {
        action,
        source: address.map(|_| name.as_str().into()),
        peer: *address,
        domain: is_domain.then(|| name.as_str().into()),
        zone: zone.as_deref().map(Into::into),
        page,
        why,
    }
}

fn of_certificate(action: &'static str, page: bool, why: String) -> Event {
    Event::Outside {
        action,
        source: None,
        peer: None,
        domain: None,
        zone: None,
        page,
        why,
    }
}
