//! The subject that a token speaks for, and whether it still does.

use std::{borrow::Cow, net::IpAddr, ops::Range, sync::Arc};

use super::{
    following::Waited,
    live_state::View,
    trace::{Fact, Trace},
};
use crate::{
    decision::verifier::tokens::TokenCheck,
    domain::{
        Claims, EPOCH_DELETED, KeyId, PrincipalId, RealmName, Reason, RevocationId, Secret, Timestamp, TokenSubject,
    },
    rules::{issuer::Issuer, verifier::Mode},
    state::{
        account::Speaker,
        keys::{Imported, Key},
        takeover::old_tokens,
        token::{self, TOKEN_BYTES_MAX, Verified},
    },
};

/// A token that must be opened before the request can be decided.
#[derive(Debug)]
pub struct Job {
    token: Secret,
}

/// What came of a [`Job`]. It speaks about its own token only.
#[derive(Debug)]
pub struct Proof {
    token: Secret,
    outcome: Result<Arc<Verified>, VerifyError>,
}

/// Why a token was not opened.
#[derive(Clone, Debug)]
pub(in crate::decision) enum VerifyError {
    /// It is no token.
    Refused(Reason),
    /// It is not ours; it may be an old system's.
    Foreign(Reason),
    /// An external issuer may have a new key that signed it.
    UnknownExternalKey(ExternalKey),
}

/// A key that an external issuer is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalKey {
    /// The issuer, one of the config's.
    pub issuer: RealmName,
    /// The key's name, as an unproven token has it.
    pub id: KeyId,
}

/// A token whose key nobody knows yet. Once its issuer was asked, the job is run again.
#[derive(Debug)]
pub struct Awaiting {
    /// The key that is missing.
    pub key: ExternalKey,
    /// What to do then.
    pub job: Job,
}

/// A token that an old system, or an external issuer, has to be asked about.
#[derive(Debug)]
pub struct AwaitingCheck {
    /// It.
    pub token: Secret,
    /// The system that is asked.
    pub check: Arc<TokenCheck>,
    /// The realm that takes over from it, or the issuer.
    pub realm: RealmName,
    /// Whose word counts about logins of the realm.
    pub mode: Mode,
    /// Why it is not ours.
    foreign: Reason,
}

impl AwaitingCheck {
    /// It does not hold, by the old system's word.
    #[must_use]
    pub fn not_held(self) -> Proof {
        if self.is_introspected() { self.refused(Reason::InactiveToken) } else { self.unasked() }
    }

    /// It is not ours, and nobody said anything of it.
    #[must_use]
    pub fn unasked(self) -> Proof {
        let reason = self.foreign;
        self.refused(reason)
    }

    /// Whether it is an external issuer that is asked.
    #[must_use]
    pub fn is_introspected(&self) -> bool {
        !self.check.asks_about_accounts()
    }

    /// It is refused for this.
    #[must_use]
    pub fn refused(self, reason: Reason) -> Proof {
        Proof { token: self.token, outcome: Err(VerifyError::Refused(reason)) }
    }

    /// What is remembered of it, where somebody has asked meanwhile.
    ///
    /// # Errors
    /// Itself, where nothing is.
    pub fn known(self, view: &View<'_>, now: Timestamp) -> Result<Proof, Self> {
        match view.remembered(self.token.expose().as_bytes(), now, &()) {
            Some(verified) => Ok(Proof { token: self.token, outcome: Ok(verified) }),
            None => Err(self),
        }
    }

    /// It says this, by the old system's word, which counts for so long. It is remembered until then. It stands as long
    /// as the realm has a key of its own that signs, as one of a table does.
    #[must_use]
    pub fn believed(self, view: &View<'_>, claims: Claims, during: Range<Timestamp>) -> Proof {
        let snapshot = view.snapshot();
        // Of an issuer that is asked, the key stands for its word: nobody has it, and it signs nothing.
        let key = snapshot.keys.active(&claims.realm).or_else(|| snapshot.keys.external(&claims.realm).first());
        let (Some(key), Some(issuer)) = (key, snapshot.issuers.get(&claims.realm)) else {
            return self.not_held();
        };
        let text_id = RevocationId::of_signed_part(&claims.realm, self.token.expose().as_bytes());
        let verified = Verified::new(claims, Arc::clone(key), issuer.clone()).believed(during);
        let verified = Arc::new(if self.is_introspected() { verified.revoked_as_text_by(text_id) } else { verified });
        view.verified.insert(self.token.expose(), Arc::clone(&verified));
        Proof { token: self.token, outcome: Ok(verified) }
    }
}

