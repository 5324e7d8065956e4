//! The ready queue of one source × site: what waits to be sent there now, and how many connections may carry it.

mod state;

use super::alarm::Alarms;
use super::breaker::{Breaker, Change, MAX_BACKOFF};
use super::line::{FlowKey, Line, Share, Taken, Waiter};
use super::pace::{Bounds, Pace, Saved};
use super::routing::Terms;
use crate::clock::Clock;
use crate::events::{self, Event, Events};
use crate::mail::Reply;
use crate::policy::explain::LineView;
use crate::policy::{Flow, Held, Lease, Seats, Wait, Way};
use crate::queue::{Key, Place};
use crate::units::Timestamp;
use parking_lot::Mutex;
use state::{State, Stop, holds};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// When what may go elsewhere, or waits for no known time, is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// One source × site, for mail whose connections are made on the same terms.
pub struct Lane {
    pub place: Arc<Place>,
    pub terms: Arc<Terms>,
    state: Mutex<State>,
    wake: Notify,
    with: Collaborators,
}

/// What a lane works with.
#[derive(Clone)]
pub struct Collaborators {
    pub clock: Clock,
    pub alarms: Alarms,
    pub events: Events,
}

/// What a lane is made of.
pub struct Setup {
    pub place: Arc<Place>,
    pub terms: Arc<Terms>,
    pub way: Arc<Way>,
    pub bounds: Bounds,
    /// How long a site that does not answer is left alone at first.
    pub backoff: Duration,
    /// Its pace before the restart.
    pub saved: Option<Saved>,
}

/// What became of an entry offered to a lane.
#[must_use]
pub enum Offered {
    /// It waits in line; an open connection or an alarm will see to it.
    Queued,
    /// It waits in line, and there is room for one more connection: whoever holds the slot opens it.
    Open(Slot),
    /// The site is down: the entry is not taken.
    Refused { until: Timestamp, why: Held },
}

/// What a connection of the lane has to do.
#[must_use]
pub enum Next {
    /// Send these, all of one message.
    Send(Vec<Waiter>, Lease),
    /// What waits here may be taken from another source; whoever chooses one looks.
    Elsewhere,
    /// Nothing for now.
    Nothing,
}

/// What the line had.
enum Pick {
    Send(Vec<Waiter>, Lease),
    Elsewhere,
    Refill(Arc<Way>),
    /// The connection is one more than the site takes by now.
    Leave,
    Nothing,
}

/// The right to one connection of a lane; given back when dropped.
#[must_use = "dropping a slot gives up the connection it stands for"]
pub struct Slot {
    lane: Arc<Lane>,
    seats: Seats,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.lane.state.lock();
        state.open -= 1;
        // Where one closed that had not been told to, one more may have to: it opens again.
        state.leaving = state.leaving.saturating_sub(1);
    }
}

impl Slot {
    pub fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// A connection is opened, or was tried to.
    pub fn opened(&mut self) {
        self.seats.open();
    }
}

impl Lane {
    pub fn new(setup: Setup, with: Collaborators) -> Arc<Self> {
        let pace = match setup.saved {
            Some(saved) => Pace::restored(saved, &setup.bounds, with.clock.now()),
            None => Pace::new(&setup.bounds),
        };
        let state = State {
            way: setup.way,
            bounds: setup.bounds,
            backoff: setup.backoff,
            line: Line::default(),
            open: 0,
            idle: 0,
            leaving: 0,
            pace,
            breaker: Breaker::Closed,
            held: None,
            passed: None,
            seatless: None,
            alarm: None,
        };
        Arc::new(Self {
            place: setup.place,
            terms: setup.terms,
            state: Mutex::new(state),
            wake: Notify::new(),
            with,
        })
    }

    pub fn way(&self) -> Arc<Way> {
        Arc::clone(&self.state.lock().way)
    }

    /// Takes an entry into the line; `make` gives what its campaign is held to, where the line does not know it yet.
    pub fn offer(
        self: &Arc<Self>,
        waiter: Waiter,
        flow: FlowKey<'_>,
        make: impl FnOnce() -> Flow,
    ) -> Offered {
        let now = self.with.clock.now();
        let mut state = self.state.lock();
        if let Some(trip) = state.breaker.refuses(now) {
            return Offered::Refused {
                until: trip.until,
                why: trip.why.clone(),
            };
        }
        state.way.source.line_up(waiter.recipients);
        state.line.push(waiter, flow, |_| {
            let kept = make();
            let weight = kept.weight();
            Share { kept, weight }
        });
        if state.is_held(now) || !state.line.may_go(now) {
            return Offered::Queued;
        }
        if state.idle > 0 {
            self.wake.notify_one();
            return Offered::Queued;
        }
        self.slot(&mut state, now)
            .map_or(Offered::Queued, Offered::Open)
    }

