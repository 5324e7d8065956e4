//! What a lane knows, under its lock: the line, the connections, and what holds them.

use super::LOOK_AGAIN;
use crate::delivery::breaker::Breaker;
use crate::delivery::line::{Admit, FlowKey, Line, Order, Taken, Waiter};
use crate::delivery::pace::{Bounds, Pace};
use crate::policy::{Admission, Flow, Held, Lease, Wait, Way};
use crate::queue::Key;
use crate::units::Timestamp;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct State {
    pub way: Arc<Way>,
    pub bounds: Bounds,
    pub backoff: Duration,
    pub line: Line<Flow, Wait>,
    /// Connections, open or opening.
    pub open: u32,
    /// Of those, the ones with nothing to send.
    pub idle: u32,
    /// Of those that are open, how many have been told to close.
    pub leaving: u32,
    pub pace: Pace,
    pub breaker: Breaker,
    /// What holds the whole line.
    pub held: Option<Wait>,
    /// Why every campaign in it was passed over when last looked at.
    pub passed: Option<Wait>,
    /// Why no further connection can be had.
    pub seatless: Option<Wait>,
    /// The next alarm.
    pub alarm: Option<Timestamp>,
}

/// What is to be done about the line as a whole, when it gave nothing.
pub(super) enum Stop {
    Hold(Wait),
    Elsewhere(Wait),
    Refill,
}

impl State {
    /// Connections that the lane may have now.
    pub fn room(&self) -> u32 {
        self.breaker.room(self.pace.window())
    }

    pub fn is_held(&self, now: Timestamp) -> bool {
        holds(&self.held, now)
    }

    pub fn resting(&self, site: &Arc<str>, now: Timestamp) -> Option<Wait> {
        let (until, reply) = self.pace.resting(now)?;
        let (site, reply) = (Arc::clone(site), Arc::clone(reply));
        Some(Held::SiteRest { site, until, reply }.into())
    }

    /// Everything in line.
    pub fn drain(&mut self) -> impl Iterator<Item = Waiter> + use<> {
        let source = Arc::clone(&self.way.source);
        let line = self.line.drain();
        line.inspect(move |waiter| source.leave_line(waiter.recipients))
    }

    /// The next message that policy lets go; or what to do about the line, where it lets none.
    pub fn take(&mut self, now: Timestamp) -> (Taken<Lease, Wait>, Option<Stop>) {
        let Self { way, line, .. } = self;
        line.set_order(match way.is_warming() {
            true => Order::Engagement {
                points_per_hour: way.points_per_hour,
            },
            false => Order::Arrival,
        });
        let mut stop = None;
        let admit = |flow: &Flow, waiter: &Waiter| {
            let recipients = u32::from(waiter.recipients);
            let (wait, what) = match way.admit(flow, recipients, now) {
                Admission::Go(lease) => return Admit::Go(lease),
                Admission::Flow(why) => {
                    let until = why.until.unwrap_or(now + LOOK_AGAIN);
                    return Admit::WaitFlow { until, why };
                }
                Admission::Marketing(why) => {
                    let until = why.until.unwrap_or(now + LOOK_AGAIN);
                    return Admit::WaitStream { until, why };
                }
                Admission::Tenant(why) => {
                    let until = why.until.unwrap_or(now + LOOK_AGAIN);
                    return Admit::WaitTenant { until, why };
                }
                Admission::Way(wait) => (wait.clone(), Stop::Hold(wait)),
                Admission::Elsewhere(wait) => (wait.clone(), Stop::Elsewhere(wait)),
                Admission::Refill => (refill(), Stop::Refill),
            };
            stop = Some(what);
            Admit::WaitAll {
                until: now,
                why: wait,
            }
        };
        let taken = line.take(now, admit, |lease, waiter| lease.join(waiter.recipients));
        if let Taken::Some { batch, .. } = &taken {
            let gone = batch.iter().map(|waiter| waiter.recipients);
            gone.for_each(|recipients| way.source.leave_line(recipients));
        }
        (taken, stop)
    }

    /// Why `key` waits, as far as the lane knows.
    pub fn why(&self, flow: FlowKey<'_>, key: Key, site: &Arc<str>, now: Timestamp) -> Held {
        let sending = || Held::Sending {
            site: Some(Arc::clone(site)),
        };
        if let Some(wait) = self.held.as_ref().filter(|wait| !wait.is_over(now)) {
            return wait.why.clone();
        }
        let turn = self.line.turn(flow, key);
        if let Some((_, wait)) = turn.as_ref().and_then(|turn| turn.rest) {
            return wait.why.clone();
        }
        if self.open < self.room() {
            let seatless = self.seatless.as_ref().filter(|wait| !wait.is_over(now));
            return seatless.map_or_else(sending, |wait| wait.why.clone());
        }
        match turn {
            Some(turn) if turn.ahead + turn.overtaking > 0 => Held::Turn {
                ahead: turn.ahead as u64,
                overtaking: turn.overtaking as u64,
                campaigns: turn.campaigns as u64,
                tenants: turn.tenants as u64,
                window: self.room(),
            },
            _ => Held::SiteWindow {
                site: Arc::clone(site),
                window: self.room(),
                most: self.bounds.max,
                reply: self.pace.slowed_by().cloned(),
            },
        }
    }
}

/// Nobody waits for it longer than the store takes to answer.
fn refill() -> Wait {
    Held::Sending { site: None }.into()
}

pub(super) fn holds(wait: &Option<Wait>, now: Timestamp) -> bool {
    wait.as_ref().is_some_and(|wait| !wait.is_over(now))
}
