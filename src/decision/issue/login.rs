//! What a token endpoint does: prove who somebody is, and give tokens.
//!
//! These are the only use cases that need the store. It is asked on the control runtime, and when it
//! is out of reach the answer is 503: never a token, and never a wait on the request path.

mod grant;
mod secret;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub(super) use self::{grant::Issue, secret::Guess};
use super::{account_status::check_account_status, asked::TokenAsker, caller::Caller, pace::Pace, upgrade::Upgrades};
use crate::{
    decision::decide::live_state::LiveState,
    domain::{AccountName, Clock, Grant, Reason},
    rules::{
        contract::{Login, Rejection, Told},
        limit::ClientKey,
        realm::Realm,
    },
    state::{
        account::{self, Account, Hasher, Logins},
        clock::TrustedClock,
        keys::{PasswordKeys, Vault},
        limit::{self, Attempt, Held, Throttle, Throttled},
        store::{Actor, AuditedStore, Store, StoreError},
        token::Verified,
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

/// How often the throttle is asked for one login, at most, where it must learn something from the store first.
const ASKED_MAX: usize = 2;

/// Checks credentials and gives tokens.
pub struct TokenService {
    pub(in crate::decision) live_state: Arc<LiveState>,
    pub(in crate::decision) store: Store,
    vault: Vault,
    pub(super) hasher: Arc<Hasher>,
    password_keys: PasswordKeys,
    pub(super) upgrades: Upgrades,
    pub(super) throttle: Arc<Throttle>,
    lookups: Arc<RequestSlots>,
    pub(super) trusted: TrustedClock,
    pub(super) logins: Arc<Logins>,
    pub(super) pace: Pace,
    pub(in crate::decision) clock: Arc<dyn Clock>,
    /// Asks old systems about their tokens.
    pub(super) asker: Arc<TokenAsker>,
}

impl TokenService {
    /// A token service with these means. What it sees of accounts it tells `logins`.
    #[must_use]
    pub fn new(
        live_state: Arc<LiveState>,
        vault: &Vault,
        hasher: Arc<Hasher>,
        throttle: Arc<Throttle>,
        trusted: TrustedClock,
        logins: Arc<Logins>,
    ) -> Self {
        let lookups = RequestSlots::new(LOOKUPS_MAX, LOOKUPS_WAITING_MAX, Share::HALF);
        let clock = Arc::clone(trusted.clock());
        let pace = Pace::new(Arc::clone(&clock));
        let store = vault.store().clone();
        let asker = Arc::new(TokenAsker::new(Arc::clone(&live_state), store.clone(), Arc::clone(&clock)));
        let upgrades = Upgrades::new(store.clone(), Arc::clone(&hasher));
        let (vault, password_keys) = (vault.clone(), PasswordKeys::new(vault.clone()));
        Self {
            live_state,
            store,
            vault,
            hasher,
            password_keys,
            upgrades,
            throttle,
            lookups,
            trusted,
            logins,
            pace,
            clock,
            asker,
        }
    }

    /// Asks old systems about their tokens.
    #[must_use]
    pub const fn asker(&self) -> &Arc<TokenAsker> {
        &self.asker
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

    /// Checks credentials, under the throttle. A refusal is answered at the realm's deadline, whatever the
    /// reason.
    ///
    /// # Errors
    /// The rejection that the realm's contract words.
    pub(in crate::decision) async fn authenticate(
        &self,
        realm: &Realm,
        login: Login,
        caller: &Caller,
    ) -> Result<Account, Rejection> {
        let mut started = self.clock.instant();
        let outcome = self.prove(realm, login, caller, &mut started).await;
        self.keep_pace(realm, &outcome, started, caller).await;
        outcome
    }

    /// Has a refusal wait for the realm's deadline, unless it tells nothing of an account.
    pub(super) async fn keep_pace<T>(
        &self,
        realm: &Realm,
        outcome: &Result<T, Rejection>,
        started: Instant,
        caller: &Caller,
    ) {
        if outcome.as_ref().is_err_and(tells_of_account) {
            caller.unless_left(self.pace.wait(&realm.name, started)).await;
        }
    }

    /// The same without the wait. `started` becomes the time at which the secret's turn came.
    async fn prove(
        &self,
        realm: &Realm,
        login: Login,
        caller: &Caller,
        started: &mut Instant,
    ) -> Result<Account, Rejection> {
        let Login { name, secret, .. } = login;
        let guessable = account::password::is_guessable(&secret);
        let mut attempt = self.throttle.attempt(&realm.name, &name, caller.address(), guessable);
        self.allow(&mut attempt, caller).await?;
        let looked_up = caller.unless_left(self.look_up(realm, &name, caller));
        let found = looked_up.await.ok_or_else(busy)??;
        caller.identify(found.as_ref().map(|account| account.id));
        let credentials = found.as_ref().map(|account| account.credentials(self.trusted.witnessed()));
        let id = found.as_ref().map(|account| account.id);
        let outcome = match self.told_before(realm, found.as_ref()).await {
            Ok(()) => {
                let guess = Guess { secret: &secret, account: id.zip(credentials.as_ref()), counts: true };
                let checked = self.check_secret(realm, &mut attempt, &guess, caller).await?;
                *started = checked.started;
                // A wrong secret was counted where it was found out.
                let Some(matched) = checked.matched else {
                    id.inspect(|id| self.logins.failed(*id));
                    return Err(Rejection::InvalidCredentials);
                };
                let found = found.zip(credentials).ok_or(Rejection::InvalidCredentials);
                match found {
                    Ok((account, credentials)) => {
                        self.admit(realm, account).await.map(|account| (account, credentials.hash_of(matched).clone()))
                    }
                    Err(rejection) => Err(rejection),
                }
            }
            Err(rejection) => Err(rejection),
        };
        // Looked at again after the hash: guesses that were in flight together gain nothing.
        self.allow(&mut attempt, caller).await?;
        self.note_outcome(&attempt, outcome.as_ref().map(|(account, _)| account));
        let (account, hash) = outcome?;
        self.upgrades.begin(account.id, &hash, secret, ClientKey::of(caller.address()));
        Ok(account)
    }

    /// Counts what became of an attempt whose secret was right, or that the contract told of before it was looked at.
    pub(super) fn note_outcome(&self, attempt: &Attempt, outcome: Result<&Account, &Rejection>) {
        let now = self.clock.now();
        match outcome {
            Ok(account) => {
                self.throttle.record_success(attempt, now);
                self.throttle.note_login(attempt, now);
                self.logins.succeeded(account.id, now);
            }
            Err(Rejection::Locked) => self.throttle.record_success(attempt, now),
            Err(Rejection::InvalidCredentials | Rejection::Inactive | Rejection::CompanyMissing) => {
                self.throttle.record_failure(attempt, now);
            }
            Err(_) => {}
        }
    }

    /// The store, changed by the word of an old system: what comes of it has its row in the audit log.
    pub(super) fn changed_by(&self, verifier: &str) -> AuditedStore {
        let vault = self.vault.by(Actor::gateway(&format!("verifier {verifier}")));
        vault.audited_store().with_clock(Arc::clone(&self.clock))
    }

    /// Whether an opened token holds. An error is what to answer where that cannot be said now, and `None` where it
    /// does not hold.
    pub(in crate::decision) async fn check_account_status(&self, opened: &Verified) -> Result<(), Option<Rejection>> {
        check_account_status(&self.live_state, opened, &*self.clock).await.map_err(|reason| {
            matches!(reason, Reason::Unavailable | Reason::Stale)
                .then_some(Rejection::Unavailable { retry_after: RETRY_UNAVAILABLE })
        })
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
            Some(account) => self.check_account(realm, account, Told::BeforeSecret).await,
            _ => Ok(()),
        }
    }

    /// Asks the throttle. Where it depends on whether the owner has used this address, asks the store for that first.
    pub(super) async fn allow(&self, attempt: &mut Attempt, caller: &Caller) -> Result<(), Rejection> {
        for _ in 0..ASKED_MAX {
            match self.throttle.check(attempt, self.clock.now()) {
                Ok(()) => return Ok(()),
                Err(Held::Throttled(throttled)) => return Err(rejected(throttled)),
                Err(Held::Unlearned) => self.learn_known(attempt, caller).await?,
            }
        }
        Err(busy())
    }

    /// Tells the throttle from which addresses the owner has logged in. A name without an account has none, and costs
    /// the same.
    async fn learn_known(&self, attempt: &Attempt, caller: &Caller) -> Result<(), Rejection> {
        let learning = async {
            let client = ClientKey::of(caller.address());
            let _place = self.lookups.take(client, RETRY_UNAVAILABLE).await.ok_or_else(busy)?;
            let now = self.clock.now();
            // Of many that wait together, the first one asks for all.
            if !self.throttle.has_learned(attempt, now) {
                let known = limit::known_addresses(&self.store, attempt, now).await;
                self.throttle.learn(attempt, known.map_err(|error| unavailable(&error))?, now);
            }
            Ok(())
        };
        caller.unless_left(learning).await.ok_or_else(busy)?
    }

    /// The account whose secret was proved, unless it may not be used.
    pub(super) async fn admit(&self, realm: &Realm, account: Account) -> Result<Account, Rejection> {
        self.check_account(realm, &account, Told::AfterSecret).await?;
        // What is told to nobody looks like a wrong secret.
        self.check_account(realm, &account, Told::Never).await.map_err(|rejection| match rejection {
            Rejection::Inactive | Rejection::CompanyMissing => Rejection::InvalidCredentials,
            other => other,
        })?;
        if account.locked {
            let is_told = realm.dialect.facts().tells.locked == Told::AfterSecret;
            return Err(if is_told { Rejection::Locked } else { Rejection::InvalidCredentials });
        }
        Ok(account)
    }

    /// Whether the account is active and its company there, as far as the realm tells that to these.
    async fn check_account(&self, realm: &Realm, account: &Account, to: Told) -> Result<(), Rejection> {
        let facts = realm.dialect.facts();
        if account.disabled && realm.tells(facts.tells.inactive) == to {
            return Err(Rejection::Inactive);
        }
        if !facts.accounts.has_company || realm.tells(facts.tells.company_missing) != to {
            return Ok(());
        }
        let Some(name) = &account.company else { return Err(Rejection::CompanyMissing) };
        let company =
            account::company::find(&self.store, &realm.name, name).await.map_err(|error| unavailable(&error))?;
        company.filter(|company| !company.disabled).map(drop).ok_or(Rejection::CompanyMissing)
    }
}

impl std::fmt::Debug for TokenService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenService(…)")
    }
}

/// Whether a refusal follows from the account or its secret, so that its time could tell something of them.
const fn tells_of_account(rejection: &Rejection) -> bool {
    matches!(
        rejection,
        Rejection::InvalidCredentials | Rejection::Locked | Rejection::Inactive | Rejection::CompanyMissing
    )
}

fn rejected(throttled: Throttled) -> Rejection {
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
