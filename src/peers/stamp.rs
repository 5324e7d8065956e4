//! When a message was due, written into its header section by the generator and read by the sink.
//!
//! Both must see the same clock: they run on one machine, and nobody sets its clock meanwhile.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970 follow, in decimal digits.
const FIELD: &[u8] = b"X-Load-Due: ";

/// The header field, with its CRLF.
pub(super) fn field(due: SystemTime) -> String {
    let since = due.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!(
        "{}{}\r\n",
        String::from_utf8_lossy(FIELD),
        since.as_micros()
    )
}

/// The instant in the header section of `content`; `None` where the message bears no stamp.
pub(super) fn read(content: &[u8]) -> Option<SystemTime> {
    let head = &content[..memchr::memmem::find(content, b"\r\n\r\n")?];
    let begins = |line: &&[u8]| line.starts_with(FIELD);
    let line = head.split(|octet| *octet == b'\n').find(begins)?;
    let digits = std::str::from_utf8(&line[FIELD.len()..]).ok()?;
    let micros = digits.trim_end().parse().ok()?;
    UNIX_EPOCH.checked_add(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_wherever_it_stands_among_the_fields() {
        let due = UNIX_EPOCH + Duration::from_micros(1_764_000_000_123_456);
        let field = field(due);
        assert_eq!(field, "X-Load-Due: 1764000000123456\r\n");
        for head in [
            field.clone(),
            format!("Received: from x\r\n\tby y\r\n{field}"),
        ] {
            let content = format!("{head}Subject: x\r\n\r\ntext\r\n");
            assert_eq!(read(content.as_bytes()), Some(due));
        }
    }

    #[test]
    fn what_is_no_stamp_is_none() {
        for content in [
            "Subject: x\r\n\r\nX-Load-Due: 1764000000123456\r\n",
            "X-Load-Due: soon\r\n\r\n",
            "X-Load-Due: 99999999999999999999999\r\n\r\n",
            "X-Load-Due: 1",
            "",
        ] {
            assert_eq!(read(content.as_bytes()), None, "{content:?}");
        }
    }
}
