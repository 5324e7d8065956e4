//! Instants as people read them.

use crate::units::Timestamp;
use std::time::Duration;

/// `text` with each instant in it without milliseconds, and with how long that is from `now`:
/// `until 2026-11-27 00:00:00Z, in 3 h 12 min`.
pub fn readable(text: &str, now: Timestamp) -> String {
    let mut rest = text;
    let mut told = String::with_capacity(text.len());
    while let Some((before, at, after)) = next(rest) {
        told.push_str(before);
        told.push_str(&instant(at, now));
        rest = after;
    }
    told.push_str(rest);
    told
}

/// `2026-11-27 00:00:00Z, in 3 h 12 min`
fn instant(at: Timestamp, now: Timestamp) -> String {
    let date = at.to_zoned().strftime("%Y-%m-%d %H:%M:%SZ");
    let (ahead, ago) = (at.since(now), now.since(at));
    match (ahead.as_secs(), ago.as_secs()) {
        (0, 0) => format!("{date}, now"),
        (0, _) => format!("{date}, {} ago", span(ago)),
        _ => format!("{date}, in {}", span(ahead)),
    }
}

/// In its two largest units, rounded down: `2 d 4 h`, `3 h 12 min`, `12 min`, `45 s`.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: u64, large_unit, small: u64, small_unit| match small {
        0 => format!("{large} {large_unit}"),
        small => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

/// The first instant in `text` as the API writes it, with what stands before and behind it.
fn next(text: &str) -> Option<(&str, Timestamp, &str)> {
    text.match_indices('T').find_map(|(at, _)| {
        let start = at.checked_sub(DATE)?;
        let written = text.get(start..start + WRITTEN)?;
        let instant: jiff::Timestamp = written.strip_suffix('Z').and(written.parse().ok())?;
        let millis = u64::try_from(instant.as_millisecond()).ok()?;
        let rest = text.get(start + WRITTEN..)?;
        Some((text.get(..start)?, Timestamp::from_millis(millis), rest))
    })
}

/// `2026-11-27`, and `2026-11-27T00:00:00.000Z`.
const DATE: usize = 10;
const WRITTEN: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-03T15:00:00Z
    const NOW: Timestamp = Timestamp::from_millis(1_793_718_000_000);

    #[test]
    fn instants_in_a_text_are_told_with_how_long_that_is() {
        let text = format!(
            "é T, until {}; T until {}.",
            NOW + Duration::from_secs(11_579),
            NOW
        );
        let expected =
            "é T, until 2026-11-03 18:12:59Z, in 3 h 12 min; T until 2026-11-03 15:00:00Z, now.";
        assert_eq!(readable(&text, NOW), expected);
        let past = readable("1970-01-01T00:00:00.000Z", NOW);
        assert_eq!(past, "1970-01-01 00:00:00Z, 20760 d 15 h ago");
        for same in [
            "",
            "T",
            "2026-13-03T15:00:00.000Z",
            "2026-11-03T15:00:00Z",
            "ééééééT",
        ] {
            assert_eq!(readable(same, NOW), same);
        }
    }

    #[test]
    fn spans_have_their_two_largest_units() {
        let text = |seconds| span(Duration::from_secs(seconds));
        assert_eq!(
            [0, 59, 60, 3599].map(text),
            ["0 s", "59 s", "1 min", "59 min"]
        );
        assert_eq!([3600, 3660, 86_400].map(text), ["1 h", "1 h 1 min", "1 d"]);
        assert_eq!(text(86_400 * 2 + 3600 * 4 + 59), "2 d 4 h");
    }
}
