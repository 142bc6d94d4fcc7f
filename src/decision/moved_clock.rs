//! A gateway on a machine whose clock is moved, running and across a restart: no revoked token is taken again, no spent
//! refresh token gives anything, and no good key is lost.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tempfile::TempDir;

use super::{
    schedule::{self, Owner},
    sync::key_lifecycle::{self, KeyLifecycle},
};
use crate::{
    decision::{
        AdminService, LiveState, OauthSettings, Pruner, Site, Snapshot, StoreSync, TokenService,
        decide::lifetimes,
        issue::{caller::Caller, oauth::Client},
    },
    domain::{AccountName, Clock, Grant, HandClock, KeyId, PrincipalId, Secret, SessionId, Timestamp, TokenKind},
    observe::metrics::Metrics,
    rules::{
        contract::{self, Dialect, Login},
        realm::{Lifetime, Realm},
    },
    state::{
        account::{self, Hasher, LegacyId, NewAccount, password},
        clock::{self, TrustedClock},
        keys::{self, KeyState, Keyring, Vault},
        limit::{BadTokenSettings, Throttle, ThrottleSettings},
        refresh,
        revocation::log,
        session,
        store::{self, Actor, Store},
        token::CacheSettings,
    },
};

const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const SCHEDULE: schedule::ScheduleSettings =
    schedule::ScheduleSettings { rotate_every: None, publish_ahead: HOUR, retire_after: Duration::ZERO };

/// Three years, in minutes.
const YEARS: i64 = 3 * 365 * 24 * 60;

/// How far the clock is moved, in minutes: 20 minutes, 14 hours and 3 years, back and forth.
const MOVES: [i64; 6] = [-20, 20, -14 * 60, 14 * 60, -YEARS, YEARS];

/// A machine: its disk and its clocks.
struct Machine {
    folder: TempDir,
    clock: Arc<HandClock>,
    apis: Arc<Realm>,
    oauth: Arc<Realm>,
}

/// A gateway's process.
struct Process {
    store: Store,
    vault: Vault,
    live_state: Arc<LiveState>,
    trusted: TrustedClock,
    token_service: TokenService,
    store_sync: StoreSync,
    pruner: Pruner,
    key_lifecycle: KeyLifecycle,
    _settings: tokio::sync::watch::Sender<schedule::ScheduleSettings>,
}

/// What was there before the clock moved.
struct Before {
    /// A login whose session was revoked, and one that is good; both signed by `key`.
    revoked: Grant,
    good: Grant,
    /// Refresh tokens that were spent longer ago than the grace, a login's among them, and the one that is left.
    spent: [Secret; 2],
    unspent: Secret,
    /// A key that signs no more and has tokens.
    key: KeyId,
    session: SessionId,
    client: Client,
}

/// What the store has of it.
#[derive(Debug, PartialEq, Eq)]
struct Rows {
    revocations: usize,
    line: bool,
    session: bool,
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
        lifetime: Lifetime::Fixed(2 * HOUR),
        content_lifetime: HOUR,
        refresh_lifetime: 12 * HOUR,
        wire: contract::DialectSettings::default(),
        uniform_errors: false,
    })
}

fn oauth_settings() -> OauthSettings {
    OauthSettings {
        refresh_grace: Duration::from_secs(10),
        refresh_lifetime: None,
        documents_max_age: Duration::ZERO,
        metadata: serde_json::Map::new(),
    }
}

fn name(name: &str) -> AccountName {
    AccountName { business: String::new(), name: name.to_owned() }
}

fn token(grant: &Grant, kind: TokenKind) -> &Secret {
    &grant.token(kind).unwrap().token
}

impl Machine {
    fn new() -> Self {
        Self {
            folder: crate::memory::new_folder(),
            clock: Arc::new(HandClock::new(Timestamp::from_secs(1_800_000_000))),
            apis: realm("apis"),
            oauth: realm("oauth"),
        }
    }

