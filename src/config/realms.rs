//! `[tokens]` and `[realms.NAME]`: the account spaces and the tokens they give.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use http::{StatusCode, Uri};
use jiff::tz::TimeZone;

use super::{
    duration,
    item::Item,
    reader::{Context, Section, Spot, suggestion},
};
use crate::{
    domain::{Algorithm, RealmName},
    rules::{
        dialect::{self, Dialect},
        realm::{Lifetime, Realm},
    },
};

/// Clocks that are further apart than this are broken, and `exp` would mean little.
const LEEWAY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_mins(1);
/// `exp` and `expiresIn` count seconds.
const LIFETIME: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24 * 3650);
const LEEWAY_DEFAULT: Duration = Duration::from_secs(30);
const LIFETIME_DEFAULT: Duration = Duration::from_hours(1);
const REFRESH_LIFETIME_DEFAULT: Duration = Duration::from_hours(12);
/// Characters of an issuer or audience, at most: they stand in every token.
const ISSUER_CHARS_MAX: usize = 255;

/// The keys that only some dialects use, and which.
const DIALECTS_OF_KEYS: [(&str, &[Dialect]); 10] = [
    ("audience", &[Dialect::Sws, Dialect::Toc, Dialect::Maxpoint, Dialect::Become, Dialect::Oauth]),
    ("timezone", &[Dialect::Sws, Dialect::Maxpoint]),
    ("lifetime", &[Dialect::Sws, Dialect::Apis, Dialect::Maxpoint, Dialect::Become, Dialect::Oauth]),
    ("content_lifetime", &[Dialect::Apis]),
    ("refresh_lifetime", &[Dialect::Apis]),
    ("algorithm", &[Dialect::Sws, Dialect::Toc, Dialect::Maxpoint, Dialect::Become, Dialect::Oauth]),
    ("error_status", &[Dialect::Sws]),
    ("uniform_errors", &[Dialect::Become]),
    ("max_years", &[Dialect::Toc]),
    ("allow_non_expiring", &[Dialect::Toc]),
];

/// The realms of the file.
pub(super) struct Realms {
    /// Every name that stands in the file with its dialect, of good ones and bad ones.
    declared: Vec<(String, Option<Dialect>)>,
    /// The good ones.
    pub(super) checked: Vec<Arc<Realm>>,
    /// `tokens.issuer`, where it stands and is good.
    pub(super) issuer: Option<String>,
    /// Every name of an external issuer, of good ones and bad ones: routes accept their tokens too.
    pub(super) external: Vec<String>,
    /// `tokens.audience`.
    pub(super) audience: String,
    /// `tokens.leeway`.
    pub(super) leeway: Duration,
}

/// `[tokens]`: what a realm has that does not say its own.
struct Tokens {
    /// Whether the key stands in the file, good or bad.
    has_issuer: bool,
    issuer: Option<String>,
    audience: String,
    leeway: Duration,
    spot: Option<Spot>,
}

/// Reads `[tokens]` and every realm.
pub(super) fn read(context: &Context<'_>, root: &mut Section<'_>) -> Realms {
    let has_tokens = root.has("tokens");
    let tokens = tokens(root.section("tokens"), has_tokens);
    let (audience, leeway) = (tokens.audience.clone(), tokens.leeway);
    let issuer = tokens.issuer.clone();
    let mut realms = Realms { declared: vec![], checked: vec![], issuer, external: vec![], audience, leeway };
    let mut issuers: Vec<(String, String)> = vec![];
    let mut without_issuer: Option<(String, Spot)> = None;
    for (name, section) in root.named_sections("realms") {
        let spot = section.spot().clone();
        let issuer_spot = section.spot_of("issuer");
        let has_issuer = section.has("issuer");
        let (dialect, realm) = realm(name, section, &tokens);
        realms.declared.push((name.to_owned(), dialect));
        if !has_issuer && !tokens.has_issuer {
            without_issuer.get_or_insert((name.to_owned(), spot));
        }
        let Some(realm) = realm else { continue };
        match issuers.iter().find(|(issuer, _)| *issuer == realm.issuer) {
            Some((_, other)) => {
                let message = format!("realm '{other}' has this issuer too; subjects would not be told apart");
                context.report(&issuer_spot, &message);
            }
            None => issuers.push((realm.issuer.clone(), name.to_owned())),
        }
        realms.checked.push(Arc::new(realm));
    }
    if let Some((name, realm_spot)) = without_issuer {
        let offset = tokens.spot.map_or(realm_spot.offset, |spot| spot.offset);
        let message = format!(
            "missing; add it, for example issuer = \"https://gateway.example.com\": \
             the issuer of realm '{name}' is then that + \"/{name}\""
        );
        context.report(&Spot { key: "tokens.issuer".to_owned(), offset }, &message);
    }
    realms
}

impl Realms {
    /// The realm that `item` names; a problem when there is none.
    pub(super) fn resolve(&self, item: &Item<'_>) -> Option<RealmName> {
        Self::named(item, "realm", self.names())
    }

