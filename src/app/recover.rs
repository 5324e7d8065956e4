//! What a start finds and has to tell: damage in the spool, and outcomes whose events an unclean stop swallowed.

use crate::events::log::terminal_since;
use crate::events::{About, Attempt, Event, Events};
use crate::spool::{Final, RecoveryReport};
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

/// Tells the final outcomes that the spool has and the event log has not, so that each recipient has exactly one
/// terminal event.
pub fn tell_owed(report: &RecoveryReport, log: &Path, events: &Events) -> std::io::Result<()> {
    let Some(first) = report.finals.iter().map(|last| last.at).min() else {
        return Ok(());
    };
    let since = crate::units::Timestamp::from_millis(
        first
            .as_millis()
            .saturating_sub(u64::try_from(SLACK.as_millis()).unwrap_or(0)),
    );
    let told = terminal_since(log, since)?;
    for last in &report.finals {
        let Some(event) = event(last) else { continue };
        let Event::Outcome { about, .. } = &event else {
            continue;
        };
        let recipient = about
            .recipient
            .as_ref()
            .map_or("", |recipient| recipient.as_str());
        if !told.contains(&(last.id, recipient.into())) {
            events.emit(&event);
        }
    }
    Ok(())
}

/// `None` where the message's record is gone: its segment is in another use, so its outcome is long told.
fn event(last: &Final) -> Option<Event> {
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
            tls: None,
            latency: last.at.since(meta.received),
            possible_duplicate: last.in_doubt,
        },
        disposition: last.disposition.clone(),
    })
}