    /// Starts a gateway, in the order in which a real one starts.
    async fn start(&self) -> Process {
        let store = Store::make(&store::StoreSettings::Sqlite(self.folder.path().join("portero.db"))).await.unwrap();
        let master = keys::VaultSettings { master_key_file: self.folder.path().join("master.key") };
        let vault = Vault::open(store.clone(), &master).await.unwrap();
        let time: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let trusted = TrustedClock::open(&store, Arc::clone(&time)).await.unwrap();
        let site = Site {
            realms: vec![Arc::clone(&self.apis), Arc::clone(&self.oauth)],
            endpoints: vec![],
            routes: vec![],
            upstreams: vec![],
            verifiers: vec![],
            issuers: vec![],
            internal_issuer: None,
            oauth: Some(oauth_settings()),
        };
        lifetimes::note(&store, &site.realms, time.now()).await.unwrap();
        key_lifecycle::ensure(&store, &vault, &site.realms, &SCHEDULE, time.now()).await.unwrap();
        let metrics = Metrics::new().unwrap();
        let snapshot = Snapshot::build(&site, Arc::new(Keyring::default()), &metrics).unwrap();
        let live_state = Arc::new(LiveState::new(snapshot, CacheSettings::default(), BadTokenSettings::default()));
        let following = StoreSync::start(
            store.clone(),
            vault.clone(),
            Arc::clone(&live_state),
            Arc::clone(&time),
            Arc::clone(&metrics),
        );
        let store_sync = following.await.unwrap();
        // It follows on when it is told to: what is decided here waits for no step.
        live_state.following().away();
        trusted.keep(&store).await.unwrap();
        let pruner = Pruner::new(store.clone(), Arc::clone(&live_state), trusted.clone());
        let (settings, kept) = tokio::sync::watch::channel(SCHEDULE);
        let key_lifecycle =
            KeyLifecycle::new(store.clone(), vault.clone(), Arc::clone(&live_state), trusted.clone(), kept);
        let hasher = Hasher::start(account::HasherSettings::default(), Arc::clone(&time), Arc::new(|_| {})).unwrap();
        let throttle = Throttle::new(ThrottleSettings::default());
        let token_service = TokenService::new(
            Arc::clone(&live_state),
            &vault,
            Arc::new(hasher),
            throttle,
            trusted.clone(),
            Arc::default(),
        );
        Process {
            store,
            vault,
            live_state,
            trusted,
            token_service,
            store_sync,
            pruner,
            key_lifecycle,
            _settings: settings,
        }
    }

    /// Lets `time` pass in this process, as its tasks see it.
    async fn pass(&self, process: &mut Process, time: Duration) {
        self.clock.pass(time);
        process.work().await;
    }

    /// Moves the clock, and lets two minutes pass.
    async fn shift(&self, mut process: Process, minutes: i64, restarts: bool) -> Process {
        if restarts {
            process.store.close().await;
            drop(process);
            self.clock.step(minutes * 60_000);
            process = self.start().await;
        } else {
            self.clock.step(minutes * 60_000);
        }
        process.work().await;
        self.pass(&mut process, MINUTE).await;
        self.pass(&mut process, MINUTE).await;
        process
    }

    /// The same machine, with a disk and clocks of its own.
    fn copy(&self) -> Self {
        let folder = crate::memory::new_folder();
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        let (apis, oauth) = (Arc::clone(&self.apis), Arc::clone(&self.oauth));
        Self { folder, clock: Arc::new(HandClock::new(self.clock.now())), apis, oauth }
    }

    /// A machine that is switched off, with everything that a wrong clock could end too early, or bring back.
    async fn template() -> (Self, Before) {
        let machine = Self::new();
        let (process, before) = Box::pin(machine.prepared()).await;
        process.store.close().await;
        drop(process);
        // The store sync's own connection ends on a thread of its own, and takes the journal with it.
        while machine.folder.path().join("portero.db-wal").exists() {
            tokio::task::yield_now().await;
        }
        (machine, before)
    }

    async fn login(&self, process: &Process) -> Grant {
        process.token_service.login(&self.apis, Login::new("ana", "1234"), &Caller::new(HOME).0).await.unwrap()
    }

    /// A first start, with two accounts.
    async fn first_start(&self) -> Process {
        let process = self.start().await;
        for (realm, account) in [(&self.apis, "ana"), (&self.oauth, "one")] {
            let new = NewAccount {
                id: PrincipalId::generate(),
                realm: realm.name.clone(),
                kind: realm.dialect.principal_kind(),
                name: name(account),
                display_name: None,
                legacy_id: LegacyId::None,
                role: None,
                scopes: vec!["read".into()],
                company: None,
                grants: None,
            };
            let hash = password::hash(&Secret::from("1234")).unwrap();
            account::insert(&process.store.audited(), &new, &hash, self.clock.now()).await.unwrap();
        }
        process
    }

