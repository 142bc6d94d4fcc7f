//! `[[token_endpoints]]`: the paths that Portero answers itself.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use http::{HeaderName, Method, header};
use toml::de::DeValue;

use super::cors;
use crate::{
    config::{
        identity::{realms::Realms, verifiers::Verifiers},
        matching::{Purpose, canonical_path, hosts, pattern},
        reader::{Item, Section, Spot},
    },
    decision::{EndpointSettings, Service, TakeoverSettings},
    domain::RealmName,
    rules::{
        contract::{AccountFacts, Dialect, covered, names_with},
        verifier::{Authority, Defaults, Mode, NewLegacyId, Policy, TRUST_DEFAULT},
    },
};

/// How long a hash may be believed that the old system confirmed.
const TRUST: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(24 * 30);

/// The keys that only an endpoint has which takes over from an old system.
const TAKEOVER_KEYS: [&str; 4] = ["mode", "authority", "trust", "new_accounts"];

/// The fields that clients of an endpoint send.
pub(in crate::config) const CORS_FIELDS: [HeaderName; 2] = [header::AUTHORIZATION, header::CONTENT_TYPE];

/// The methods that endpoints take.
pub(in crate::config) const CORS_METHODS: [Method; 2] = [Method::GET, Method::POST];

/// A token endpoint and where it stands.
pub(in crate::config) struct Endpoint {
    pub(in crate::config) settings: EndpointSettings,
    pub(in crate::config) spot: Spot,
    /// Where its path stands.
    pub(in crate::config) path: Spot,
}

/// Reads every token endpoint.
pub(in crate::config) fn read(root: &mut Section<'_>, realms: &Realms, verifiers: &Verifiers) -> Vec<Endpoint> {
    root.sections("token_endpoints").into_iter().filter_map(|section| endpoint(section, realms, verifiers)).collect()
}

/// Every realm that takes over from an old system, with that system's name.
pub(in crate::config) fn takeovers(endpoints: &[Endpoint]) -> Vec<(RealmName, Arc<str>)> {
    let takeovers = endpoints.iter().filter_map(|endpoint| endpoint.settings.takeover.as_ref());
    takeovers.flat_map(|takeover| &takeover.verifiers).cloned().collect()
}

fn endpoint(mut section: Section<'_>, realms: &Realms, verifiers: &Verifiers) -> Option<Endpoint> {
    let path = section.required("path", "\"/api/auth/token\"", |item| canonical_path(item, Purpose::One));
    let hosts = section.checked("hosts", vec![], hosts);
    let refresh = section.or("grant", false, |item| item.one_of(&[("login", false), ("refresh", true)]));
    let answering = section.required("realms", "[\"crm\"]", |item| answering(item, realms, refresh));
    let cors = cors::read(&mut section, &CORS_METHODS, &CORS_FIELDS);
    let takeover = takeover(&mut section, answering.as_deref().unwrap_or_default(), realms, verifiers, refresh);
    let (spot, path_spot) = (section.spot().clone(), section.spot_of("path"));
    section.finish();
    let settings = EndpointSettings {
        pattern: pattern(hosts?, &path?, true, vec![])?,
        realms: answering.unwrap_or_default(),
        serves: if refresh { Service::Refresh } else { Service::Login },
        cors,
        takeover,
        document: None,
    };
    Some(Endpoint { settings, spot, path: path_spot })
}

/// The realms of an endpoint. A body's members and the method tell them apart: none may stand where it is never chosen.
fn answering(item: &Item<'_>, realms: &Realms, refresh: bool) -> Option<Vec<RealmName>> {
    let names = item.some(|item| realms.resolve(item))?;
    let mut seen: Vec<(&Dialect, &RealmName)> = vec![];
    for (item, name) in item.items()?.iter().zip(&names) {
        let Some(dialect) = realms.dialect(name) else { continue };
        if dialect.is_oauth() {
            item.wrong::<()>(&format!("'{name}' is of dialect 'oauth', whose endpoints stand in [oauth]"));
            continue;
        }
        if refresh && dialect.facts().tokens.refresh.is_empty() {
            let have = names_with(|facts| !facts.tokens.refresh.is_empty());
            item.wrong::<()>(&format!(
                "grant = \"refresh\" is for realms of dialect '{have}'; '{name}' is of dialect '{dialect}', which has no refresh tokens"
            ));
            continue;
        }
        if let Some((_, other)) = seen.iter().find(|(taken, _)| *taken == dialect) {
            item.wrong::<()>(&format!(
                "'{name}' and '{other}' are both of dialect '{dialect}'; a request would not tell them apart: give them two paths or hosts"
            ));
        } else {
            let so_far: Vec<_> = seen.iter().map(|(dialect, _)| *dialect).chain([dialect]).collect();
            if covered(&so_far, refresh) {
                item.wrong::<()>(&format!(
                    "'{name}' would never be chosen: whatever a body for it has, a realm before it takes; give it another path or host"
                ));
            }
        }
        seen.push((dialect, name));
    }
    Some(names)
}

