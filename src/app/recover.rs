//! What a start finds and has to tell: damage in the spool, and arrivals and outcomes whose events an unclean stop
//! swallowed.

use crate::events::log::told_since;
use crate::events::{About, Attempt, Event, Events};
use crate::mail::{Address, MessageId, Recipient};
use crate::spool::{Arrived, Final, RecoveryReport};
use crate::units::Timestamp;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The clock may have been set between the outcome and its event.
const SLACK: Duration = Duration::from_secs(60);

/// Says in the operators' log what the spool was found to be.
pub fn tell(report: &RecoveryReport) {
    tracing::info!(
        messages = report.messages,
        segments = report.segments,
        clean = report.clean,
        "the spool is open"
    );
    if report.torn > 0 {
        tracing::warn!(
            octets = report.torn,
            "the last write before the stop was torn; what it held was never acknowledged"
        );
    }
    for damage in &report.damages {
        let (place, why, octets) = (&damage.place, &damage.why, damage.bytes);
        tracing::error!(place, why, octets, id = ?damage.id, copy = ?damage.aside, "a part of the spool is damaged and was set aside");
    }
}

/// Tells what the spool has and the event log has not, so that each recipient has one `accepted` and exactly one terminal
/// event. The caller waits until this is in the log.
pub fn tell_owed(report: &RecoveryReport, log: &Path, events: &Events) -> std::io::Result<()> {
    let arrived = report.arrivals.iter().map(|arrived| arrived.at);
    let ended = report.finals.iter().map(|last| last.at);
    let Some(first) = arrived.chain(ended).min() else {
        return Ok(());
    };
    let slack = u64::try_from(SLACK.as_millis()).unwrap_or(0);
    let since = Timestamp::from_millis(first.as_millis().saturating_sub(slack));
    let arrived = report.arrivals.iter().map(|arrived| arrived.meta.id);
    let wanted = arrived.chain(report.finals.iter().map(|last| last.id));
    let told = told_since(log, since, &wanted.collect())?;
    let arrivals = report.arrivals.iter().flat_map(accepted);
    let owed = arrivals.filter(|event| !is_in(&told.accepted, event));
    owed.for_each(|event| events.emit(&event));
    let outcomes = report.finals.iter().filter_map(outcome);
    let owed = outcomes.filter(|event| !is_in(&told.ended, event));
    owed.for_each(|event| events.emit(&event));
    Ok(())
}

fn is_in(told: &HashSet<(MessageId, Box<str>)>, event: &Event) -> bool {
    let (Event::Accepted { about, .. } | Event::Outcome { about, .. }) = event else {
        return true;
    };
    let recipient = about.recipient.as_ref().map_or("", Address::as_str);
    told.contains(&(about.id, recipient.into()))
}

/// One event a recipient.
fn accepted(arrived: &Arrived) -> impl Iterator<Item = Event> {
    let about = |recipient: &Recipient| About {
        id: arrived.meta.id,
        labels: Arc::clone(&arrived.meta.labels),
        sender: arrived.meta.envelope.sender.clone(),
        recipient: Some(recipient.address.clone()),
        size: arrived.size,
    };
    let recipients = arrived.meta.envelope.recipients.iter();
    recipients.map(move |recipient| Event::Accepted {
        about: about(recipient),
        peer: None,
        why: None,
    })
}

/// `None` where the message's record cannot be read.
fn outcome(last: &Final) -> Option<Event> {
    let meta = last.meta.as_ref()?;
    let recipient = meta.envelope.recipients.get(usize::from(last.recipient))?;
    Some(Event::Outcome {
        about: About {
            id: last.id,
            labels: Arc::clone(&meta.labels),
            sender: meta.envelope.sender.clone(),
            recipient: Some(recipient.address.clone()),
            size: 0,
        },
        attempt: Attempt {
            number: last.attempts,
            site: None,
            source: None,
            provider: None,
            tls: None,
            latency: last.at.since(meta.received),
            possible_duplicate: last.in_doubt,
        },
        disposition: last.disposition.clone(),
    })
}
