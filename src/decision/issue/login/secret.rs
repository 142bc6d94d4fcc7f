//! The first step: a secret is held against an account's, under the throttle.

use std::sync::Arc;

use super::{ASKED_MAX, RETRY_UNAVAILABLE, TokenService, busy, rejected, unavailable};
use crate::{
    decision::issue::{caller::Caller, pace::Pace},
    domain::{PrincipalId, Secret},
    rules::{contract::Rejection, limit::ClientKey, realm::Realm},
    state::{
        account::{Checked, Credentials, Matched, OpenCredentials},
        keys::VaultError,
        limit::{Attempt, Held},
    },
};

/// A secret, and what it is held against.
pub(in crate::decision::issue) struct Guess<'a> {
    pub(in crate::decision::issue) secret: &'a Secret,
    /// The account, if there is one: else a hash is spent on it all the same.
    pub(in crate::decision::issue) account: Option<(PrincipalId, &'a Credentials)>,
    /// Whether a wrong one is a failure. It is not where an old system says that it is right.
    pub(in crate::decision::issue) counts: bool,
}

impl TokenService {
    /// Which of the account's secrets this is. The throttle is asked again when it is this client's turn, because
    /// others may have failed while it waited, and a failure is counted before the next secret is looked at: guesses
    /// that wait together cost no more hashes than the throttle allows. A client that leaves while it waits costs none.
    pub(in crate::decision::issue) async fn check_secret(
        &self,
        realm: &Realm,
        attempt: &mut Attempt,
        guess: &Guess<'_>,
        caller: &Caller,
    ) -> Result<Checked, Rejection> {
        for _ in 0..ASKED_MAX {
            match self.verify(realm, attempt, guess, caller).await? {
                Ok(checked) => return Ok(checked),
                Err(Held::Throttled(throttled)) => return Err(rejected(throttled)),
                // The name went above its cap while this one waited.
                Err(Held::Unlearned) => self.learn_known(attempt, caller).await?,
            }
        }
        Err(busy())
    }

    async fn verify(
        &self,
        realm: &Realm,
        attempt: &mut Attempt,
        guess: &Guess<'_>,
        caller: &Caller,
    ) -> Result<Result<Checked, Held>, Rejection> {
        let &Guess { secret, account, counts } = guess;
        let credentials = account.map(|(_, credentials)| credentials);
        let (class, takes_two) = (Pace::class_of(credentials), credentials.is_some_and(Credentials::takes_two));
        // An unknown account costs a hash too: the time tells nothing.
        let opened = match account {
            Some((id, credentials)) => Some(self.open(id, credentials).await?),
            None => None,
        };
        let (throttle, clock) = (Arc::clone(&self.throttle), Arc::clone(&self.clock));
        let mut asked = *attempt;
        let judge = move |verify: &dyn Fn() -> Checked| {
            let mut judged = || {
                throttle.check(&mut asked, clock.now())?;
                let checked = verify();
                if counts && checked.matched.is_none() {
                    throttle.check(&mut asked, clock.now())?;
                    throttle.record_failure(&asked, clock.now());
                }
                Ok(checked)
            };
            let judged: Result<Checked, Held> = judged();
            (judged, asked)
        };
        let client = ClientKey::of(caller.address());
        let verified = self.hasher.verify(client, secret.clone(), opened, judge, caller.left());
        // It may have been drawn meanwhile.
        let (judged, asked) = verified.await.map_err(|_| busy())?.ok_or_else(busy)?;
        *attempt = asked;
        if let Ok(checked) = &judged {
            // Where two hashes are held against it one after the other, the first one that matches is no measure of
            // both.
            let is_whole = checked.matched != Some(Matched::Current) || !takes_two;
            if is_whole && !checked.took.is_zero() {
                self.pace.measured(&realm.name, &class, checked.took);
            }
        }
        Ok(judged)
    }

    /// What a secret of the account is held against. Where that cannot be known the answer is 503, and never «wrong».
    pub(in crate::decision::issue) async fn open(
        &self,
        id: PrincipalId,
        credentials: &Credentials,
    ) -> Result<OpenCredentials, Rejection> {
        let open = async |hash| {
            self.password_keys.open(id, hash).await.map_err(|error| match error {
                VaultError::Store(error) => unavailable(&error),
                error => {
                    tracing::error!(%error, "a password's hash cannot be opened");
                    Rejection::Unavailable { retry_after: RETRY_UNAVAILABLE }
                }
            })
        };
        let current = open(&credentials.current).await?;
        let previous = match &credentials.previous {
            Some(previous) => Some(open(previous).await?),
            None => None,
        };
        Ok(credentials.clone().opened(current, previous))
    }
}