    async fn prepared(&self) -> (Process, Before) {
        let mut process = self.first_start().await;
        let client = process
            .token_service
            .authenticate_client(&self.oauth, Login::new("one", "1234"), &Caller::new(HOME).0)
            .await
            .unwrap();
        let (revoked, good, lined) =
            (self.login(&process).await, self.login(&process).await, self.login(&process).await);
        process.admin().revoke_session(process.session(&revoked)).await.unwrap();
        let first = token(&lined, TokenKind::Refresh).clone();
        let second = process.exchange(&client, &first).await.unwrap();
        let unspent = process.exchange(&client, &second).await.unwrap();
        let spent = [first, second];
        let key = process.live_state.snapshot().keys.active(&self.apis.name).unwrap().id.clone();
        process.admin().rotate_key(&Owner::realm(&self.apis), &SCHEDULE, true).await.unwrap();
        self.pass(&mut process, MINUTE).await;
        let session = process.session(&good);
        (process, Before { revoked, good, spent, unspent, key, session, client })
    }
}

impl Process {
    /// What its tasks do once.
    async fn work(&mut self) {
        self.trusted.keep(&self.store).await.unwrap();
        self.store_sync.catch_up().await.unwrap();
        self.pruner.prune().await;
        self.key_lifecycle.step().await.unwrap();
    }

    fn admin(&self) -> AdminService {
        let actor = Actor::command("root", "no terminal");
        AdminService::new(actor, &self.vault, self.trusted.clone(), Some(Arc::clone(&self.live_state)))
    }

    fn holds(&self, token: &Secret) -> bool {
        let (view, now) = (self.live_state.view(), self.trusted.clock().now());
        view.open(token.expose(), None, now).is_ok_and(|opened| view.check_account_status(&opened, now).is_ok())
    }

    /// An operator says that the civil clock is right.
    async fn confirm(&mut self) {
        clock::confirm(&self.store.audited(), self.trusted.clock().now()).await.unwrap();
        self.work().await;
        self.trusted.now().unwrap();
    }

    fn session(&self, grant: &Grant) -> SessionId {
        let opened =
            self.live_state.view().open(token(grant, TokenKind::Access).expose(), None, self.trusted.clock().now());
        opened.unwrap().claims.session.unwrap()
    }

    async fn exchange(&self, client: &Client, token: &Secret) -> Option<Secret> {
        let grant = self.token_service.exchange(&oauth_settings(), client, token, None).await.ok()?;
        Some(grant.token(TokenKind::Refresh).unwrap().token.clone())
    }

    /// Nothing that has ended is of use now, whatever the clock says.
    async fn takes_nothing_back(&self, before: &Before, what: &str) {
        for token in &before.revoked.tokens {
            assert!(!self.holds(&token.token), "{what}: a revoked {:?} token is taken again", token.kind);
        }
        for spent in &before.spent {
            assert_eq!(self.exchange(&before.client, spent).await, None, "{what}: a spent token gave something");
        }
    }

    async fn rows(&self, before: &Before) -> Rows {
        Rows {
            revocations: log::since(&self.store, 0, 10).await.unwrap().0.len(),
            line: refresh::find(&self.store, &before.spent[1]).await.unwrap().is_some(),
            session: session::find(&self.store, before.session).await.unwrap().is_some(),
        }
    }

    async fn key_state(&self, id: &KeyId) -> Option<KeyState> {
        let records = self.vault.records().await.unwrap();
        records.iter().find(|key| key.id == *id).map(|key| key.state)
    }
}

#[tokio::test]
async fn a_moved_clock_neither_brings_back_nor_ends_anything() {
    let (template, before) = Box::pin(Machine::template()).await;
    for minutes in MOVES {
        for restarts in [false, true] {
            let what = format!("{minutes} minutes, restarts: {restarts}");
            let machine = template.copy();
            let process = Box::pin(machine.shift(machine.start().await, minutes, restarts)).await;
            // A start within a day after the latest time seen may have been an absence; all else is in doubt.
            assert_eq!(process.trusted.now().is_ok(), restarts && (0..24 * 60).contains(&minutes), "{what}");
            if minutes < 0 {
                process.takes_nothing_back(&before, &what).await;
            }
            assert_eq!(process.key_state(&before.key).await, Some(KeyState::Retiring), "{what}");

            // And it is put right.
            let process = Box::pin(machine.shift(process, -minutes, restarts)).await;
            process.trusted.now().unwrap_err();
            assert_eq!(process.key_state(&before.key).await, Some(KeyState::Retiring), "{what}");
            assert!(process.holds(token(&before.good, TokenKind::Access)), "{what}: a good token, and a good key");
            assert!(process.exchange(&before.client, &before.unspent).await.is_some(), "{what}: a good line");
            process.takes_nothing_back(&before, &what).await;
            let (records, _) = log::since(&process.store, 0, 10).await.unwrap();
            assert!(!records.is_empty(), "{what}");
        }
    }
}

