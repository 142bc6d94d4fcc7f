//! The two spellings of a date in the contracts.

use jiff::tz::TimeZone;

use portero::domain::Timestamp;

/// `2026-01-16 23:59:59`, in `zone` (`sws`'s vencimiento, `maxpoint`'s `expire_in`).
pub(super) fn local(timestamp: Timestamp, zone: &TimeZone) -> String {
    instant(timestamp).to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `2022-07-19T02:22:39.118Z` (`toc`'s creacion and expiracion).
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

    #[test]
    fn local_dates_are_the_zones() {
        let end = Timestamp::from_millis(1_768_618_799_999);
        assert_eq!(local(end, &TimeZone::UTC), "2026-01-17 02:59:59");
        let zone = TimeZone::get("America/Argentina/Buenos_Aires").unwrap();
        assert_eq!(local(end, &zone), "2026-01-16 23:59:59");
    }

    #[test]
    fn iso_dates_have_three_digits_of_milliseconds() {
        assert_eq!(iso_millis(Timestamp::from_millis(1_658_197_359_118)), "2022-07-19T02:22:39.118Z");
        assert_eq!(iso_millis(Timestamp::from_secs(0)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn what_no_calendar_has_is_its_end() {
        assert_eq!(local(Timestamp::from_millis(i64::MAX), &TimeZone::UTC), "9999-12-30 22:00:00");
        assert!(iso_millis(Timestamp::from_millis(i64::MIN)).starts_with("-009999-"));
    }
}
