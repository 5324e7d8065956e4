//! What operators do by hand. All of it is durable when it returns, and known to other nodes within seconds.

use super::handle::Warmup;
use super::stage::Stage;
use super::unit::{Trouble, Unit};
use super::waiting::remedy;
use crate::store::StoreError;
use crate::units::Timestamp;
use std::sync::Arc;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    #[error("no source \"{0}\" warms: name a [[source]] that has a warmup")]
    UnknownSource(String),
    #[error("the schedule of {source_name} has {stages} stages, and no stage {stage}")]
    NoSuchStage {
        source_name: String,
        stage: u32,
        stages: u32,
    },
    #[error(
        "what the store has at {key} cannot be read: {because}; {remedy}",
        remedy = remedy(key)
    )]
    Unreadable { key: String, because: String },
    #[error(transparent)]
    Store(StoreError),
}

impl Warmup {
    /// Pauses the mail of `source` to `provider` (`None`: all of it) until an instant, or until it is resumed.
    ///
    /// # Errors
    /// The source does not warm, or the store does not answer.
    pub async fn pause(
        &self,
        source: &str,
        provider: Option<&str>,
        why: &str,
        until: Option<Timestamp>,
    ) -> Result<(), OperateError> {
        let (unit, now) = (self.named(source, provider)?, self.base.clock.now());
        self.begin(source, now).await?;
        let _turn = unit.turn.lock().await;
        unit.amend(now, |state, _| Some(state.pause(why, until)))
            .await?;
        unit.ask_again();
        Ok(())
    }

    /// Ends a pause, whether a block or an operator began it; without `provider` those of all mail of the source and of
    /// each provider. False: nothing was paused.
    ///
    /// # Errors
    /// The source does not warm, or the store does not answer.
    pub async fn resume(&self, source: &str, provider: Option<&str>) -> Result<bool, OperateError> {
        let now = self.base.clock.now();
        let mut any = false;
        for unit in self.concerned(source, provider)? {
            let _turn = unit.turn.lock().await;
            // What this node still keeps to may have been ended by another.
            any |= unit.desk.lock().is_paused(now);
            // What the desk knows of a block is to be there before it is taken away.
            unit.flush().await?;
            if unit.is_known().await? {
                any |= unit.amend(now, |state, _| state.resume()).await?;
            }
            unit.ask_again();
        }
        Ok(any)
    }

    /// Puts `source` to `provider` at `stage`; without `provider` the source as a whole and each provider. A cap that is
    /// higher holds at once, a lower one from the next day: `pause` is what stops at once.
    ///
    /// This is also the remedy for a state that cannot be read.
    ///
    /// # Errors
    /// The source does not warm, the schedule has no such stage, or the store does not answer.
    pub async fn set(
        &self,
        source: &str,
        provider: Option<&str>,
        stage: Stage,
    ) -> Result<(), OperateError> {
        let now = self.base.clock.now();
        let units = self.concerned(source, provider)?;
        let rules = self.base.rules.load_full();
        let stages = rules.source(source).map_or(0, |rules| rules.ramp.stages());
        if let Stage::At(stage) = stage
            && !(1..=stages).contains(&stage)
        {
            let source_name = source.to_owned();
            return Err(OperateError::NoSuchStage {
                source_name,
                stage,
                stages,
            });
        }
        self.begin(source, now).await?;
        for unit in units {
            let _turn = unit.turn.lock().await;
            unit.set(stage, now).await?;
            unit.ask_again();
        }
        Ok(())
    }

    /// Begins with the source as a whole, where that has not been done: the state of a provider without that of the
    /// source would look like one that has lost it.
    async fn begin(&self, source: &str, now: Timestamp) -> Result<(), OperateError> {
        let unit = self.named(source, None)?;
        let _turn = unit.turn.lock().await;
        match unit.begin(now).await {
            // It is held for that already.
            Ok(()) | Err(Trouble::Unreadable { .. }) => Ok(()),
            Err(trouble) => Err(trouble.into()),
        }
    }

    fn named(&self, source: &str, provider: Option<&str>) -> Result<Arc<Unit>, OperateError> {
        let unit = self.unit(source, provider);
        unit.ok_or_else(|| OperateError::UnknownSource(source.to_owned()))
    }

    /// One unit, or all of a source.
    fn concerned(
        &self,
        source: &str,
        provider: Option<&str>,
    ) -> Result<Vec<Arc<Unit>>, OperateError> {
        let unit = self.named(source, provider)?;
        if provider.is_some() {
            return Ok(vec![unit]);
        }
        let units = self.units().into_iter();
        Ok(units.filter(|unit| *unit.name.source == *source).collect())
    }
}

impl Unit {
    /// The desk is to go by what has just been written.
    fn ask_again(&self) {
        let free = self.desk.lock().forget();
        self.tell(free);
    }

    async fn is_known(&self) -> Result<bool, Trouble> {
        Ok(self.read().await?.is_some())
    }
}

impl From<Trouble> for OperateError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Store(error) => Self::Store(error),
            Trouble::Unreadable { key, because } => Self::Unreadable { key, because },
        }
    }
}