impl Job {
    /// A job for `token`, unless its size alone says that it is no token.
    pub(in crate::decision) fn new(token: &str) -> Result<Self, Reason> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Reason::TokenTooLarge);
        }
        Ok(Self { token: Secret::from(token) })
    }

    /// Opens the token, which came from `client`, and remembers it when it is good.
    #[must_use]
    pub fn run(self, view: &View<'_>, client: Option<IpAddr>, now: Timestamp) -> Proof {
        let token = self.token.expose();
        let outcome = match view.open(token, client, now) {
            Ok(verified) => {
                let verified = Arc::new(verified);
                if verified.key.imported.is_some() {
                    view.takeovers.ledger.imported_token(&verified.key.id);
                }
                view.verified.insert(token, Arc::clone(&verified));
                Ok(verified)
            }
            Err(reason) => {
                view.verified.note_refused();
                Err(view.verify_error(token, reason))
            }
        };
        Proof { token: self.token, outcome }
    }
}

impl Job {
    /// What would come of it: nothing is remembered and nothing counted.
    pub(super) fn rehearse(self, view: &View<'_>, client: Option<IpAddr>, now: Timestamp) -> Proof {
        let token = self.token.expose();
        let outcome = view.look_into(token, client, now).map(Arc::new);
        let outcome = outcome.map_err(|reason| view.verify_error(token, reason));
        Proof { token: self.token, outcome }
    }
}

impl Awaiting {
    /// What would come of it if its issuer had nothing new to say. It is not asked.
    pub(super) fn rehearse(self, view: &View<'_>, client: Option<IpAddr>, now: Timestamp) -> Proof {
        let proof = self.job.rehearse(view, client, now);
        proof.after_asking(&self.key, view, now)
    }

    /// Opens the token after its issuer was asked: what is not known now is refused.
    #[must_use]
    pub fn run(self, view: &View<'_>, client: Option<IpAddr>, now: Timestamp) -> Proof {
        let proof = self.job.run(view, client, now);
        proof.after_asking(&self.key, view, now)
    }
}

impl Proof {
    /// That `token` was opened, for deciding again without opening it again.
    pub(in crate::decision) fn opened(token: &str, verified: Arc<Verified>) -> Self {
        Self { token: Secret::from(token), outcome: Ok(verified) }
    }

    /// What it says once the issuer of `key` was asked: what is not known now is refused.
    fn after_asking(self, key: &ExternalKey, view: &View<'_>, now: Timestamp) -> Self {
        // An issuer whose keys are out of reach can prove nothing: that is not the token's fault.
        let reason = if view.has_keys_of(&key.issuer, now) { Reason::UnknownKey } else { Reason::IssuerUnavailable };
        let outcome = self.outcome.map_err(|verify_error| match verify_error {
            VerifyError::UnknownExternalKey(_) => VerifyError::Refused(reason),
            refused @ (VerifyError::Refused(_) | VerifyError::Foreign(_)) => refused,
        });
        Self { token: self.token, outcome }
    }

    /// What the token is.
    ///
    /// # Errors
    /// Why it is refused.
    pub(in crate::decision) fn into_verified(self) -> Result<Arc<Verified>, Reason> {
        self.outcome.map_err(|error| match error {
            VerifyError::Refused(reason) | VerifyError::Foreign(reason) => reason,
            VerifyError::UnknownExternalKey(_) => Reason::UnknownKey,
        })
    }

