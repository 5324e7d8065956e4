//! Octets a second. How many a message has is known for sure when it has been sent, so they are paid for afterwards.

use super::cells::{Cells, Moment};
use super::count::Count;
use super::full::{Name, State};
use super::rules::Number;
use super::turns::{Asker, Turns};
use super::{ByteRate, Kind, Per};
use crate::units::Timestamp;
use std::num::NonZeroU32;

/// What was sent and is not paid for. It is paid in cells of a KiB as they come back; until then no message goes.
pub(super) struct Debt {
    rate: ByteRate,
    name: Name,
    /// A day's cells, so that a debt is paid while nobody asks. What is left when it is paid is not saved up, but for
    /// `burst` cells.
    cells: Cells,
    burst: u32,
    /// Octets. What is under a whole cell stands over.
    owed: u64,
    /// Octets of a message, on the average of the last ones: the distance of turns.
    typical: u64,
    turns: Turns,
    used: Count,
}

/// Octets that a cell pays for.
const CELL: u64 = 1 << 10;
const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

impl Debt {
    /// Begins with one cell.
    pub fn new(number: &Number<ByteRate>, now: Moment) -> Self {
        let rate = number.value;
        let each = (CELL * SECOND).div_ceil(rate.0.0.max(1)).clamp(1, DAY);
        let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let day = NonZeroU32::MIN.saturating_add(small(DAY / each));
        Self {
            rate,
            name: Name::of(number),
            cells: Cells::new(each, day, 1, now),
            burst: small(1 + SECOND / 10 / each),
            owed: 0,
            typical: 0,
            turns: Turns::default(),
            used: Count::new(Per::Second),
        }
    }

    /// The same rate, maybe written elsewhere, or a new one: what is owed stays so.
    pub fn changed(self, number: &Number<ByteRate>, now: Moment) -> Self {
        if self.rate == number.value {
            let name = Name::of(number);
            return Self { name, ..self };
        }
        Self {
            owed: self.owed,
            typical: self.typical,
            used: self.used,
            ..Self::new(number, now)
        }
    }

    /// Whether a message of `asker` may go: not while octets are owed.
    pub fn ask(&mut self, asker: Asker, now: Timestamp) -> Result<(), State<Moment>> {
        let at = Moment::from(now);
        self.settle(at);
        let distance = self.cells.each().saturating_mul(self.typical / CELL);
        self.turns.come(asker, at);
        let (cells, is_kept) = (self.due(), self.turns.is_kept_from(asker, at));
        if cells == 0 && !is_kept {
            self.turns.pass(asker, at, distance);
            return Ok(());
        }
        let until = match cells {
            0 => self.turns.turn_behind_others(asker, at, distance),
            _ => {
                let earliest = self.cells.free_at(cells);
                self.turns.turn(asker, at, earliest, distance)
            }
        };
        Err(self.state(now, until))
    }

    /// A message of `asker` did not go.
    pub fn give_back(&mut self, asker: Asker) {
        self.turns.give_back(asker);
    }

    /// That many octets were sent.
    pub fn charge(&mut self, octets: u64, now: Timestamp) {
        self.settle(Moment::from(now));
        self.owed = self.owed.saturating_add(octets);
        self.used.add_many(octets, now);
        self.typical = match self.typical {
            0 => octets,
            before => before - before / 8 + octets / 8,
        };
    }

    /// What is owed, and when it will be paid.
    pub fn fill(&mut self, now: Timestamp) -> State<Option<Timestamp>> {
        self.settle(Moment::from(now));
        let cells = self.due();
        let paid_at = self.cells.free_at(cells).to_timestamp();
        self.state(now, (cells > 0).then_some(paid_at))
    }

    /// Whether nothing is owed.
    pub fn is_paid(&mut self, now: Timestamp) -> bool {
        self.settle(Moment::from(now));
        self.due() == 0
    }

    /// Pays as far as the cells go, and lets go of what nobody owed.
    fn settle(&mut self, now: Moment) {
        let pay = self.due().min(self.cells.held(now));
        if self.cells.take(pay, now).is_ok() {
            self.owed -= u64::from(pay) * CELL;
        }
        let spare = self.cells.held(now).saturating_sub(self.burst);
        if spare > 0 && self.due() == 0 && self.cells.take(spare, now).is_ok() {
            // Time was left over, so nobody came whose turn it was.
            self.turns.start_anew();
        }
    }

    /// Whole cells that are owed.
    fn due(&self) -> u32 {
        u32::try_from(self.owed / CELL).unwrap_or(u32::MAX)
    }

    fn state<U>(&self, now: Timestamp, until: U) -> State<U> {
        let owes = self.due() > 0;
        State {
            kind: Kind::Bytes,
            name: self.name.clone(),
            used: if owes { self.owed } else { self.used.at(now) },
            until,
        }
    }
}
