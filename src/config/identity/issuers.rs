//! `[issuers.NAME]`: whose tokens are accepted that were minted elsewhere.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use http::{Uri, uri::Scheme};

use super::{
    claims, introspection,
    realms::{Realms, identifier},
};
use crate::{
    config::{
        reader::{Context, Item, Section},
        secure_url::secure_url,
    },
    domain::{Algorithm, KeyId, RealmName, duration},
    issuer::{FRESH_MAX, FRESH_MIN, IssuerSettings, Jwks, KeyFile, Source, names_document},
    rules::issuer::ExternalIssuer,
    state::keys::jwk::KEY_ID_BYTES_MAX,
};

/// Less could not be told from more (see [`FRESH_MIN`]), and more would keep revoked keys.
const REFRESH: RangeInclusive<Duration> = FRESH_MIN..=FRESH_MAX;
const MAX_STALE: RangeInclusive<Duration> = FRESH_MIN..=Duration::from_hours(24 * 30);
const COOLDOWN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);
/// Requests with an unknown key wait as long.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(30);

/// Keys in files of one issuer, at most.
const KEY_FILES_MAX: usize = 64;

/// The keys that only an issuer has whose keys are fetched.
const JWKS_KEYS: [&str; 5] = ["refresh", "max_stale", "cooldown", "timeout", "ca"];

/// Reads every issuer, and makes their names known to what accepts them.
pub(in crate::config) fn read(
    context: &Context<'_>,
    root: &mut Section<'_>,
    realms: &mut Realms,
) -> Vec<Arc<IssuerSettings>> {
    let mut issuers: Vec<Arc<IssuerSettings>> = vec![];
    for (name, section) in root.named_sections("issuers") {
        let issuer_spot = section.spot_of("issuer");
        realms.external.push(name.to_owned());
        let Some(issuer) = issuer(name, section, realms) else { continue };
        let realm = realms.checked.iter().find(|realm| realm.issuer == issuer.issuer);
        let realm = realm.map(|realm| format!("realm '{}'", realm.name));
        let other = issuers.iter().find(|other| other.issuer == issuer.issuer);
        if let Some(owner) = realm.or_else(|| Some(format!("issuer '{}'", other?.name))) {
            let message = format!("{owner} has this issuer too; subjects would not be told apart");
            context.report(&issuer_spot, &message);
        }
        issuers.push(Arc::new(issuer));
    }
    issuers
}

/// Reads one issuer.
fn issuer(name: &str, mut section: Section<'_>, realms: &Realms) -> Option<IssuerSettings> {
    let parsed_name = name.parse::<RealmName>();
    if parsed_name.is_err() {
        section.report_here("the name must be 1 to 64 of a-z, 0-9, '-' and '_', and start with a letter");
    }
    if realms.is_realm(name) {
        section.report_here("a realm has this name; a route that accepts it could mean either");
    }
    let discovery = section.optional("discovery", discovered);
    let issuer = match &discovery {
        Some((url, text)) if !names_document(url) => section.checked("issuer", text.clone(), identifier),
        None if section.has("discovery") => section.optional("issuer", identifier),
        _ => section.required("issuer", "\"https://login.example.com\"", identifier),
    };
    let audiences = section.or("audience", vec![realms.audience.clone()], claims::audiences);
    let claims = claims::read(&mut section);
    let fetched = section.has("jwks_url") || section.has("discovery");
    let in_files = section.has("keys");
    let is_asked = section.has("introspection");
    let introspection = section.section("introspection");
    let asks_for_audience = section.has("audience");
    let has_algorithms = section.has("algorithms");
    let algorithms = section.checked("algorithms", IssuerSettings::ALGORITHMS_DEFAULT.to_vec(), |item| {
        item.some(|item| algorithm(item, in_files && !fetched))
    });
    let source = match (fetched, in_files) {
        _ if is_asked => {
            let external = parsed_name.as_ref().ok().zip(issuer.as_ref()).map(|(name, issuer)| ExternalIssuer {
                name: name.clone(),
                issuer: issuer.clone(),
                audiences: audiences.clone(),
                leeway: realms.leeway,
                claims: claims.clone(),
                is_asked: true,
            });
            let named = discovery.zip(issuer.clone()).map(|((url, _), issuer)| (url, issuer));
            asked(&mut section, introspection, named, external, asks_for_audience)
        }
        (true, false) => jwks(&mut section, discovery.map(|(url, _)| url)).map(Source::Jwks),
        (false, true) => {
            let allowed = has_algorithms.then_some(algorithms.as_deref()).flatten();
            files(&mut section, allowed).map(Source::Files)
        }
        (fetched, _) => {
            no_source(&mut section, fetched);
            None
        }
    };
    section.finish();
    let source = source?;
    let algorithms = match &source {
        Source::Files(files) if !has_algorithms => algorithms_of(files),
        _ => algorithms?,
    };
    Some(IssuerSettings {
        name: parsed_name.ok()?,
        issuer: issuer?,
        audiences,
        claims,
        leeway: realms.leeway,
        algorithms,
        source,
    })
}

