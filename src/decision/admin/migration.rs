//! How far a migration from old systems is, and going back.

use std::collections::BTreeMap;

use super::service::{AdminError, AdminService};
use crate::{
    decision::decide::site::{Service, Site},
    domain::{RealmName, Timestamp},
    rules::verifier::{Authority, Mode, is_deciding},
    state::{
        keys::KeyRecord,
        store::{AuditedStore, Store, StoreError},
        takeover::{
            confirmation::{self, Unknown},
            counts::{self, Kind},
            old_tokens::{self, NewOldToken, TOKENS_MAX},
            steps,
            trusted::{self, Listed, Totals},
        },
    },
};

/// Over how many days is counted.
pub const DAYS: [u32; 3] = [1, 7, 30];

/// Accounts that are named, at most, of those that an old system does not know.
pub const NAMED_MAX: u32 = 20;

/// How far one realm is that takes over from an old system.
#[derive(Debug)]
pub struct TakeoverStatus {
    /// The token endpoint's path.
    pub path: String,
    /// The realm.
    pub realm: RealmName,
    /// The old system.
    pub verifier: String,
    /// The side that answers.
    pub mode: Mode,
    /// Whose word counts.
    pub authority: Authority,
    /// How many accounts Portero has.
    pub accounts: u64,
    /// How many of them the old system confirmed within `trust`.
    pub trusted: u64,
    /// How many of them it does not know, or not with the secret that they have here.
    pub unknown: u64,
    /// The first of those.
    pub named: Vec<Unknown>,
    /// Logins that were decided while it was away.
    pub totals: Totals,
    /// The youngest of those.
    pub logins: Vec<Listed>,
    /// Logins of the last days, by step and outcome.
    pub counted: BTreeMap<String, [u64; 3]>,
    /// Opaque tokens of the old system in the table that have not ended.
    pub old_tokens: u64,
    /// How often it said yes about one of its tokens in the last days; `None` where it is not asked about them.
    pub checked_tokens: Option<[u64; 3]>,
}

/// Tokens of an imported key.
#[derive(Debug)]
pub struct KeyUse {
    /// The key.
    pub key: KeyRecord,
    /// Tokens that were seen in the last days.
    pub tokens: [u64; 3],
}

/// A realm whose old system would decide again, and does not know all of its accounts.
#[derive(Debug, thiserror::Error)]
#[error(
    "realm '{realm}': with this config the old system decides again, and it does not know {unknown} of its accounts \
     (portero migration status names them); to lose them: portero migration back --realm {realm} --accept-loss {unknown}"
)]
pub struct GoingBack {
    /// The realm.
    pub realm: RealmName,
    /// How many accounts would be lost.
    pub unknown: u64,
}

impl AdminService {
    /// How far the realms of a site are that take over from an old system.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn takeovers(&self, site: &Site) -> Result<Vec<TakeoverStatus>, AdminError> {
        let (store, now) = (&self.store, self.clock.now());
        let mut statuses = vec![];
        let checks = counted(store, Kind::Check, "", now).await?;
        for (endpoint, takeover, realm, verifier) in site.takeovers() {
            if endpoint.serves != Service::Login {
                continue;
            }
            let (accounts, trusted) = confirmation::confirmed(store, realm, now.minus(takeover.policy.trust)).await?;
            let (unknown, named) = confirmation::unknown(store, realm, NAMED_MAX).await?;
            statuses.push(TakeoverStatus {
                path: endpoint.pattern.path.as_str().to_owned(),
                realm: realm.clone(),
                verifier: verifier.to_owned(),
                mode: takeover.mode,
                authority: takeover.policy.authority,
                accounts,
                trusted,
                unknown,
                named,
                totals: trusted::totals(store, verifier).await?,
                logins: trusted::list(store, verifier).await?,
                counted: counted(store, Kind::Login, &format!("{verifier}/"), now).await?,
                old_tokens: old_tokens::count(store, realm, now).await?,
                checked_tokens: asks_about_tokens(site, verifier)
                    .then(|| checks.get(verifier).copied().unwrap_or_default()),
            });
        }
        Ok(statuses)
    }

    /// What the imported keys that verify are still used for.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn key_uses(&self) -> Result<Vec<KeyUse>, AdminError> {
        let mut counted = counted(&self.store, Kind::Token, "", self.clock.now()).await?;
        let keys = self.keys().await?.into_iter().filter(|key| key.imported && key.state.verifies());
        Ok(keys.map(|key| KeyUse { tokens: counted.remove(key.id.as_str()).unwrap_or_default(), key }).collect())
    }

    /// Allows to go back to the old system, with the loss of so many accounts.
    ///
    /// # Errors
    /// [`AdminError::Refused`] where more would be lost, or where there is nowhere to go back from. Fails when the
    /// store is out of reach or damaged.
    pub async fn allow_going_back(&self, realm: &RealmName, loss: u64) -> Result<u64, AdminError> {
        let noted = steps::find(&self.store, realm).await?;
        if !noted.is_some_and(|noted| noted.portero) {
            return Err(AdminError::Refused(format!(
                "realm '{realm}': the old system decides already, or there is none: nothing is lost in going back"
            )));
        }
        let (unknown, _) = confirmation::unknown(&self.store, realm, 0).await?;
        if unknown > loss {
            return Err(AdminError::Refused(format!(
                "realm '{realm}': the old system does not know {unknown} of its accounts, which is more than {loss}; \
                 portero migration status names them"
            )));
        }
        steps::accept_loss(&self.store, realm, loss).await?;
        Ok(unknown)
    }
}

