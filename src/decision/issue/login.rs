//! What a token endpoint does: prove who somebody is, and give tokens.
//!
//! These are the only use cases that need the store. It is asked on the control runtime, and when it
//! is out of reach the answer is 503: never a token, and never a wait on the request path.

use std::{sync::Arc, time::Duration};

use super::{caller::Caller, standing::check_standing};
use crate::{
    decision::decide::snapshot::LiveState,
    domain::{AccountName, Clock, Grant, Holder, IssuedToken, Reason, Secret, SessionId, Timestamp, TokenKind},
    rules::{
        dialect::{Login, Rejection, Validity},
        limit::ClientKey,
        realm::{Realm, later},
    },
    state::{
        account::{self, Account, Hasher},
        limit::{Throttle, Throttled},
        session,
        store::{Store, StoreError},
        takeover::confirmation,
        token::{self, NewToken, Verified},
    },
    upstream::request_slot::{RequestSlots, Share},
};

/// What a client should wait when the store or the hasher is out of reach.
pub(super) const RETRY_UNAVAILABLE: Duration = Duration::from_secs(2);

/// Accounts that are looked up at once, for logins: fewer than the store has connections, so that those who have proved
/// themselves find one.
const LOOKUPS_MAX: usize = 2;

/// Logins that wait for that.
const LOOKUPS_WAITING_MAX: usize = 1024;

/// The one who checks credentials and gives tokens.
pub struct TokenService {
    pub(in crate::decision) live_state: Arc<LiveState>,
    pub(in crate::decision) store: Store,
    pub(super) hasher: Arc<Hasher>,
    pub(super) throttle: Arc<Throttle>,
    lookups: Arc<RequestSlots>,
    pub(in crate::decision) clock: Arc<dyn Clock>,
}

/// Which of a grant's facts come from where.
pub(super) struct Issue<'a> {
    pub(in crate::decision) holder: Holder,
    pub(in crate::decision) epoch: u32,
    pub(in crate::decision) session: SessionId,
    pub(in crate::decision) kinds: &'a [TokenKind],
    pub(super) validity: Validity,
    pub(in crate::decision) now: Timestamp,
}

impl TokenService {
    /// A token service with these means.
    #[must_use]
    pub fn new(
        live_state: Arc<LiveState>,
        store: Store,
        hasher: Arc<Hasher>,
        throttle: Throttle,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let lookups = RequestSlots::new(LOOKUPS_MAX, LOOKUPS_WAITING_MAX, Share::HALF);
        Self { live_state, store, hasher, throttle: Arc::new(throttle), lookups, clock }
    }

    /// Checks credentials and gives tokens. The session is on disk before the answer is known.
    ///
    /// # Errors
    /// The rejection that the realm's contract words.
    pub async fn login(&self, realm: &Realm, login: Login, caller: &Caller) -> Result<Grant, Rejection> {
        let validity = login.validity;
        let account = self.authenticate(realm, login, caller).await?;
        let (holder, epoch) = (account.holder(), account.epoch);
        self.open_session(realm, holder, epoch, validity).await
    }

    /// Checks credentials, under the throttle.
    ///
    /// # Errors
    /// The rejection that the realm's contract words.
    pub(in crate::decision) async fn authenticate(
        &self,
        realm: &Realm,
        login: Login,
        caller: &Caller,
    ) -> Result<Account, Rejection> {
        let client = caller.address();
        let Login { name, secret, .. } = login;
        check_throttle(&self.throttle, realm, &name, caller, self.clock.now())?;
        let looked_up = caller.unless_left(self.look_up(realm, &name, caller));
        let found = looked_up.await.ok_or_else(busy)??;
        let outcome = match self.told_before(realm, found.as_ref()).await {
            // A wrong secret is counted where it is found out.
            Ok(()) if !self.is_right(realm, &name, secret.clone(), found.as_ref(), caller).await? => {
                return Err(Rejection::InvalidCredentials);
            }
            Ok(()) => self.admit(realm, found).await,
            Err(rejection) => Err(rejection),
        };
        // Looked at again after the hash: guesses that were in flight together gain nothing.
        let now = self.clock.now();
        check_throttle(&self.throttle, realm, &name, caller, now)?;
        match &outcome {
            Ok(_) | Err(Rejection::Locked) => self.throttle.record_success(&realm.name, &name, client),
            Err(Rejection::InvalidCredentials | Rejection::Inactive | Rejection::CompanyMissing) => {
                self.throttle.record_failure(&realm.name, &name, client, now);
            }
            Err(_) => {}
        }
        if let Ok(account) = &outcome {
            self.rehash(account, secret, caller).await;
        }
        outcome
    }

