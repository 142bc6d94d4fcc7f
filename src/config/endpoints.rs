//! `[[token_endpoints]]`: the paths that Portero answers itself.

use http::{HeaderName, Method, header};

use super::{
    cors,
    item::Item,
    matching::{Purpose, canonical_path, hosts, pattern},
    reader::{Section, Spot},
    realms::Realms,
};
use crate::{
    decision::{EndpointSettings, Service},
    domain::RealmName,
    rules::contract::{Dialect, covered, names_with},
};

/// The fields that clients of an endpoint send.
pub(super) const CORS_FIELDS: [HeaderName; 2] = [header::AUTHORIZATION, header::CONTENT_TYPE];

/// The methods that endpoints take.
pub(super) const CORS_METHODS: [Method; 2] = [Method::GET, Method::POST];

/// A token endpoint and where it stands.
pub(super) struct Endpoint {
    pub(super) settings: EndpointSettings,
    pub(super) spot: Spot,
    /// Where its path stands.
    pub(super) path: Spot,
}

/// Reads every token endpoint.
pub(super) fn read(root: &mut Section<'_>, realms: &Realms) -> Vec<Endpoint> {
    root.sections("token_endpoints").into_iter().filter_map(|section| endpoint(section, realms)).collect()
}

fn endpoint(mut section: Section<'_>, realms: &Realms) -> Option<Endpoint> {
    let path = section.required("path", "\"/api/auth/token\"", |item| canonical_path(item, Purpose::One));
    let hosts = section.checked("hosts", vec![], hosts);
    let refresh = section.or("grant", false, |item| item.one_of(&[("login", false), ("refresh", true)]));
    let answering = section.required("realms", "[\"sws\"]", |item| answering(item, realms, refresh));
    let cors = cors::read(&mut section, &CORS_METHODS, &CORS_FIELDS);
    let (spot, path_spot) = (section.spot().clone(), section.spot_of("path"));
    section.finish();
    let settings = EndpointSettings {
        pattern: pattern(hosts?, &path?, true, vec![])?,
        realms: answering.unwrap_or_default(),
        serves: if refresh { Service::Refresh } else { Service::Login },
        cors,
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