impl AdminService {
    /// Adds tokens of an old system to a realm's table. A running gateway takes them within two seconds.
    ///
    /// # Errors
    /// [`AdminError::Refused`] where the table has no room. Fails when the store is out of reach or damaged.
    pub async fn import_old_tokens(&self, realm: &RealmName, tokens: &[NewOldToken]) -> Result<Vec<usize>, AdminError> {
        let imported = old_tokens::import(&self.store, realm, tokens).await?;
        if imported.full {
            return Err(AdminError::Refused(format!("the table holds at most {TOKENS_MAX} tokens")));
        }
        Ok(imported.strangers)
    }
}

/// Which side decides about a realm's logins, for each realm that takes over from an old system: Portero, or the old
/// system.
pub type Deciders = BTreeMap<RealmName, bool>;

/// Why a site cannot be in force.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each is transparent")]
pub enum StepError {
    #[error(transparent)]
    GoingBack(#[from] GoingBack),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Refuses a site that would give realms back to an old system which does not know all of their accounts.
///
/// # Errors
/// The first such realm. Fails when the store is out of reach or damaged.
pub async fn check_steps(store: &Store, deciders: &Deciders) -> Result<(), StepError> {
    for (realm, portero) in deciders {
        let Some(noted) = steps::find(store, realm).await? else { continue };
        if *portero || !noted.portero {
            continue;
        }
        let (unknown, _) = confirmation::unknown(store, realm, 0).await?;
        if unknown > noted.accepted_loss {
            return Err(GoingBack { realm: realm.clone(), unknown }.into());
        }
    }
    Ok(())
}

/// Notes who decides for the realms of a site that is in force.
///
/// # Errors
/// Fails when the store is out of reach or damaged.
pub async fn note_steps(store: &AuditedStore, deciders: &Deciders, now: Timestamp) -> Result<(), StoreError> {
    for (realm, portero) in deciders {
        steps::note(store, realm, *portero, now).await?;
    }
    Ok(())
}

/// Whether Portero decides, for each realm that takes over from an old system. At several endpoints, one is enough.
#[must_use]
pub fn deciders(site: &Site) -> Deciders {
    let mut deciders = Deciders::new();
    for (endpoint, takeover, realm, _) in site.takeovers() {
        if endpoint.serves == Service::Login {
            *deciders.entry(realm.clone()).or_default() |= is_deciding(takeover.mode, takeover.policy.authority);
        }
    }
    deciders
}

fn asks_about_tokens(site: &Site, verifier: &str) -> bool {
    site.verifiers.iter().any(|known| *known.name == *verifier && known.tokens.is_some())
}

/// What was counted in the last days, by what stands behind `prefix`.
async fn counted(
    store: &Store,
    kind: Kind,
    prefix: &str,
    now: Timestamp,
) -> Result<BTreeMap<String, [u64; 3]>, AdminError> {
    let mut counted: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for (at, days) in DAYS.into_iter().enumerate() {
        for count in counts::of_days(store, kind, days, now).await? {
            if let Some(what) = count.what.strip_prefix(prefix) {
                counted.entry(what.to_owned()).or_default()[at] = count.count;
            }
        }
    }
    Ok(counted)
}