#[tokio::test]
async fn what_has_ended_goes_when_both_clocks_have_run_long_enough_and_stays_refused() {
    let (template, before) = Box::pin(Machine::template()).await;
    let machine = template.copy();
    let mut process = machine.start().await;
    machine.pass(&mut process, 15 * HOUR).await;
    assert_eq!(process.key_state(&before.key).await, Some(KeyState::Retired));
    // So that nothing but what is known of revocations refuses its tokens.
    process.admin().restore_key(&before.key).await.unwrap();
    assert_eq!(process.rows(&before).await, Rows { revocations: 1, line: true, session: true });
    machine.pass(&mut process, DAY).await;
    assert_eq!(process.rows(&before).await, Rows { revocations: 1, line: true, session: false });
    for _ in 0..7 {
        machine.pass(&mut process, DAY).await;
    }
    assert_eq!(process.rows(&before).await, Rows { revocations: 0, line: false, session: false });
    assert_eq!(process.live_state.revocations().counts().sessions, 0);
    // An hour after the logins, by the civil clock: nobody knows any more what was revoked.
    for (minutes, restarts) in [(-(8 * 24 + 14) * 60, false), (1, true)] {
        process = Box::pin(machine.shift(process, minutes, restarts)).await;
        process.takes_nothing_back(&before, "8 days back").await;
        assert!(!process.holds(token(&before.good, TokenKind::Access)));
    }
}

#[tokio::test]
async fn a_first_start_with_a_clock_that_is_ahead_keeps_nobody_out() {
    let machine = Machine::new();
    machine.clock.step(YEARS * 60_000);
    let mut process = machine.first_start().await;
    process.work().await;
    for (minutes, restarts) in [(-YEARS, false), (0, true)] {
        process = Box::pin(machine.shift(process, minutes, restarts)).await;
        process.trusted.now().unwrap_err();
        let login = machine.login(&process).await;
        assert!(process.holds(token(&login, TokenKind::Access)), "restarts: {restarts}");
    }
}

#[tokio::test]
async fn people_log_in_again_when_a_clock_that_was_ahead_is_put_right_and_confirmed() {
    let (template, before) = Box::pin(Machine::template()).await;
    for mistaken in [true, false] {
        let what = format!("confirmed by mistake: {mistaken}");
        let machine = template.copy();
        let mut process = Box::pin(machine.shift(machine.start().await, YEARS, false)).await;
        if mistaken {
            process.confirm().await;
        } else {
            machine.pass(&mut process, DAY).await;
            process.trusted.now().unwrap();
        }
        // So that nothing but what is known of revocations refuses its tokens.
        process.admin().restore_key(&before.key).await.unwrap();
        let ended = machine.login(&process).await;
        process.admin().revoke_session(process.session(&ended)).await.unwrap();
        if !mistaken {
            machine.pass(&mut process, 9 * DAY).await;
        }
        machine.pass(&mut process, MINUTE).await;
        assert_eq!(process.rows(&before).await.revocations, usize::from(mistaken), "{what}");

        let passed = if mistaken { 0 } else { 10 * 24 * 60 };
        process = Box::pin(machine.shift(process, -YEARS - passed, false)).await;
        process.takes_nothing_back(&before, &what).await;
        process.confirm().await;
        for restarts in [false, true] {
            let login = machine.login(&process).await;
            assert!(process.holds(token(&login, TokenKind::Access)), "{what}");
            let first = token(&login, TokenKind::Refresh);
            assert!(process.exchange(&before.client, first).await.is_some(), "{what}: a new line");
            process.takes_nothing_back(&before, &what).await;
            process = Box::pin(machine.shift(process, 0, restarts)).await;
        }
    }
}
