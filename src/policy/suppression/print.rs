//! Where an address lies in the compact table: a keyed hash, so that who has the table alone has no addresses.
//!
//! | part of HMAC-SHA256(key, address) | use |
//! |---|---|
//! | octets 0–3 | the bucket: all scopes of an address are in one |
//! | octets 4–19 | with the scope hashed again, 8 octets: the field |

use super::entry::Scope;
use crate::mail::Address;
use crate::store::Cell;
use aws_lc_rs::hmac;

/// Of marks: one octet of reason, and where it ends by itself four of hours.
pub(super) const MARKS: &str = "sup";
/// Of full records.
pub(super) const RECORDS: &str = "suprec";

/// The key of an installation. Whoever has it and the table can test addresses.
#[derive(Clone)]
pub(super) struct Printer {
    key: hmac::Key,
    /// The number of buckets is two to this.
    bits: u32,
}

/// One address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Print {
    pub bucket: u32,
    inner: [u8; 16],
}

impl Printer {
    pub fn new(key: &[u8], bits: u32) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            bits: bits.clamp(1, 31),
        }
    }

    pub fn buckets(&self) -> u32 {
        1 << self.bits
    }

    pub fn print(&self, address: &Address) -> Print {
        let tag = hmac::sign(&self.key, normal(address).as_bytes());
        let mut octets = [0; 20];
        // A tag is longer.
        octets
            .iter_mut()
            .zip(tag.as_ref())
            .for_each(|(to, from)| *to = *from);
        let [a, b, c, d, inner @ ..] = octets;
        Print {
            bucket: u32::from_be_bytes([a, b, c, d]) >> (32 - self.bits),
            inner,
        }
    }

    /// The cell of a mark.
    pub fn mark(&self, print: Print, scope: &Scope) -> Cell {
        self.cell(MARKS, print, &scope.to_string())
    }

    /// The cell of what is counted against an address before it is suppressed.
    pub fn failing(&self, print: Print) -> Cell {
        self.cell(MARKS, print, "failing")
    }

    fn cell(&self, table: &'static str, print: Print, what: &str) -> Cell {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&print.inner);
        context.update(what.as_bytes());
        let tag = context.sign();
        Cell {
            table,
            bucket: print.bucket,
            field: tag.as_ref().iter().take(8).copied().collect(),
        }
    }
}

/// One mailbox is one text: domain in A-labels, local part case-folded without its quotes where it needs none; what
/// stands behind a `+` is kept.
pub(super) fn normal(address: &Address) -> String {
    let local = address.local().to_lowercase();
    let bare = local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let plain = bare.filter(|bare| {
        format!("{bare}@x.example")
            .parse::<Address>()
            .is_ok_and(|a| !a.local().starts_with('"'))
    });
    format!(
        "{}@{}",
        plain.unwrap_or(&local),
        address.ascii_domain().to_ascii_lowercase()
    )
}

/// Whether two addresses are one mailbox to the list.
pub fn is_same(a: &Address, b: &Address) -> bool {
    normal(a) == normal(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn one_mailbox_has_one_print_however_it_is_written() {
        let printer = Printer::new(&[7; 32], 17);
        let print = |text: &str| printer.print(&address(text));
        assert_eq!(print("Ann+News@Example.NET"), print("ann+news@example.net"));
        assert_eq!(print("\"ann\"@example.net"), print("ann@example.net"));
        assert_eq!(
            print("ann@müller.example"),
            print("ann@xn--mller-kva.example")
        );
        assert_ne!(print("ann+a@example.net"), print("ann@example.net"));
        assert_ne!(print("ann@example.net"), print("ann@example.org"));
        let other = Printer::new(&[8; 32], 17);
        assert_ne!(
            print("ann@example.net"),
            other.print(&address("ann@example.net"))
        );
    }

    #[test]
    fn scopes_lie_in_one_bucket_apart() {
        let printer = Printer::new(&[7; 32], 17);
        let print = printer.print(&address("ann@example.net"));
        let a = printer.mark(print, &Scope::Global);
        let b = printer.mark(print, &Scope::Tenant("acme".into()));
        assert_eq!(a.bucket, b.bucket);
        assert!(a.bucket < printer.buckets());
        assert_ne!(a.field, b.field);
        assert_eq!(a.field.len(), 8);
    }
}
