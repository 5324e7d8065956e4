//! A bucket as one record: its fields packed by their width and that of their values.
//!
//! Fields of one length whose values are of one length too are a group: a length of field (1 octet), a length of value
//! and a count (LEB128), then all fields in order, then all their values. Groups are in order of those lengths. Millions
//! of fields of a kind so cost their own octets and nothing else, and one is found by halving.

/// What is in a record. Borrowed from it.
pub(super) type Entry<'r> = (&'r [u8], &'r [u8]);

/// Fields of one width with values of one width.
struct Group<'r> {
    field: usize,
    value: usize,
    fields: &'r [u8],
    values: &'r [u8],
    count: usize,
}

/// Reads a record: its fields in order.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(record: &[u8]) -> Result<Vec<Entry<'_>>, &'static str> {
    let (mut entries, mut rest) = (Vec::new(), record);
    let mut last = None;
    while !rest.is_empty() {
        let (group, behind) = Group::split(rest)?;
        if last >= Some((group.field, group.value)) {
            return Err("its groups are not in order");
        }
        last = Some((group.field, group.value));
        let before = entries.len();
        entries.extend((0..group.count).map(|at| group.entry(at)));
        let added = entries.get(before..).unwrap_or_default();
        if !added.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err("its fields are not in order");
        }
        rest = behind;
    }
    entries.sort_unstable();
    match entries.is_sorted_by(|(a, _), (b, _)| a < b) {
        true => Ok(entries),
        false => Err("a field is in it twice"),
    }
}

/// The record of entries that are in order.
pub(super) fn write(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut entries = entries.to_vec();
    let widths = |(field, value): &Entry<'_>| (field.len(), value.len());
    // Stable: within a group the order stays.
    entries.sort_by_key(widths);
    let mut record = Vec::new();
    for group in entries.chunk_by(|a, b| widths(a) == widths(b)) {
        let (field, value) = group.first().map(widths).unwrap_or_default();
        // No field is longer: that was seen to before.
        record.push(u8::try_from(field).unwrap_or(u8::MAX));
        push_number(&mut record, value);
        push_number(&mut record, group.len());
        group.iter().for_each(|(f, _)| record.extend_from_slice(f));
        group.iter().for_each(|(_, v)| record.extend_from_slice(v));
    }
    record
}

/// The value of a field.
///
/// # Errors
/// What is wrong with the record.
pub(super) fn find<'r>(record: &'r [u8], field: &[u8]) -> Result<Option<&'r [u8]>, &'static str> {
    let mut rest = record;
    while !rest.is_empty() {
        let (group, behind) = Group::split(rest)?;
        if let Some(value) = group.find(field) {
            return Ok(Some(value));
        }
        rest = behind;
    }
    Ok(None)
}

impl<'r> Group<'r> {
    fn split(record: &'r [u8]) -> Result<(Self, &'r [u8]), &'static str> {
        let (field, rest) = record.split_first().ok_or(SHORT)?;
        let field = usize::from(*field);
        let (value, rest) = number(rest)?;
        let (count, rest) = number(rest)?;
        let len = |each: usize| count.checked_mul(each).ok_or(SHORT);
        let (fields, rest) = rest.split_at_checked(len(field)?).ok_or(SHORT)?;
        let (values, rest) = rest.split_at_checked(len(value)?).ok_or(SHORT)?;
        // Fields of no octets are one at most; a larger count would cost time without end.
        if count == 0 || (field == 0 && count > 1) {
            return Err("a count in it is none");
        }
        let group = Self {
            field,
            value,
            fields,
            values,
            count,
        };
        Ok((group, rest))
    }

    fn entry(&self, at: usize) -> Entry<'r> {
        let part = |all: &'r [u8], width: usize| {
            let from = at * width;
            all.get(from..from + width).unwrap_or_default()
        };
        (part(self.fields, self.field), part(self.values, self.value))
    }

    fn find(&self, field: &[u8]) -> Option<&'r [u8]> {
        if self.field != field.len() {
            return None;
        }
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let (there, value) = self.entry(middle);
            match there.cmp(field) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(value),
            }
        }
        None
    }
}

const SHORT: &str = "it is cut short";

fn push_number(record: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        record.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    record.push(number as u8);
}

/// Up to 2²⁸.
fn number(octets: &[u8]) -> Result<(usize, &[u8]), &'static str> {
    let mut number = 0usize;
    for (i, octet) in octets.iter().enumerate().take(4) {
        number |= usize::from(octet & 0x7f) << (7 * i);
        if octet & 0x80 == 0 {
            return Ok((number, octets.get(i + 1..).unwrap_or_default()));
        }
    }
    Err("a length in it is none")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn held() -> impl Strategy<Value = BTreeMap<Vec<u8>, Vec<u8>>> {
        let marks = btree_map(vec(any::<u8>(), 8), vec(any::<u8>(), 1..3), 0..200);
        let others = btree_map(vec(any::<u8>(), 0..=255), vec(any::<u8>(), 0..20), 0..20);
        (marks, others).prop_map(|(mut marks, others)| {
            marks.extend(others);
            marks
        })
    }

    fn record(held: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
        let entries: Vec<Entry<'_>> = held.iter().map(|(f, v)| (&f[..], &v[..])).collect();
        write(&entries)
    }

    proptest! {
        #[test]
        fn entries_read_back(held in held(), long in 100_usize..70_000) {
            let mut held = held;
            held.insert(b"long".to_vec(), vec![7; long]);
            let record = record(&held);
            let entries: Vec<Entry<'_>> = held.iter().map(|(f, v)| (&f[..], &v[..])).collect();
            prop_assert_eq!(read(&record), Ok(entries));
            for (field, value) in &held {
                prop_assert_eq!(find(&record, field), Ok(Some(&value[..])));
                let mut other = field.clone();
                other.push(1);
                let due = held.get(&other).map(Vec::as_slice);
                prop_assert_eq!(find(&record, &other), Ok(due));
            }
        }

        #[test]
        fn whatever_is_there_is_read_or_refused(record: Vec<u8>, field: Vec<u8>) {
            let _found = find(&record, &field);
            if let Ok(entries) = read(&record) {
                let written = write(&entries);
                prop_assert_eq!(read(&written), Ok(entries));
            }
        }

        #[test]
        fn a_record_with_a_wrong_octet_is_read_or_refused(
            held in held(),
            at: prop::sample::Index,
            change in 1..=255_u8,
        ) {
            let mut record = record(&held);
            prop_assume!(!record.is_empty());
            let at = at.index(record.len());
            record[at] ^= change;
            if let Ok(entries) = read(&record) {
                prop_assert!(entries.is_sorted_by(|a, b| a.0 < b.0));
            }
            for field in held.keys() {
                let _found = find(&record, field);
            }
        }
    }

    #[test]
    fn a_mark_costs_its_nine_octets() {
        let marks = (0..100_u64).map(|n| (n.to_be_bytes().to_vec(), b"h".to_vec()));
        assert_eq!(record(&marks.collect()).len(), 3 + 900);
    }

    #[test]
    fn no_count_costs_time_without_end() {
        // So many fields and values of no octets.
        assert!(read(&[0, 0, 0xff, 0xff, 0xff, 0x7f]).is_err());
        assert!(find(&[0, 0, 0xff, 0xff, 0xff, 0x7f], b"").is_err());
    }
}