    /// Room for one more connection, where more wait than are being served.
    pub fn another(self: &Arc<Self>) -> Option<Slot> {
        let now = self.with.clock.now();
        let mut state = self.state.lock();
        // While all in line are passed over an alarm is set, and a connection would come to nothing again and again.
        if state.idle > 0 || state.is_held(now) || !state.line.may_go(now) {
            None
        } else {
            self.slot(&mut state, now)
        }
    }

    fn slot(self: &Arc<Self>, state: &mut State, now: Timestamp) -> Option<Slot> {
        if state.open >= state.room() || holds(&state.seatless, now) {
            return None;
        }
        match state.way.connect(now) {
            Ok(seats) => {
                state.seatless = None;
                state.open += 1;
                let change = state.breaker.probe(now);
                self.tell(state, change);
                let lane = Arc::clone(self);
                Some(Slot { lane, seats })
            }
            Err(wait) => {
                self.set_alarm(state, wait.until);
                state.seatless = Some(wait);
                None
            }
        }
    }

    /// An alarm goes off that was set for `at`. One that another has come before since means nothing: were it heeded,
    /// each would set the next, and there would be more and more of them.
    pub fn alarmed(self: &Arc<Self>, at: Timestamp) -> Option<Slot> {
        let mut state = self.state.lock();
        if state.alarm != Some(at) {
            return None;
        }
        state.alarm = None;
        drop(state);
        self.ring()
    }

    /// What held the lane may be over: gives a slot where a connection is to be opened to find out.
    pub fn ring(self: &Arc<Self>) -> Option<Slot> {
        let mut state = self.state.lock();
        (state.held, state.seatless) = (None, None);
        drop(state);
        self.look()
    }

    /// A connection that waits looks at the line, or one is to be opened that does.
    fn look(self: &Arc<Self>) -> Option<Slot> {
        let idle = self.state.lock().idle > 0;
        if idle {
            self.wake.notify_one();
            return None;
        }
        self.another()
    }

    /// What to do next; waits up to `linger` for something.
    pub async fn next(self: &Arc<Self>, linger: Duration) -> Next {
        let mut waiting = None;
        loop {
            match self.pick() {
                Pick::Send(batch, lease) => return Next::Send(batch, lease),
                Pick::Elsewhere => return Next::Elsewhere,
                Pick::Refill(way) => way.refilled(self.with.clock.now()).await,
                Pick::Leave => return Next::Nothing,
                Pick::Nothing if linger.is_zero() => return Next::Nothing,
                Pick::Nothing => {
                    let (deadline, _idle) = waiting.get_or_insert_with(|| {
                        self.state.lock().idle += 1;
                        (tokio::time::Instant::now() + linger, Idle(self))
                    });
                    let woken = tokio::time::timeout_at(*deadline, self.wake.notified()).await;
                    if woken.is_err() {
                        return self.last_look();
                    }
                }
            }
        }
    }

    /// What came between the last wake-up and the end of waiting.
    fn last_look(self: &Arc<Self>) -> Next {
        match self.pick() {
            Pick::Send(batch, lease) => Next::Send(batch, lease),
            Pick::Elsewhere => Next::Elsewhere,
            // Who comes next asks for the budget.
            Pick::Refill(_) | Pick::Leave | Pick::Nothing => Next::Nothing,
        }
    }

    fn pick(self: &Arc<Self>) -> Pick {
        let now = self.with.clock.now();
        let mut state = self.state.lock();
        if state.open.saturating_sub(state.leaving) > state.room() {
            state.leaving += 1;
            // It may have been woken in place of one that stays.
            self.wake.notify_one();
            return Pick::Leave;
        }
        if state.line.is_empty() || state.is_held(now) {
            return Pick::Nothing;
        }
        // Before its rest, which is not another source's.
        if let Some(away) = state.way.kept_away(now) {
            return self.hold_elsewhere(&mut state, away, now);
        }
        if let Some(rest) = state.resting(&self.place.site, now) {
            self.hold(&mut state, rest);
            return Pick::Nothing;
        }
        match state.take(now) {
            (Taken::Some { batch, lease }, _) => {
                state.pace.began(now);
                // Over a connection that was there before.
                let change = state.breaker.probe(now);
                self.tell(&state, change);
                if !state.line.is_empty() && state.idle > 1 {
                    self.wake.notify_one();
                }
                Pick::Send(batch, lease)
            }
            (_, Some(Stop::Refill)) => Pick::Refill(Arc::clone(&state.way)),
            (_, Some(Stop::Hold(wait))) => {
                self.hold(&mut state, wait);
                Pick::Nothing
            }
            (_, Some(Stop::Elsewhere(wait))) => self.hold_elsewhere(&mut state, wait, now),
            (Taken::Waiting { until, why }, None) => {
                self.set_alarm(&mut state, Some(until));
                state.passed = Some(why);
                Pick::Nothing
            }
            (Taken::Empty, None) => Pick::Nothing,
        }
    }

