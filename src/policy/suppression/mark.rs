//! The few octets that an address costs.

use super::entry::Reason;
use crate::units::Timestamp;

const HOUR: u64 = 3_600_000;

/// An address is suppressed: one octet, and four more where it ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub reason: Reason,
    /// In whole hours, rounded up.
    pub until: Option<Timestamp>,
}

impl Mark {
    pub fn write(self) -> Vec<u8> {
        let letter = match self.reason {
            Reason::Hard => b'h',
            Reason::Soft => b's',
            Reason::Complaint => b'c',
            Reason::Unsubscribe => b'u',
            Reason::Manual => b'm',
            Reason::Invalid => b'i',
        };
        let mut octets = vec![letter];
        octets.extend(
            self.until
                .iter()
                .flat_map(|until| hours(*until).to_be_bytes()),
        );
        octets
    }

    /// As it lies in the table. What cannot be read, perhaps because a later version has written it, suppresses: nobody is
    /// written to by mistake.
    pub fn of(octets: &[u8]) -> Self {
        Self::read(octets).unwrap_or(Self {
            reason: Reason::Manual,
            until: None,
        })
    }

    fn read(octets: &[u8]) -> Option<Self> {
        let (letter, rest) = octets.split_first()?;
        let reason = match letter {
            b'h' => Reason::Hard,
            b's' => Reason::Soft,
            b'c' => Reason::Complaint,
            b'u' => Reason::Unsubscribe,
            b'm' => Reason::Manual,
            b'i' => Reason::Invalid,
            _ => return None,
        };
        let until = match rest {
            [] => None,
            rest => {
                let hours = u32::from_be_bytes(rest.try_into().ok()?);
                Some(Timestamp::from_millis(u64::from(hours) * HOUR))
            }
        };
        Some(Self { reason, until })
    }

    /// When what lies in the table ends, where it is a mark that does.
    pub fn end(octets: &[u8]) -> Option<Timestamp> {
        Self::read(octets)?.until
    }

    pub fn holds(self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// Messages that failed softly, by the hour in which they did, and how often that has led to a suppression.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Failing {
    /// Suppressions so far: each is twice as long as the one before.
    pub times: u8,
    /// In order.
    hours: Vec<u32>,
}

/// More are not kept.
const MOST: usize = 60;

impl Failing {
    pub fn write(&self) -> Vec<u8> {
        let mut octets = vec![b'f', self.times];
        octets.extend(self.hours.iter().flat_map(|hour| hour.to_be_bytes()));
        octets
    }

    pub fn read(octets: &[u8]) -> Option<Self> {
        let [b'f', times, rest @ ..] = octets else {
            return None;
        };
        let hours = rest
            .chunks_exact(4)
            .map(|c| c.iter().fold(0, |n, b| n << 8 | u32::from(*b)));
        Some(Self {
            times: *times,
            hours: hours.collect(),
        })
    }

    /// One more has failed. Returns how many have within `window`.
    pub fn add(&mut self, window: std::time::Duration, now: Timestamp) -> usize {
        let oldest = now
            .as_millis()
            .saturating_sub(u64::try_from(window.as_millis()).unwrap_or(u64::MAX));
        self.hours.retain(|hour| u64::from(*hour) * HOUR > oldest);
        if self.hours.len() >= MOST {
            self.hours.remove(0);
        }
        self.hours.push(hours(now));
        self.hours.len()
    }

    /// The address was suppressed for it: counted anew from then on.
    pub fn suppressed(&mut self) {
        self.times = self.times.saturating_add(1);
        self.hours.clear();
    }
}

fn hours(at: Timestamp) -> u32 {
    u32::try_from(at.as_millis().div_ceil(HOUR)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[test]
    fn marks_are_small_and_read_back() {
        for reason in Reason::ALL {
            let plain = Mark {
                reason,
                until: None,
            };
            assert_eq!(plain.write().len(), 1);
            assert_eq!(Mark::read(&plain.write()), Some(plain));
            let ending = Mark {
                reason,
                until: Some(NOW + Duration::from_secs(30)),
            };
            let read = Mark::read(&ending.write()).unwrap();
            assert!(read.holds(NOW + Duration::from_secs(30)));
            assert!(!read.holds(NOW + Duration::from_secs(3601)));
        }
    }

    #[test]
    fn failures_are_counted_within_a_window() {
        let day = Duration::from_secs(86_400);
        let mut failing = Failing::default();
        for (n, expected) in [1, 2, 3, 4, 4, 4].into_iter().enumerate() {
            let now = NOW + day * u32::try_from(n).unwrap();
            assert_eq!(failing.add(4 * day, now), expected, "{n}");
            assert_eq!(Failing::read(&failing.write()), Some(failing.clone()));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_there_is_read_or_not(octets: Vec<u8>) {
            let _mark = Mark::read(&octets);
            let _failing = Failing::read(&octets);
        }
    }
}