/// Which old system the endpoint takes over from.
fn takeover(
    section: &mut Section<'_>,
    answering: &[RealmName],
    realms: &Realms,
    verifiers: &Verifiers,
    refresh: bool,
) -> Option<TakeoverSettings> {
    if !section.has("verifier") {
        section.optional("verifier", |_| Some(()));
        for key in TAKEOVER_KEYS {
            section.refuse(key, "it is for endpoints that take over from an old system: add verifier = \"NAME\"");
        }
        return None;
    }
    let verifiers = section.optional("verifier", |item| systems(item, answering, verifiers));
    let modes = [Mode::Observe, Mode::Lead, Mode::Alone].map(|mode| (mode.name(), mode));
    let mode = section.required("mode", "\"observe\"", |item| item.one_of(&modes));
    let authorities = [Authority::Old, Authority::Portero].map(|authority| (authority.name(), authority));
    let authority = section.or("authority", Authority::default(), |item| item.one_of(&authorities));
    let trust = section.or("trust", TRUST_DEFAULT, |item| item.duration(&TRUST));
    let new_accounts = new_accounts(section.section("new_accounts"), answering, realms);
    if mode == Some(Mode::Lead) && refresh {
        section.warn(
            "mode",
            "refresh tokens of the old system are refused from here on: Portero has no such session, and their holders log in again",
        );
    }
    if mode == Some(Mode::Lead) && authority == Authority::Portero {
        section.warn(
            "authority",
            "changes in the old system do not count any more for accounts that Portero has: a password that is changed there, or an account that is disabled there, stays as it is here",
        );
    }
    let policy = Policy { authority, trust };
    Some(TakeoverSettings { mode: mode?, policy, verifiers: verifiers?, new_accounts })
}

/// One old system for the endpoint's only realm, or one for each realm that has one.
fn systems(item: &Item<'_>, answering: &[RealmName], verifiers: &Verifiers) -> Option<Vec<(RealmName, Arc<str>)>> {
    if !matches!(item.value(), DeValue::Table(_)) {
        let name = verifiers.resolve(item)?;
        return match answering {
            [realm] => Some(vec![(realm.clone(), name)]),
            [] => None,
            [first, ..] => item.wrong(&format!(
                "several realms answer here; say which of them has it: verifier = {{ {first} = \"{name}\" }}"
            )),
        };
    }
    let mut systems = vec![];
    for (realm, item) in item.section()?.into_entries() {
        let Some(named) = answering.iter().find(|answering| answering.as_str() == realm) else {
            item.wrong::<()>(&format!("'{realm}' is not one of the endpoint's realms"));
            continue;
        };
        systems.extend(verifiers.resolve(&item).map(|name| (named.clone(), name)));
    }
    (!systems.is_empty()).then_some(systems)
}

/// What an account gets that an old system's yes makes, where the answer does not say.
fn new_accounts(mut section: Section<'_>, answering: &[RealmName], realms: &Realms) -> Defaults {
    let has = |is_such: fn(&AccountFacts) -> bool| {
        let accounts = |realm| realms.dialect(realm).is_some_and(|dialect| is_such(&dialect.facts().accounts));
        answering.iter().any(accounts)
    };
    let role = section.optional("role", Item::word);
    let scopes = section.or("scopes", vec![], |item| item.list(Item::word));
    let company = section.optional("company", Item::word);
    if company.is_some() && !has(|accounts| accounts.has_company) {
        let such = names_with(|facts| facts.accounts.has_company);
        section.report("company", &format!("only accounts of dialect '{such}' have a company"));
    }
    let ids = [("answer", NewLegacyId::Answer), ("next", NewLegacyId::Next)];
    let legacy_id = section.optional("legacy_id", |item| item.one_of(&ids));
    if legacy_id.is_some() && !has(|accounts| accounts.has_legacy_id) {
        let such = names_with(|facts| facts.accounts.has_legacy_id);
        section.report("legacy_id", &format!("only accounts of dialect '{such}' have a number"));
    }
    section.finish();
    Defaults { role, scopes, company, legacy_id: legacy_id.unwrap_or_default() }
}
