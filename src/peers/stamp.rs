//! When a message was due, written into its header section by the generator and read by the sink.
//!
//! Both must see the same clock: they run on one machine, and nobody sets its clock meanwhile.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970 follow, in decimal digits.
const FIELD: &str = "X-Load-Due: ";
/// What was due longer ago is not of a run that is under way.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The header field, with its CRLF.
pub(super) fn field(due: SystemTime) -> String {
    let since = due.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{FIELD}{}\r\n", since.as_micros())
}

/// How long a message was on its way that arrives `now`; `None` where it bears no stamp, or one that lies ahead or more
/// than a day back.
pub(super) fn transit(content: &[u8], now: SystemTime) -> Option<Duration> {
    let transit = now.duration_since(read(content)?).ok()?;
    (transit <= LONGEST).then_some(transit)
}

/// The instant in the header section of `content`; `None` where the message bears no stamp.
fn read(content: &[u8]) -> Option<SystemTime> {
    let head = &content[..memchr::memmem::find(content, b"\r\n\r\n")?];
    let begins = |line: &&[u8]| line.starts_with(FIELD.as_bytes());
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
    fn only_what_was_due_within_the_last_day_was_on_its_way() {
        let now = UNIX_EPOCH + Duration::from_secs(1_764_000_000);
        let transit = |due| transit(format!("{}\r\n", field(due)).as_bytes(), now);
        for known in [Duration::ZERO, Duration::from_millis(190), LONGEST] {
            assert_eq!(transit(now - known), Some(known));
        }
        let ahead = now + Duration::from_micros(1);
        let long_ago = now - LONGEST - Duration::from_micros(1);
        for due in [ahead, long_ago, UNIX_EPOCH] {
            assert_eq!(transit(due), None, "{due:?}");
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