    fn hold(self: &Arc<Self>, state: &mut State, wait: Wait) {
        self.set_alarm(state, wait.until);
        state.held = Some(wait);
    }

    /// Where nothing else takes it now, something may before this source does.
    fn hold_elsewhere(self: &Arc<Self>, state: &mut State, wait: Wait, now: Timestamp) -> Pick {
        let again = now + LOOK_AGAIN;
        let until = Some(wait.until.map_or(again, |until| until.min(again)));
        self.hold(state, Wait { until, ..wait });
        Pick::Elsewhere
    }

    fn set_alarm(self: &Arc<Self>, state: &mut State, at: Option<Timestamp>) {
        let Some(at) = at else { return };
        if state.alarm.is_none_or(|set| at < set) {
            state.alarm = Some(at);
            self.with.alarms.set(at, self);
        }
    }

    /// The server answered: the site is there.
    pub fn answered(&self) {
        self.close(&mut self.state.lock(), "the site answered");
    }

    fn close(&self, state: &mut State, how: &str) {
        let change = state.breaker.close(how, self.with.clock.now());
        self.tell(state, change);
    }

    /// Tells of a change of the breaker.
    fn tell(&self, state: &State, change: Option<Change>) {
        let Some(Change {
            state: to,
            trip,
            why,
        }) = change
        else {
            return;
        };
        let said = match &trip.why {
            Held::SiteDown { reply, .. } | Held::SourceDown { reply, .. } => {
                Some((**reply).clone())
            }
            _ => None,
        };
        let is_open = to == events::Breaker::Open;
        self.with.events.emit(&Event::Breaker {
            state: to,
            source: Arc::clone(&self.place.source),
            site: Some(Arc::clone(&self.place.site)),
            provider: Arc::clone(&state.way.provider.name),
            until: is_open.then_some(trip.until),
            failures: Some(trip.failures),
            reply: said.filter(|_| is_open),
            why,
        });
    }

    /// The site took a message: it may be able to take more at once.
    pub fn succeeded(&self) {
        let now = self.with.clock.now();
        let mut state = self.state.lock();
        let bounds = state.bounds;
        self.close(&mut state, "the site took a message");
        state.pace.succeeded(&bounds, now);
    }

    /// The site asks for less; what to keep of that over a restart, where it is news.
    pub fn slow_down(&self, why: &Reply) -> Option<Saved> {
        let now = self.with.clock.now();
        let mut state = self.state.lock();
        let bounds = state.bounds;
        let news = state.pace.slow_down(&bounds, why, now);
        news.then(|| state.pace.saved()).flatten()
    }

    /// What of its pace to keep over a restart.
    pub fn saved(&self) -> Option<Saved> {
        self.state.lock().pace.saved()
    }

    /// A connection could not be made, or was refused. The window halves; when no connection is left to prove
    /// otherwise the site is down, and everything in line is handed back with the reason.
    #[must_use = "these entries are in no queue now"]
    pub fn failed(&self, why: &Reply) -> Vec<(Waiter, Timestamp, Held)> {
        let now = self.with.clock.now();
        let mut state = self.state.lock();
        let bounds = state.bounds;
        if state.pace.window() > 1 && state.breaker.is_closed() {
            state.pace.slow_down(&bounds, why, now);
            if state.open > 1 {
                return Vec::new();
            }
        }
        self.go_down(&mut state, now, |until| Held::SiteDown {
            site: Arc::clone(&self.place.site),
            until,
            reply: Arc::new(why.clone()),
        })
    }

