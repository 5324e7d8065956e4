//! Limits, told by what passes when.

mod connections;
mod messages;
mod octets;
mod pace;
mod properties;
mod reload;
mod sharing;
mod streams;
mod table;

use super::*;
use crate::clock::Clock;
use crate::mail::Stream;
use crate::units::Timestamp;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

const ANYBODY: Asker = Asker {
    stream: Stream::Marketing,
    party: Party::all(),
};
const URGENT: Asker = Asker {
    stream: Stream::Transactional,
    ..ANYBODY
};

/// Limits and the time they live in, with one source that the tests are about.
struct World {
    clock: Clock,
    limits: Limits,
}

impl World {
    fn new() -> Self {
        // A whole day, so that seconds, minutes, hours and days of the clock begin here.
        let clock = Clock::manual(Timestamp::from_millis(19_700 * 86_400_000));
        Self {
            limits: Limits::new(clock.clone()),
            clock,
        }
    }

    /// The source's limit, of what `[limits.source]` says in `text`.
    fn with(text: &str) -> (Self, Arc<Limit>) {
        let world = Self::new();
        world.configure(text);
        let limit = world.limits.of(&source("ip-a"));
        (world, limit)
    }

    fn configure(&self, text: &str) {
        let source = config(text);
        self.limits.configure(Rules::new(&Defaults {
            source,
            ..Defaults::default()
        }));
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn wait(&self, span: Duration) {
        self.clock.advance(span);
    }

    /// How many messages pass one after another, now. The one that does not is told a turn.
    fn passing(&self, limit: &Limit) -> u32 {
        let passed = std::iter::repeat_with(|| limit.message(ANYBODY, self.now()));
        let passed = passed.take_while(Result::is_ok).count();
        u32::try_from(passed).unwrap()
    }

    /// How long the caller who asks now is told to wait; it must be refused.
    fn told_to_wait(&self, limit: &Limit) -> Duration {
        let full = limit.message(ANYBODY, self.now()).unwrap_err();
        full.until.since(self.now())
    }
}

fn config(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

fn source(name: &str) -> Of {
    Of::Source {
        source: name.into(),
    }
}
