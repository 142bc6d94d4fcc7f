//! Tokens of an old system that nobody here has a key or a row of: it is asked, and its yes counts for a moment.

use std::{net::IpAddr, sync::Arc};

use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::{
    decision::{
        decide::{
            authenticate::{AwaitingCheck, Proof},
            live_state::LiveState,
        },
        verifier::tokens::TokenAnswered,
    },
    domain::{Clock, RealmName, Reason, Timestamp},
    rules::verifier::{Mode, TokenRules, believed_until},
    state::{account, store::Store, takeover::old_tokens, token::Verified},
};

/// Accounts that are looked up at once: fewer than the store has connections.
const LOOKUPS_MAX: usize = 2;

/// Asks old systems about their tokens. Not to be waited for on the proxy's threads: it reads the account from the
/// store.
pub struct TokenAsker {
    live_state: Arc<LiveState>,
    store: Store,
    clock: Arc<dyn Clock>,
    lookups: Semaphore,
}

impl TokenAsker {
    /// One for this store's accounts.
    #[must_use]
    pub fn new(live_state: Arc<LiveState>, store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { live_state, store, clock, lookups: Semaphore::new(LOOKUPS_MAX) }
    }

    /// What a token is that is not ours, where the old system of one of these realms vouches for it. `refused` is
    /// why it is not ours.
    ///
    /// # Errors
    /// Why it is not taken: `refused` itself where no old system knows it, [`Reason::Unavailable`] where nobody can
    /// say.
    pub async fn find(
        &self,
        realms: &[RealmName],
        token: &str,
        refused: Reason,
        client: Option<IpAddr>,
    ) -> Result<Arc<Verified>, Reason> {
        let mut away = None;
        for realm in realms {
            let awaiting = self.live_state.view().awaiting_of(realm, token, refused);
            let Some(awaiting) = awaiting else { continue };
            let known = awaiting.known(&self.live_state.view(), self.clock.now());
            let proof = match known {
                Ok(proof) => proof,
                Err(awaiting) => self.ask(awaiting, client).await,
            };
            match proof.into_verified() {
                Ok(verified) if verified.claims.realm == *realm => return Ok(verified),
                Err(Reason::Unavailable) => away = Some(Reason::Unavailable),
                Ok(_) | Err(_) => {}
            }
        }
        Err(away.unwrap_or(refused))
    }

    /// [`TokenAsker::find`] among all realms that have such an old system.
    ///
    /// # Errors
    /// As there.
    pub async fn find_anywhere(
        &self,
        token: &str,
        refused: Reason,
        client: Option<IpAddr>,
    ) -> Result<Arc<Verified>, Reason> {
        let snapshot = self.live_state.snapshot();
        // An external issuer that is asked is no old system of a realm: its tokens are not ours to speak for.
        let of_old_systems = snapshot.token_checks.iter().filter(|(_, (check, _))| check.asks_about_accounts());
        let mut realms: Vec<_> = of_old_systems.map(|(realm, _)| realm.clone()).collect();
        realms.sort_unstable();
        self.find(&realms, token, refused, client).await
    }

    /// What comes of asking about a token that `client` brought. Where nobody can say now, the request is refused as
    /// one whose answer is out of reach, and never let through.
    pub async fn ask(&self, awaiting: AwaitingCheck, client: Option<IpAddr>) -> Proof {
        // Without an address nobody could take a turn.
        let Some(client) = client else { return awaiting.refused(Reason::Unavailable) };
        let is_introspected = awaiting.is_introspected();
        // It is held until the token is remembered. Where there is none to join, the one before it has ended, and the
        // token is remembered already: nobody asks twice.
        let question = awaiting.check.question(&awaiting.token, client, &self.clock);
        let awaiting = match awaiting.known(&self.live_state.view(), self.clock.now()) {
            Ok(proof) => return proof,
            Err(awaiting) => awaiting,
        };
        let (facts, asked_at) = match question.answer().await {
            TokenAnswered::Active { said, asked_at } => return self.introspected(awaiting, said, asked_at),
            TokenAnswered::No if is_introspected => {
                // The question costs somebody, as a bad signature costs us a check. What is answered from memory costs
                // nothing: a client that retries one ended token locks no address out.
                if question.was_put() {
                    self.live_state.view().note_bad(client, self.clock.now());
                }
                return awaiting.not_held();
            }
            TokenAnswered::Yes { facts, asked_at } => (facts, asked_at),
            TokenAnswered::No => return awaiting.not_held(),
            TokenAnswered::Unknown => return awaiting.refused(Reason::Unavailable),
        };
        // Of many that brought the same token, the first one looks for all.
        let Ok(_place) = self.lookups.acquire().await else { return awaiting.refused(Reason::Unavailable) };
        let awaiting = match awaiting.known(&self.live_state.view(), self.clock.now()) {
            Ok(proof) => return proof,
            Err(awaiting) => awaiting,
        };
        let found = self.store.within(account::find(&self.store, &awaiting.realm, &facts.name)).await;
        let account = match found {
            Ok(Some(account)) if !account.disabled => account,
            Ok(_) => return awaiting.refused(Reason::UnknownAccount),
            Err(error) => {
                tracing::warn!(%error, "the account of an old system's token cannot be looked up");
                return awaiting.refused(Reason::Unavailable);
            }
        };
        let hash = old_tokens::hash(awaiting.token.expose());
        // While the old system still gives tokens out, its word is about the present ones. From then on, what ends an
        // account's tokens here ends these for good: nobody knows in which epoch one was given out.
        let epoch = if awaiting.mode == Mode::Observe { account.epoch } else { 0 };
        let claims = old_tokens::claims(&account, epoch, &hash, facts.expires_at);
        self.live_state.takeovers().ledger.checked_token(awaiting.check.name());
        // From the question on: the old system's word is as old as that.
        let until = asked_at.plus(awaiting.check.settings.max_age);
        let until = facts.expires_at.map_or(until, |end| end.min(until));
        awaiting.believed(&self.live_state.view(), claims, asked_at..until)
    }
}

impl TokenAsker {
    /// A token that its authorization server says is active.
    fn introspected(&self, awaiting: AwaitingCheck, said: Map<String, Value>, asked_at: Timestamp) -> Proof {
        let view = self.live_state.view();
        let check = Arc::clone(&awaiting.check);
        let TokenRules::Introspection(introspection) = &check.settings.evidence else {
            return awaiting.refused(Reason::Internal);
        };
        // Of many that brought the same token, the first one remembers it for all.
        let awaiting = match awaiting.known(&view, self.clock.now()) {
            Ok(proof) => return proof,
            Err(awaiting) => awaiting,
        };
        let Some(claims) = introspection.claims(said, awaiting.token.expose()) else {
            return awaiting.refused(Reason::InvalidClaims);
        };
        let until = believed_until(asked_at, check.settings.max_age, claims.expires_at);
        awaiting.believed(&view, claims, asked_at..until)
    }
}

impl std::fmt::Debug for TokenAsker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenAsker(…)")
    }
}