    /// Gives the tokens of a new session to somebody who was proved. The session is on disk when this
    /// returns.
    pub(super) async fn open_session(
        &self,
        realm: &Realm,
        holder: Holder,
        epoch: u32,
        validity: Validity,
    ) -> Result<Grant, Rejection> {
        let now = self.clock.now();
        let session = self.begin_session(realm, &holder, validity, now).await?;
        let kinds = realm.dialect.token_kinds();
        self.issue(realm, Issue { holder, epoch, session, kinds, validity, now })
    }

    /// Writes a new session down; it is on disk when this returns. It may be an earlier login's that this one joins.
    pub(super) async fn begin_session(
        &self,
        realm: &Realm,
        holder: &Holder,
        validity: Validity,
        now: Timestamp,
    ) -> Result<SessionId, Rejection> {
        let session = session::Session {
            id: SessionId::generate(),
            realm: realm.name.clone(),
            principal: holder.id,
            created_at: now,
            expires_at: realm.session_end(now, validity),
        };
        self.kept(session::open(&self.store, &session)).await
    }

    /// Whether an opened token holds. An error is what to answer where that cannot be said now, and `None` where it does
    /// not hold.
    pub(in crate::decision) async fn check_standing(&self, opened: &Verified) -> Result<(), Option<Rejection>> {
        check_standing(&self.live_state, opened, &*self.clock).await.map_err(|reason| {
            matches!(reason, Reason::Unavailable | Reason::Stale)
                .then_some(Rejection::Unavailable { retry_after: RETRY_UNAVAILABLE })
        })
    }

    /// Gives more tokens of a session that is open.
    pub(super) async fn continue_session(&self, realm: &Realm, issue: Issue<'_>) -> Result<Grant, Rejection> {
        let session = issue.session;
        let grant = self.issue(realm, issue)?;
        // Lifetimes may have been raised since the login: what ends the session must outlive these too.
        let end = grant.tokens.iter().map(|token| token.expires_at).reduce(later).flatten();
        self.kept(session::extend(&self.store, session, end)).await?;
        Ok(grant)
    }

    /// Does what must be durable, in time. It is in the file that the store's path names when this returns `Ok`.
    pub(in crate::decision) async fn kept<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, Rejection> {
        let confirmed = async {
            let done = work.await?;
            self.store.confirm().await?;
            Ok(done)
        };
        self.store.within(confirmed).await.map_err(|error: StoreError| unavailable(&error))
    }

    /// The account of a login. Clients take turns: a flood of logins must keep nobody from the store.
    pub(super) async fn look_up(
        &self,
        realm: &Realm,
        name: &AccountName,
        caller: &Caller,
    ) -> Result<Option<Account>, Rejection> {
        let client = ClientKey::of(caller.address());
        let _place = self.lookups.take(client, RETRY_UNAVAILABLE).await.ok_or_else(busy)?;
        account::find(&self.store, &realm.name, name).await.map_err(|error| unavailable(&error))
    }

    /// What the contract tells about an account before the secret is looked at.
    async fn told_before(&self, realm: &Realm, found: Option<&Account>) -> Result<(), Rejection> {
        match found {
            Some(account) if tells_before(realm) => self.check_account_status(realm, account).await,
            _ => Ok(()),
        }
    }

    /// Whether the secret is the account's. The throttle is asked again when it is this client's turn, because others may
    /// have failed while it waited, and a failure is counted before the next secret is looked at: guesses that wait
    /// together cost no more hashes than the throttle allows. A client that leaves while it waits costs none.
    async fn is_right(
        &self,
        realm: &Realm,
        name: &AccountName,
        secret: Secret,
        found: Option<&Account>,
        caller: &Caller,
    ) -> Result<bool, Rejection> {
        // An unknown account costs a hash too: the time tells nothing.
        let hash = found.map(|account| account.password_hash.clone());
        let (throttle, clock) = (Arc::clone(&self.throttle), Arc::clone(&self.clock));
        let (realm, name, client) = (realm.name.clone(), name.clone(), caller.address());
        let attempt = move |verify: &dyn Fn() -> bool| {
            let allowed = || throttle.check(&realm, &name, client, clock.now());
            allowed()?;
            let right = verify();
            if !right {
                allowed()?;
                throttle.record_failure(&realm, &name, client, clock.now());
            }
            Ok(right)
        };
        let verified = self.hasher.verify(ClientKey::of(client), secret, hash, attempt);
        let answer = caller.unless_left(verified).await.ok_or_else(busy)?;
        answer.map_err(|_| busy())?.map_err(throttled)
    }

