//! One happening, one event, one place that emits. Log, metrics and streams follow from it.
//!
//! [`Events::emit`] hands every event to each sink in turn. A sink never blocks the sender for disk: the JSON log
//! writes on a thread of its own.

mod config;
mod event;
mod line;
pub mod log;
pub mod metrics;
mod operators;
#[cfg(test)]
mod sample;

pub use config::Config;
pub use event::{About, Attempt, Breaker, Event, Tls};
pub use line::Line;
pub use log::EventLog;
pub use metrics::Metrics;
pub use operators::Operators;

use crate::clock::Clock;
use crate::units::Timestamp;
use std::sync::Arc;

/// Takes every event, in the order emitted. Must not block: it is called on the path of every message.
pub trait Sink: Send + Sync {
    fn take(&self, at: Timestamp, event: &Event);

    /// More events wait here than should: no new mail is taken until they have gone.
    fn is_behind(&self) -> bool {
        false
    }
}

/// The one place that emits. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    clock: Clock,
    sinks: Arc<[Box<dyn Sink>]>,
}

impl Events {
    pub fn new(clock: Clock, sinks: Vec<Box<dyn Sink>>) -> Self {
        Self {
            clock,
            sinks: sinks.into(),
        }
    }

    /// Some sink cannot keep up.
    pub fn are_behind(&self) -> bool {
        self.sinks.iter().any(|sink| sink.is_behind())
    }

    pub fn emit(&self, event: &Event) {
        let at = self.clock.now();
        for sink in self.sinks.iter() {
            sink.take(at, event);
        }
    }
}