    /// The realm or the external issuer that `item` names; a problem when there is none.
    pub(super) fn resolve_accepted(&self, item: &Item<'_>) -> Option<RealmName> {
        let what = if self.external.is_empty() { "realm" } else { "realm or issuer" };
        Self::named(item, what, self.names().chain(self.external.iter().map(String::as_str)))
    }

    /// Whether a realm has this name.
    pub(super) fn is_realm(&self, name: &str) -> bool {
        self.names().any(|declared| declared == name)
    }

    /// Whether an external issuer has this name.
    pub(super) fn is_external(&self, name: &RealmName) -> bool {
        self.external.iter().any(|declared| declared == name.as_str())
    }

    fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.declared.iter().map(|(name, _)| name.as_str())
    }

    fn named<'n>(item: &Item<'_>, what: &str, names: impl Iterator<Item = &'n str> + Clone) -> Option<RealmName> {
        let name = item.text()?;
        if names.clone().any(|declared| declared == name) {
            return name.parse().ok();
        }
        if names.clone().next().is_none() {
            return item.wrong(&format!("no {what} is called {}; there is none yet: add [realms.NAME]", item.shown()));
        }
        let instead = suggestion(item.raw(), names);
        item.wrong(&format!("no {what} is called {}; {instead}", item.shown()))
    }

    /// The names of the realms of a dialect, good ones and bad ones.
    pub(super) fn of_dialect(&self, dialect: Dialect) -> Vec<RealmName> {
        let named = self.declared.iter().filter(|(_, declared)| *declared == Some(dialect));
        named.filter_map(|(name, _)| name.parse().ok()).collect()
    }

    /// The dialect of the realm `name`; `None` when that was not readable, and for an external issuer, whose
    /// tokens follow none of the contracts.
    pub(super) fn dialect(&self, name: &RealmName) -> Option<Dialect> {
        self.declared.iter().find(|(declared, _)| declared == name.as_str())?.1
    }
}

fn tokens(mut section: Section<'_>, present: bool) -> Tokens {
    let tokens = Tokens {
        has_issuer: section.has("issuer"),
        issuer: section.optional("issuer", issuer_url),
        audience: section.or("audience", "api".to_owned(), identifier),
        leeway: section.or("leeway", LEEWAY_DEFAULT, |item| item.duration(&LEEWAY)),
        spot: present.then(|| section.spot().clone()),
    };
    section.finish();
    tokens
}

/// Reads one realm. Its dialect comes out even where the rest does not: routes are judged by it.
fn realm(name: &str, mut section: Section<'_>, tokens: &Tokens) -> (Option<Dialect>, Option<Realm>) {
    let parsed_name = name.parse::<RealmName>();
    if parsed_name.is_err() {
        section.report_here("the name must be 1 to 64 of a-z, 0-9, '-' and '_', and start with a letter");
    }
    if parsed_name.as_ref().is_ok_and(RealmName::is_internal) {
        section.report_here("this name is taken: the keys of internal tokens are kept under it");
    }
    let issuer = section.optional("issuer", identifier);
    let issuer = issuer.or_else(|| Some(format!("{}/{name}", tokens.issuer.as_ref()?)));
    let dialect = section.required("dialect", "\"sws\"", dialect);
    let Some(dialect) = dialect else {
        section.skip(DIALECTS_OF_KEYS.map(|(key, _)| key));
        section.finish();
        return (None, None);
    };
    let keys = Keys { dialect, section: &mut section };
    let realm = keys.read(parsed_name.ok(), issuer, tokens);
    section.finish();
    (Some(dialect), realm)
}

/// The keys of a realm that depend on its dialect.
struct Keys<'s, 'a> {
    dialect: Dialect,
    section: &'s mut Section<'a>,
}