    /// Who has proved the secret, unless the account may not be used.
    pub(super) async fn admit(&self, realm: &Realm, found: Option<Account>) -> Result<Account, Rejection> {
        let account = found.ok_or(Rejection::InvalidCredentials)?;
        if realm.dialect.tells_account_status() {
            if !tells_before(realm) {
                self.check_account_status(realm, &account).await?;
            }
        } else if account.disabled {
            return Err(Rejection::InvalidCredentials);
        }
        if account.locked {
            return Err(if realm.dialect.tells_locked() { Rejection::Locked } else { Rejection::InvalidCredentials });
        }
        Ok(account)
    }

    /// `become`'s checks 4 and 5.
    async fn check_account_status(&self, realm: &Realm, account: &Account) -> Result<(), Rejection> {
        if account.disabled {
            return Err(Rejection::Inactive);
        }
        let Some(name) = &account.company else { return Err(Rejection::CompanyMissing) };
        let company =
            account::company::find(&self.store, &realm.name, name).await.map_err(|error| unavailable(&error))?;
        company.filter(|company| !company.disabled).map(drop).ok_or(Rejection::CompanyMissing)
    }

    /// A hash weaker than today's floor is replaced while the password is at hand. It is a courtesy:
    /// when it fails, the login does not.
    pub(super) async fn rehash(&self, account: &Account, secret: Secret, caller: &Caller) {
        if !account::password::needs_rehash(&account.password_hash) {
            return;
        }
        let hashed = caller.unless_left(self.hasher.hash(ClientKey::of(caller.address()), secret));
        let Some(Ok(new)) = hashed.await else { return };
        let old_and_new = [&account.password_hash, &new];
        let replaced = async {
            if account::update_hash_if_unchanged(&self.store, account.id, old_and_new[0], old_and_new[1]).await? {
                confirmation::rehashed(&self.store, account.id, old_and_new).await?;
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = replaced.await {
            tracing::warn!(%error, "a password could not be hashed anew");
        }
    }

    pub(super) fn issue(&self, realm: &Realm, issue: Issue<'_>) -> Result<Grant, Rejection> {
        let (now, validity) = (issue.now, issue.validity);
        self.issue_until(realm, issue, |kind| realm.expiry(kind, now, validity))
    }

    /// The same with another end of each token.
    pub(super) fn issue_until(
        &self,
        realm: &Realm,
        issue: Issue<'_>,
        expiry: impl Fn(TokenKind) -> Option<Timestamp>,
    ) -> Result<Grant, Rejection> {
        let holder = issue.holder;
        let snapshot = self.live_state.snapshot();
        let mut tokens = vec![];
        for &kind in issue.kinds {
            let expires_at = expiry(kind);
            let extra = realm.dialect.contract().claims(&holder, issue.now, expires_at);
            let new = NewToken {
                kind,
                holder: &holder,
                epoch: issue.epoch,
                session: issue.session,
                issued_at: issue.now,
                expires_at,
                extra,
            };
            // An RSA signature takes most of a millisecond: this runtime is not the proxy's.
            let token = token::mint(realm, &snapshot.keys, &new).map_err(|error| {
                tracing::error!(realm = %realm.name, %error, "a token could not be minted");
                Rejection::Unavailable { retry_after: RETRY_UNAVAILABLE }
            })?;
            tokens.push(IssuedToken { kind, token, expires_at });
        }
        Ok(Grant { holder, issued_at: issue.now, tokens })
    }
}

impl std::fmt::Debug for TokenService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenService(…)")
    }
}

/// Whether the contract tells a stranger how an account stands.
fn tells_before(realm: &Realm) -> bool {
    realm.dialect.tells_account_status() && !realm.uniform_errors
}

pub(super) fn check_throttle(
    throttle: &Throttle,
    realm: &Realm,
    name: &AccountName,
    caller: &Caller,
    now: Timestamp,
) -> Result<(), Rejection> {
    throttle.check(&realm.name, name, caller.address(), now).map_err(throttled)
}

pub(super) fn throttled(throttled: Throttled) -> Rejection {
    match throttled {
        Throttled::Name { retry_after } => Rejection::ThrottledName { retry_after },
        Throttled::Address { retry_after } => Rejection::ThrottledAddress { retry_after },
    }
}

pub(super) fn unavailable(error: &StoreError) -> Rejection {
    tracing::error!(%error, "the store is out of reach for a token endpoint");
    Rejection::Unavailable { retry_after: RETRY_UNAVAILABLE }
}

pub(super) fn busy() -> Rejection {
    Rejection::Unavailable { retry_after: RETRY_UNAVAILABLE }
}
