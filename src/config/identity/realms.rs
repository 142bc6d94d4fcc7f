//! `[tokens]` and `[realms.NAME]`: the account spaces and the tokens they give.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use http::{StatusCode, Uri};
use jiff::tz::TimeZone;

use super::dialect;
use crate::{
    config::reader::{Context, Item, Section, Spot, suggestion},
    domain::{Algorithm, RealmName, duration},
    rules::{
        contract::{Bounded, Dialect, DialectSettings, SettingFacts, Zone, names_with},
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

/// The realms of the file.
pub(in crate::config) struct Realms {
    /// Every name that stands in the file with its dialect, of good ones and bad ones.
    declared: Vec<(String, Option<Dialect>)>,
    /// The good ones.
    pub(in crate::config) checked: Vec<Arc<Realm>>,
    /// `tokens.issuer`, where it stands and is good.
    pub(in crate::config) issuer: Option<String>,
    /// Every name of an external issuer, of good ones and bad ones: routes accept their tokens too.
    pub(in crate::config) external: Vec<String>,
    /// `tokens.audience`.
    pub(in crate::config) audience: String,
    /// `tokens.leeway`.
    pub(in crate::config) leeway: Duration,
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
pub(in crate::config) fn read(context: &Context<'_>, root: &mut Section<'_>) -> Realms {
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
    pub(in crate::config) fn resolve(&self, item: &Item<'_>) -> Option<RealmName> {
        Self::named(item, "realm", self.names())
    }

    /// The realm or the external issuer that `item` names; a problem when there is none.
    pub(in crate::config) fn resolve_accepted(&self, item: &Item<'_>) -> Option<RealmName> {
        let what = if self.external.is_empty() { "realm" } else { "realm or issuer" };
        Self::named(item, what, self.names().chain(self.external.iter().map(String::as_str)))
    }

    /// How many there are, good ones and bad ones.
    pub(in crate::config) fn count(&self) -> usize {
        self.declared.len()
    }

    /// Whether a realm has this name.
    pub(in crate::config) fn is_realm(&self, name: &str) -> bool {
        self.names().any(|declared| declared == name)
    }

    /// Whether an external issuer has this name.
    pub(in crate::config) fn is_external(&self, name: &RealmName) -> bool {
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

    /// The names of the realms that speak OAuth, good ones and bad ones.
    pub(in crate::config) fn of_oauth(&self) -> Vec<RealmName> {
        let named = self.declared.iter().filter(|(_, declared)| declared.as_ref().is_some_and(Dialect::is_oauth));
        named.filter_map(|(name, _)| name.parse().ok()).collect()
    }

    /// The dialect of the realm `name`; `None` when that was not readable, and for an external issuer, whose
    /// tokens follow none of the contracts.
    pub(in crate::config) fn dialect(&self, name: &RealmName) -> Option<&Dialect> {
        self.declared.iter().find(|(declared, _)| declared == name.as_str())?.1.as_ref()
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
    let Some(dialect) = dialect::read(&mut section) else {
        section.skip(SettingFacts::KEYS);
        section.skip(dialect::LANGUAGE_KEYS);
        section.finish();
        return (None, None);
    };
    let keys = Keys { dialect: dialect.clone(), section: &mut section };
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
        let SettingFacts {
            lifetime: own_lifetime, error_status, max_years, allow_non_expiring, uniform_errors, ..
        } = self.dialect.facts().settings.clone();
        let has_timezone = self.dialect.facts().settings.timezone != Zone::Unused;
        let default = DialectSettings::default();
        let wire = DialectSettings {
            timezone: self.timezone(),
            error_status: self
                .number("error_status", error_status)
                .and_then(|status| StatusCode::from_u16(status).ok())
                .unwrap_or(default.error_status),
            years_max: self.number("max_years", max_years).unwrap_or(default.years_max),
            allow_non_expiring: self
                .optional("allow_non_expiring", Item::boolean)
                .or(allow_non_expiring)
                .unwrap_or(default.allow_non_expiring),
        };

        let algorithm = self.optional("algorithm", algorithm);
        let keeps_algorithm = algorithm.is_none() && self.dialect.is_oauth();
        let own_algorithm = self.dialect.facts().tokens.algorithm;
        if keeps_algorithm {
            self.section.warn_here(&format!(
                "it names no algorithm: its first key is {own_algorithm}, and a realm that has keys keeps the algorithm of its \
                 active one; write down which it is: portero key list shows it"
            ));
        }

        let SettingFacts { content_lifetime, refresh_lifetime, .. } = self.dialect.facts().settings;
        Some(Realm {
            audience: self.optional("audience", identifier).unwrap_or_else(|| tokens.audience.clone()),
            leeway: tokens.leeway,
            algorithm: algorithm.unwrap_or(own_algorithm),
            keeps_algorithm,
            lifetime: self
                .optional("lifetime", |item| lifetime(item, has_timezone))
                .or(own_lifetime)
                .unwrap_or(Lifetime::Fixed(LIFETIME_DEFAULT)),
            content_lifetime: self
                .optional("content_lifetime", seconds)
                .or(content_lifetime)
                .unwrap_or(LIFETIME_DEFAULT),
            refresh_lifetime: self
                .optional("refresh_lifetime", seconds)
                .or(refresh_lifetime)
                .unwrap_or(REFRESH_LIFETIME_DEFAULT),
            wire,
            uniform_errors: self.optional("uniform_errors", Item::boolean).or(uniform_errors).unwrap_or(false),
            dialect: self.dialect,
            name: name?,
            issuer: issuer?,
        })
    }

    /// Reads a key that the dialect has; refuses one that it does not.
    fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(&Item<'a>) -> Option<T>) -> Option<T> {
        let facts = self.dialect.facts();
        if facts.has_key(key) {
            return self.section.optional(key, read);
        }
        let dialect = &self.dialect;
        let why = match key {
            "algorithm" | "audience" => format!("tokens of dialect '{dialect}' are sealed, not JWTs"),
            "lifetime" => "each login says how many years it asks for, up to max_years".to_owned(),
            _ => format!("dialect '{dialect}' has no use for it"),
        };
        let users = names_with(|facts| facts.has_key(key));
        self.section.refuse(key, &format!("{why}; this key is for {users}"));
        None
    }

    /// A number within the dialect's bounds; its default where the realm says none.
    fn number<N>(&mut self, key: &'static str, bounded: Option<Bounded<N>>) -> Option<N>
    where
        N: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        match bounded {
            Some(Bounded { default, range }) => self.optional(key, |item| item.integer(&range)).or(Some(default)),
            None => self.optional(key, |_| None),
        }
    }

    /// The zone of printed dates.
    fn timezone(&mut self) -> TimeZone {
        match self.dialect.facts().settings.timezone.clone() {
            Zone::Required => {
                self.section.required("timezone", "\"America/Bogota\"", timezone).unwrap_or(TimeZone::UTC)
            }
            Zone::Default(zone) => self.optional("timezone", timezone).unwrap_or(zone),
            Zone::Unused => self.optional("timezone", timezone).unwrap_or(TimeZone::UTC),
        }
    }
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

fn lifetime(item: &Item<'_>, has_timezone: bool) -> Option<Lifetime> {
    if item.text()? != "end-of-day" {
        return seconds(item).map(Lifetime::Fixed);
    }
    if has_timezone {
        return Some(Lifetime::EndOfDay);
    }
    let have = names_with(|facts| facts.settings.timezone != Zone::Unused).replace(", ", " and ");
    item.wrong(&format!("\"end-of-day\" needs a timezone, which only {have} have; say a duration, such as \"1h\""))
}

fn seconds(item: &Item<'_>) -> Option<Duration> {
    let lifetime = item.duration(&LIFETIME)?;
    if lifetime.subsec_nanos() == 0 {
        return Some(lifetime);
    }
    item.wrong(&format!("{} is no whole number of seconds, in which tokens count", duration::shown(lifetime)))
}

/// What `iss` and `aud` may be: visible characters, so that headers and logs can carry them.
pub(in crate::config) fn identifier(item: &Item<'_>) -> Option<String> {
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