/// The endpoint that is asked about the tokens of an issuer.
fn asked(
    section: &mut Section<'_>,
    introspection: Section<'_>,
    discovered: Option<(Uri, String)>,
    external: Option<ExternalIssuer>,
    asks_for_audience: bool,
) -> Option<Source> {
    let why = "an issuer that is asked about its tokens (introspection) needs no keys; leave one of both out";
    for key in ["jwks_url", "keys", "algorithms"].into_iter().chain(JWKS_KEYS) {
        section.refuse(key, why);
    }
    if discovered.is_none() && section.has("discovery") {
        // What is wrong with it is said; whether an endpoint is missing cannot be.
        return None;
    }
    let asked = introspection::read(introspection, discovered);
    asked.zip(external).map(|(asked, external)| Source::Introspection(Arc::new(asked.of(external, asks_for_audience))))
}

/// The files that keys lie in, of the algorithms that are `allowed` where some are named.
fn files(section: &mut Section<'_>, allowed: Option<&[Algorithm]>) -> Option<Vec<KeyFile>> {
    for key in JWKS_KEYS {
        section.refuse(key, "keys in files are not fetched; this key is for jwks_url and discovery");
    }
    section.optional("keys", |item| key_files(item, allowed))
}

/// The algorithms that keys in files are for, each once.
fn algorithms_of(files: &[KeyFile]) -> Vec<Algorithm> {
    let mut used: Vec<_> = files.iter().map(|file| file.algorithm).collect();
    used.sort_by_key(|algorithm| algorithm.name());
    used.dedup();
    used
}

/// Says that there is no way to check the tokens of an issuer, or more than one.
fn no_source(section: &mut Section<'_>, fetched: bool) {
    section.skip(JWKS_KEYS);
    // Known, but which of them is wrong cannot be told.
    section.optional("jwks_url", |_| Some(()));
    section.optional("keys", |_| Some(()));
    section.report_here(if fetched {
        "keys are fetched (jwks_url or discovery) or lie in files (keys), not both"
    } else {
        "says nothing of its keys; add discovery or jwks_url = \"https://…\", or keys = [{ file, algorithm, id }]"
    });
}

/// Where keys are fetched, and how.
fn jwks(section: &mut Section<'_>, discovered: Option<Uri>) -> Option<Jwks> {
    let (discovery, url) = if section.has("discovery") {
        section.refuse("jwks_url", "discovery says where the keys are; leave one of both out");
        (true, discovered)
    } else {
        (false, section.optional("jwks_url", url))
    };
    let default = Jwks::new(Uri::default());
    let refresh = section.or("refresh", default.refresh, |item| item.duration(&REFRESH));
    let max_stale = section.or("max_stale", default.max_stale, |item| item.duration(&MAX_STALE));
    let cooldown = section.or("cooldown", default.cooldown, |item| item.duration(&COOLDOWN));
    let timeout = section.or("timeout", default.timeout, |item| item.duration(&TIMEOUT));
    let ca = section.optional("ca", Item::path);
    if max_stale < refresh {
        let (shown, refresh) = (duration::shown(max_stale), duration::shown(refresh));
        section.report(
            "max_stale",
            &format!("{shown} is less than refresh ({refresh}): keys would end before they are due"),
        );
    }
    let url = url?;
    if ca.is_some() && url.scheme() == Some(&Scheme::HTTP) {
        let key = if discovery { "discovery" } else { "jwks_url" };
        section.report("ca", &format!("{key} is http: there is no certificate to check"));
    }
    Some(Jwks { url, discovery, ca, refresh, max_stale, cooldown, timeout })
}

