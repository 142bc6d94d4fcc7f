//! The old systems of a site, and those that are asked about tokens.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{Snapshot, SnapshotError};
use crate::{
    decision::{
        decide::site::{Service, Site},
        verifier::{Verifier, tokens::TokenCheck},
    },
    domain::RealmName,
    issuer::Source as KeySource,
    observe::metrics::Metrics,
    rules::{contract::Dialect, verifier::Mode as TakeoverMode},
    verifier::VerifierSettings,
};

/// The old systems of a site. One that did not change goes on: what is known of it stays known.
pub(super) fn verifiers(
    site: &Site,
    metrics: &Metrics,
    present: Option<&Snapshot>,
) -> Result<Vec<Arc<Verifier>>, SnapshotError> {
    let present = present.map(|present| &*present.verifiers).unwrap_or_default();
    let verifier = |settings: &Arc<VerifierSettings>| {
        let dialects = dialects_of(site, &settings.name);
        if let Some(kept) = present.iter().find(|kept| kept.is_of(settings, &dialects)) {
            return Ok(Arc::clone(kept));
        }
        let made = Verifier::new(settings, dialects, metrics.verifier(&settings.name));
        made.map(Arc::new).map_err(|error| SnapshotError::Verifier(Arc::clone(&settings.name), error))
    };
    site.verifiers.iter().map(verifier).collect()
}

/// The contracts in whose words an old system is asked, each once.
fn dialects_of(site: &Site, verifier: &str) -> Vec<Dialect> {
    let mut dialects = vec![];
    for (.., realm, _) in site.takeovers().filter(|(.., name)| *name == verifier) {
        let realm = site.realms.iter().find(|known| known.name == *realm);
        dialects.extend(realm.map(|realm| realm.dialect.clone()).filter(|dialect| !dialects.contains(dialect)));
    }
    dialects
}

pub(super) fn takeovers(site: &Site, verifiers: &[Arc<Verifier>]) -> Arc<[(RealmName, Arc<Verifier>, Duration)]> {
    let logins = site.takeovers().filter(|(endpoint, ..)| endpoint.serves == Service::Login);
    let known = logins.filter_map(|(_, takeover, realm, name)| {
        let verifier = verifiers.iter().find(|verifier| *verifier.settings.name == *name)?;
        Some((realm.clone(), Arc::clone(verifier), takeover.policy.trust))
    });
    known.collect()
}

/// The system that is asked about tokens: an old system that still gives them out, or did so until its realm's logins
/// were taken over.
///
/// Beside them, external issuers that are asked. What is known of one that did not change stays known.
pub(super) fn token_checks(
    site: &Site,
    verifiers: &[Arc<Verifier>],
    metrics: &Metrics,
    present: Option<&Snapshot>,
) -> Result<HashMap<RealmName, (Arc<TokenCheck>, TakeoverMode)>, SnapshotError> {
    let asked = site
        .takeovers()
        .filter(|(endpoint, takeover, ..)| endpoint.serves == Service::Login && takeover.mode != TakeoverMode::Alone);
    let check = asked.filter_map(|(_, takeover, realm, name)| {
        let verifier = verifiers.iter().find(|verifier| *verifier.settings.name == *name)?;
        Some((realm.clone(), (Arc::clone(verifier.tokens.as_ref()?), takeover.mode)))
    });
    let mut checks: HashMap<_, _> = check.collect();
    for issuer in &site.issuers {
        let KeySource::Introspection(asked) = &issuer.source else { continue };
        let known = present.and_then(|present| present.token_checks.get(&issuer.name));
        let same = |(check, _): &&(Arc<TokenCheck>, TakeoverMode)| check.is_of(asked);
        let made = || TokenCheck::new(asked, metrics.introspection(&asked.name));
        let check = match known.filter(same) {
            Some((check, _)) => Some(Arc::clone(check)),
            None => made().map_err(|error| SnapshotError::Verifier(Arc::clone(&asked.name), error))?,
        };
        checks.extend(check.map(|check| (issuer.name.clone(), (check, TakeoverMode::Alone))));
    }
    Ok(checks)
}
