//! The use cases on a real store, at any time.

mod families;
mod secrets;

use std::{net::IpAddr, sync::Arc, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::{
    decision::issue::{caller::Caller, login::TokenService},
    decision::{AdminService, LiveState, OauthSettings, Presence, Site, Snapshot, sync::key_lifecycle},
    domain::Grant,
    domain::{AccountName, Clock, HandClock, PrincipalId, Secret, Timestamp, TokenKind},
    observe::metrics::Metrics,
    rules::{
        contract::{self, Dialect, Rejection, oauth::INTROSPECT},
        realm::Lifetime,
    },
    rules::{
        contract::{Login, oauth::OAuthError},
        realm::Realm,
    },
    state::{
        account::{self, Hasher, LegacyId, NewAccount, Revised, Revision, password},
        clock::TrustedClock,
        keys::{self, Keyring, Vault},
        limit::{BadTokenSettings, Throttle, ThrottleSettings},
        store::{self, Actor, Store},
        token::CacheSettings,
    },
};

const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const GRACE: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_hours(1);

/// A gateway without its doors: realms `oauth` and `apis`, the clients `one` and `two`, the user `ana`.
struct Ground {
    _folder: TempDir,
    store: Store,
    vault: Vault,
    live_state: Arc<LiveState>,
    clock: Arc<HandClock>,
    token_service: TokenService,
    caller: (Caller, Presence),
    oauth: Arc<Realm>,
    apis: Arc<Realm>,
    settings: OauthSettings,
}

fn realm(dialect: &str) -> Arc<Realm> {
    Arc::new(Realm {
        name: dialect.parse().unwrap(),
        algorithm: dialect.parse::<Dialect>().unwrap().facts().tokens.algorithm,
        dialect: dialect.parse().unwrap(),
        issuer: format!("https://gateway.example.com/{dialect}"),
        audience: "api".into(),
        leeway: Duration::ZERO,
        keeps_algorithm: false,
        lifetime: Lifetime::Fixed(HOUR),
        content_lifetime: HOUR,
        refresh_lifetime: 12 * HOUR,
        wire: contract::DialectSettings::default(),
        uniform_errors: false,
    })
}

impl Ground {
    async fn new() -> Self {
        let folder = crate::memory::new_folder();
        let store = Store::make(&store::StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
        let master = keys::VaultSettings { master_key_file: folder.path().join("master.key") };
        let vault = Vault::open(store.clone(), &master).await.unwrap();
        let clock = Arc::new(HandClock::new(Timestamp::from_millis(1_768_564_800_000)));
        let (oauth, apis) = (realm("oauth"), realm("apis"));
        let settings = OauthSettings {
            refresh_grace: GRACE,
            refresh_lifetime: None,
            documents_max_age: Duration::ZERO,
            metadata: serde_json::Map::new(),
        };
        let site = Site {
            realms: vec![Arc::clone(&oauth), Arc::clone(&apis)],
            endpoints: vec![],
            routes: vec![],
            upstreams: vec![],
            verifiers: vec![],
            issuers: vec![],
            internal_issuer: None,
            oauth: Some(settings.clone()),
        };
        let schedule = crate::decision::schedule::ScheduleSettings::default();
        key_lifecycle::ensure(&store, &vault, &site.realms, &schedule, clock.now()).await.unwrap();
        let snapshot = Snapshot::build(&site, Arc::new(Keyring::default()), &Metrics::new().unwrap()).unwrap();
        let live_state = Arc::new(LiveState::new(snapshot, CacheSettings::default(), BadTokenSettings::default()));
        live_state.refresh_keys(&vault).await.unwrap();
        let time: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let hasher = Hasher::start(account::HasherSettings::default(), Arc::clone(&time), Arc::new(|_| {})).unwrap();
        let throttle = Throttle::new(ThrottleSettings::default());
        let token_service = TokenService::new(
            Arc::clone(&live_state),
            &vault,
            Arc::new(hasher),
            throttle,
            TrustedClock::begin(None, time),
            Arc::default(),
        );
        let caller = Caller::new(HOME);
        let ground =
            Self { _folder: folder, store, vault, live_state, clock, token_service, caller, oauth, apis, settings };
        for (realm, name, scopes) in [
            (&ground.oauth, "one", &["read"][..]),
            (&ground.oauth, "two", &["read", INTROSPECT]),
            (&ground.apis, "ana", &["read", "write"]),
        ] {
            let new = NewAccount {
                id: PrincipalId::generate(),
                realm: realm.name.clone(),
                kind: realm.dialect.principal_kind(),
                name: account_name(name),
                display_name: None,
                legacy_id: LegacyId::None,
                role: None,
                scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
                company: None,
                grants: None,
            };
            let hash = password::hash(&Secret::from("1234")).unwrap();
            account::insert(&ground.store.audited(), &new, &hash, ground.clock.now()).await.unwrap();
        }
        ground
    }

    fn pass(&self, time: Duration) {
        self.clock.pass(time);
    }

    async fn client(&self, name: &str) -> Client {
        self.token_service.authenticate_client(&self.oauth, Login::new(name, "1234"), &self.caller.0).await.unwrap()
    }

    /// The tokens of a login of `ana`.
    async fn login(&self) -> Grant {
        self.token_service.login(&self.apis, Login::new("ana", "1234"), &self.caller.0).await.unwrap()
    }

    async fn exchange(&self, client: &Client, token: &Secret) -> Result<Grant, OAuthError> {
        self.token_service.exchange(&self.settings, client, token, None).await
    }

    fn holds(&self, token: &Secret) -> bool {
        let view = self.live_state.view();
        view.open(token.expose(), Some(HOME), self.clock.now())
            .is_ok_and(|opened| view.check_account_status(&opened, self.clock.now()).is_ok())
    }

    fn admin(&self) -> AdminService {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let trusted = TrustedClock::begin(None, clock);
        let actor = Actor::command("root", "no terminal");
        AdminService::new(actor, &self.vault, trusted, Some(Arc::clone(&self.live_state)))
    }
}

fn account_name(name: &str) -> AccountName {
    AccountName { business: String::new(), name: name.to_owned() }
}

fn token(grant: &Grant, kind: TokenKind) -> &Secret {
    &grant.token(kind).unwrap().token
}

#[tokio::test]
async fn a_line_lasts_as_long_as_its_first_token_and_no_longer() {
    let ground = Ground::new().await;
    let one = ground.client("one").await;
    let login = ground.login().await;
    let end = login.token(TokenKind::Refresh).unwrap().expires_at;
    let mut refresh = token(&login, TokenKind::Refresh).clone();
    for _ in 0..11 {
        ground.pass(HOUR);
        let grant = ground.exchange(&one, &refresh).await.unwrap();
        assert!(ground.holds(token(&grant, TokenKind::Access)));
        assert_eq!(grant.token(TokenKind::Refresh).unwrap().expires_at, end);
        refresh = token(&grant, TokenKind::Refresh).clone();
    }
    ground.pass(HOUR);
    assert_eq!(ground.exchange(&one, &refresh).await.err(), Some(OAuthError::InvalidGrant));
    assert_eq!(ground.token_service.introspect(&ground.client("two").await, &refresh, None).await, Ok(None));
}

#[tokio::test]
async fn the_grace_is_for_lost_answers() {
    let ground = Ground::new().await;
    let one = ground.client("one").await;
    let login = ground.login().await;
    let first = token(&login, TokenKind::Refresh);
    let second = ground.exchange(&one, first).await.unwrap();
    ground.pass(GRACE.checked_sub(Duration::from_millis(1)).unwrap());
    let again = ground.exchange(&one, first).await.unwrap();
    assert_eq!(token(&again, TokenKind::Refresh), token(&second, TokenKind::Refresh));
    assert_ne!(token(&again, TokenKind::Access), token(&second, TokenKind::Access));
    let refused = ground.token_service.refresh(&ground.apis, first, &ground.caller.0).await.err();
    assert_eq!(refused, Some(Rejection::InvalidRefreshToken));
    assert!(ground.holds(token(&again, TokenKind::Access)), "within the grace the old door kills nothing");
    ground.pass(Duration::from_millis(1));
    assert_eq!(ground.exchange(&one, first).await.err(), Some(OAuthError::InvalidGrant));
    for grant in [&login, &second, &again] {
        assert!(!ground.holds(token(grant, TokenKind::Access)));
    }
}

#[tokio::test]
async fn a_locked_account_gets_nothing_and_loses_nothing() {
    let ground = Ground::new().await;
    let one = ground.client("one").await;
    let login = ground.login().await;
    let first = token(&login, TokenKind::Refresh);
    let (apis, ana) = (&ground.apis.name, &account_name("ana"));
    account::set_locked(&ground.store.audited(), apis, ana, true).await.unwrap();
    assert_eq!(ground.exchange(&one, first).await.err(), Some(OAuthError::InvalidGrant));
    account::set_locked(&ground.store.audited(), apis, ana, false).await.unwrap();
    ground.pass(HOUR);
    let grant = ground.exchange(&one, first).await.unwrap();
    let second = token(&grant, TokenKind::Refresh);
    // Another role is another epoch, in force even before this gateway has heard of it.
    let revision = Revision { role: Revised::To(Some("USER".to_owned())), ..Revision::default() };
    ground.admin().revise_account(&ground.apis, ana, revision).await.unwrap();
    assert_eq!(ground.exchange(&one, second).await.err(), Some(OAuthError::InvalidGrant));
    assert_eq!(ground.token_service.introspect(&ground.client("two").await, second, None).await, Ok(None));
}

#[tokio::test]
async fn only_refresh_tokens_of_apis_are_exchanged() {
    let ground = Ground::new().await;
    let one = ground.client("one").await;
    let login = ground.login().await;
    let own = ground.token_service.grant_client_credentials(&ground.oauth, &one, None).await.unwrap();
    assert!(own.token(TokenKind::Refresh).is_none());
    for other in [
        token(&login, TokenKind::Access),
        token(&login, TokenKind::Content),
        token(&own, TokenKind::Access),
        &"".into(),
        &"prt_".into(),
    ] {
        assert_eq!(ground.exchange(&one, other).await.err(), Some(OAuthError::InvalidGrant));
    }
    ground.exchange(&one, token(&login, TokenKind::Refresh)).await.unwrap();
}

#[tokio::test]
async fn an_administrator_revokes_a_rotating_token_too() {
    let ground = Ground::new().await;
    let one = ground.client("one").await;
    let login = ground.login().await;
    let grant = ground.exchange(&one, token(&login, TokenKind::Refresh)).await.unwrap();
    let (access, second) = (token(&grant, TokenKind::Access), token(&grant, TokenKind::Refresh));
    let realms = ground.live_state.snapshot();
    ground.admin().revoke_token(second.expose(), &realms.issuers, None).await.unwrap();
    assert!(!ground.holds(access));
    assert_eq!(ground.exchange(&one, second).await.err(), Some(OAuthError::InvalidGrant));
    assert!(ground.admin().revoke_token("prt_unknown", &realms.issuers, None).await.is_err());
}

#[tokio::test]
async fn a_revoked_key_ends_the_lines_that_began_with_its_tokens() {
    let ground = Ground::new().await;
    let one = ground.client("one").await;
    let login = ground.login().await;
    let grant = ground.exchange(&one, token(&login, TokenKind::Refresh)).await.unwrap();
    let key = ground.live_state.snapshot().keys.active(&ground.apis.name).unwrap().id.clone();
    ground.admin().revoke_key(&key).await.unwrap();
    assert!(!ground.holds(token(&grant, TokenKind::Access)));
    let next = ground.exchange(&one, token(&grant, TokenKind::Refresh)).await;
    assert_eq!(next.err(), Some(OAuthError::InvalidGrant), "a holder of the key may have begun the family");
}

#[tokio::test]
async fn a_good_refresh_token_from_an_address_over_its_budget_is_not_called_bad() {
    let ground = Ground::new().await;
    let login = ground.login().await;
    let refresh = token(&login, TokenKind::Refresh);
    let mut forged = refresh.expose().to_owned();
    let last = if forged.pop() == Some('2') { '3' } else { '2' };
    forged.push(last);
    for _ in 0..BadTokenSettings::default().bad_tokens {
        assert!(ground.live_state.view().open(&forged, Some(HOME), ground.clock.now()).is_err());
    }
    let refused = ground.token_service.refresh(&ground.apis, refresh, &ground.caller.0).await.err();
    assert!(
        matches!(refused, Some(Rejection::ThrottledAddress { .. })),
        "an app that hears that its token is bad throws it away: {refused:?}"
    );
}

#[tokio::test]
async fn what_a_key_signed_and_is_no_token_here_spends_the_budget_too() {
    let ground = Ground::new().await;
    let key = Arc::clone(ground.live_state.snapshot().keys.active(&ground.oauth.name).unwrap());
    let claims = serde_json::json!({"iss": ground.oauth.issuer, "aud": "another"});
    let serde_json::Value::Object(claims) = claims else { unreachable!() };
    let external = key.sign("at+jwt", &claims).unwrap();
    let open = || ground.live_state.view().open(external.expose(), Some(HOME), ground.clock.now()).map(drop);
    for _ in 0..BadTokenSettings::default().bad_tokens {
        assert_eq!(open(), Err(crate::domain::Reason::WrongAudience));
    }
    assert_eq!(open(), Err(crate::domain::Reason::TooManyBadTokens), "each of them cost a whole verification");
}
