//! What of the events belongs in the operators' log. Mail is there at `debug` only: its place is the event log.

use super::{Breaker, Event, Line, Sink};
use crate::units::Timestamp;

/// Writes events as tracing lines.
pub struct Operators;

impl Sink for Operators {
    fn take(&self, at: Timestamp, event: &Event) {
        match event {
            Event::Config { ok: true, why } => tracing::info!(%why, "configuration taken"),
            Event::Config { ok: false, why } => tracing::error!(%why, "configuration refused"),
            Event::Warmup {
                source,
                provider,
                why,
                ..
            } => tracing::info!(%source, %provider, %why, "warm-up"),
            // Sites that do not answer are a matter of every day.
            Event::Breaker {
                state: Breaker::Open,
                source,
                provider,
                until: Some(until),
                failures: None,
                why,
                ..
            } => tracing::warn!(%source, %provider, %until, %why, "kept from sending"),
            Event::Reputation {
                slice, action, why, ..
            } => match *action {
                "hold" | "page" => tracing::error!(%slice, %action, %why, "reputation"),
                _ => tracing::warn!(%slice, %action, %why, "reputation"),
            },
            Event::Report {
                domain,
                reason,
                why,
                ..
            } => tracing::warn!(%domain, %reason, %why, "reports"),
            Event::Tls {
                domain,
                host,
                reason,
                why,
                ..
            } => {
                let (domain, host) = (domain.as_deref(), host.as_deref());
                match *reason {
                    "report-sent" | "restored" => {
                        tracing::info!(domain, host, %reason, %why, "TLS")
                    }
                    _ => tracing::warn!(domain, host, %reason, %why, "TLS"),
                }
            }
            Event::Dkim {
                domain,
                selector,
                state,
                why,
            } => tracing::info!(%domain, %selector, %state, %why, "DKIM key"),
            Event::Outside {
                action,
                source,
                domain,
                zone,
                page,
                why,
                ..
            } => {
                let (source, domain) = (source.as_deref(), domain.as_deref());
                let zone = zone.as_deref();
                match page {
                    true => {
                        tracing::error!(%action, ?source, ?domain, ?zone, %why, "seen from outside")
                    }
                    false => {
                        tracing::warn!(%action, ?source, ?domain, ?zone, %why, "seen from outside")
                    }
                }
            }
            mail if tracing::enabled!(tracing::Level::DEBUG) => {
                let line = Line { at, event: mail }.to_json();
                let text = String::from_utf8_lossy(&line);
                tracing::debug!(event = text.trim_end());
            }
            _ => {}
        }
    }
}
