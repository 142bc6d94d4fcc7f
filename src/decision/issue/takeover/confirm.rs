//! Asks an old system about logins that were decided while it was away. A no revokes the session; so does the end of
//! the time for which the login is believed, when nobody could ask.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::{
    decision::{
        decide::live_state::LiveState,
        issue::login::TokenService,
        verifier::{Answered, Question, unconfirmed::Login},
    },
    domain::TrustedNow,
    rules::verifier::Verdict,
    state::{
        clock::TrustedClock,
        store::StoreError,
        takeover::{
            confirmation, counts, old_tokens,
            trusted::{self, Settled},
        },
    },
};

/// How often it is tried.
const EVERY: Duration = Duration::from_secs(1);

/// How often what has ended is cleared away, in tries.
const CLEAR_EVERY: u32 = 60;

/// How often accounts are counted for metrics, in tries: it reads all of them.
const COUNT_EVERY: u32 = 5 * CLEAR_EVERY;

/// Rows that one statement of a clearing removes, at most.
const CLEAR_ROWS_MAX: u32 = 1_000;

/// Logins that are asked about in one try, at most: others log in beside it.
const ASKED_MAX: usize = 100;

/// Confirms logins that were decided while an old system was away.
#[derive(Debug)]
pub struct Confirmer {
    service: Arc<TokenService>,
    live_state: Arc<LiveState>,
    trusted: TrustedClock,
}

impl Confirmer {
    /// One for the logins of this token service.
    #[must_use]
    pub const fn new(service: Arc<TokenService>, live_state: Arc<LiveState>, trusted: TrustedClock) -> Self {
        Self { service, live_state, trusted }
    }

    /// Does so until `stop` says true. It may be dropped at any point.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tries = 0;
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.once(tries) => {}
            }
            tries = (tries + 1) % COUNT_EVERY;
        }
    }

    async fn once(&self, tries: u32) {
        let done = async {
            self.confirm().await?;
            // Neither a session nor a row ends by the word of a clock that is in doubt.
            let Ok(now) = self.trusted.now() else { return Ok(()) };
            self.expire(now).await?;
            if tries.is_multiple_of(CLEAR_EVERY) {
                self.clear(now).await?;
            }
            if tries == 0 { self.count().await } else { Ok(()) }
        };
        if let Err(error) = done.await {
            tracing::debug!(%error, "logins that wait to be confirmed are looked at again in a second");
        }
    }

    /// Asks about those that this gateway remembers, the oldest first, until the old system is away.
    async fn confirm(&self) -> Result<(), StoreError> {
        let unconfirmed = &self.live_state.takeovers().unconfirmed;
        for _ in 0..ASKED_MAX {
            let Some(login) = unconfirmed.pop() else { return Ok(()) };
            match self.settle(&login).await {
                Ok(true) => {}
                Ok(false) => {
                    unconfirmed.put_back(login);
                    return Ok(());
                }
                Err(error) => {
                    unconfirmed.put_back(login);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Answers whether it needs no more asking.
    async fn settle(&self, login: &Login) -> Result<bool, StoreError> {
        let (store, clock) = (&self.service.store, &self.service.clock);
        if !trusted::is_pending(store, login.session).await? {
            // The account's next login has told already, or its time is over.
            return Ok(true);
        }
        let question = Question {
            realm: &login.realm,
            dialect: &login.dialect,
            name: &login.name,
            secret: &login.secret,
            client: login.client,
        };
        match login.verifier.ask(question, clock).await {
            Answered::Said { verdict: Verdict::Yes(_), .. } => {
                trusted::settle(store, &[login.session], Settled::Confirmed, clock.now()).await?;
                tracing::info!(session = %login.session, verifier = &*login.verifier.settings.name, "a login that was decided while the old system was away is confirmed");
            }
            Answered::Said { verdict: Verdict::No(_), .. } => {
                let name = &login.verifier.settings.name;
                confirmation::distrust(store, login.account, name, &login.hash, clock.now()).await?;
                self.service.end_trusted(login.session, name, Settled::Refused).await?;
            }
            Answered::Said { verdict: Verdict::Unclear(_), .. } | Answered::Busy { .. } | Answered::Away { .. } => {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ends those that nobody could ask about in time, whichever gateway they are of.
    async fn expire(&self, now: TrustedNow) -> Result<(), StoreError> {
        for login in trusted::overdue(&self.service.store, now).await? {
            self.service.end_trusted(login.session, &login.verifier, Settled::Expired).await?;
        }
        Ok(())
    }

    /// Shows how many accounts the old systems have confirmed, and do not know.
    async fn count(&self) -> Result<(), StoreError> {
        let (store, now) = (&self.service.store, self.service.clock.now());
        let snapshot = self.live_state.snapshot();
        for (realm, verifier, trust) in snapshot.takeovers.iter() {
            let (all, trusted) = confirmation::confirmed(store, realm, now.minus(*trust)).await?;
            let (unknown, _) = confirmation::unknown(store, realm, 0).await?;
            for (state, count) in [("all", all), ("trusted", trusted), ("unknown", unknown)] {
                verifier.metrics.show_accounts(realm.as_str(), state, count);
            }
        }
        Ok(())
    }

    async fn clear(&self, now: TrustedNow) -> Result<(), StoreError> {
        let store = &self.service.store;
        trusted::prune(store, now, CLEAR_ROWS_MAX).await?;
        counts::prune(store, now, CLEAR_ROWS_MAX).await?;
        old_tokens::prune(store, now, CLEAR_ROWS_MAX).await?;
        Ok(())
    }
}
