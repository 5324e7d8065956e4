//! How many connections there are, in all and from each address.

use crate::mail::{EnhancedCode, Reply};
use crate::smtp::session::Limits;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The connections of all listeners that share it.
#[derive(Debug, Default)]
pub struct Seats(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Room for one connection; dropping it gives it back.
#[derive(Debug)]
#[must_use = "the seat is given back when dropped"]
pub struct Seat {
    seats: Arc<Seats>,
    address: IpAddr,
}

impl Seats {
    /// A seat for `address`, or what the newcomer is told.
    pub fn take(self: &Arc<Self>, address: IpAddr, limits: &Limits) -> Result<Seat, Reply> {
        let mut taken = self.0.lock();
        if taken.total >= limits.max_connections {
            return Err(full("too many connections, try again later"));
        }
        let from_here = taken.by_address.entry(address).or_default();
        if *from_here >= limits.max_connections_per_address {
            return Err(full("too many connections from your address"));
        }
        *from_here += 1;
        taken.total += 1;
        Ok(Seat {
            seats: self.clone(),
            address,
        })
    }

    /// Connections open now.
    pub fn taken(&self) -> usize {
        self.0.lock().total
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock();
        taken.total = taken.total.saturating_sub(1);
        if let Some(from_here) = taken.by_address.get_mut(&self.address) {
            *from_here = from_here.saturating_sub(1);
            if *from_here == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

fn full(text: &str) -> Reply {
    Reply::local(421, EnhancedCode(4, 3, 2), text, "connect")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_counted_by_address_and_given_back() {
        let limits = Limits {
            max_connections: 3,
            max_connections_per_address: 2,
            ..Limits::default()
        };
        let seats = Arc::new(Seats::default());
        let (a, b) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = seats.take(a, &limits).unwrap();
        let _second = seats.take(a, &limits).unwrap();
        assert!(
            seats
                .take(a, &limits)
                .unwrap_err()
                .text
                .contains("your address")
        );
        let _third = seats.take(b, &limits).unwrap();
        assert!(
            seats
                .take(b, &limits)
                .unwrap_err()
                .text
                .contains("try again later")
        );
        drop(first);
        let _again = seats.take(a, &limits).unwrap();
        assert_eq!(seats.taken(), 3);
    }
}
