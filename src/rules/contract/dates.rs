//! How contracts spell dates.

use jiff::{fmt::strtime, tz::TimeZone};

use crate::domain::Timestamp;

/// A date in `zone`, in the letters of `strftime`. A pattern that [`pattern_fails`] writes nothing.
pub(super) fn local(timestamp: Timestamp, zone: &TimeZone, pattern: &str) -> String {
    strtime::format(pattern, &instant(timestamp).to_zoned(zone.clone())).unwrap_or_default()
}

/// Whether `pattern` asks for what no date has.
pub(super) fn pattern_fails(pattern: &str) -> bool {
    strtime::format(pattern, &jiff::Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC)).is_err()
}

/// `2022-07-19T02:22:39.118Z`
pub(super) fn iso_millis(timestamp: Timestamp) -> String {
    format!("{:.3}", instant(timestamp))
}

/// The calendar's end stands for what lies outside of it (before the year -9999, after 9999).
fn instant(timestamp: Timestamp) -> jiff::Timestamp {
    let outside = if timestamp.as_millis() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(timestamp.as_millis()).unwrap_or(outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATTERN: &str = "%Y-%m-%d %H:%M:%S";

    #[test]
    fn a_pattern_asks_for_what_a_date_has() {
        assert!(!pattern_fails(PATTERN));
        assert!(pattern_fails("%Y-%!"));
    }

    #[test]
    fn local_dates_are_the_zones() {
        let end = Timestamp::from_millis(1_768_618_799_999);
        assert_eq!(local(end, &TimeZone::UTC, PATTERN), "2026-01-17 02:59:59");
        let zone = TimeZone::get("America/Argentina/Buenos_Aires").unwrap();
        assert_eq!(local(end, &zone, PATTERN), "2026-01-16 23:59:59");
    }

    #[test]
    fn iso_dates_have_three_digits_of_milliseconds() {
        assert_eq!(iso_millis(Timestamp::from_millis(1_658_197_359_118)), "2022-07-19T02:22:39.118Z");
        assert_eq!(iso_millis(Timestamp::from_secs(0)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn what_no_calendar_has_is_its_end() {
        assert_eq!(local(Timestamp::from_millis(i64::MAX), &TimeZone::UTC, PATTERN), "9999-12-30 22:00:00");
        assert!(iso_millis(Timestamp::from_millis(i64::MIN)).starts_with("-009999-"));
    }
}
