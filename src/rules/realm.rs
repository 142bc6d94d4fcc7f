//! A realm: an account space with the contract it speaks and the lifetimes of its tokens.

use std::time::Duration;

use jiff::{ToSpan, civil::Time};

use super::contract::{Dialect, DialectSettings, Told, Validity};

use crate::domain::{Algorithm, RealmName, Timestamp, TokenKind};

pub use super::contract::Lifetime;

/// Less than this left of the day, and a token that lives to its end gets the next day's instead.
const END_OF_DAY_MARGIN: Duration = Duration::from_secs(3600);

/// A realm, checked. It exists only when its settings fit its dialect.
#[derive(Clone, Debug)]
pub struct Realm {
    /// Its name in the config, in metrics and in the store.
    pub name: RealmName,
    /// The contract it speaks.
    pub dialect: Dialect,
    /// `iss` of its tokens.
    pub issuer: String,
    /// `aud` of its tokens.
    pub audience: String,
    /// How far clocks may be apart when `exp` and `nbf` are checked; at most 60 s.
    pub leeway: Duration,
    /// The algorithm of new tokens.
    pub algorithm: Algorithm,
    /// Whether an active key of another algorithm stays: the realm is one of OAuth's and names none.
    pub keeps_algorithm: bool,
    /// Life of access tokens.
    pub lifetime: Lifetime,
    /// Life of content tokens, where the contract gives them.
    pub content_lifetime: Duration,
    /// Life of refresh tokens, and so of their sessions, where the contract gives them.
    pub refresh_lifetime: Duration,
    /// What the realm changes in its dialect's wire format.
    pub wire: DialectSettings,
    /// Check the secret before anything that the contract tells a stranger about the account.
    pub uniform_errors: bool,
}

impl Realm {
    /// When a token of `kind` that is issued `now` ends; `None` for never.
    #[must_use]
    pub fn expiry(&self, kind: TokenKind, now: Timestamp, validity: Validity) -> Option<Timestamp> {
        match (kind, validity) {
            (_, Validity::Forever) => None,
            (_, Validity::Years(years)) => Some(plus_years(now, years)),
            (TokenKind::Content, Validity::Realm) => Some(now.plus(self.content_lifetime)),
            (TokenKind::Refresh, Validity::Realm) => Some(now.plus(self.refresh_lifetime)),
            (TokenKind::Access, Validity::Realm) => Some(match self.lifetime {
                Lifetime::Fixed(lifetime) => now.plus(lifetime),
                Lifetime::EndOfDay => self.end_of_day(now),
            }),
        }
    }

    /// When the last token that a login `now` can lead to ends, those of its last refresh included;
    /// `None` for never.
    #[must_use]
    pub fn session_end(&self, now: Timestamp, validity: Validity) -> Option<Timestamp> {
        let kinds = self.dialect.token_kinds();
        let last_issue = if kinds.contains(&TokenKind::Refresh) { now.plus(self.refresh_lifetime) } else { now };
        let ends = kinds.iter().filter(|&&kind| kind != TokenKind::Refresh);
        ends.map(|&kind| self.expiry(kind, last_issue, validity)).reduce(later).flatten()
    }

    /// When the longest-lived token that could be issued `now` ends; `None` where some never end.
    #[must_use]
    pub fn latest_expiry(&self, now: Timestamp) -> Option<Timestamp> {
        let asked = match (self.dialect.chooses_validity(), self.wire.allow_non_expiring) {
            (false, _) => Validity::Realm,
            (true, true) => Validity::Forever,
            (true, false) => Validity::Years(self.wire.years_max),
        };
        let kinds = self.dialect.token_kinds().iter();
        kinds.map(|&kind| self.expiry(kind, now, asked)).reduce(later).flatten()
    }

    /// Whom it tells what its contract tells `told`.
    #[must_use]
    pub fn tells(&self, told: Told) -> Told {
        if self.uniform_errors && told == Told::BeforeSecret { Told::AfterSecret } else { told }
    }

    /// Whether its tokens may be without expiry.
    #[must_use]
    pub fn allows_non_expiring(&self) -> bool {
        self.dialect.chooses_validity() && self.wire.allow_non_expiring
    }

