//! Two secrets of a client, by any clock.

use super::*;
use crate::{
    decision::admin::secrets::{NewSecret, Overlap, SecretChange},
    domain::trusted_time,
    state::store::Actor,
};

const DAY: Duration = Duration::from_hours(24);

impl Ground {
    async fn rotate(&self, overlap: Duration, secret: &str) {
        let (admin, name) = (self.admin(), account_name("one"));
        let account = admin.account(&self.oauth, &name).await.unwrap();
        let change = SecretChange::Overlap(Overlap::of(overlap).unwrap());
        admin.set_secret(&self.oauth, &account, NewSecret::Given(secret.into()), change).await.unwrap();
    }

    async fn proves(&self, secret: &str) -> bool {
        let login = Login::new("one", secret);
        match self.token_service.authenticate_client(&self.oauth, login, &self.caller.0).await {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error, OAuthError::InvalidClient);
                // Failures are not what is tried here.
                self.pass(Duration::from_mins(2));
                false
            }
        }
    }
}

#[tokio::test]
async fn the_old_secret_ends_in_time_whatever_the_civil_clock_says() {
    let year: i64 = 365 * 24 * 3_600_000;
    for step in [0, year, -year] {
        let ground = Ground::new().await;
        ground.rotate(7 * DAY, "second secret").await;
        ground.clock.step(step);
        ground.pass(DAY / 2);
        assert!(ground.proves("1234").await && ground.proves("second secret").await, "{step}");
        ground.clock.step(-step);
        ground.pass(6 * DAY);
        assert!(ground.proves("1234").await, "{step}: it has half a day left");
        ground.pass(DAY / 2);
        assert!(!ground.proves("1234").await && ground.proves("second secret").await, "{step}");
    }
}

#[tokio::test]
async fn no_overlap_begins_while_the_clock_is_in_doubt() {
    let ground = Ground::new().await;
    let clock: Arc<dyn Clock> = Arc::clone(&ground.clock) as _;
    let trusted = TrustedClock::begin(None, clock);
    ground.clock.step(3 * 3_600_000);
    let admin = AdminService::new(Actor::command("root", "no terminal"), &ground.vault, trusted, None);
    let account = admin.account(&ground.oauth, &account_name("one")).await.unwrap();
    let change = SecretChange::Overlap(Overlap::of(DAY).unwrap());
    let refused = admin.set_secret(&ground.oauth, &account, NewSecret::Generated, change).await.unwrap_err();
    assert!(refused.to_string().contains("portero clock confirm"), "{refused}");
    assert!(ground.proves("1234").await, "nothing was changed");
}

#[tokio::test]
async fn the_old_secret_ends_with_an_order_and_tokens_live_on() {
    let ground = Ground::new().await;
    ground.rotate(DAY, "second secret").await;
    let grant = ground.token_service.grant_client_credentials(&ground.oauth, &ground.client("one").await, None).await;
    let grant = grant.unwrap();
    let (admin, name) = (ground.admin(), account_name("one"));
    let account = admin.account(&ground.oauth, &name).await.unwrap();
    assert!(!account.is_secret_made(), "somebody chose both");
    assert!(admin.end_overlap(&ground.oauth, &account).await.unwrap().1);
    assert!(!ground.proves("1234").await && ground.proves("second secret").await);
    assert!(ground.holds(token(&grant, TokenKind::Access)));
}

#[tokio::test]
async fn a_weak_hash_of_the_old_secret_is_made_anew_in_its_own_place() {
    let ground = Ground::new().await;
    // As an earlier version hashed it.
    let weak = password::tests::weak_hash("1234");
    let (realm, name) = (&ground.oauth.name, &account_name("one"));
    let now = ground.clock.now();
    account::set_password_hash(&ground.store.audited(), realm, name, &weak, account::OldTokens::Keep, now)
        .await
        .unwrap();
    ground.rotate(DAY, "second secret").await;
    assert!(ground.proves("1234").await);
    // After the login of its owner, off its path.
    let replaced = async {
        while password::needs_rehash(
            &account::find(&ground.store, realm, name).await.unwrap().unwrap().previous_secret.unwrap().hash,
        ) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), replaced).await.unwrap();
    assert!(ground.proves("1234").await && ground.proves("second secret").await);
}

#[tokio::test]
async fn a_secret_that_has_ended_is_forgotten_by_trusted_time_alone() {
    let ground = Ground::new().await;
    ground.rotate(DAY, "second secret").await;
    let at = |passed| trusted_time::trusted(ground.clock.now().plus(passed));
    assert_eq!(account::prune_previous(&ground.store, at(DAY), 10).await.unwrap(), 0);
    assert_eq!(account::prune_previous(&ground.store, at(2 * DAY), 10).await.unwrap(), 1);
    let found = account::find(&ground.store, &ground.oauth.name, &account_name("one")).await.unwrap().unwrap();
    assert_eq!(found.previous_secret, None);
}
