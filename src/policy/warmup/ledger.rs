//! A unit's talk with the store. Every write of a state is conditional on nobody else having written, so that a day is
//! judged once whoever looks first, and what was decided is told by the one whose write took place.

use super::keys::states_of;
use super::rules::{Rules, SourceRules};
use super::stage::Stage;
use super::state::{Change, Counted, Leave, State, Terms};
use super::tally::{Outcome, Tally};
use super::unit::{KEPT, Trouble, Unit};
use crate::store::{StoreError, Written};
use crate::units::Timestamp;
use jiff::civil::Date;
use std::sync::Arc;

/// Each further attempt means that somebody else has written: with so many nodes something is wrong.
const ATTEMPTS: u32 = 16;

/// A state that was read, to be changed and written.
struct Draft {
    state: State,
    /// As read; `None` where there was nothing.
    before: Option<State>,
    version: u64,
    changes: Vec<Change>,
}

impl Unit {
    /// Judges the days that are over, ends pauses, and where `opening` fixes what may be done today. `None`: the source
    /// does not warm, or nothing was to be opened.
    pub async fn advance(&self, now: Timestamp, opening: bool) -> Result<Option<Leave>, Trouble> {
        let rules = self.base.rules.load_full();
        let Some(source) = rules.source(&self.name.source).cloned() else {
            return Ok(None);
        };
        let terms = self.terms(&rules, &source);
        for _ in 0..ATTEMPTS {
            let Some(mut draft) = self.draft(&rules, &source, opening, now).await? else {
                return Ok(None);
            };
            self.judge(&mut draft, terms, now).await?;
            let leave = opening.then(|| draft.state.open(rules.zone.date(now), terms));
            if self.commit(draft).await? {
                return Ok(leave);
            }
        }
        Err(self.crowded())
    }