impl<'a> Keys<'_, 'a> {
    fn read(mut self, name: Option<RealmName>, issuer: Option<String>, tokens: &Tokens) -> Option<Realm> {
        let ends_with_the_day = matches!(self.dialect, Dialect::Sws | Dialect::Maxpoint);
        let lifetime_default = if ends_with_the_day { Lifetime::EndOfDay } else { Lifetime::Fixed(LIFETIME_DEFAULT) };
        let default = dialect::DialectSettings::default();
        let wire = dialect::DialectSettings {
            timezone: self.timezone(),
            error_status: self.optional("error_status", error_status).unwrap_or(default.error_status),
            years_max: self.optional("max_years", |item| item.integer(&(1..=100))).unwrap_or(default.years_max),
            allow_non_expiring: self
                .optional("allow_non_expiring", Item::boolean)
                .unwrap_or(default.allow_non_expiring),
        };

        let algorithm = self.optional("algorithm", algorithm);
        let keeps_algorithm = algorithm.is_none() && self.dialect == Dialect::Oauth;
        if keeps_algorithm {
            let default = self.dialect.default_algorithm();
            self.section.warn_here(&format!(
                "it names no algorithm: its first key is {default}, and a realm that has keys keeps the algorithm of its \
                 active one; write down which it is: portero key list shows it"
            ));
        }

        Some(Realm {
            dialect: self.dialect,
            audience: self.optional("audience", identifier).unwrap_or_else(|| tokens.audience.clone()),
            leeway: tokens.leeway,
            algorithm: algorithm.unwrap_or(self.dialect.default_algorithm()),
            keeps_algorithm,
            lifetime: self.optional("lifetime", |item| lifetime(item, ends_with_the_day)).unwrap_or(lifetime_default),
            content_lifetime: self.optional("content_lifetime", seconds).unwrap_or(LIFETIME_DEFAULT),
            refresh_lifetime: self.optional("refresh_lifetime", seconds).unwrap_or(REFRESH_LIFETIME_DEFAULT),
            wire,
            uniform_errors: self.optional("uniform_errors", Item::boolean).unwrap_or(false),
            name: name?,
            issuer: issuer?,
        })
    }

    /// Reads a key that the dialect uses; refuses one that it does not.
    fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(&Item<'a>) -> Option<T>) -> Option<T> {
        let users = DIALECTS_OF_KEYS.iter().find(|(name, _)| *name == key).map_or(&[][..], |(_, users)| users);
        if users.contains(&self.dialect) {
            return self.section.optional(key, read);
        }
        let users = users.iter().map(|user| user.name()).collect::<Vec<_>>().join(", ");
        let why = match (key, self.dialect) {
            ("algorithm" | "audience", Dialect::Apis) => "tokens of dialect 'apis' are sealed, not JWTs".to_owned(),
            ("lifetime", Dialect::Toc) => "each login says how many years it asks for, up to max_years".to_owned(),
            (_, dialect) => format!("dialect '{dialect}' has no use for it"),
        };
        self.section.refuse(key, &format!("{why}; this key is for {users}"));
        None
    }

    /// The zone of printed dates: `sws` must say one, since its clients read them as local time.
    fn timezone(&mut self) -> TimeZone {
        if self.dialect == Dialect::Sws {
            return self.section.required("timezone", "\"America/Bogota\"", timezone).unwrap_or(TimeZone::UTC);
        }
        self.optional("timezone", timezone).unwrap_or(TimeZone::UTC)
    }
}

fn dialect(item: &Item<'_>) -> Option<Dialect> {
    item.one_of(&Dialect::ALL.map(|dialect| (dialect.name(), dialect)))
}

fn algorithm(item: &Item<'_>) -> Option<Algorithm> {
    let jwt = Algorithm::ALL.into_iter().filter(|algorithm| algorithm.is_jwt());
    item.one_of(&jwt.map(|algorithm| (algorithm.name(), algorithm)).collect::<Vec<_>>())
}

fn timezone(item: &Item<'_>) -> Option<TimeZone> {
    let name = item.text()?;
    TimeZone::get(&name)
        .ok()
        .or_else(|| item.no("a time zone of the IANA database, such as \"America/Bogota\" or \"UTC\""))
}

fn error_status(item: &Item<'_>) -> Option<StatusCode> {
    StatusCode::from_u16(item.integer(&(200..=599))?).ok()
}

fn lifetime(item: &Item<'_>, ends_with_the_day: bool) -> Option<Lifetime> {
    if item.text()? != "end-of-day" {
        return seconds(item).map(Lifetime::Fixed);
    }
    if ends_with_the_day {
        return Some(Lifetime::EndOfDay);
    }
    item.wrong("\"end-of-day\" needs a timezone, which only sws and maxpoint have; say a duration, such as \"1h\"")
}

fn seconds(item: &Item<'_>) -> Option<Duration> {
    let lifetime = item.duration(&LIFETIME)?;
    if lifetime.subsec_nanos() == 0 {
        return Some(lifetime);
    }
    item.wrong(&format!("{} is no whole number of seconds, in which tokens count", duration::shown(lifetime)))
}

/// What `iss` and `aud` may be: visible characters, so that headers and logs can carry them.
pub(super) fn identifier(item: &Item<'_>) -> Option<String> {
    let text = item.word()?;
    let shaped = text.len() <= ISSUER_CHARS_MAX && text.bytes().all(|octet| octet.is_ascii_graphic());
    if shaped { Some(text) } else { item.no("1 to 255 visible ASCII characters") }
}

/// An issuer as RFC 8414 section 2 has it, `http` allowed for a start on one's own machine.
fn issuer_url(item: &Item<'_>) -> Option<String> {
    let text = identifier(item)?;
    let uri = text.parse::<Uri>().ok();
    let is_url = |uri: &Uri| matches!(uri.scheme_str(), Some("https" | "http")) && uri.query().is_none();
    if uri.as_ref().is_some_and(is_url) && !text.contains(['#', '@']) {
        return Some(text.trim_end_matches('/').to_owned());
    }
    item.no("a URL without a query, such as \"https://gateway.example.com\"")
}