    fn end_of_day(&self, now: Timestamp) -> Timestamp {
        let Ok(instant) = jiff::Timestamp::from_millisecond(now.as_millis()) else { return now };
        let today = instant.to_zoned(self.wire.timezone.clone()).date();
        let end_of = |date: jiff::civil::Date| {
            let last_second = date.to_datetime(Time::constant(23, 59, 59, 0));
            let end = last_second.to_zoned(self.wire.timezone.clone()).map(|zoned| zoned.timestamp());
            end.map_or(now, |end| Timestamp::from_millis(end.as_millisecond()))
        };
        let end = end_of(today);
        if end.since(now) < END_OF_DAY_MARGIN { today.tomorrow().map_or(end, end_of) } else { end }
    }
}

/// The later end; `None` is never.
#[must_use]
pub fn later(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.zip(b).map(|(a, b)| a.max(b))
}

/// `years` calendar years after `start`, in UTC; 29 February becomes 28 where the year has none.
fn plus_years(start: Timestamp, years: u8) -> Timestamp {
    let end = jiff::Timestamp::from_millisecond(start.as_millis())
        .and_then(|start| start.to_zoned(jiff::tz::TimeZone::UTC).checked_add(i32::from(years).years()));
    end.map_or(start, |end| Timestamp::from_millis(end.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn realm(timezone: &str) -> Realm {
        let wire = DialectSettings { timezone: jiff::tz::TimeZone::get(timezone).unwrap(), ..Default::default() };
        Realm {
            name: "sws".parse().unwrap(),
            dialect: "sws".parse().unwrap(),
            issuer: "https://gateway.example.com/sws".into(),
            audience: "api".into(),
            leeway: Duration::from_secs(30),
            algorithm: Algorithm::Hs256,
            keeps_algorithm: false,
            lifetime: Lifetime::EndOfDay,
            content_lifetime: Duration::from_secs(3600),
            refresh_lifetime: Duration::from_secs(12 * 3600),
            wire,
            uniform_errors: false,
        }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn a_day_ends_where_the_realm_is() {
        let end = realm("America/Argentina/Buenos_Aires").expiry(
            TokenKind::Access,
            at("2026-01-16T12:00:00Z"),
            Validity::Realm,
        );
        assert_eq!(end, Some(at("2026-01-17T02:59:59Z")));
    }

    #[test]
    fn less_than_an_hour_left_means_the_next_day() {
        let utc = realm("UTC");
        let ends = |now| utc.expiry(TokenKind::Access, at(now), Validity::Realm);
        assert_eq!(ends("2026-01-16T22:59:59Z"), Some(at("2026-01-16T23:59:59Z")));
        assert_eq!(ends("2026-01-16T22:59:59.001Z"), Some(at("2026-01-17T23:59:59Z")));
        assert_eq!(ends("2026-01-16T23:59:59.5Z"), Some(at("2026-01-17T23:59:59Z")));
    }

    #[test]
    fn calendar_years_end_on_28_february_where_there_is_no_29th() {
        let ends =
            |years| realm("UTC").expiry(TokenKind::Access, at("2024-02-29T10:11:12.345Z"), Validity::Years(years));
        assert_eq!(ends(1), Some(at("2025-02-28T10:11:12.345Z")));
        assert_eq!(ends(4), Some(at("2028-02-29T10:11:12.345Z")));
        assert_eq!(ends(100), Some(at("2124-02-29T10:11:12.345Z")));
    }

    #[test]
    fn the_latest_expiry_is_the_longest_lived_tokens() {
        let now = at("2026-01-16T12:00:00Z");
        let mut realm = realm("UTC");
        assert_eq!(realm.latest_expiry(now), Some(at("2026-01-16T23:59:59Z")));
        realm.dialect = "apis".parse().unwrap();
        realm.lifetime = Lifetime::Fixed(Duration::from_secs(3600));
        assert_eq!(realm.latest_expiry(now), Some(now.plus(realm.refresh_lifetime)));
        let last_refresh = now.plus(realm.refresh_lifetime);
        assert_eq!(realm.session_end(now, Validity::Realm), Some(last_refresh.plus(Duration::from_secs(3600))));
        realm.dialect = "toc".parse().unwrap();
        assert_eq!(realm.session_end(now, Validity::Forever), None);
        assert_eq!(realm.latest_expiry(now), None);
        realm.wire.allow_non_expiring = false;
        assert_eq!(realm.latest_expiry(now), Some(plus_years(now, 100)));
    }
}
