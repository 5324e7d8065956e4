//! Everything that policy has to say about mail from one source to one site, gathered once for each lane.

use super::hours::Hours;
use super::limits::{Asker, Full, Limit, Party, Seat};
use super::providers::Provider;
use super::reputation::{Reputation, Slice};
use super::settings::Terms;
use super::sources::Source;
use super::suspension::Suspensions;
use super::verdict::Held;
use super::warmup::{self, Overflow, Pair, Reservation, Reserved};
use crate::mail::{Reply, Stream};
use crate::units::Timestamp;
use smallvec::SmallVec;
use std::sync::Arc;

/// One source × site.
pub struct Way {
    pub source: Arc<Source>,
    pub site: Arc<str>,
    pub provider: Arc<Provider>,
    /// Of the source at the site, at the provider, and of the source.
    pub(super) limits: SmallVec<[Arc<Limit>; 3]>,
    /// `None`: the source does not warm.
    pub(super) warmup: Option<Arc<Pair>>,
    pub(super) suspensions: Suspensions,
    /// The provider's.
    pub(super) hours: Option<Arc<Hours>>,
    /// What an hour of waiting counts for against engagement, while the source warms.
    pub points_per_hour: u16,
    /// Mail of the source to the provider, as its reputation is counted.
    pub(super) pair: Slice,
}

/// Mail that shares its turns in a line: of one tenant, campaign and stream.
pub struct Flow {
    pub(super) stream: Stream,
    /// Whose turns it takes at limits that many share.
    pub(super) party: Party,
    pub(super) has_tenant: bool,
    /// The pool it leaves by, where its mail names one.
    pub pool: Option<Arc<str>>,
    pub(super) terms: Arc<Terms>,
    /// Of the tenant and of the campaign, where the mail names them.
    pub(super) limits: SmallVec<[Arc<Limit>; 2]>,
    pub(super) reputation: Reputation,
    /// Of what its reputation is.
    pub(super) slices: SmallVec<[Slice; 2]>,
}

/// The answer to "may this go now?".
pub enum Admission {
    /// It may, for as many recipients as the lease says.
    Go(Lease),
    /// Not its campaign now; others may go, also where it waits for its turn at a limit that all share.
    Flow(Wait),
    /// None of its tenant.
    Tenant(Wait),
    /// No marketing from this source to this site. Transactional mail may be let through before, and is to ask for itself.
    Marketing(Wait),
    /// None from this source to this site.
    Way(Wait),
    /// As [`Admission::Way`], and another source may take it: whoever chooses one is to choose again.
    Elsewhere(Wait),
    /// The budget is to be asked for first: ask again after [`Way::refilled`].
    Refill,
}

/// Until when something waits, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    /// When it is worth asking again; `None`: somebody will say.
    pub until: Option<Timestamp>,
    pub why: Held,
}

impl Wait {
    /// It is time to ask again.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl From<Held> for Wait {
    fn from(why: Held) -> Self {
        Self {
            until: why.until(),
            why,
        }
    }
}

impl From<Full> for Wait {
    fn from(full: Full) -> Self {
        Held::Limit(full).into()
    }
}

/// The right to try one message to some recipients. What is not used goes back when it is dropped.
#[must_use = "a lease that is dropped is capacity given back"]
pub struct Lease {
    /// Recipients that may be tried.
    left: u32,
    asker: Asker,
    /// Of the warm-up's budget.
    budget: Option<Reservation>,
    /// Cells taken, one of each.
    taken: SmallVec<[Arc<Limit>; 5]>,
    /// Messages in flight.
    seats: SmallVec<[Seat; 2]>,
    begun: bool,
    /// It goes at the pace of something that is slowed.
    is_slowed: bool,
    /// The octets of the first transaction are charged.
    weighed: bool,
}

impl Lease {
    /// How many recipients may still be tried.
    pub fn left(&self) -> u32 {
        self.left
    }

    /// How many octets the first transaction has: charged at once, because others ask for leave before it begins.
    pub fn weigh(&mut self, octets: u64, now: Timestamp) {
        if !std::mem::replace(&mut self.weighed, true) {
            self.charge(octets, now);
        }
    }

    /// A transaction of `octets` to so many recipients begins: what was taken for it is spent.
    pub fn begin(&mut self, recipients: usize, octets: u64, now: Timestamp) {
        self.left = self.left.saturating_sub(clamped(recipients));
        let is_first = !std::mem::replace(&mut self.begun, true);
        if !(is_first && self.weighed) {
            self.charge(octets, now);
        }
    }

