//! What is kept of an old system's yes and no.

use std::{future, sync::Arc, time::Duration};

use crate::{
    decision::{
        admin::accounts::check,
        decide::lifetimes,
        issue::login::{RETRY_UNAVAILABLE, TokenService, busy, unavailable},
        verifier::Verifier,
    },
    domain::{PrincipalId, Secret, SessionId, Timestamp},
    rules::{
        contract::Rejection,
        limit::ClientKey,
        realm::Realm,
        verifier::{Defaults, Facts, Profile},
    },
    state::{
        account::{self, Account, AccountError, LegacyId, NewAccount, PasswordHash, company},
        revocation::log,
        store::StoreError,
        takeover::{
            confirmation,
            trusted::{self, Settled},
        },
    },
};

/// A confirmation is written again after this long: until then trust counts from the last one, which is earlier.
const CONFIRM_EVERY: Duration = Duration::from_secs(60);

/// How often a hash is learnt anew when others change the account meanwhile.
const TRIES_MAX: usize = 3;

/// What an old system's yes teaches.
pub(super) struct Taught<'a> {
    pub(super) realm: &'a Realm,
    pub(super) facts: &'a Facts,
    /// The secret that it confirmed.
    pub(super) secret: &'a Secret,
    /// Whose turn at the hasher it is.
    pub(super) client: ClientKey,
    pub(super) verifier: &'a Arc<Verifier>,
    /// What a new account gets that the answer does not say.
    pub(super) defaults: &'a Defaults,
}

impl TokenService {
    /// Learns the secret of an account, and makes the account where there is none. It is on disk when this returns.
    pub(super) async fn learn(&self, found: Option<Account>, taught: &Taught<'_>) -> Result<Account, Rejection> {
        let hash = self.hasher.hash(taught.client, taught.secret.clone(), None).await.map_err(|_| busy())?;
        let mut found = found;
        for _ in 0..TRIES_MAX {
            let account = match found.take() {
                Some(account) => account,
                None => match self.make(taught, &hash).await? {
                    Some(made) => {
                        self.note(made.id, &made.password_hash, taught).await?;
                        return Ok(made);
                    }
                    // Another login made it meanwhile, most likely with this secret.
                    None => match self.find_taught(taught).await? {
                        (account, true) => return Ok(account),
                        (account, false) => account,
                    },
                },
            };
            let (verifier, now) = (&taught.verifier.settings.name, self.clock.now());
            let store = self.changed_by(verifier);
            let learning = Box::pin(confirmation::learn(&store, &account, verifier, &hash, now));
            if self.kept(learning).await? {
                return Ok(account.with_secret(hash));
            }
            // The account has another hash than the one that was read.
            found = match self.find_taught(taught).await? {
                (account, true) => return Ok(account),
                (account, false) => Some(account),
            };
        }
        Err(busy())
    }

    /// The account, and whether another login has taught it the same secret; it is confirmed then.
    async fn find_taught(&self, taught: &Taught<'_>) -> Result<(Account, bool), Rejection> {
        let account = self.find(taught).await?.ok_or_else(busy)?;
        let matched = self.held(&account, taught.secret, taught.client).await?;
        if let Some(hash) = &matched {
            self.note(account.id, hash, taught).await?;
        }
        Ok((account, matched.is_some()))
    }

    /// The hash of the account's that a secret matches. No throttle is asked: an old system said that it is right.
    pub(super) async fn held(
        &self,
        account: &Account,
        secret: &Secret,
        client: ClientKey,
    ) -> Result<Option<PasswordHash>, Rejection> {
        let credentials = account.credentials(self.trusted.witnessed());
        let opened = self.open(account.id, &credentials).await?;
        let verified = self
            .hasher
            .verify(client, secret.clone(), Some(opened), |verify| verify().matched, future::pending())
            .await;
        let matched = verified.map_err(|_| busy())?.ok_or_else(busy)?;
        Ok(matched.map(|matched| credentials.hash_of(matched).clone()))
    }

    /// Notes that the old system confirmed a hash of the account's; not at every login.
    pub(super) async fn confirm(
        &self,
        account: PrincipalId,
        hash: &PasswordHash,
        noted: Option<Timestamp>,
        verifier: &Verifier,
    ) -> Result<(), Rejection> {
        let now = self.clock.now();
        if !noted.is_some_and(|noted| noted <= now && now.since(noted) < CONFIRM_EVERY) {
            let name = &verifier.settings.name;
            self.kept(confirmation::confirm(&self.store, account, name, hash, now)).await?;
        }
        let pending = trusted::pending_of(&self.store, account, hash).await;
        let pending = pending.map_err(|error| unavailable(&error))?;
        let sessions: Vec<_> = pending.iter().map(|login| login.session).collect();
        if sessions.is_empty() {
            return Ok(());
        }
        self.kept(trusted::settle(&self.store, &sessions, Settled::Confirmed, now)).await
    }

