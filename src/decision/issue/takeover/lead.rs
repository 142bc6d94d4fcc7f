//! A login that Portero answers, and the old system confirms.

use std::{sync::Arc, time::Instant};

use super::{Lead, learn::Taught, rejection};
use crate::{
    decision::{
        issue::{
            caller::Caller,
            login::{Guess, Issue, RETRY_UNAVAILABLE, TokenService, busy, unavailable},
        },
        verifier::{Answered, Question, unconfirmed},
    },
    domain::{AccountName, Grant, Holder, Secret},
    rules::{
        contract::{Login, Rejection, Validity},
        limit::ClientKey,
        realm::Realm,
        verifier::{Facts, Heard, Known, Learn, Mode, Refusal, Reply, Step, Verdict, decide},
    },
    state::{
        account::{Account, PasswordHash, password},
        limit::Attempt,
        takeover::{confirmation, trusted},
    },
};

/// What both systems said of a login.
struct Told {
    /// Whom the login is about: whom the old system names, else whom the client did.
    name: AccountName,
    /// The account, if Portero has it.
    account: Option<Account>,
    /// The hash of the account's that the secret matches, if it matches one.
    hash: Option<PasswordHash>,
    known: Known,
    heard: Heard,
    facts: Option<Box<Facts>>,
}

/// What the old system said.
struct Word {
    heard: Heard,
    facts: Option<Box<Facts>>,
}

/// A login on its way, and the throttle's view of it.
struct Way<'a> {
    login: &'a Login,
    attempt: &'a mut Attempt,
    /// When its turn for a hash came, less the time that it took to ask the old system.
    started: &'a mut Instant,
}

impl TokenService {
    /// Checks credentials where an old system has a part in it, and gives tokens. What is learnt and the session are on
    /// disk before the answer is known. A refusal is answered at the realm's deadline, whichever system refused.
    ///
    /// # Errors
    /// The rejection that the realm's contract words.
    pub async fn lead(&self, realm: &Realm, login: Login, caller: &Caller, lead: Lead<'_>) -> Result<Grant, Rejection> {
        let mut started = self.clock.instant();
        let guessable = password::is_guessable(&login.secret);
        let mut attempt = self.throttle.attempt(&realm.name, &login.name, caller.address(), guessable);
        let way = Way { login: &login, attempt: &mut attempt, started: &mut started };
        // Boxed: to learn an account takes far more room than all else.
        let (outcome, word) = Box::pin(self.led(realm, way, caller, lead)).await;
        self.count_login(lead, Mode::Lead, word);
        self.keep_pace(realm, &outcome, started, caller).await;
        outcome
    }

    /// The same without the wait, and the word that counts it.
    async fn led(
        &self,
        realm: &Realm,
        mut way: Way<'_>,
        caller: &Caller,
        lead: Lead<'_>,
    ) -> (Result<Grant, Rejection>, &'static str) {
        let refused = |rejection: &Rejection| {
            if matches!(rejection, Rejection::Unavailable { .. }) { "unavailable" } else { "refused" }
        };
        let judged = async {
            let told = self.hear(realm, &mut way, caller, lead).await?;
            // Looked at again: guesses that were in flight together gain nothing.
            self.allow(way.attempt, caller).await?;
            let step = decide(&lead.takeover.settings.policy, told.known, told.heard, self.clock.now());
            self.note_failure(&told, step, way.attempt, lead).await?;
            Ok((told, step))
        };
        let (told, step) = match judged.await {
            Ok(judged) => judged,
            Err(rejection) => {
                let word = refused(&rejection);
                return (Err(rejection), word);
            }
        };
        let heard = told.heard;
        let outcome = self.follow(realm, told, step, way, caller, lead).await;
        let word = match (&outcome, step.mark, heard) {
            (Ok(_), true, _) => "trusted",
            (Ok(_), false, Heard::NotAsked) => "hash",
            (Ok(_), false, _) => "confirmed",
            (Err(rejection), ..) => refused(rejection),
        };
        (outcome, word)
    }

    /// Counts a login that failed, and forgets what the old system does not confirm any more.
    async fn note_failure(&self, told: &Told, step: Step, attempt: &Attempt, lead: Lead<'_>) -> Result<(), Rejection> {
        let Some(account) = &told.account else { return Ok(()) };
        if step.failed {
            self.logins.failed(account.id);
        }
        let Some(hash) = &told.hash else { return Ok(()) };
        // A wrong secret was counted where it was found out.
        if step.failed {
            self.throttle.record_failure(attempt, self.clock.now());
        }
        if step.distrust { self.distrust(account.id, hash, lead.verifier).await } else { Ok(()) }
    }

