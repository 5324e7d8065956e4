//! One limit.

use super::cells::Moment;
use super::numbers::{Numbers, POLL};
use super::rules::Settings;
use super::turns::{Asker, Party};
use super::{Fill, Full, Kind, Of};
use crate::units::Timestamp;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// What one thing may do. What is not configured is not limited, and costs nothing.
pub struct Limit {
    of: Of,
    /// The kinds that have a number, a bit each.
    kinds: AtomicU8,
    /// Connections open; counted whether limited or not, since a limit may be configured while they are.
    open: AtomicU32,
    /// Somebody found no seat, and this moment, in milliseconds since the Unix epoch, is not over.
    wanted_until: AtomicU64,
    /// Tells one idle connection so.
    wanted: Notify,
    numbers: Mutex<Numbers>,
}

/// Room for one connection; for a tenant or a campaign, for one message being sent. Dropping it makes room again.
#[must_use = "the connection is counted until this is dropped"]
pub struct Seat(Arc<Limit>);

/// How long who finds as many messages of a tenant or a campaign in flight as there may be waits before asking again.
const IN_FLIGHT_POLL: Duration = Duration::from_millis(25);
/// How long idle connections are asked to go after somebody found no seat; that one asks again within it.
const WANTED: Duration = Duration::from_secs(2);

impl Limit {
    pub(super) fn new(of: Of, settings: Settings, now: Timestamp) -> Self {
        let limit = Self {
            of,
            kinds: AtomicU8::default(),
            open: AtomicU32::default(),
            wanted_until: AtomicU64::default(),
            wanted: Notify::new(),
            numbers: Mutex::default(),
        };
        limit.apply(settings, now);
        limit
    }

    pub(super) fn apply(&self, settings: Settings, now: Timestamp) {
        let mut numbers = self.numbers.lock();
        numbers.apply(settings, Moment::from(now));
        let kinds = numbers.kinds().map(bit).fold(0, |all, bit| all | bit);
        self.kinds.store(kinds, Ordering::Release);
    }

    /// What this limit is on.
    pub fn of(&self) -> &Of {
        &self.of
    }

    /// Takes one of each of the message rates, all or none of them. Who is refused should come again at
    /// [`Full::until`] and not sooner: it is a turn of its own, and asking takes another.
    ///
    /// What transactional mail was told to come for is not given to marketing that comes first. Of marketing, parties
    /// [share](Limit::is_shared) what there is.
    pub fn message(&self, asker: Asker, now: Timestamp) -> Result<(), Full> {
        if !self.has(&[Kind::Messages, Kind::Bytes]) {
            return Ok(());
        }
        let taken = self.numbers.lock().message(self.seen(asker), now);
        taken.map_err(|state| state.refuse(&self.of))
    }

    /// What one call of [`Limit::message`] took for `asker` was not used. It can be had again at once, as far as it has
    /// not come back by itself meanwhile.
    pub fn give_back(&self, asker: Asker) {
        if self.has(&[Kind::Messages, Kind::Bytes]) {
            self.numbers.lock().give_back(self.seen(asker));
        }
    }

    /// Whether each party has turns of its own, so that one of them is refused while another may go. Not where mail comes
    /// from one lane alone, which sees to that itself, nor where it is all of one campaign.
    pub fn is_shared(&self) -> bool {
        match &self.of {
            Of::Source { .. } | Of::Provider { .. } | Of::Tenant { .. } => true,
            Of::Site { .. } | Of::Campaign { .. } => false,
        }
    }

    fn seen(&self, asker: Asker) -> Asker {
        let party = match self.is_shared() {
            true => asker.party,
            false => Party::all(),
        };
        Asker { party, ..asker }
    }

    /// Room for one connection, until the seat is dropped, and one of the connection rate. Where all seats are taken, who
    /// is refused asks again after a while, and [an idle connection is asked to go](Limit::wanted).
    pub fn connection(self: &Arc<Self>, now: Timestamp) -> Result<Seat, Full> {
        if self.has(&[Kind::Connections, Kind::ConnectionRate]) {
            self.take_seat(now)?;
        } else {
            self.open.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Seat(Arc::clone(self)))
    }

    /// A further connection is opened on a seat that is held. It is not refused, because what began cannot end without it;
    /// the connection rate makes who comes next wait for it.
    pub fn charge_connection(&self, now: Timestamp) {
        if self.has(&[Kind::ConnectionRate]) {
            self.numbers.lock().charge_connection(now);
        }
    }

    /// That many octets were sent. While what was sent is more than `bytes` allows, [`Limit::message`] refuses.
    pub fn charge(&self, octets: u64, now: Timestamp) {
        if self.has(&[Kind::Bytes]) {
            self.numbers.lock().charge(octets, now);
        }
    }

    /// Returns when a connection with nothing to send is asked to go, because somebody found no seat; only one is.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Somebody found no seat within the last two seconds: a connection that has had its share should make room.
    pub fn is_wanted(&self, now: Timestamp) -> bool {
        now.as_millis() < self.wanted_until.load(Ordering::Relaxed)
    }

    /// Connections open; for a tenant or a campaign, messages being sent.
    pub fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Every number configured, and how much of it is used. Empty where there is none.
    pub fn fill(&self, now: Timestamp) -> Vec<Fill> {
        let states = self.numbers.lock().fill(self.open(), now);
        states.into_iter().map(|s| s.fill(&self.of)).collect()
    }

    /// Whether it may be forgotten when nobody holds it.
    pub(super) fn is_at_rest(&self, now: Timestamp) -> bool {
        self.numbers.lock().is_at_rest(now)
    }

    /// A message in flight is over sooner than a connection is.
    fn poll(&self) -> Duration {
        match &self.of {
            Of::Tenant { .. } | Of::Campaign { .. } => IN_FLIGHT_POLL,
            Of::Source { .. } | Of::Site { .. } | Of::Provider { .. } => POLL,
        }
    }

    fn take_seat(&self, now: Timestamp) -> Result<(), Full> {
        let mut numbers = self.numbers.lock();
        let taken = numbers.connection(self.open(), self.poll(), now);
        if taken.is_ok() {
            // Under the lock, so that nobody else counts the same seat as free.
            self.open.fetch_add(1, Ordering::Relaxed);
        }
        drop(numbers);
        taken.map_err(|state| {
            if state.kind == Kind::Connections {
                let until = (now + WANTED).as_millis();
                self.wanted_until.fetch_max(until, Ordering::Relaxed);
                self.wanted.notify_one();
            }
            state.refuse(&self.of)
        })
    }

    fn has(&self, kinds: &[Kind]) -> bool {
        let set = self.kinds.load(Ordering::Acquire);
        kinds.iter().any(|kind| set & bit(*kind) != 0)
    }
}

fn bit(kind: Kind) -> u8 {
    match kind {
        Kind::Messages => 1,
        Kind::Connections => 2,
        Kind::ConnectionRate => 4,
        Kind::Bytes => 8,
    }
}

impl Seat {
    /// No connection was opened with it: what it took of the connection rate goes back too.
    pub fn give_back(self) {
        if self.0.has(&[Kind::ConnectionRate]) {
            self.0.numbers.lock().give_back_connection();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Limit({})", self.of)
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seat({})", self.0.of)
    }
}