    /// The source cannot be used, so that no connection of the lane can be made: everything in line is handed back.
    #[must_use = "these entries are in no queue now"]
    pub fn unusable(&self, why: &Reply) -> Vec<(Waiter, Timestamp, Held)> {
        let now = self.with.clock.now();
        self.go_down(&mut self.state.lock(), now, |until| Held::SourceDown {
            source: Arc::clone(&self.place.source),
            until,
            reply: Arc::new(why.clone()),
        })
    }

    fn go_down(
        &self,
        state: &mut State,
        now: Timestamp,
        held: impl FnOnce(Timestamp) -> Held,
    ) -> Vec<(Waiter, Timestamp, Held)> {
        let (trip, change) = state.breaker.fail(state.backoff, now, held);
        self.tell(state, change);
        let line = state.drain();
        line.map(|waiter| (waiter, trip.until, trip.why.clone()))
            .collect()
    }

    /// An operator wants the site tried again: what it did before no longer counts.
    pub fn forgive(&self) {
        self.close(&mut self.state.lock(), "an operator wants it tried");
    }

    /// The configuration has changed: takes over what it says now, and hands back the line, to be dispatched by it.
    #[must_use = "these entries are in no queue now"]
    pub fn renew(&self, way: Arc<Way>, bounds: Bounds, backoff: Duration) -> Vec<Waiter> {
        let mut state = self.state.lock();
        let line = state.drain().collect();
        (state.way, state.bounds, state.backoff) = (way, bounds, backoff);
        (state.held, state.passed, state.seatless) = (None, None, None);
        line
    }

    /// One that waits of each pool.
    pub fn samples(&self) -> Vec<(Option<Arc<str>>, Waiter)> {
        let state = self.state.lock();
        let mut samples: Vec<(Option<Arc<str>>, Waiter)> = Vec::new();
        for (flow, front) in state.line.fronts() {
            if samples.iter().all(|(pool, _)| *pool != flow.pool) {
                samples.push((flow.pool.clone(), front));
            }
        }
        samples
    }

    /// Everything in line that leaves by a pool, to be dispatched anew.
    #[must_use = "these entries are in no queue now"]
    pub fn drain_pool(&self, pool: Option<&str>) -> Vec<Waiter> {
        let mut state = self.state.lock();
        let drained = state.line.drain_where(|flow| flow.pool.as_deref() == pool);
        let source = &state.way.source;
        drained
            .iter()
            .for_each(|waiter| source.leave_line(waiter.recipients));
        drained
    }

    /// The site has not answered since it was last asked.
    pub fn is_down(&self) -> bool {
        !self.state.lock().breaker.is_closed()
    }

    /// The next part of a message may go too: the site is there and wants no rest, and nothing keeps the source from it.
    pub fn goes_on(&self) -> bool {
        let now = self.with.clock.now();
        let state = self.state.lock();
        state.breaker.is_closed()
            && state.way.kept_away(now).is_none()
            && state.pace.resting(now).is_none()
    }

    /// Why an entry in line waits.
    pub fn why(&self, flow: FlowKey<'_>, key: Key) -> Held {
        let now = self.with.clock.now();
        let state = self.state.lock();
        state.why(flow, key, &self.place.site, now)
    }

    /// Nothing in line, no connection, nothing to remember: the lane can go.
    pub fn is_spent(&self) -> bool {
        let now = self.with.clock.now();
        let state = self.state.lock();
        let quiet = match &state.breaker {
            Breaker::Closed => true,
            Breaker::Open(trip) | Breaker::HalfOpen(trip) => trip.until + MAX_BACKOFF < now,
        };
        quiet && state.line.is_empty() && state.open == 0 && state.pace.saved().is_none()
    }

    /// As `explain` tells of it.
    pub fn view(&self) -> LineView {
        let now = self.with.clock.now();
        let state = self.state.lock();
        let down = state.breaker.refuses(now).map(|trip| trip.why.clone());
        let mut holds = [&state.held, &state.passed].into_iter().flatten();
        let held = holds.find(|wait| !wait.is_over(now));
        LineView {
            waiting: state.line.len() as u64,
            open: state.open,
            window: state.room(),
            most: state.bounds.max,
            breaker: state.breaker.state(),
            held: down.or_else(|| held.map(|wait| wait.why.clone())),
        }
    }

    /// Connections open, and entries in line.
    pub fn load(&self) -> (u32, usize) {
        let state = self.state.lock();
        (state.open, state.line.len())
    }
}

/// A connection that waits for work; counted while it lives.
struct Idle<'a>(&'a Lane);

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.state.lock().idle -= 1;
    }
}

#[cfg(test)]
mod tests;
