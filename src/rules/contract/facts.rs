//! What the house asks of a contract, beside how it reads and writes.

use std::{ops::RangeInclusive, time::Duration};

use http::{HeaderName, StatusCode};
use jiff::tz::TimeZone;

use super::{Forms, OldSystem, RejectionKind};
use crate::{
    domain::{Algorithm, PrincipalKind, TokenKind},
    rules::profile::ClaimProfile,
};

/// What a contract declares.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its word in messages, and in `gateway.toml` where it ships.
    pub name: Box<str>,
    /// The contract that it is a variant of.
    pub extends: Option<Box<str>>,
    /// What its accounts are.
    pub accounts: AccountFacts,
    /// What its tokens are.
    pub tokens: TokenFacts,
    /// What a realm that speaks it may set.
    pub settings: SettingFacts,
    /// What it tells about accounts that may not log in.
    pub tells: Tells,
    /// A header of the contract's own that carries the token, beside `Authorization`.
    pub token_header: Option<HeaderName>,
    /// Whether a bare `Authorization: <token>`, without a scheme, carries a token.
    pub bare_authorization: bool,
    /// The scheme of `Authorization` that carries a token, beside `Bearer`.
    pub token_scheme: Option<Box<str>>,
    /// Where a login has its name and secret.
    pub place: SecretPlace,
    /// Whether requests may be forms.
    pub forms: Forms,
    /// What the answers of the API mean that it was before Portero.
    pub old_system: Option<OldSystem>,
    /// How the tokens look that this API gave.
    pub earlier_tokens: Option<ClaimProfile>,
}

impl Facts {
    /// Whether a token request of the contract can end so. One that cannot has a response all the same: `other`'s.
    pub(super) fn can_end_in(&self, kind: RejectionKind) -> bool {
        match kind {
            RejectionKind::NotJson => self.place == SecretPlace::Body || !self.tokens.refresh.is_empty(),
            RejectionKind::InvalidQuery => self.settings.max_years.is_some(),
            RejectionKind::InvalidRefreshToken => !self.tokens.refresh.is_empty(),
            RejectionKind::Locked => self.tells.locked != Told::Never,
            RejectionKind::Inactive => self.tells.inactive != Told::Never,
            RejectionKind::CompanyMissing => self.tells.company_missing != Told::Never,
            _ => true,
        }
    }
}

/// Where a login has its name and secret: never in a query, a path or a cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretPlace {
    /// Members of the JSON body.
    #[default]
    Body,
    /// `Authorization: Basic` (RFC 7617).
    Basic,
}

/// What the accounts of a contract are.
#[derive(Clone, Debug)]
pub struct AccountFacts {
    /// What a principal is.
    pub kind: PrincipalKind,
    /// Whether a business is a part of its name.
    pub has_business: bool,
    /// Whether each gets an integer id of its own in its realm.
    pub has_legacy_id: bool,
    /// Whether each belongs to a company.
    pub has_company: bool,
}

/// What the tokens of a contract are.
#[derive(Clone, Debug)]
pub struct TokenFacts {
    /// The algorithm unless the realm says another; [`Algorithm::Sealed`] admits no other.
    pub algorithm: Algorithm,
    /// `typ` in the header of its JWTs.
    pub header_type: Box<str>,
    /// The tokens that one login gives, in their order.
    pub login: Vec<TokenKind>,
    /// The tokens that a refresh gives; empty where the contract has no refresh.
    pub refresh: Vec<TokenKind>,
}

/// The keys of a realm that a contract has, with their defaults and bounds.
#[derive(Clone, Debug)]
pub struct SettingFacts {
    /// `lifetime`; `None` where each login says how long its token lives.
    pub lifetime: Option<Lifetime>,
    /// `content_lifetime`, where a login gives a content token.
    pub content_lifetime: Option<Duration>,
    /// `refresh_lifetime`, where a login gives a refresh token.
    pub refresh_lifetime: Option<Duration>,
    /// `timezone`
    pub timezone: Zone,
    /// `error_status`
    pub error_status: Option<Bounded<u16>>,
    /// `max_years`
    pub max_years: Option<Bounded<u8>>,
    /// `allow_non_expiring`
    pub allow_non_expiring: Option<bool>,
    /// `uniform_errors`
    pub uniform_errors: Option<bool>,
}

/// How long access tokens live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until 23:59:59 of the realm's time zone; the next day's when less than an hour is left.
    EndOfDay,
    /// A fixed time.
    Fixed(Duration),
}

/// A number that a realm may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounded<T> {
    /// What holds where it does not.
    pub default: T,
    /// What it may be.
    pub range: RangeInclusive<T>,
}

/// Whether a contract prints local dates, and whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Zone {
    /// It prints none.
    Unused,
    /// A realm must say its time zone: clients read the dates as local time.
    Required,
    /// A realm may say another one.
    Default(TimeZone),
}

/// What a contract tells about accounts that may not log in. What it does not tell looks like a wrong secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tells {
    /// That an account is inactive.
    pub inactive: Told,
    /// That an account's company is missing.
    pub company_missing: Told,
    /// That an administrator locked the account; never before the secret.
    pub locked: Told,
}

/// Whom something is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// Nobody.
    #[default]
    Never,
    /// Callers that proved the secret.
    AfterSecret,
    /// Every stranger. A realm's `uniform_errors` makes it [`Told::AfterSecret`].
    BeforeSecret,
}

impl SettingFacts {
    /// The keys of a realm that not every contract has.
    pub const KEYS: [&'static str; 10] = [
        "audience",
        "timezone",
        "lifetime",
        "content_lifetime",
        "refresh_lifetime",
        "algorithm",
        "error_status",
        "uniform_errors",
        "max_years",
        "allow_non_expiring",
    ];
}

impl Facts {
    /// Whether a realm that speaks the contract has the key `key` of [`SettingFacts::KEYS`].
    #[must_use]
    pub fn has_key(&self, key: &str) -> bool {
        let settings = &self.settings;
        match key {
            "audience" | "algorithm" => self.tokens.algorithm.is_jwt(),
            "timezone" => settings.timezone != Zone::Unused,
            "lifetime" => settings.lifetime.is_some(),
            "content_lifetime" => settings.content_lifetime.is_some(),
            "refresh_lifetime" => settings.refresh_lifetime.is_some(),
            "error_status" => settings.error_status.is_some(),
            "uniform_errors" => settings.uniform_errors.is_some(),
            "max_years" => settings.max_years.is_some(),
            "allow_non_expiring" => settings.allow_non_expiring.is_some(),
            _ => false,
        }
    }
}

/// What a realm says in its contract's wire format, checked against [`SettingFacts`].
#[derive(Clone, Debug)]
pub struct DialectSettings {
    /// The zone of printed local dates and of the end of the day.
    pub timezone: TimeZone,
    /// The HTTP status of the errors that a contract gives the realm's own; default 200.
    pub error_status: StatusCode,
    /// The longest expiry, in calendar years, that a login may ask for, 1 to 100; default 100.
    pub years_max: u8,
    /// Whether a login may ask for a token without expiry; default true.
    pub allow_non_expiring: bool,
}

impl Default for DialectSettings {
    fn default() -> Self {
        Self { timezone: TimeZone::UTC, error_status: StatusCode::OK, years_max: 100, allow_non_expiring: true }
    }
}
