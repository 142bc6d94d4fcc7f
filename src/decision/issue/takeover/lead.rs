//! A login that Portero answers, and the old system confirms.

use std::sync::Arc;

use super::{Lead, learn::Taught, rejection};
use crate::{
    decision::{
        issue::{
            caller::Caller,
            login::{Issue, RETRY_UNAVAILABLE, TokenService, busy, check_throttle, throttled, unavailable},
        },
        verifier::{Answered, Question, unconfirmed},
    },
    domain::{AccountName, Grant, Holder, Secret},
    rules::{
        dialect::{Login, Rejection, Validity},
        limit::ClientKey,
        realm::Realm,
        verifier::{Facts, Heard, Known, Learn, Mode, Refusal, Reply, Step, Verdict, decide},
    },
    state::{
        account::{Account, PasswordHash},
        takeover::{confirmation, trusted},
    },
};

/// What both systems said of a login.
struct Told {
    /// Whom the login is about: whom the old system names, else whom the client did.
    name: AccountName,
    /// The account, if Portero has it.
    account: Option<Account>,
    known: Known,
    heard: Heard,
    facts: Option<Box<Facts>>,
}

impl TokenService {
    /// Checks credentials where an old system has a part in it, and gives tokens. What is learnt and the session are on
    /// disk before the answer is known.
    ///
    /// # Errors
    /// The rejection that the realm's contract words.
    pub async fn lead(&self, realm: &Realm, login: Login, caller: &Caller, lead: Lead<'_>) -> Result<Grant, Rejection> {
        let Login { name, secret, validity } = login;
        let told = match self.hear(realm, &name, &secret, caller, lead).await {
            Ok(told) => told,
            Err(rejection) => {
                let away = matches!(rejection, Rejection::Unavailable { .. });
                self.count_login(lead, Mode::Lead, if away { "unavailable" } else { "refused" });
                return Err(rejection);
            }
        };
        let now = self.clock.now();
        // Looked at again: guesses that were in flight together gain nothing.
        check_throttle(&self.throttle, realm, &name, caller, now)?;
        let step = decide(&lead.takeover.settings.policy, told.known, told.heard, now);
        // A wrong secret is counted where it is found out.
        if step.failed && told.known.right {
            self.throttle.record_failure(&realm.name, &name, caller.address(), now);
        }
        let heard = told.heard;
        if step.distrust
            && let Some(account) = &told.account
        {
            self.distrust(account, lead.verifier).await?;
        }
        // Boxed: to learn an account takes far more room than all else.
        let outcome = Box::pin(self.follow(realm, told, step, (&name, secret, validity), caller, lead)).await;
        let word = match (&outcome, step.mark, heard) {
            (Ok(_), true, _) => "trusted",
            (Ok(_), false, Heard::NotAsked) => "hash",
            (Ok(_), false, _) => "confirmed",
            (Err(Rejection::Unavailable { .. }), ..) => "unavailable",
            (Err(_), ..) => "refused",
        };
        self.count_login(lead, Mode::Lead, word);
        outcome
    }

    /// What both systems say of a login. The old one is asked first: what it never gave out costs no hash.
    async fn hear(
        &self,
        realm: &Realm,
        name: &AccountName,
        secret: &Secret,
        caller: &Caller,
        lead: Lead<'_>,
    ) -> Result<Told, Rejection> {
        check_throttle(&self.throttle, realm, name, caller, self.clock.now())?;
        let looked_up = caller.unless_left(self.look_up(realm, name, caller));
        let mut account = looked_up.await.ok_or_else(busy)??;
        let (mut heard, mut facts) = (Heard::NotAsked, None);
        if lead.takeover.settings.policy.asks(account.is_some()) {
            let client = caller.address();
            let question = Question { realm: &realm.name, dialect: realm.dialect, name, secret, client };
            let asking = caller.unless_left(lead.verifier.ask(question, &self.clock));
            match asking.await.ok_or_else(busy)? {
                Answered::Said(Verdict::Yes(told)) => (heard, facts) = (Heard::Yes, Some(told)),
                Answered::Said(Verdict::No(refusal)) => heard = Heard::No(refusal),
                Answered::Busy { retry_after } => return Err(Rejection::Unavailable { retry_after }),
                Answered::Said(Verdict::Unclear(_)) | Answered::Away { .. } => heard = Heard::Away,
            }
        }
        let about = facts.as_ref().map_or_else(|| name.clone(), |facts| facts.name.clone());
        if about != *name {
            // An old system may know one account under several names: the one that it names is it.
            account = self.look_up(realm, &about, caller).await?;
            if account.is_some() && !lead.takeover.settings.policy.asks(true) {
                (heard, facts) = (Heard::NotAsked, None);
            }
        }
        let right = self.matches(realm, name, secret, account.as_ref(), heard, caller).await?;
        let confirmed_at = match &account {
            Some(account) if right => {
                let found = confirmation::find(&self.store, account.id).await.map_err(|error| unavailable(&error))?;
                found.and_then(|found| found.of(&account.password_hash))
            }
            _ => None,
        };
        let known = Known { exists: account.is_some(), right, confirmed_at };
        Ok(Told { name: about, account, known, heard, facts })
    }