    /// What is known about `token`, if this proof is about it.
    pub(in crate::decision) fn about(&self, token: &[u8]) -> Option<Result<Arc<Verified>, VerifyError>> {
        (self.token.expose().as_bytes() == token).then(|| self.outcome.clone())
    }
}

/// Whether a token was refused for this after its signature was checked, which is what costs. A token that is well
/// signed and not for us is one of them: it is not remembered, so it can be sent again and again. What is refused
/// for less is not counted: after a key's end, all of its tokens come, from everybody.
const fn came_after_the_signature(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::InvalidSignature
            | Reason::InvalidClaims
            | Reason::WrongIssuer
            | Reason::WrongAudience
            | Reason::WrongTokenKind
    )
}

/// Whether a token was refused for what memory may only not know yet: an account that was made a moment ago, or an
/// epoch that was raised. Then the store is to be followed one step further before the refusal stands.
pub(in crate::decision) fn is_perhaps_early(claims: &Claims, refused: Reason) -> bool {
    match refused {
        Reason::UnknownAccount => true,
        Reason::UnknownEpoch => claims.epoch < EPOCH_DELETED,
        _ => false,
    }
}

/// What such a refusal is once that step was waited for. A store that could not be asked says nothing about the token.
pub(in crate::decision) fn after_waiting(refused: Reason, waited: Waited) -> Reason {
    match waited {
        Waited::Followed => refused,
        Waited::InVain => Reason::Unavailable,
    }
}

/// Whom a token under an imported key names: a token of our own form has an id and a name, as others may.
fn identity(verified: &Verified) -> Cow<'_, TokenSubject> {
    let claims = &verified.claims;
    let (TokenSubject::Account(id), Issuer::Realm(realm)) = (&claims.subject, &verified.issuer) else {
        return Cow::Borrowed(&claims.subject);
    };
    let business =
        claims.organization.as_deref().filter(|_| realm.dialect.facts().accounts.has_business).unwrap_or_default();
    let named = PrincipalId::of_name(&claims.realm, business, &claims.name);
    Cow::Owned(TokenSubject::Imported { id: *id, named })
}