/// An address that a set may be fetched from.
fn url(item: &Item<'_>) -> Option<Uri> {
    secure_url(item, "https://login.example.com/jwks.json", "anyone on the network path could put in keys of their own")
}

/// An issuer, or its metadata document, and how the file spells it.
fn discovered(item: &Item<'_>) -> Option<(Uri, String)> {
    let url = secure_url(item, "https://login.example.com", "anyone on the network path could name keys of their own")?;
    if url.query().is_some() {
        return item.wrong("must be the issuer, or its metadata document, without a query");
    }
    Some((url, item.text()?))
}

/// An algorithm; symmetric ones only where keys lie in files.
fn algorithm(item: &Item<'_>, symmetric: bool) -> Option<Algorithm> {
    let jwt = Algorithm::known().filter(|algorithm| algorithm.is_jwt());
    let algorithm = item.one_of(&jwt.map(|algorithm| (algorithm.name(), algorithm)).collect::<Vec<_>>())?;
    if symmetric || !is_symmetric(algorithm) {
        return Some(algorithm);
    }
    item.wrong(&format!("{algorithm} is for keys in files: a published secret is not secret"))
}

const fn is_symmetric(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512)
}

/// Keys in files, each with another id.
fn key_files(item: &Item<'_>, allowed: Option<&[Algorithm]>) -> Option<Vec<KeyFile>> {
    let items = item.items()?;
    if !(1..=KEY_FILES_MAX).contains(&items.len()) {
        return item.wrong(&format!("must name 1 to {KEY_FILES_MAX} keys"));
    }
    let mut files: Vec<KeyFile> = vec![];
    for item in &items {
        let Some(file) = item.section().and_then(|section| key_file(section, allowed)) else { continue };
        if files.iter().any(|other| other.id == file.id) {
            item.wrong::<()>(&format!("another key has the id '{}' too; a token names its key by it", file.id));
        }
        files.push(file);
    }
    (files.len() == items.len()).then_some(files)
}

fn key_file(mut section: Section<'_>, allowed: Option<&[Algorithm]>) -> Option<KeyFile> {
    for literal in ["secret", "key", "pem"] {
        section.refuse(
            literal,
            "keys do not stand in this file; put it into one of its own, and name that: file = \"corp.pem\"",
        );
    }
    let file = section.required("file", "\"corp.pem\"", path);
    let algorithm = section.required("algorithm", "\"RS256\"", |item| algorithm(item, true));
    let id = section.required("id", "\"k1\"", key_id);
    if let (Some(allowed), Some(algorithm)) = (allowed, algorithm)
        && !allowed.contains(&algorithm)
    {
        section.report("algorithm", &format!("'{algorithm}' is not one of the issuer's algorithms"));
    }
    section.finish();
    Some(KeyFile { file: file?, algorithm: algorithm?, id: id? })
}

/// A file's name. A PEM text in its place is a secret that got here by mistake: it is not shown.
fn path(item: &Item<'_>) -> Option<std::path::PathBuf> {
    if item.word()?.contains("-----BEGIN") {
        return item.wrong("must be the name of a file; the key itself does not belong here");
    }
    item.path()
}

fn key_id(item: &Item<'_>) -> Option<KeyId> {
    let text = item.word()?;
    if text.len() <= KEY_ID_BYTES_MAX && !text.contains(char::is_control) {
        return Some(KeyId::from_text(&text));
    }
    item.no(&format!("a key id: 1 to {KEY_ID_BYTES_MAX} octets without control characters"))
}
