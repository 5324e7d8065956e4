//! A bucket as one record: its fields in order, each with its value.
//!
//! An entry is the field's length (1 octet), the field, the value's length (LEB128), the value.

/// What is in a record. Borrowed from it.
pub(super) type Entry<'r> = (&'r [u8], &'r [u8]);

/// Reads a record.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(record: &[u8]) -> Result<Vec<Entry<'_>>, &'static str> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut rest = record;
    while let Some((len, behind)) = rest.split_first() {
        let (field, behind) = split(behind, usize::from(*len))?;
        let (len, behind) = length(behind)?;
        let (value, behind) = split(behind, len)?;
        if entries.last().is_some_and(|(last, _)| *last >= field) {
            return Err("its fields are not in order");
        }
        entries.push((field, value));
        rest = behind;
    }
    Ok(entries)
}

/// The record of entries that are in order.
pub(super) fn write(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut record = Vec::new();
    for (field, value) in entries {
        // No field is longer: that was seen to before.
        record.push(u8::try_from(field.len()).unwrap_or(u8::MAX));
        record.extend_from_slice(field);
        let mut len = value.len();
        while len >= 0x80 {
            record.push((len & 0x7f) as u8 | 0x80);
            len >>= 7;
        }
        record.push(len as u8);
        record.extend_from_slice(value);
    }
    record
}

/// The value of a field.
///
/// # Errors
/// What is wrong with the record.
pub(super) fn find<'r>(record: &'r [u8], field: &[u8]) -> Result<Option<&'r [u8]>, &'static str> {
    let entries = read(record)?;
    let found = entries.binary_search_by_key(&field, |(field, _)| field);
    Ok(found
        .ok()
        .and_then(|at| entries.get(at))
        .map(|(_, value)| *value))
}

fn split(octets: &[u8], at: usize) -> Result<(&[u8], &[u8]), &'static str> {
    octets.split_at_checked(at).ok_or("it is cut short")
}

fn length(octets: &[u8]) -> Result<(usize, &[u8]), &'static str> {
    let mut len = 0usize;
    for (i, octet) in octets.iter().enumerate().take(4) {
        len |= usize::from(octet & 0x7f) << (7 * i);
        if octet & 0x80 == 0 {
            return Ok((len, octets.get(i + 1..).unwrap_or_default()));
        }
    }
    Err("a length in it is none")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn entries_read_back(held: BTreeMap<Vec<u8>, Vec<u8>>, long in 100_usize..70_000) {
            let mut held = held;
            held.retain(|field, _| field.len() <= 255);
            held.insert(b"long".to_vec(), vec![7; long]);
            let entries: Vec<Entry<'_>> = held.iter().map(|(f, v)| (&f[..], &v[..])).collect();
            let record = write(&entries);
            prop_assert_eq!(read(&record), Ok(entries));
            for (field, value) in &held {
                prop_assert_eq!(find(&record, field), Ok(Some(&value[..])));
            }
        }

        #[test]
        fn whatever_is_there_is_read_or_refused(record: Vec<u8>) {
            if let Ok(entries) = read(&record) {
                prop_assert_eq!(read(&write(&entries)).map(|e| e.len()), Ok(entries.len()));
            }
        }
    }
}
