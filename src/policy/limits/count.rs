//! How much of a period's count is used.

use super::Per;
use crate::units::Timestamp;

/// What was used in this second, minute, hour or day of the clock (UTC). For people to read; it limits nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count {
    per: Per,
    /// End of the period that `used` is of, in milliseconds since the Unix epoch.
    ends: u64,
    used: u64,
}

impl Count {
    pub fn new(per: Per) -> Self {
        let (ends, used) = (0, 0);
        Self { per, ends, used }
    }

    pub fn add(&mut self, now: Timestamp) {
        self.add_many(1, now);
    }

    pub fn add_many(&mut self, n: u64, now: Timestamp) {
        let now = now.as_millis();
        if now >= self.ends {
            let length = self.per.duration().as_secs() * 1_000;
            self.ends = (now / length).saturating_add(1).saturating_mul(length);
            self.used = 0;
        }
        self.used = self.used.saturating_add(n);
    }

    /// One that was added is not to be counted.
    pub fn take_away(&mut self) {
        self.used = self.used.saturating_sub(1);
    }

    pub fn at(&self, now: Timestamp) -> u64 {
        if now.as_millis() < self.ends {
            self.used
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_of_this_period_of_the_clock() {
        let mut count = Count::new(Per::Minute);
        let at = |millis: u64| Timestamp::from_millis(1_700_000_040_000 + millis);
        count.add(at(0));
        count.add_many(2, at(59_999));
        count.take_away();
        assert_eq!(count.at(at(59_999)), 2);
        assert_eq!(count.at(at(60_000)), 0);
        count.add(at(60_000));
        assert_eq!(count.at(at(60_000)), 1);
    }
}
