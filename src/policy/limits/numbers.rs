//! The numbers of one limit, and how much of each is used.

use super::cells::Moment;
use super::debt::Debt;
use super::full::{Name, State};
use super::meter::Meter;
use super::rules::{Number, Settings};
use super::turns::{Asker, Party};
use super::{Kind, Rate};
use crate::mail::Stream;
use crate::units::Timestamp;
use std::time::Duration;

/// What a limit keeps behind its lock.
#[derive(Default)]
pub(super) struct Numbers {
    /// The slowest first: it refuses most, and then nothing has to be given back to the others.
    messages: Vec<Meter>,
    connections: Option<Seats>,
    connection_rate: Option<Meter>,
    bytes: Option<Debt>,
}

struct Seats {
    most: u32,
    name: Name,
}

/// How long who finds no seat waits before asking again: a seat is free when a connection ends, and nobody knows when.
pub const POLL: Duration = Duration::from_secs(1);

/// Connections carry mail of every stream and of everybody.
const OF_A_CONNECTION: Asker = Asker {
    stream: Stream::Marketing,
    party: Party::all(),
};

impl Numbers {
    /// Takes over what is configured. A number that has not changed keeps its state.
    pub fn apply(&mut self, settings: Settings, now: Moment) {
        let mut messages = renew(std::mem::take(&mut self.messages), &settings.messages, now);
        messages.sort_by_key(|meter| std::cmp::Reverse(meter.interval()));
        self.messages = messages;
        self.connections = settings.connections.as_ref().map(|number| Seats {
            most: number.value,
            name: Name::of(number),
        });
        let rate = self.connection_rate.take().into_iter().collect();
        self.connection_rate = renew(rate, settings.connection_rate.as_slice(), now).pop();
        self.bytes = settings.bytes.map(|number| match self.bytes.take() {
            Some(debt) => debt.changed(&number, now),
            None => Debt::new(&number, now),
        });
    }

    /// The kinds that have a number.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        let kinds = [
            (Kind::Messages, !self.messages.is_empty()),
            (Kind::Connections, self.connections.is_some()),
            (Kind::ConnectionRate, self.connection_rate.is_some()),
            (Kind::Bytes, self.bytes.is_some()),
        ];
        kinds
            .into_iter()
            .filter_map(|(kind, is)| is.then_some(kind))
    }

    /// Takes one of each message rate, all or none.
    pub fn message(&mut self, asker: Asker, now: Timestamp) -> Result<(), State<Moment>> {
        if let Some(bytes) = &mut self.bytes {
            bytes.ask(asker, now)?;
        }
        let mut takes = self.messages.iter_mut().enumerate();
        let refused = takes.find_map(|(i, meter)| Some((i, meter.take(asker, now).err()?)));
        let Some((i, until)) = refused else {
            return Ok(());
        };
        let taken = self.messages.iter_mut().take(i);
        taken.for_each(|meter| meter.give_back(asker));
        if let Some(bytes) = &mut self.bytes {
            bytes.give_back(asker);
        }
        let state = |meter: &Meter| metered(Kind::Messages, meter, now, until);
        self.messages.get(i).map(state).map_or(Ok(()), Err)
    }

    pub fn give_back(&mut self, asker: Asker) {
        let messages = self.messages.iter_mut();
        messages.for_each(|meter| meter.give_back(asker));
        if let Some(bytes) = &mut self.bytes {
            bytes.give_back(asker);
        }
    }

    /// Whether there may be one connection more than `open`; takes one of the connection rate. Who finds no seat asks
    /// again after `poll`.
    pub fn connection(
        &mut self,
        open: u32,
        poll: Duration,
        now: Timestamp,
    ) -> Result<(), State<Moment>> {
        if let Some(seats) = self.connections.as_ref().filter(|s| open >= s.most) {
            let until = Moment::from(now + poll);
            return Err(seats.state(open, until));
        }
        let Some(meter) = &mut self.connection_rate else {
            return Ok(());
        };
        let taken = meter.take(OF_A_CONNECTION, now);
        taken.map_err(|until| metered(Kind::ConnectionRate, meter, now, until))
    }

    /// A further connection on a seat.
    pub fn charge_connection(&mut self, now: Timestamp) {
        if let Some(meter) = &mut self.connection_rate {
            meter.charge(now);
        }
    }

    /// The connection rate's part of a connection that was not opened.
    pub fn give_back_connection(&mut self) {
        if let Some(meter) = &mut self.connection_rate {
            meter.give_back(OF_A_CONNECTION);
        }
    }

    pub fn charge(&mut self, octets: u64, now: Timestamp) {
        if let Some(bytes) = &mut self.bytes {
            bytes.charge(octets, now);
        }
    }

    /// Every number, with `open` connections.
    pub fn fill(&mut self, open: u32, now: Timestamp) -> Vec<State<Option<Timestamp>>> {
        let state = |kind| move |meter: &Meter| metered(kind, meter, now, meter.free_at(now));
        let mut fill: Vec<_> = self.messages.iter().map(state(Kind::Messages)).collect();
        fill.extend(self.connections.as_ref().map(|seats| {
            let until = (open >= seats.most).then(|| now + POLL);
            seats.state(open, until)
        }));
        let rate = self.connection_rate.as_ref();
        fill.extend(rate.map(state(Kind::ConnectionRate)));
        fill.extend(self.bytes.as_mut().map(|bytes| bytes.fill(now)));
        fill
    }

    /// Whether a new limit in its place would let nothing more through.
    pub fn is_at_rest(&mut self, now: Timestamp) -> bool {
        let mut meters = self.messages.iter().chain(&self.connection_rate);
        meters.all(|meter| meter.free_at(now).is_none())
            && self.bytes.as_mut().is_none_or(|bytes| bytes.is_paid(now))
    }
}

impl Seats {
    fn state<U>(&self, open: u32, until: U) -> State<U> {
        State {
            kind: Kind::Connections,
            name: self.name.clone(),
            used: u64::from(open),
            until,
        }
    }
}

fn metered<U>(kind: Kind, meter: &Meter, now: Timestamp, until: U) -> State<U> {
    State {
        kind,
        name: meter.name().clone(),
        used: meter.used(now),
        until,
    }
}

/// The meters of `rates`: one that was there before where there is one.
fn renew(mut was: Vec<Meter>, rates: &[Number<Rate>], now: Moment) -> Vec<Meter> {
    let mut kept = Vec::new();
    let mut new = Vec::new();
    for number in rates {
        match was.iter().position(|m| m.rate() == number.value) {
            Some(i) => {
                let mut meter = was.swap_remove(i);
                meter.rename(number);
                kept.push(meter);
            }
            None => new.push(number),
        }
    }
    let mut meters: Vec<Meter> = Vec::new();
    for number in new {
        let like = was
            .iter()
            .chain(&kept)
            .max_by_key(|m| m.rate().per == number.value.per);
        meters.push(match like {
            Some(like) => Meter::changed(number, like, now),
            None => Meter::new(number, now),
        });
    }
    meters.extend(kept);
    meters
}
