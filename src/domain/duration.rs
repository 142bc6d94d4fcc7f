//! Durations as files spell them: a whole number and one unit.

use std::time::Duration;

/// The units and their milliseconds, the longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads `500ms`, `30s`, `5m`, `12h` or `1d`.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*millis).map(Duration::from_millis)
}

/// Spells a duration in the longest unit that it is a whole number of.
#[must_use]
pub fn shown(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let whole = UNITS.into_iter().find(|(_, unit)| millis != 0 && millis.is_multiple_of(*unit));
    whole.map_or_else(|| "0s".to_owned(), |(name, unit)| format!("{}{name}", millis / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_and_one_unit() {
        for (text, millis) in
            [("500ms", 500), ("0s", 0), ("30s", 30_000), ("5m", 300_000), ("12h", 43_200_000), ("1d", 86_400_000)]
        {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
            assert_eq!(shown(Duration::from_millis(millis)), text);
        }
        for text in ["", "30", "s", "1.5s", "-1s", "+1s", "1 s", "1h30m", "1w", "1S", "99999999999999999999s"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("18446744073709551615d"), None, "an overflow is no duration");
    }
}
