//! What can be known of a message's way while its sender still listens.

use super::sources::Pool;
use super::warmup::Refusal;
use super::{Policy, Settings};
use crate::mail::{EnhancedCode, Labels, Reply};
use crate::units::Timestamp;

/// A message on its way in.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    pub labels: &'a Labels,
    pub send_at: Option<Timestamp>,
    pub expires: Option<Timestamp>,
}

impl Policy {
    /// Whether a message may come in.
    ///
    /// # Errors
    /// The reply to its sender: 550 for what can never go, 451 for what the sources may not take today and are
    /// configured not to keep.
    pub fn receive(&self, arrival: &Arrival<'_>, now: Timestamp) -> Result<(), Reply> {
        let settings = self.settings();
        let pool = settings
            .sources
            .pool(arrival.labels)
            .ok_or_else(|| no_pool(arrival.labels, &settings))?;
        self.may_go_in_time(arrival, now)?;
        self.has_room(pool, arrival.send_at.unwrap_or(now), now)
    }

    fn may_go_in_time(&self, arrival: &Arrival<'_>, now: Timestamp) -> Result<(), Reply> {
        let first = arrival.send_at.unwrap_or(now).max(now);
        let Err(closed) = self.tenant_hours(arrival.labels, first) else {
            return Ok(());
        };
        match (closed.until(), arrival.expires) {
            (Some(opens), Some(expires)) if expires <= opens => {
                let text = format!(
                    "the message expires at {expires}, before it could go: it waits for {closed}, until {opens}"
                );
                Err(refuse(550, EnhancedCode(5, 4, 7), text))
            }
            _ => Ok(()),
        }
    }

    /// Refuses where every source of the pool warms, has nothing left of today's cap, and is configured to say so.
    fn has_room(&self, pool: &Pool, goes: Timestamp, now: Timestamp) -> Result<(), Reply> {
        let mut refusal = None;
        for source in pool.sources().filter(|source| source.is_present()) {
            let full = self.warmup().refuses(&source.name, source.waiting(), now);
            match full {
                // A later message is of another day's cap.
                Some(held) if held.until().is_none_or(|until| goes < until) => {
                    refusal.get_or_insert(held);
                }
                _ => return Ok(()),
            }
        }
        refusal.map_or(Ok(()), |held| Err(not_today(&held)))
    }
}

fn no_pool(labels: &Labels, settings: &Settings) -> Reply {
    let pool = labels.pool.as_deref().unwrap_or_default();
    let names = settings.sources.names();
    let remedy = match names.as_slice() {
        [] => "there is none in the configuration; leave it out".to_owned(),
        names => format!("write one of {}, or leave it out", names.join(", ")),
    };
    let text = format!("\"{pool}\" is not a pool: {remedy}");
    refuse(550, EnhancedCode(5, 6, 0), text)
}

fn not_today(held: &Refusal) -> Reply {
    let again = held.until().map_or_else(
        || "try again when it has been resumed".to_owned(),
        |until| format!("try again after {until}"),
    );
    refuse(
        451,
        EnhancedCode(4, 7, 0),
        format!("not taken, it would wait for {held}; {again}"),
    )
}

fn refuse(code: u16, enhanced: EnhancedCode, text: impl AsRef<str>) -> Reply {
    Reply::local(code, enhanced, text, ".")
}