    /// Forgets that the old system confirmed a hash of an account's, since it refuses its secret now, and ends the
    /// logins that it decided alone.
    pub(super) async fn distrust(
        &self,
        account: PrincipalId,
        hash: &PasswordHash,
        verifier: &Verifier,
    ) -> Result<(), Rejection> {
        let (now, name) = (self.clock.now(), &verifier.settings.name);
        self.kept(confirmation::distrust(&self.store, account, name, hash, now)).await?;
        let pending = trusted::pending_of(&self.store, account, hash).await;
        for login in pending.map_err(|error| unavailable(&error))? {
            self.end_trusted(login.session, name, Settled::Refused).await.map_err(|error| unavailable(&error))?;
        }
        Ok(())
    }

    /// Revokes the session of a login that was not confirmed.
    pub(super) async fn end_trusted(
        &self,
        session: SessionId,
        verifier: &str,
        settled: Settled,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        if let Some(record) = lifetimes::session_record(&self.store, session, now).await? {
            log::revoke(&self.changed_by(verifier), &record).await?;
            self.live_state.revocations().apply(std::slice::from_ref(&record));
        }
        // After it: what ends in between is ended again.
        trusted::settle(&self.store, &[session], settled, now).await?;
        self.store.confirm().await?;
        tracing::warn!(%session, outcome = ?settled, "a login that was decided while the old system was away is revoked");
        Ok(())
    }

    async fn note(&self, account: PrincipalId, hash: &PasswordHash, taught: &Taught<'_>) -> Result<(), Rejection> {
        let (verifier, now) = (&taught.verifier.settings.name, self.clock.now());
        self.kept(confirmation::confirm(&self.store, account, verifier, hash, now)).await
    }

    async fn find(&self, taught: &Taught<'_>) -> Result<Option<Account>, Rejection> {
        let found = account::find(&self.store, &taught.realm.name, &taught.facts.name).await;
        found.map_err(|error| unavailable(&error))
    }

    /// Makes the account; `None` where there is one of its name.
    async fn make(&self, taught: &Taught<'_>, hash: &PasswordHash) -> Result<Option<Account>, Rejection> {
        let Taught { realm, facts, defaults, verifier, .. } = taught;
        let unusable = |why: &str| {
            tracing::error!(realm = %realm.name, verifier = &*verifier.settings.name, why, "an account that the old system knows cannot be made");
            Rejection::Unavailable { retry_after: RETRY_UNAVAILABLE }
        };
        let profile =
            facts.profile(&realm.dialect.facts().accounts, defaults).map_err(|missing| unusable(missing.hint()))?;
        let new = new_account(realm, profile);
        check(realm, &new).map_err(|error| unusable(&error.to_string()))?;
        if let Some(name) = &new.company {
            self.make_company(realm, name, verifier).await?;
        }
        let store = self.changed_by(&verifier.settings.name);
        match self.store.within(account::insert(&store, &new, hash, self.clock.now())).await {
            Ok(account) => {
                tracing::info!(realm = %realm.name, subject = %account.id, verifier = &*verifier.settings.name, "an account was taken over");
                Ok(Some(account))
            }
            Err(AccountError::Store(error)) => Err(unavailable(&error)),
            Err(error) => {
                let exists = matches!(error, AccountError::Exists(_)) && self.find(taught).await?.is_some();
                if exists { Ok(None) } else { Err(unusable(&error.to_string())) }
            }
        }
    }

    /// The company of a client that the old system lets in is there.
    async fn make_company(&self, realm: &Realm, name: &str, verifier: &Verifier) -> Result<(), Rejection> {
        let away = |error: StoreError| unavailable(&error);
        if company::find(&self.store, &realm.name, name).await.map_err(away)?.is_some() {
            return Ok(());
        }
        let store = self.changed_by(&verifier.settings.name);
        match company::insert(&store, &realm.name, name, self.clock.now()).await {
            Err(AccountError::Store(error)) => Err(away(error)),
            // Another login may have made it meanwhile. What is no company's name, the account's own check has refused.
            _ => Ok(()),
        }
    }
}

fn new_account(realm: &Realm, profile: Profile) -> NewAccount {
    let legacy_id = match (realm.dialect.facts().accounts.has_legacy_id, profile.legacy_id) {
        (true, Some(id)) => LegacyId::Given(id),
        (true, None) => LegacyId::Next,
        _ => LegacyId::None,
    };
    NewAccount {
        id: profile.id.unwrap_or_else(PrincipalId::generate),
        realm: realm.name.clone(),
        kind: realm.dialect.principal_kind(),
        name: profile.name,
        display_name: profile.display_name,
        legacy_id,
        role: profile.role,
        scopes: profile.scopes,
        company: profile.company,
        grants: None,
    }
}