impl View<'_> {
    /// Opens a token, without asking whether it still holds. An address that sent too many bad ones gets
    /// none opened for a while.
    ///
    /// # Errors
    /// The reason for which the token is refused: its form, key, algorithm, signature or claims; or too many bad tokens
    /// from this address.
    pub fn open(&self, token: &str, client: Option<IpAddr>, now: Timestamp) -> Result<Verified, Reason> {
        let opened = self.look_into(token, client, now);
        if let (Err(reason), Some(client)) = (&opened, client)
            && came_after_the_signature(*reason)
        {
            self.bad_tokens.record_bad(client, now);
        }
        opened
    }

    /// Counts a token that somebody else found bad.
    pub(in crate::decision) fn note_bad(&self, client: IpAddr, now: Timestamp) {
        self.bad_tokens.record_bad(client, now);
    }

    /// [`View::open`] without counting what it finds.
    fn look_into(&self, token: &str, client: Option<IpAddr>, now: Timestamp) -> Result<Verified, Reason> {
        if client.is_some_and(|client| !self.bad_tokens.allows(client, now)) {
            return Err(Reason::TooManyBadTokens);
        }
        let snapshot = self.snapshot();
        let opened = token::open(token, &snapshot.keys, &snapshot.issuers);
        let (claims, key) = opened.or_else(|reason| self.open_old(token).ok_or(reason))?;
        let issuer = snapshot.issuers.get(&claims.realm).ok_or(Reason::UnknownKey)?;
        Ok(Verified::new(claims, key, issuer.clone()))
    }

    /// A token of an old system that an operator's table has. It stands as long as the realm has a key of its own that
    /// signs: that is what is looked up again when keys change.
    fn open_old(&self, token: &str) -> Option<(Claims, Arc<Key>)> {
        let table = self.takeovers.old_tokens.load();
        if table.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let claims = table.get(&old_tokens::hash(token))?;
        Some((claims.clone(), Arc::clone(self.snapshot().keys.active(&claims.realm)?)))
    }

    fn verify_error(&self, token: &str, reason: Reason) -> VerifyError {
        match (self.missing_key(token, reason), reason) {
            (Some(key), _) => VerifyError::UnknownExternalKey(key),
            // What one of our keys signed, or was said to have signed, is nobody else's.
            (None, Reason::MalformedToken | Reason::UnknownKey) => VerifyError::Foreign(reason),
            (None, _) => VerifyError::Refused(reason),
        }
    }

    /// The question about a token that was `refused`, where this realm takes over from an old system that may have
    /// given it out.
    pub(in crate::decision) fn awaiting_of(
        &self,
        realm: &RealmName,
        token: &str,
        refused: Reason,
    ) -> Option<AwaitingCheck> {
        let VerifyError::Foreign(reason) = self.verify_error(token, refused) else { return None };
        self.awaiting_check(std::slice::from_ref(realm), token, reason)
    }

    /// The question about a token that is not ours, where one of these realms takes over from an old system that
    /// may have given it out.
    pub(super) fn awaiting_check(&self, realms: &[RealmName], token: &str, foreign: Reason) -> Option<AwaitingCheck> {
        let checks = &self.snapshot().token_checks;
        if checks.is_empty() {
            return None;
        }
        let (realm, (check, mode)) = realms
            .iter()
            .filter_map(|realm| Some((realm, checks.get(realm)?)))
            .find(|(_, (check, _))| check.admits(token))?;
        let (realm, check, mode) = (realm.clone(), Arc::clone(check), *mode);
        Some(AwaitingCheck { token: Secret::from(token), check, realm, mode, foreign })
    }

    /// The key that a token says it was signed with, where it says that an external issuer of ours did so.
    fn unverified_key(&self, token: &str) -> Option<ExternalKey> {
        let snapshot = self.snapshot();
        let external = || {
            snapshot.issuers.values().filter_map(|known| match known {
                // An issuer that is asked about its tokens has no keys that could be asked for.
                Issuer::External(external) if !snapshot.token_checks.contains_key(&external.name) => Some(external),
                Issuer::External(_) | Issuer::Realm(_) => None,
            })
        };
        // Where nobody could be asked, the token is not read once more.
        external().next()?;
        let (id, issuer) = token::unverified_origin(token)?;
        let known = external().find(|known| known.issuer == issuer)?;
        Some(ExternalKey { issuer: known.name.clone(), id: KeyId::from_text(&id) })
    }

    /// The key that a refused token may only be waiting for. Somebody else's may have the same name, or even be the
    /// same: then the token was held against that one.
    fn missing_key(&self, token: &str, reason: Reason) -> Option<ExternalKey> {
        let of_the_key = matches!(
            reason,
            Reason::UnknownKey
                | Reason::KeyRevoked
                | Reason::WrongAlgorithm
                | Reason::InvalidSignature
                | Reason::WrongIssuer
        );
        let unverified = of_the_key.then(|| self.unverified_key(token)).flatten()?;
        let known = self.snapshot().keys.external(&unverified.issuer).iter().any(|key| key.id == unverified.id);
        (!known).then_some(unverified)
    }

    fn has_keys_of(&self, issuer: &RealmName, now: Timestamp) -> bool {
        self.snapshot().keys.external(issuer).iter().any(|key| key.is_believed(now))
    }

    /// The entry of a token that was opened before, if its issuer's tokens are still read so.
    pub(super) fn remembered<T: Trace>(&self, token: &[u8], now: Timestamp, _trace: &T) -> Option<Arc<Verified>> {
        let counts = |verified: &Arc<Verified>| verified.is_believed(now) && self.is_young(verified, now);
        let verified = self.verified.get(token).filter(counts)?;
        // A reload moves the generation, so an entry of the present one was opened by the present config.
        let issuer = || self.snapshot().issuers.get(&verified.claims.realm);
        if !verified.is_good_in(self.generation) && !issuer().is_some_and(|issuer| verified.issuer.reads_like(issuer)) {
            return None;
        }
        if !T::REHEARSAL {
            self.verified.note_hit();
        }
        Some(verified)
    }

    /// Whether another system's word for a token is no older than the present config lets it be: a reload may have
    /// lowered that.
    fn is_young(&self, verified: &Verified, now: Timestamp) -> bool {
        let Some(asked_at) = verified.asked_at() else { return true };
        let check = self.snapshot().token_checks.get(&verified.claims.realm);
        check.is_none_or(|(check, _)| now < asked_at.plus(check.settings.max_age))
    }

    /// Whether the account may use an opened token now: its times, its key and its revocations. Cached identity,
    /// fresh verdict.
    ///
    /// Keys and revocations are looked up only when they changed since this token was last looked
    /// at; the generation that is noted was read before anything was looked up, so a change that
    /// comes in between is seen by the next request.
    ///
    /// # Errors
    /// The reason for which the token no longer holds: its times, its key, its issuer, or a revocation.
    pub fn check_account_status(&self, verified: &Verified, now: Timestamp) -> Result<(), Reason> {
        self.account_status(verified, now, &mut ())
    }

    /// [`View::check_account_status`], with a trace that is told of each step.
    #[inline]
    pub(in crate::decision) fn account_status<T: Trace>(
        &self,
        verified: &Verified,
        now: Timestamp,
        trace: &mut T,
    ) -> Result<(), Reason> {
        let times = token::check_times(&verified.claims, verified.issuer.leeway(), now);
        trace.note(Fact::Times(verified, times));
        times?;
        let snapshot = self.snapshot();
        // A reload ends the word of the source that confirmed the key when the token was opened: another may confirm it
        // now.
        let is_confirmed = |key: &Arc<Key>| key.is_believed(now);
        let confirmed = verified.key.is_believed(now) || snapshot.keys.present(&verified.key).is_some_and(is_confirmed);
        trace.note(Fact::KeyConfirmed(verified, confirmed));
        if !confirmed {
            return Err(Reason::IssuerUnavailable);
        }
        if !T::REHEARSAL && verified.is_good_in(self.generation) {
            return Ok(());
        }
        let issuer = snapshot.issuers.get(&verified.claims.realm);
        let same = issuer.is_some_and(|issuer| verified.issuer.reads_like(issuer));
        trace.note(Fact::Issuer(verified, same));
        if !same {
            return Err(Reason::UnknownKey);
        }
        let key = snapshot.keys.present(&verified.key);
        trace.note(Fact::Key(verified, key.map(|key| key.state)));
        let key = match key {
            None => return Err(Reason::UnknownKey),
            Some(key) if !key.state.verifies() => return Err(Reason::KeyRevoked),
            Some(key) => key,
        };
        let text_revoked = || verified.text_id().is_some_and(|id| self.revocations.is_token_revoked(id));
        let revoked = self.revocations.check(&verified.claims);
        let revoked = revoked.and_then(|()| if text_revoked() { Err(Reason::TokenRevoked) } else { Ok(()) });
        trace.note(Fact::Revocations(verified, revoked));
        revoked?;
        if let Some(imported) = &key.imported {
            let known = self.known::<T>(verified, imported);
            trace.note(Fact::Account(known));
            known?;
        }
        if !T::REHEARSAL {
            verified.mark_good_in(self.generation);
        }
        Ok(())
    }

    /// Whether a token of an imported key speaks for an account that there is, in an epoch that it had. A refusal is
    /// never remembered: the account may be made, and memory may be a step behind.
    fn known<T: Trace>(&self, verified: &Verified, imported: &Imported) -> Result<(), Reason> {
        let claims = &verified.claims;
        if self.revocations.is_ahead(claims) {
            return Err(Reason::UnknownEpoch);
        }
        match self.accounts.account_of(&claims.realm, &identity(verified)) {
            Speaker::Account => return Ok(()),
            Speaker::Stranger if imported.unknown_accounts => {}
            Speaker::Stranger | Speaker::Mixed => return Err(Reason::UnknownAccount),
        }
        // Once, however often it is looked through again.
        if !T::REHEARSAL && verified.is_new() {
            self.accounts.note_stranger(&claims.realm);
        }
        Ok(())
    }
}
