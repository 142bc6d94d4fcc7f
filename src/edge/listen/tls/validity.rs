//! When certificates are good.

use crate::domain::Timestamp;

/// A span of civil time in whole seconds since the Unix epoch. Both ends belong to it, as in a certificate (RFC 5280
/// section 4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) struct Validity {
    from: i64,
    until: i64,
}

/// Octets of a span in [`Validity::to_bytes`].
pub(super) const VALIDITY_BYTES: usize = 16;

impl Validity {
    /// For what has no certificate.
    pub(in crate::edge) const ALWAYS: Self = Self { from: i64::MIN, until: i64::MAX };
    /// For what is not good at any time.
    pub(super) const NEVER: Self = Self { from: i64::MAX, until: i64::MIN };

    /// What a certificate says of itself; `None` where it cannot be read.
    pub(super) fn read(certificate: &[u8]) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let validity = parsed.validity();
        Some(Self { from: validity.not_before.timestamp(), until: validity.not_after.timestamp() })
    }

    /// When both are good.
    pub(super) fn and(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), until: self.until.min(other.until) }
    }

    /// Whether it is good at this time.
    pub(in crate::edge) const fn contains(self, now: Timestamp) -> bool {
        self.contains_second(now.as_secs())
    }

    pub(super) const fn contains_second(self, second: i64) -> bool {
        self.from <= second && second <= self.until
    }

    /// The span around `second` in which [`contains_second`](Self::contains_second) answers the same.
    pub(super) const fn unchanged_around(self, second: i64) -> Self {
        if second < self.from {
            Self { from: i64::MIN, until: self.from.saturating_sub(1) }
        } else if second > self.until {
            Self { from: self.until.saturating_add(1), until: i64::MAX }
        } else {
            self
        }
    }

    pub(super) fn to_bytes(self) -> [u8; VALIDITY_BYTES] {
        let mut bytes = [0; VALIDITY_BYTES];
        bytes[..8].copy_from_slice(&self.from.to_be_bytes());
        bytes[8..].copy_from_slice(&self.until.to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; VALIDITY_BYTES]) -> Self {
        let [from, until] = [&bytes[..8], &bytes[8..]].map(|half| half.try_into().map_or(0, i64::from_be_bytes));
        Self { from, until }
    }
}

#[cfg(test)]
impl Validity {
    /// From the first second of one year to that of another.
    pub(super) fn of_years(from: i32, until: i32) -> Self {
        let first = |year| rcgen::date_time_ymd(year, 1, 1).unix_timestamp();
        Self { from: first(from), until: first(until) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_belong_to_a_span() {
        let span = Validity { from: 10, until: 20 };
        let good = [9, 10, 20, 21].map(|second| span.contains(Timestamp::from_secs(second)));
        assert_eq!(good, [false, true, true, false]);
        assert!(span.contains(Timestamp::from_millis(20_999)), "the whole of the last second");
        assert_eq!(Validity::from_bytes(&span.to_bytes()), span);
    }

    #[test]
    fn around_each_time_there_is_a_span_in_which_the_verdict_stands() {
        let span = Validity { from: 10, until: 20 };
        assert_eq!(span.unchanged_around(9), Validity { from: i64::MIN, until: 9 });
        assert_eq!(span.unchanged_around(15), span);
        assert_eq!(span.unchanged_around(21), Validity { from: 21, until: i64::MAX });
    }

    #[test]
    fn what_is_no_certificate_has_no_dates() {
        assert_eq!(Validity::read(b"no certificate"), None);
        assert!(!Validity::NEVER.contains(Timestamp::from_secs(0)));
    }
}