    fn charge(&self, octets: u64, now: Timestamp) {
        let limits = self.taken.iter();
        limits.for_each(|limit| limit.charge(octets, now));
    }

    /// A further transaction of the same message: takes of every limit what the first one took, or nothing.
    pub fn again(&mut self, now: Timestamp) -> bool {
        for (at, limit) in self.taken.iter().enumerate() {
            if limit.message(self.asker, now).is_err() {
                let taken = self.taken.iter().take(at);
                taken.for_each(|limit| limit.give_back(self.asker));
                return false;
            }
        }
        true
    }

    /// Others of the same message would go with it. A budget, and a pace, are asked for by each alone.
    pub fn join(&mut self, _recipients: u16) -> bool {
        self.budget.is_none() && !self.is_slowed
    }

    /// So many recipients got the message, or were refused for good, or may have got it.
    pub fn keep(&mut self, recipients: usize) {
        if let Some(budget) = &mut self.budget {
            budget.keep(clamped(recipients));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.begun {
            let taken = self.taken.iter();
            taken.for_each(|limit| limit.give_back(self.asker));
            self.seats.drain(..).for_each(Seat::give_back);
        }
    }
}

impl Way {
    /// Whether the front message of `flow`, to so many recipients, may go now. Takes what it needs of every limit, or
    /// nothing.
    pub fn admit(&self, flow: &Flow, recipients: u32, now: Timestamp) -> Admission {
        if let Some(away) = self.kept_away(now) {
            return Admission::Elsewhere(away);
        }
        if let Err(closed) = flow.window(now) {
            return Admission::Tenant(closed.into());
        }
        if let Err(closed) = self.window(flow.stream, now) {
            return Admission::Flow(closed.into());
        }
        if let Some(hold) = flow.reputation.holding(&flow.slices, now) {
            return Admission::Flow(Held::Reputation(hold).into());
        }
        let mut lease = Lease::new(flow.asker());
        if let Some(refused) = flow.take(&mut lease, now) {
            return refused;
        }
        for limit in &self.limits {
            if let Err(full) = limit.message(lease.asker, now) {
                return match flow.stream {
                    Stream::Transactional => Admission::Way(full.into()),
                    Stream::Marketing if limit.is_shared() => Admission::Flow(full.into()),
                    Stream::Marketing => Admission::Marketing(full.into()),
                };
            }
            lease.taken.push(Arc::clone(limit));
        }
        let lease = match &self.warmup {
            None => lease,
            Some(pair) => match budget(pair, lease, recipients, now) {
                Admission::Go(lease) => lease,
                refused => return refused,
            },
        };
        self.pace(flow, lease, recipients, now)
    }

    /// Marketing mail whose reputation is on the wane keeps its distance. Asked last: a turn that nobody uses is lost to
    /// all who share it.
    fn pace(&self, flow: &Flow, mut lease: Lease, recipients: u32, now: Timestamp) -> Admission {
        if flow.stream == Stream::Transactional || !flow.reputation.is_slow() {
            return Admission::Go(lease);
        }
        let slices: SmallVec<[Slice; 3]> =
            flow.slices.iter().chain([&self.pair]).cloned().collect();
        let recipients = recipients.min(lease.left());
        match flow.reputation.pace(&slices, recipients, now) {
            Ok(is_slowed) => {
                lease.is_slowed = is_slowed;
                Admission::Go(lease)
            }
            Err((slow, until)) => {
                let is_pair = slow.slice == self.pair;
                let wait = Held::Slowed { slow, until }.into();
                match is_pair {
                    true => Admission::Marketing(wait),
                    false => Admission::Flow(wait),
                }
            }
        }
    }

    /// A connection's seats: it is one of the source, at the site and at the provider. Given back when dropped.
    pub fn connect(&self, now: Timestamp) -> Result<Seats, Wait> {
        let mut seats = Seats::default();
        for limit in &self.limits {
            seats.taken.push(limit.connection(now)?);
        }
        Ok(seats)
    }

    /// A connection is opened in place of one that failed or was lost, on the same seats: counted, not refused.
    pub fn reconnect(&self, now: Timestamp) {
        let limits = self.limits.iter();
        limits.for_each(|limit| limit.charge_connection(now));
    }

