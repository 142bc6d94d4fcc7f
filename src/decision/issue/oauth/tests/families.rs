//! What ends a family of refresh tokens, and the access tokens that it gave.

use super::*;
use crate::{
    decision::StoreSync,
    domain::KeyId,
    state::{account::OldTokens, keys::RETIRED_KEPT},
};

impl Ground {
    /// The key that signs for `apis`.
    fn key(&self) -> KeyId {
        self.live_state.snapshot().keys.active(&self.apis.name).unwrap().id.clone()
    }

    /// What a store sync brings.
    async fn follow(&self) {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let metrics = Metrics::new().unwrap();
        StoreSync::start(self.store.clone(), self.vault.clone(), Arc::clone(&self.live_state), clock, metrics)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_end_of_a_revoked_key_is_never_forgotten() {
    let ground = Ground::new().await;
    let one = ground.client("one").await;
    let grant = ground.exchange(&one, token(&ground.login().await, TokenKind::Refresh)).await.unwrap();
    let second = token(&grant, TokenKind::Refresh);
    ground.admin().revoke_key(&ground.key()).await.unwrap();
    assert_eq!(ground.exchange(&one, second).await.err(), Some(OAuthError::InvalidGrant));
    let long_after = crate::domain::trusted_time::trusted(ground.clock.now().plus(2 * RETIRED_KEPT));
    ground.vault.forget(long_after).await.unwrap();
    ground.live_state.refresh_keys(&ground.vault).await.unwrap();
    assert_eq!(ground.exchange(&one, second).await.err(), Some(OAuthError::InvalidGrant));
    assert_eq!(ground.token_service.introspect(&ground.client("two").await, second, None).await, Ok(None));
    // Nor does it live again where the row is gone.
    ground.store.run("DELETE FROM keys WHERE state = 'revoked'").await;
    assert_eq!(ground.exchange(&one, second).await.err(), Some(OAuthError::InvalidGrant));
}

#[tokio::test]
async fn a_key_that_is_retired_by_force_ends_its_lines() {
    let ground = Ground::new().await;
    let one = ground.client("one").await;
    let key = ground.key();
    let grant = ground.exchange(&one, token(&ground.login().await, TokenKind::Refresh)).await.unwrap();
    let owner = crate::decision::schedule::Owner::realm(&ground.apis);
    let schedule = crate::decision::schedule::ScheduleSettings::default();
    ground.admin().rotate_key(&owner, &schedule, true).await.unwrap();
    let grant = ground.exchange(&one, token(&grant, TokenKind::Refresh)).await.unwrap();
    assert!(ground.holds(token(&grant, TokenKind::Access)), "a retiring key's line goes on");
    ground.admin().retire_key(&key, true).await.unwrap();
    let third = token(&grant, TokenKind::Refresh);
    assert_eq!(ground.exchange(&one, third).await.err(), Some(OAuthError::InvalidGrant));
    assert_eq!(ground.token_service.introspect(&ground.client("two").await, third, None).await, Ok(None));
}

#[tokio::test]
async fn what_a_client_got_by_exchange_ends_with_the_client() {
    let name = account_name("one");
    for (end, ends) in [("disable", true), ("delete", true), ("revoke", true), ("secret", true), ("lock", false)] {
        let ground = Ground::new().await;
        let one = ground.client("one").await;
        let login = ground.login().await;
        let untouched = ground.login().await;
        let grant = ground.exchange(&one, token(&login, TokenKind::Refresh)).await.unwrap();
        let (store, realm, now) = (&ground.store, &ground.oauth.name, ground.clock.now());
        match end {
            "disable" => drop(account::set_disabled(&store.audited(), realm, &name, true, now).await.unwrap()),
            "delete" => drop(account::delete(&store.audited(), realm, &name, now).await.unwrap()),
            "revoke" => drop(account::end_tokens(&store.audited(), realm, &name, now).await.unwrap()),
            "secret" => {
                let hash = password::hash(&Secret::from("another")).unwrap();
                account::set_password_hash(&store.audited(), realm, &name, &hash, OldTokens::End, now).await.unwrap();
            }
            _ => account::set_locked(&store.audited(), realm, &name, true).await.unwrap(),
        }
        ground.follow().await;
        assert_eq!(ground.holds(token(&grant, TokenKind::Access)), !ends, "{end}");
        assert!(ground.holds(token(&untouched, TokenKind::Access)), "{end}: it was not this client's");
        if ends {
            // It proved itself before, and exchanges only now.
            let late = ground.exchange(&one, token(&untouched, TokenKind::Refresh)).await;
            assert_eq!(late.err(), Some(OAuthError::InvalidGrant), "{end}");
        }
    }
}

#[tokio::test]
async fn a_sessions_revocation_outlives_every_token_of_it() {
    let ground = Ground::new().await;
    let realms = [Arc::clone(&ground.apis)];
    crate::decision::decide::lifetimes::note(&ground.store, &realms, ground.clock.now()).await.unwrap();
    let login = ground.login().await;
    ground.pass(11 * HOUR);
    let claims =
        ground.live_state.view().open(token(&login, TokenKind::Refresh).expose(), None, ground.clock.now()).unwrap();
    let session = claims.claims.session.unwrap();
    // A token is on its way whose end the session does not know yet.
    let minted = ground.clock.now();
    ground.admin().revoke_session(session).await.unwrap();
    let (records, _) = crate::state::revocation::log::since(&ground.store, 0, 10).await.unwrap();
    let kept = records[0].expires_at.unwrap();
    assert!(kept >= minted.plus(12 * HOUR), "{kept:?}");
}
