//! What waits to be sent from one source to one site, and who goes next.
//!
//! ```text
//! line ─ stream: transactional overtakes marketing
//!          └─ tenant: share the stream by their weights      (fair by recipients, see `shares`)
//!               └─ campaign = flow: share the tenant alike   (fair by recipients)
//!                    └─ waiter: first come first served, or by engagement (see `flow`)
//! ```
//!
//! Whoever's turn it is asks for leave; one that does not get it rests until it may ask again, and is out of the way of
//! others until then. So a take asks few, however many rest. It costs the logarithm of the flows that are there.
//!
//! No lock, no clock, no waiting: [`super::lane::Lane`] sees to that.

mod band;
mod flow;
mod shares;

use crate::mail::{Labels, MessageId, Stream};
use crate::queue::Key;
use crate::units::Timestamp;
use band::{At, Band};
use std::time::Duration;

/// A place in line: an entry of the queue, and what its turn goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiter {
    pub key: Key,
    /// Its message, so that recipients of one message find each other.
    pub id: MessageId,
    /// From when its waiting counts. Should not change when it comes to the line anew, so that it loses no rank.
    pub since: Timestamp,
    /// What it costs its flow.
    pub recipients: u16,
    /// 0 to 100; `None` counts as 50.
    pub engagement: Option<u8>,
}

/// What shares a line: a campaign of a tenant, or its mail that is of no campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowKey<'a> {
    pub stream: Stream,
    pub tenant: Option<&'a str>,
    pub campaign: Option<&'a str>,
    /// Mail of several pools may go different ways where one is blocked.
    pub pool: Option<&'a str>,
}

/// What a flow is given when it appears.
#[derive(Debug, Clone, Copy)]
pub struct Share<F> {
    /// The caller's own, shown to it whenever the flow asks for leave.
    pub kept: F,
    /// The tenant's part of its stream, relative to the other tenants; of several flows the newest says. 0 is taken
    /// for 1.
    pub weight: u32,
}

/// Which waiter of a flow goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    #[default]
    Arrival,
    /// The most engaged first. Every hour of waiting counts as so many points of engagement: at 10, whoever has waited
    /// for ten hours goes before anybody who comes now. At 0 the least engaged may wait for ever.
    Engagement { points_per_hour: u16 },
}

/// The caller's answer to the flow whose turn it is.
#[derive(Debug)]
pub enum Admit<L, W> {
    Go(L),
    /// This flow is passed over.
    WaitFlow {
        until: Timestamp,
        why: W,
    },
    /// All flows of this tenant are: those of this stream, and of the stream that this one overtakes.
    WaitTenant {
        until: Timestamp,
        why: W,
    },
    /// All flows of this stream are; of streams that overtake it they are not.
    WaitStream {
        until: Timestamp,
        why: W,
    },
    /// Nobody goes now. It is not remembered: the next take asks again.
    WaitAll {
        until: Timestamp,
        why: W,
    },
}

/// What a take came to.
#[derive(Debug)]
#[must_use = "these entries are in no queue now"]
pub enum Taken<L, W> {
    /// `batch`: one waiter, and others of its message.
    Some {
        batch: Vec<Waiter>,
        lease: L,
    },
    Empty,
    /// Something waits, and none of it may go before `until`; `why` is that of the flow which is free first.
    Waiting {
        until: Timestamp,
        why: W,
    },
}

/// Where a waiter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn<'a, W> {
    /// Of its flow, before it.
    pub ahead: usize,
    /// Of streams that overtake its own.
    pub overtaking: usize,
    /// Tenants of its stream in which something waits, its own included.
    pub tenants: usize,
    /// Campaigns of its tenant in which something waits, its own included.
    pub campaigns: usize,
    /// Until when its flow, or its whole tenant, is passed over, and why.
    pub rest: Option<(Timestamp, &'a W)>,
}

