//! What goes on without anybody asking: tallies told, idle leases given back, days judged, pauses ended, and what other
//! nodes or operators have changed.

use super::handle::Warmup;
use super::state::State;
use super::unit::{Trouble, Unit};
use crate::store::StoreError;
use crate::units::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often tallies and leases are told to the store.
const TICK: Duration = Duration::from_secs(1);
/// How often the store is asked what others have changed: a pause elsewhere is known here after this, or when the lease
/// is used up.
const GLANCE: Duration = Duration::from_secs(10);

impl Warmup {
    /// Looks after all units until `stop`. Then [`Warmup::close`].
    pub async fn run(&self, stop: CancellationToken) {
        let clock = &self.base.clock;
        let mut glanced = clock.now();
        let mut was_down = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock.sleep(TICK) => {}
                () = self.base.urgent.notified() => {}
            }
            let now = clock.now();
            let glance = now.since(glanced) >= GLANCE;
            if glance {
                glanced = now;
            }
            // Not cut short by `stop`: a lease on its way back would be lost.
            let result = self.tick(now, glance).await;
            match &result {
                Err(error) if !was_down => tracing::warn!(%error, "warm-up waits for the store"),
                Ok(()) if was_down => tracing::info!("warm-up has its store again"),
                _ => {}
            }
            was_down = result.is_err();
        }
    }

    /// One round over all units; with `glance` it also asks the store what others have changed.
    ///
    /// # Errors
    /// The store does not answer. The round ends there; the next one does the rest.
    pub async fn tick(&self, now: Timestamp, glance: bool) -> Result<(), StoreError> {
        let today = self.base.rules.load().zone.date(now);
        for unit in self.units() {
            let is_due = {
                let mut desk = unit.desk.lock();
                let free = desk.tidy(now);
                unit.tell(free);
                desk.is_due(now, today)
            };
            unit.attend(now, is_due, glance).await?;
        }
        Ok(())
    }

    /// Gives every lease back and tells every tally. Nothing can be reserved afterwards; what is still being sent
    /// stays counted.
    ///
    /// # Errors
    /// The store does not answer; what could not be told is lost.
    pub async fn close(&self) -> Result<(), StoreError> {
        let mut result = Ok(());
        for unit in self.units() {
            let _turn = unit.turn.lock().await;
            unit.shut();
            if let Err(Trouble::Store(error)) = unit.flush().await {
                result = Err(error);
            }
            if let Err(error) = unit.tell_uncapped().await {
                result = Err(error);
            }
        }
        result
    }
}

impl Unit {
    async fn attend(&self, now: Timestamp, is_due: bool, glance: bool) -> Result<(), StoreError> {
        if !is_due && !glance && self.desk.lock().owed.is_empty() {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        // A lease that was on its way while the day ended is to be back before that is judged.
        let free = self.desk.lock().tidy(now);
        self.tell(free);
        if let Err(trouble) = self.flush().await {
            trouble.or_place(self, now)?;
        }
        if is_due && let Err(trouble) = self.advance(now, false).await {
            trouble.or_place(self, now)?;
        }
        if glance {
            self.look_again(now, false).await?;
        }
        Ok(())
    }

    /// Asks the store what others have changed; with `closely` also what was used and what came of it.
    pub async fn look_again(&self, now: Timestamp, closely: bool) -> Result<(), StoreError> {
        if self.base.rules.load().source(&self.name.source).is_none() {
            return Ok(());
        }
        match self.read().await {
            Ok(Some((state, version))) => self.learn(state, version, now),
            Ok(None) => {}
            Err(trouble) => return trouble.or_place(self, now),
        }
        let spent = self.desk.lock().spent(now);
        if closely {
            self.count_again(now).await?;
        } else if let Some((date, _)) = spent {
            let counts = self.base.store.counts(&[self.keys.used(date)]).await?;
            self.desk
                .lock()
                .saw(date, counts.first().copied().unwrap_or_default());
        }
        let free = self.desk.lock().retry_spent(now);
        self.tell(free);
        Ok(())
    }

    /// Takes over a state that may have been written by others.
    fn learn(&self, state: State, version: u64, now: Timestamp) {
        let today = self.base.rules.load().zone.date(now);
        let mut desk = self.desk.lock();
        let old = desk.known.replace((Arc::new(state), version));
        let new = desk.known.as_ref().map(|(state, _)| state);
        let differs = match (&old, new) {
            (Some((_, known)), _) if *known == version => desk.standing().needs_hand().is_some(),
            (Some((old, _)), Some(new)) => new.differs(old, today),
            _ => true,
        };
        let free = differs && desk.forget();
        self.tell(free);
    }

    /// Reads what was used today, and what came of the mail of late.
    async fn count_again(&self, now: Timestamp) -> Result<(), StoreError> {
        let rules = self.base.rules.load_full();
        let known = self.desk.lock().known.clone();
        let Some(((state, _), source)) = known.zip(rules.source(&self.name.source)) else {
            return Ok(());
        };
        let today = rules.zone.date(now);
        let terms = self.terms(&rules, source);
        let counted = self.counted(&state, today, terms).await?;
        let mut desk = self.desk.lock();
        desk.saw(today, counted.used);
        desk.seen.window = counted.window;
        Ok(())
    }
}