    /// Changes the state as `change` says; what that returns is told. Where it returns nothing, nothing is written.
    pub async fn amend(
        &self,
        now: Timestamp,
        change: impl Fn(&mut State, Terms<'_>) -> Option<Change>,
    ) -> Result<bool, Trouble> {
        let rules = self.base.rules.load_full();
        let Some(source) = rules.source(&self.name.source).cloned() else {
            return Ok(false);
        };
        let terms = self.terms(&rules, &source);
        for _ in 0..ATTEMPTS {
            let Some(mut draft) = self.draft(&rules, &source, true, now).await? else {
                return Ok(false);
            };
            let Some(change) = change(&mut draft.state, terms) else {
                return Ok(false);
            };
            draft.changes.push(change);
            if self.commit(draft).await? {
                return Ok(true);
            }
        }
        Err(self.crowded())
    }

    /// Writes a first state, where there is none.
    pub async fn begin(&self, now: Timestamp) -> Result<(), Trouble> {
        let rules = self.base.rules.load_full();
        let Some(source) = rules.source(&self.name.source).cloned() else {
            return Ok(());
        };
        match self.draft(&rules, &source, true, now).await? {
            Some(draft) if draft.before.is_none() => {
                // Where that fails another node was faster.
                self.commit(draft).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Puts the unit at `stage`, whatever the store has: this is how a state that cannot be read is put right.
    pub async fn set(&self, stage: Stage, now: Timestamp) -> Result<(), Trouble> {
        let rules = self.base.rules.load_full();
        let Some(source) = rules.source(&self.name.source).cloned() else {
            return Ok(());
        };
        let terms = self.terms(&rules, &source);
        for _ in 0..ATTEMPTS {
            let found = self.base.store.get(&self.keys.unit()).await?;
            let version = found.as_ref().map_or(0, |found| found.version);
            let before = found.and_then(|found| State::read(&found.value).ok());
            let fresh = || State::new(stage, &source.ramp);
            let mut state = before.clone().unwrap_or_else(fresh);
            let changes = vec![state.set(stage, now, terms)];
            let draft = Draft {
                state,
                before,
                version,
                changes,
            };
            if self.commit(draft).await? {
                return Ok(());
            }
        }
        Err(self.crowded())
    }

    /// The state as the store has it, or a first one where `making`.
    async fn draft(
        &self,
        rules: &Rules,
        source: &SourceRules,
        making: bool,
        now: Timestamp,
    ) -> Result<Option<Draft>, Trouble> {
        if let Some((state, version)) = self.read().await? {
            return Ok(Some(Draft {
                before: Some(state.clone()),
                state,
                version,
                changes: Vec::new(),
            }));
        }
        if !making {
            return Ok(None);
        }
        let (state, why) = self.first(rules, source, now).await?;
        Ok(Some(Draft {
            state,
            before: None,
            version: 0,
            changes: vec![Change { why, until: None }],
        }))
    }

    /// The state, and its version.
    pub async fn read(&self) -> Result<Option<(State, u64)>, Trouble> {
        let key = self.keys.unit();
        let Some(found) = self.base.store.get(&key).await? else {
            return Ok(None);
        };
        let state = State::read(&found.value);
        let state = state.map_err(|because| Trouble::Unreadable { key, because })?;
        Ok(Some((state, found.version)))
    }

    /// Where a unit begins that the store knows nothing of.
    async fn first(
        &self,
        rules: &Rules,
        source: &SourceRules,
        now: Timestamp,
    ) -> Result<(State, String), Trouble> {
        let ramp = &source.ramp;
        let provider = self.name.provider.as_deref();
        if provider.is_some() && self.whole_is_warm().await? {
            let why = "begins warm: the source is, and this provider is new to it".into();
            return Ok((State::new(Stage::Warm, ramp), why));
        }
        if provider.is_none() {
            self.refuse_lost_state().await?;
        }
        let (stages, cap) = (ramp.stages(), ramp.cap(1, provider));
        let mut why = format!("begins at stage 1 of {stages}, {cap} a day");
        let today = rules.zone.date(now);
        if provider.is_none()
            && let Some(started) = source.started.filter(|date| *date < today)
        {
            let source = &self.name.source;
            why += &format!(
                "; nothing is known of it, though it was to begin on {started}: \
                 `mailwright warmup set {source} STAGE` puts it where it was"
            );
        }
        Ok((State::new(Stage::At(1), ramp), why))
    }

    async fn whole_is_warm(&self) -> Result<bool, Trouble> {
        let whole = Unit::new(&self.name.source, None, &self.base);
        let state = whole.read().await?;
        Ok(state.is_some_and(|(state, _)| state.stage == Stage::Warm))
    }

    /// A source whose providers have states had one itself: it was lost, and is not made up.
    async fn refuse_lost_state(&self) -> Result<(), Trouble> {
        let others = self.base.store.list(&states_of(&self.name.source)).await?;
        // Where another node has begun since we looked, the state is there: it is written before those of providers.
        if others.is_empty() || self.read().await?.is_some() {
            return Ok(());
        }
        Err(Trouble::Unreadable {
            key: self.keys.unit(),
            because: format!(
                "it is missing, and {} of the source's providers are there",
                others.len()
            ),
        })
    }

    /// What is over is answered for.
    async fn judge(
        &self,
        draft: &mut Draft,
        terms: Terms<'_>,
        now: Timestamp,
    ) -> Result<(), Trouble> {
        let today = terms.rules.zone.date(now);
        let Draft { state, changes, .. } = draft;
        changes.extend(state.refit(terms.ramp));
        while let Some(date) = state.unjudged(today) {
            let counted = self.counted(state, date, terms).await?;
            changes.extend(state.conclude(date, &counted, terms));
        }
        changes.extend(state.wake(now));
        changes.extend(state.rewarm(today, terms));
        Ok(())
    }

    /// What was used on `date`, and what came of the mail.
    pub async fn counted(
        &self,
        state: &State,
        date: Date,
        terms: Terms<'_>,
    ) -> Result<Counted, StoreError> {
        let from = state.window_from(date, terms.rules.gate.window);
        let own = state.window_from(date, 1);
        let dates: Vec<Date> = from
            .series(jiff::Span::new().days(1))
            .take_while(|d| *d <= date)
            .collect();
        let mut keys = vec![self.keys.used(date)];
        for date in &dates {
            keys.extend(Outcome::ALL.map(|outcome| self.keys.tally(*date, outcome)));
        }
        let counts = self.base.store.counts(&keys).await?;
        let (used, tallies) = counts.split_first().unwrap_or((&0, &[]));
        let mut counted = Counted {
            used: *used,
            hindrance: self.hindrance(),
            ..Counted::default()
        };
        for (date, counts) in dates.iter().zip(tallies.chunks(Outcome::ALL.len())) {
            let mut tally = Tally::default();
            for (outcome, n) in Outcome::ALL.into_iter().zip(counts) {
                tally.add(outcome, *n);
            }
            counted.window += tally;
            if *date >= own {
                counted.day += tally;
            }
        }
        Ok(counted)
    }

    /// Writes what was drafted, where nobody else has written meanwhile, and tells of it. False: somebody has.
    async fn commit(&self, draft: Draft) -> Result<bool, Trouble> {
        let mut version = draft.version;
        if draft.before.as_ref() != Some(&draft.state) {
            let key = self.keys.unit();
            let value = draft.state.to_json(&key)?;
            match self.base.store.put(&key, version, &value).await? {
                Written::Yes(written) => version = written,
                Written::Conflict => return Ok(false),
            }
        }
        self.desk.lock().known = Some((Arc::new(draft.state), version));
        for change in draft.changes {
            self.emit(change);
        }
        Ok(true)
    }

    fn crowded(&self) -> Trouble {
        Trouble::Store(StoreError::Unavailable {
            place: self.keys.unit(),
            why: "others keep writing to it".into(),
        })
    }

    /// Brings back what is left of leases, tells what came of the mail, and writes a block down.
    ///
    /// # Errors
    /// The store does not answer. A part of a lease stays counted as used then, because nobody knows whether it went
    /// back; tallies are told again, so that at worst they count twice.
    pub async fn flush(&self) -> Result<(), Trouble> {
        let (returns, tallies) = {
            let owed = &mut self.desk.lock().owed;
            (
                std::mem::take(&mut owed.returns),
                std::mem::take(&mut owed.tallies),
            )
        };
        let mut result = Ok(());
        for (date, n) in returns {
            let given = self.base.store.give_back(&self.keys.used(date), n).await;
            result = given.and(result);
        }
        for (date, tally) in tallies {
            let added = self.add(date, &tally).await;
            if let Err(StoreError::Unavailable { .. }) = added {
                self.desk.lock().owed.add(date, tally);
            }
            result = added.and(result);
        }
        result?;
        self.record_strike().await
    }

    async fn add(&self, date: Date, tally: &Tally) -> Result<(), StoreError> {
        let counts =
            Outcome::ALL.map(|outcome| (self.keys.tally(date, outcome), tally.of(outcome)));
        let counts: Vec<_> = counts.into_iter().filter(|(_, n)| *n > 0).collect();
        let expires = self.base.rules.load().zone.end(date) + KEPT;
        self.base.store.add(&counts, expires).await
    }

    /// Writes a block down that the desk knows of.
    async fn record_strike(&self) -> Result<(), Trouble> {
        let Some((why, at)) = self.desk.lock().owed.strike.clone() else {
            return Ok(());
        };
        self.amend(at, |state, terms| state.strike(&why, at, terms))
            .await?;
        let mut desk = self.desk.lock();
        desk.owed.strike = None;
        let pause = desk
            .known
            .as_ref()
            .and_then(|(state, _)| state.pause.clone());
        if let Some(pause) = pause {
            let standing = self.paused(&pause, at);
            // Nobody finds room by a pause.
            let _free = desk.place(standing, at);
        }
        Ok(())
    }
}

impl State {
    fn to_json(&self, key: &str) -> Result<Vec<u8>, Trouble> {
        serde_json::to_vec(self).map_err(|error| Trouble::Unreadable {
            key: key.to_owned(),
            because: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::{Config, SourceWarmup};
    use super::super::handle::Warmup;
    use super::*;
    use crate::clock::Clock;
    use crate::events::Events;
    use crate::store::Store;

    #[tokio::test]
    async fn a_state_that_another_node_has_begun_meanwhile_is_not_lost() {
        let (source, store) = (SourceWarmup::default(), Store::in_memory());
        let rules = Rules::new(&Config::default(), [("ip-a", &source)]).unwrap();
        let clock = Clock::manual(Timestamp::from_millis(1_795_348_800_000));
        let events = Events::new(clock.clone(), Vec::new());
        let warmup = Warmup::open(rules.clone(), store.clone(), clock.clone(), events);
        let warmup = warmup.await.unwrap();
        let unit = warmup.unit("ip-a", None).unwrap();
        let source = rules.source("ip-a").unwrap();
        // This node has found nothing. Then another writes both.
        let state = State::new(Stage::At(1), &source.ramp);
        let value = state.to_json("").unwrap();
        for key in ["warmup/unit/ip-a/*", "warmup/unit/ip-a/google"] {
            store.set(key, &value).await.unwrap();
        }
        let first = unit.first(&rules, source, clock.now()).await;
        assert!(first.is_ok(), "{first:?}");
        let lost = store.delete("warmup/unit/ip-a/*", 1).await.unwrap();
        assert!(matches!(lost, Written::Yes(_)));
        let first = unit.first(&rules, source, clock.now()).await;
        assert!(
            matches!(first, Err(Trouble::Unreadable { .. })),
            "{first:?}"
        );
    }
}