    /// Whether the secret is the account's here. Where the old system did not say yes, a wrong one is counted before the
    /// next is looked at, as at any other login; and an unknown account costs a hash too.
    async fn matches(
        &self,
        realm: &Realm,
        name: &AccountName,
        secret: &Secret,
        account: Option<&Account>,
        heard: Heard,
        caller: &Caller,
    ) -> Result<bool, Rejection> {
        let hash = account.map(|account| account.password_hash.clone());
        if hash.is_none() && heard == Heard::Yes {
            return Ok(false);
        }
        let (throttle, clock) = (Arc::clone(&self.throttle), Arc::clone(&self.clock));
        let (realm, name, client) = (realm.name.clone(), name.clone(), caller.address());
        let attempt = move |verify: &dyn Fn() -> bool| {
            let allowed = || throttle.check(&realm, &name, client, clock.now());
            allowed()?;
            let right = verify();
            if !right && heard != Heard::Yes {
                allowed()?;
                throttle.record_failure(&realm, &name, client, clock.now());
            }
            Ok(right)
        };
        let verified = self.hasher.verify(ClientKey::of(client), secret.clone(), hash, attempt);
        let answer = caller.unless_left(verified).await.ok_or_else(busy)?;
        answer.map_err(|_| busy())?.map_err(throttled)
    }

    /// Does what was decided.
    async fn follow(
        &self,
        realm: &Realm,
        told: Told,
        step: Step,
        (name, secret, validity): (&AccountName, Secret, Validity),
        caller: &Caller,
        lead: Lead<'_>,
    ) -> Result<Grant, Rejection> {
        match step.reply {
            Reply::Refuse(refusal) => return Err(rejection(realm, refusal)),
            Reply::Unavailable => return Err(Rejection::Unavailable { retry_after: RETRY_UNAVAILABLE }),
            Reply::Grant => {}
        }
        let account = match (step.learn, told.account, &told.facts) {
            (Learn::Nothing, Some(account), _) => account,
            (Learn::Confirm, Some(account), _) => {
                self.confirm(&account, told.known.confirmed_at, lead.verifier).await?;
                account
            }
            (Learn::Hash | Learn::Account, account, Some(facts)) => {
                let taught = Taught {
                    realm,
                    facts,
                    secret: &secret,
                    client: ClientKey::of(caller.address()),
                    verifier: lead.verifier,
                    defaults: &lead.takeover.settings.new_accounts,
                };
                caller.unless_left(Box::pin(self.learn(account, &taught))).await.ok_or_else(busy)??
            }
            _ => return Err(rejection(realm, Refusal::Credentials)),
        };
        let account = self.admit(realm, Some(account)).await?;
        self.throttle.record_success(&realm.name, name, caller.address());
        // A marked login is known by the hash that decided.
        if told.known.right && !step.mark {
            self.rehash(&account, secret.clone(), caller).await;
        }
        let (holder, epoch) = (account.holder(), account.epoch);
        if !step.mark {
            return self.open_session(realm, holder, epoch, validity).await;
        }
        let hash = account.password_hash;
        let login = Login { name: told.name, secret, validity };
        self.open_trusted(realm, (holder, epoch, hash), login, caller, lead).await
    }

    /// Opens a session that the old system is asked about later. It is marked before anybody has a token of it.
    async fn open_trusted(
        &self,
        realm: &Realm,
        (holder, epoch, hash): (Holder, u32, PasswordHash),
        login: Login,
        caller: &Caller,
        lead: Lead<'_>,
    ) -> Result<Grant, Rejection> {
        let now = self.clock.now();
        let Login { name, secret, validity } = login;
        let session = self.begin_session(realm, &holder, validity, now).await?;
        let mark = trusted::TrustedLogin {
            session,
            account: holder.id,
            realm: realm.name.clone(),
            verifier: lead.verifier.settings.name.to_string(),
            created_at: now,
            expires_at: now.plus(lead.takeover.settings.policy.trust),
        };
        self.kept(trusted::mark(&self.store, &mark, &hash)).await?;
        self.live_state.takeovers().unconfirmed.push(unconfirmed::Login {
            session,
            account: holder.id,
            hash,
            realm: realm.name.clone(),
            dialect: realm.dialect,
            name,
            secret,
            client: caller.address(),
            verifier: Arc::clone(lead.verifier),
        });
        tracing::warn!(realm = %realm.name, %session, verifier = &*lead.verifier.settings.name, "a login was decided while the old system is away; it is confirmed later");
        self.issue(realm, Issue { holder, epoch, session, kinds: realm.dialect.token_kinds(), validity, now })
    }

    /// Counts a login for metrics and for `portero migration status`.
    pub(super) fn count_login(&self, lead: Lead<'_>, step: Mode, outcome: &str) {
        lead.verifier.metrics.login(step.name(), outcome);
        self.live_state.takeovers().ledger.login(&lead.verifier.settings.name, step.name(), outcome);
    }
}