    /// What both systems say of a login. The throttle stands before both, and the old one is asked first: what it never
    /// gave out costs no hash.
    async fn hear(&self, realm: &Realm, way: &mut Way<'_>, caller: &Caller, lead: Lead<'_>) -> Result<Told, Rejection> {
        let Login { name, secret, .. } = way.login;
        self.allow(way.attempt, caller).await?;
        let looked_up = caller.unless_left(self.look_up(realm, name, caller));
        let mut account = looked_up.await.ok_or_else(busy)??;
        let asking = self.clock.instant();
        let mut word = Word { heard: Heard::NotAsked, facts: None };
        if lead.takeover.settings.policy.asks(account.is_some()) {
            word = self.ask(realm, way.login, caller, lead).await?;
        }
        let asking = self.clock.instant().saturating_duration_since(asking);
        let about = word.facts.as_ref().map_or_else(|| name.clone(), |facts| facts.name.clone());
        if about != *name {
            // An old system may know one account under several names: the one that it names is it.
            account = self.look_up(realm, &about, caller).await?;
            if account.is_some() && !lead.takeover.settings.policy.asks(true) {
                word = Word { heard: Heard::NotAsked, facts: None };
            }
        }
        // An account that is about to be made is known later.
        if account.is_some() || word.heard != Heard::Yes {
            caller.identify(account.as_ref().map(|account| account.id));
        }
        let Word { heard, facts } = word;
        let credentials = account.as_ref().map(|account| account.credentials(self.trusted.witnessed()));
        let id = account.as_ref().map(|account| account.id);
        let mut hash = None;
        // Of a name that is learnt nothing is known to hold the secret against.
        if account.is_some() || heard != Heard::Yes {
            // Where the old system did not say yes, a wrong secret is counted before the next is looked at, as at any
            // other login; and an unknown account costs a hash too.
            let guess = Guess { secret, account: id.zip(credentials.as_ref()), counts: heard != Heard::Yes };
            let checked = self.check_secret(realm, way.attempt, &guess, caller).await?;
            *way.started = checked.started.checked_sub(asking).unwrap_or(checked.started);
            hash = credentials.as_ref().zip(checked.matched).map(|(held, matched)| held.hash_of(matched).clone());
        }
        let confirmed_at = match (id, &hash) {
            (Some(id), Some(hash)) => {
                let found = confirmation::find(&self.store, id).await.map_err(|error| unavailable(&error))?;
                found.and_then(|found| found.of(hash))
            }
            _ => None,
        };
        let known = Known { exists: account.is_some(), right: hash.is_some(), confirmed_at };
        Ok(Told { name: about, account, hash, known, heard, facts })
    }

    /// What the old system says.
    async fn ask(&self, realm: &Realm, login: &Login, caller: &Caller, lead: Lead<'_>) -> Result<Word, Rejection> {
        let question = Question {
            realm: &realm.name,
            dialect: &realm.dialect,
            name: &login.name,
            secret: &login.secret,
            client: caller.address(),
        };
        let began = self.clock.instant();
        let answered = caller.unless_left(lead.verifier.ask(question, &self.clock)).await.ok_or_else(busy)?;
        let (heard, facts) = match answered {
            Answered::Said { verdict, now } => {
                if now {
                    self.pace.asked(&realm.name, self.clock.instant().saturating_duration_since(began));
                }
                match verdict {
                    Verdict::Yes(told) => (Heard::Yes, Some(told)),
                    Verdict::No(refusal) => (Heard::No(refusal), None),
                    Verdict::Unclear(_) => (Heard::Away, None),
                }
            }
            Answered::Busy { retry_after } => return Err(Rejection::Unavailable { retry_after }),
            Answered::Away { .. } => (Heard::Away, None),
        };
        Ok(Word { heard, facts })
    }

    /// Does what was decided.
    async fn follow(
        &self,
        realm: &Realm,
        told: Told,
        step: Step,
        way: Way<'_>,
        caller: &Caller,
        lead: Lead<'_>,
    ) -> Result<Grant, Rejection> {
        match step.reply {
            Reply::Refuse(refusal) => return Err(rejection(realm, refusal)),
            Reply::Unavailable => return Err(Rejection::Unavailable { retry_after: RETRY_UNAVAILABLE }),
            Reply::Grant => {}
        }
        let client = ClientKey::of(caller.address());
        let Login { secret, validity, .. } = way.login;
        let account = match (step.learn, told.account, &told.hash, &told.facts) {
            (Learn::Nothing, Some(account), Some(_), _) => account,
            (Learn::Confirm, Some(account), Some(hash), _) => {
                self.confirm(account.id, hash, told.known.confirmed_at, lead.verifier).await?;
                account
            }
            (Learn::Hash | Learn::Account, account, _, Some(facts)) => {
                let defaults = &lead.takeover.settings.new_accounts;
                let taught = Taught { realm, facts, secret, client, verifier: lead.verifier, defaults };
                caller.unless_left(Box::pin(self.learn(account, &taught))).await.ok_or_else(busy)??
            }
            _ => return Err(rejection(realm, Refusal::Credentials)),
        };
        caller.identify(Some(account.id));
        let admitted = self.admit(realm, account).await;
        self.note_outcome(way.attempt, admitted.as_ref());
        let account = admitted?;
        let (holder, epoch) = (account.holder(), account.epoch);
        match told.hash {
            Some(hash) if step.mark => {
                let login = (told.name, secret.clone());
                return self.open_trusted(realm, (holder, epoch, hash), login, *validity, caller, lead).await;
            }
            // A marked login is known by the hash that decided.
            Some(hash) => self.upgrades.begin(account.id, &hash, secret.clone(), client),
            None => {}
        }
        self.open_session(realm, holder, epoch, *validity).await
    }

    /// Opens a session that the old system is asked about later. It is marked before anybody has a token of it.
    async fn open_trusted(
        &self,
        realm: &Realm,
        (holder, epoch, hash): (Holder, u32, PasswordHash),
        (name, secret): (AccountName, Secret),
        validity: Validity,
        caller: &Caller,
        lead: Lead<'_>,
    ) -> Result<Grant, Rejection> {
        let now = self.clock.now();
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
            dialect: realm.dialect.clone(),
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