/// What waits. `F` is what the caller keeps of each flow, `W` why a flow waits.
pub struct Line<F, W> {
    transactional: Band<F, W>,
    marketing: Band<F, W>,
    order: Order,
    /// How many have come so far, going round.
    came: u32,
    asked: Timestamp,
}

/// In the order in which they go.
const STREAMS: [Stream; 2] = [Stream::Transactional, Stream::Marketing];
/// Shortest rest: one that is over before it began would be asked for ever.
const SHORTEST: Duration = Duration::from_millis(1);

impl<F, W> Default for Line<F, W> {
    fn default() -> Self {
        Self {
            transactional: Band::default(),
            marketing: Band::default(),
            order: Order::default(),
            came: 0,
            asked: Timestamp::default(),
        }
    }
}

impl<F, W> Line<F, W> {
    pub fn len(&self) -> usize {
        STREAMS.iter().map(|stream| self.len_of(*stream)).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a take would ask anybody: not where all that waits is passed over for now.
    pub fn may_go(&self, now: Timestamp) -> bool {
        !self.is_empty() && STREAMS.iter().any(|stream| self.band(*stream).may_go(now))
    }

    pub fn len_of(&self, stream: Stream) -> usize {
        self.band(stream).len()
    }

    /// May be changed at any time; nobody is lost by it.
    pub fn set_order(&mut self, order: Order) {
        self.order = order;
    }

    /// Lines up. `make` is asked where nothing of the flow is in line.
    pub fn push(
        &mut self,
        waiter: Waiter,
        flow: FlowKey<'_>,
        make: impl FnOnce(FlowKey<'_>) -> Share<F>,
    ) {
        self.came = self.came.wrapping_add(1);
        let turn = self.came;
        let band = self.band_mut(flow.stream);
        let at = match band.find(flow) {
            Some(at) => Some(at),
            None => band.enter(flow, make(flow)),
        };
        if let Some(at) = at {
            band.push(waiter, turn, at);
        }
    }

    /// Takes the next to go: in fair order each flow's first is shown to `admit`, until one may go. Those of the same
    /// message that wait behind it in its flow go with it while `join` adds them to the lease.
    pub fn take<L>(
        &mut self,
        now: Timestamp,
        mut admit: impl FnMut(&F, &Waiter) -> Admit<L, W>,
        join: impl FnMut(&mut L, &Waiter) -> bool,
    ) -> Taken<L, W>
    where
        W: Clone,
    {
        if now < self.asked {
            // The clock was set back, and what was said of the time until then with it.
            self.forget_waits();
        }
        self.asked = now;
        for stream in STREAMS {
            while let Some(at) = self.next(stream, now) {
                let Some(answer) = self.ask(stream, at, &mut admit) else {
                    break;
                };
                let rested = |until: Timestamp| until.max(now + SHORTEST);
                let band = self.band_mut(stream);
                match answer {
                    Admit::Go(lease) => return self.go(stream, at, lease, join),
                    Admit::WaitFlow { until, why } => band.rest_flow(at, rested(until), why),
                    Admit::WaitTenant { until, why } => band.rest_tenant(at, rested(until), why),
                    Admit::WaitStream { until, why } => band.rest(rested(until), why),
                    Admit::WaitAll { until, why } => {
                        let until = rested(until);
                        return Taken::Waiting { until, why };
                    }
                }
            }
        }
        self.waiting()
    }

    /// Everything in line, which is empty then.
    #[must_use = "these entries are in no queue now"]
    pub fn drain(&mut self) -> impl Iterator<Item = Waiter> + use<F, W> {
        let bands = STREAMS.map(|stream| std::mem::take(self.band_mut(stream)));
        bands.into_iter().flat_map(Band::into_waiters)
    }

    /// The first of each flow, with what is kept of the flow.
    pub fn fronts(&self) -> impl Iterator<Item = (&F, Waiter)> {
        let streams = STREAMS.into_iter();
        streams.flat_map(|stream| self.band(stream).fronts(self.order))
    }

    /// Takes out everything of the flows that are wanted.
    #[must_use = "these entries are in no queue now"]
    pub fn drain_where(&mut self, mut wanted: impl FnMut(&F) -> bool) -> Vec<Waiter> {
        let mut drained = Vec::new();
        for stream in STREAMS {
            self.band_mut(stream).drain_where(&mut wanted, &mut drained);
        }
        drained
    }

    /// Where a waiter stands now. Goes over its flow, and over the names of all.
    pub fn turn(&self, flow: FlowKey<'_>, key: Key) -> Option<Turn<'_, W>> {
        let band = self.band(flow.stream);
        let at = band.find(flow)?;
        let ahead = band.flow(at)?.ahead_of(key, self.order)?;
        let before = STREAMS.iter().take_while(|stream| **stream != flow.stream);
        let (tenants, campaigns) = band.sharers(at);
        Some(Turn {
            ahead,
            overtaking: before.map(|stream| self.len_of(*stream)).sum(),
            tenants,
            campaigns,
            rest: band.rest_of(at),
        })
    }

    /// Lets all be asked again that are passed over, for example because limits have changed.
    pub fn forget_waits(&mut self) {
        self.transactional.wake_all();
        self.marketing.wake_all();
    }

    /// The flow of a stream whose turn it is. A tenant that is passed over in a stream that goes first is so in this
    /// one: it must not use up there what its more urgent mail waits for.
    fn next(&mut self, stream: Stream, now: Timestamp) -> Option<At>
    where
        W: Clone,
    {
        loop {
            let at = self.band_mut(stream).next(now)?;
            if stream == Stream::Transactional || self.transactional.len() == 0 {
                return Some(at);
            }
            let tenant = self.marketing.tenant_name(at)?;
            let Some((until, why)) = self.transactional.tenant_rest(tenant) else {
                return Some(at);
            };
            let why = why.clone();
            self.marketing.rest_tenant(at, until, why);
        }
    }

    fn ask<L>(
        &self,
        stream: Stream,
        at: At,
        admit: &mut impl FnMut(&F, &Waiter) -> Admit<L, W>,
    ) -> Option<Admit<L, W>> {
        let flow = self.band(stream).flow(at)?;
        Some(admit(&flow.kept, &flow.front(self.order)?))
    }

    fn go<L>(
        &mut self,
        stream: Stream,
        at: At,
        mut lease: L,
        mut join: impl FnMut(&mut L, &Waiter) -> bool,
    ) -> Taken<L, W> {
        let order = self.order;
        let joins = |waiter: &Waiter| join(&mut lease, waiter);
        let batch = self.band_mut(stream).take(at, order, joins);
        self.forget_debts();
        Taken::Some { batch, lease }
    }

    /// Where nobody is left to whom anybody could owe something.
    fn forget_debts(&mut self) {
        if self.is_empty() {
            self.transactional = Band::default();
            self.marketing = Band::default();
        }
    }

    fn waiting<L>(&self) -> Taken<L, W>
    where
        W: Clone,
    {
        let bands = [&self.transactional, &self.marketing];
        let first = bands.into_iter().filter_map(Band::first_to_wake);
        match first.min_by_key(|(until, _)| *until) {
            Some((until, why)) => Taken::Waiting {
                until,
                why: why.clone(),
            },
            None => Taken::Empty,
        }
    }

    fn band(&self, stream: Stream) -> &Band<F, W> {
        match stream {
            Stream::Transactional => &self.transactional,
            Stream::Marketing => &self.marketing,
        }
    }

    fn band_mut(&mut self, stream: Stream) -> &mut Band<F, W> {
        match stream {
            Stream::Transactional => &mut self.transactional,
            Stream::Marketing => &mut self.marketing,
        }
    }
}

impl<'a> From<&'a Labels> for FlowKey<'a> {
    fn from(labels: &'a Labels) -> Self {
        Self {
            stream: labels.stream.unwrap_or_default(),
            tenant: labels.tenant.as_deref(),
            campaign: labels.campaign.as_deref(),
            pool: labels.pool.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests;