    /// Returns when a connection with nothing to send is asked to go: another lane was refused one that this might make
    /// room for.
    pub async fn wanted(&self) {
        let wanted = |at: usize| async move {
            match self.limits.get(at) {
                Some(limit) => limit.wanted().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wanted(0) => {}
            () = wanted(1) => {}
            () = wanted(2) => {}
        }
    }

    /// Another lane was refused a connection that one of this might make room for.
    pub fn is_wanted(&self, now: Timestamp) -> bool {
        self.limits.iter().any(|limit| limit.is_wanted(now))
    }

    /// Returns when the budget that [`Admission::Refill`] spoke of has been asked for.
    pub async fn refilled(&self, now: Timestamp) {
        if let Some(pair) = &self.warmup {
            pair.refilled(now).await;
        }
    }

    /// While the source warms, the most engaged recipients go first.
    pub fn is_warming(&self) -> bool {
        self.warmup.as_ref().is_some_and(|pair| pair.is_warming())
    }

    /// Counts what became of `n` recipients for the warm-up's health.
    pub fn observe(&self, outcome: warmup::Outcome, n: u32, now: Timestamp) {
        if let Some(pair) = &self.warmup {
            pair.observe(outcome, n, now);
        }
    }

    /// The provider blocks the source for its reputation.
    pub fn blocked(&self, reply: &Reply, now: Timestamp) {
        if let Some(pair) = &self.warmup {
            pair.blocked(&reply.to_string(), now);
        }
    }

    /// Whether the source is kept from the site now, so that another may take its mail.
    pub fn kept_away(&self, now: Timestamp) -> Option<Wait> {
        let (source, provider) = (&self.source.name, &self.provider.name);
        let suspension = self.suspensions.until(source, &self.site, provider, now)?;
        Some(Held::Suspended(suspension).into())
    }

    fn window(&self, stream: Stream, now: Timestamp) -> Result<(), Held> {
        let hours = self.hours.as_ref();
        hours.map_or(Ok(()), |hours| hours.open(stream, now))
    }
}

/// The seats of one connection. Where none is opened with them, what they took of connection rates goes back too.
#[derive(Default)]
#[must_use = "a connection without its seats is one too many"]
pub struct Seats {
    taken: SmallVec<[Seat; 3]>,
    opened: bool,
}

impl Seats {
    /// A connection is opened, or was tried to.
    pub fn open(&mut self) {
        self.opened = true;
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        if !self.opened {
            self.taken.drain(..).for_each(Seat::give_back);
        }
    }
}

impl Lease {
    fn new(asker: Asker) -> Self {
        Self {
            left: u32::MAX,
            asker,
            budget: None,
            taken: SmallVec::new(),
            seats: SmallVec::new(),
            begun: false,
            is_slowed: false,
            weighed: false,
        }
    }
}

impl Flow {
    /// Its tenant's share where tenants take turns.
    pub fn weight(&self) -> u32 {
        self.terms.weight
    }

    fn asker(&self) -> Asker {
        let (stream, party) = (self.stream, self.party);
        Asker { stream, party }
    }

    fn window(&self, now: Timestamp) -> Result<(), Held> {
        let hours = self.terms.hours.as_ref();
        hours.map_or(Ok(()), |hours| hours.open(self.stream, now))
    }

    /// Takes what its tenant and its campaign are held to, or says who is refused.
    fn take(&self, lease: &mut Lease, now: Timestamp) -> Option<Admission> {
        for (at, limit) in self.limits.iter().enumerate() {
            let refused = |full: Full| match at == 0 && self.has_tenant {
                true => Admission::Tenant(full.into()),
                false => Admission::Flow(full.into()),
            };
            if let Err(full) = limit.message(lease.asker, now) {
                let has_turns = self.stream == Stream::Marketing && limit.is_shared();
                return Some(match has_turns {
                    true => Admission::Flow(full.into()),
                    false => refused(full),
                });
            }
            lease.taken.push(Arc::clone(limit));
            match limit.connection(now) {
                Ok(seat) => lease.seats.push(seat),
                Err(full) => return Some(refused(full)),
            }
        }
        None
    }
}

/// The warm-up's part, last because it alone may give less than was asked for.
fn budget(pair: &Arc<Pair>, mut lease: Lease, want: u32, now: Timestamp) -> Admission {
    match pair.reserve(want, now) {
        Reserved::Unlimited => Admission::Go(lease),
        Reserved::Some(reservation) => {
            lease.left = reservation.left();
            lease.budget = Some(reservation);
            Admission::Go(lease)
        }
        Reserved::Refill => Admission::Refill,
        Reserved::Wait(waiting) => match pair.overflow() {
            Overflow::Wait | Overflow::Reject => Admission::Way(Held::Warmup(waiting).into()),
            Overflow::Next | Overflow::Pool(_) => {
                Admission::Elsewhere(Held::Warmup(waiting).into())
            }
        },
    }
}

fn clamped(recipients: usize) -> u32 {
    u32::try_from(recipients).unwrap_or(u32::MAX)
}
