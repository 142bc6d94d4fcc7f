use super::*;
use crate::{
    decision::{AdminService, Rotated, Site, Snapshot, decide::lifetimes, schedule::Owner},
    domain::{Algorithm, Clock, HandClock, KeyId},
    observe::metrics::Metrics,
    rules::{
        contract::{self, Dialect},
        realm::Lifetime,
    },
    state::{
        clock::{self, TrustedClock},
        keys::{self, RETIRED_KEPT},
        limit::BadTokenSettings,
        store,
        token::CacheSettings,
    },
};

/// A gateway's keeper on a store of its folder.
struct Place {
    key_lifecycle: KeyLifecycle,
    clock: Arc<HandClock>,
    _settings: watch::Sender<ScheduleSettings>,
}

const HOUR: i64 = 3600;
const DAY_MILLIS: i64 = 24 * HOUR * 1000;
const LIFETIME: Duration = Duration::from_secs(60);
const LEEWAY: Duration = Duration::from_secs(5);
const SETTINGS: ScheduleSettings = ScheduleSettings {
    rotate_every: Some(Duration::from_hours(10)),
    publish_ahead: Duration::from_hours(1),
    retire_after: Duration::from_secs(100),
};

fn realm(dialect: &str) -> Arc<Realm> {
    Arc::new(Realm {
        name: "r".parse().unwrap(),
        algorithm: dialect.parse::<Dialect>().unwrap().facts().tokens.algorithm,
        dialect: dialect.parse().unwrap(),
        issuer: "https://gateway.example.com/r".into(),
        audience: "api".into(),
        leeway: LEEWAY,
        keeps_algorithm: false,
        lifetime: Lifetime::Fixed(LIFETIME),
        content_lifetime: Duration::ZERO,
        refresh_lifetime: Duration::ZERO,
        wire: contract::DialectSettings { allow_non_expiring: true, ..contract::DialectSettings::default() },
        uniform_errors: false,
    })
}

impl Place {
    async fn of(folder: &tempfile::TempDir, dialect: &str, settings: ScheduleSettings) -> Self {
        let store = Store::make(&store::StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
        let master = keys::VaultSettings { master_key_file: folder.path().join("master.key") };
        let vault = Vault::open(store.clone(), &master).await.unwrap();
        let clock = Arc::new(HandClock::new(Timestamp::from_secs(0)));
        let realms = vec![realm(dialect)];
        lifetimes::note(&store, &realms, clock.now()).await.unwrap();
        let site = Site {
            realms,
            endpoints: vec![],
            routes: vec![],
            upstreams: vec![],
            verifiers: vec![],
            issuers: vec![],
            internal_issuer: None,
            oauth: None,
        };
        let snapshot = Snapshot::build(&site, Arc::default(), &Metrics::new().unwrap()).unwrap();
        let live_state = Arc::new(LiveState::new(snapshot, CacheSettings::default(), BadTokenSettings::default()));
        let (sender, settings) = watch::channel(settings);
        let trusted = TrustedClock::open(&store, Arc::clone(&clock) as _).await.unwrap();
        let key_lifecycle = KeyLifecycle::new(store, vault, live_state, trusted, settings);
        Self { key_lifecycle, clock, _settings: sender }
    }

    /// Lets time pass until this second.
    fn until(&self, seconds: i64) {
        self.clock.pass(Timestamp::from_secs(seconds).since(self.clock.now()));
    }

    /// Does what is due at this second; answers when something is due next.
    async fn step(&mut self, seconds: i64) -> Option<i64> {
        self.until(seconds);
        self.key_lifecycle.step().await.unwrap().1.map(Timestamp::as_secs)
    }

    /// The ids of the realm's keys in this state.
    async fn ids(&self, state: KeyState) -> Vec<KeyId> {
        let records = self.key_lifecycle.vault.records().await.unwrap();
        let own = records.into_iter().filter(|key| key.realm.as_str() == "r" && key.state == state);
        own.map(|key| key.id).collect()
    }

    async fn the(&self, state: KeyState) -> KeyId {
        let ids = self.ids(state).await;
        assert_eq!(ids.len(), 1, "{state:?}");
        ids[0].clone()
    }

    async fn algorithm_of(&self, id: &KeyId) -> Algorithm {
        let records = self.key_lifecycle.vault.records().await.unwrap();
        records.into_iter().find(|key| key.id == *id).unwrap().algorithm
    }

    /// The key that the live state signs with.
    fn signs(&self) -> KeyId {
        let realm = "r".parse().unwrap();
        self.key_lifecycle.live_state.snapshot().keys.active(&realm).unwrap().id.clone()
    }

    fn admin(&self) -> AdminService {
        let actor = store::Actor::command("root", "no terminal");
        AdminService::new(actor, &self.key_lifecycle.vault, self.key_lifecycle.trusted.clone(), None)
    }
}

#[tokio::test]
async fn a_key_lives_as_the_schedule_says() {
    let folder = crate::memory::new_folder();
    let mut place = Place::of(&folder, "become", SETTINGS).await;
    assert_eq!(place.step(0).await, Some(9 * HOUR), "when the next key is to be published");
    let first = place.the(KeyState::Active).await;
    assert_eq!(place.signs(), first);
    place.step(9 * HOUR - 1).await;
    assert!(place.ids(KeyState::Next).await.is_empty());

    assert_eq!(place.step(9 * HOUR).await, Some(10 * HOUR));
    let second = place.the(KeyState::Next).await;
    assert_eq!(place.signs(), first);
    let ring = Arc::clone(&place.key_lifecycle.live_state.snapshot().keys);
    assert!(ring.get(second.as_str()).is_some(), "it is published before its first token");

    let internal = place.step(10 * HOUR).await.unwrap();
    assert_eq!(internal, 10 * HOUR + 60 + 10 + 100, "the key of internal tokens, which are read without leeway");
    let due = place.step(internal).await.unwrap();
    assert_eq!(place.signs(), second);
    assert_eq!(place.the(KeyState::Retiring).await, first);
    // The token's life, the leeway, ten seconds for who follows late, and `retire_after`.
    assert_eq!(due, 10 * HOUR + 60 + 5 + 10 + 100);
    place.step(due - 1).await;
    assert_eq!(place.the(KeyState::Retiring).await, first);
    place.step(due).await;
    assert_eq!(place.the(KeyState::Retired).await, first);
    assert!(place.key_lifecycle.live_state.snapshot().keys.get(first.as_str()).is_none());

    let kept = i64::try_from(RETIRED_KEPT.as_secs()).unwrap();
    place.step(due + kept).await;
    assert!(place.ids(KeyState::Retired).await.contains(&first));
    place.step(due + kept + 1).await;
    assert!(!place.ids(KeyState::Retired).await.contains(&first));
}

#[tokio::test]
async fn where_tokens_never_end_no_key_retires_by_itself() {
    let folder = crate::memory::new_folder();
    let mut place = Place::of(&folder, "toc", SETTINGS).await;
    for hour in 0..40 {
        place.step(hour * HOUR).await;
    }
    assert!(place.ids(KeyState::Retiring).await.len() >= 3);
    assert!(place.ids(KeyState::Retired).await.is_empty());
}

#[tokio::test]
async fn a_realm_without_a_schedule_rotates_when_it_is_asked_to() {
    let folder = crate::memory::new_folder();
    let never = ScheduleSettings { rotate_every: None, ..SETTINGS };
    let mut place = Place::of(&folder, "apis", never).await;
    assert_eq!(place.step(0).await, None);
    let first = place.signs();
    let owner = Owner::realm(&realm("apis"));
    let rotated = place.admin().rotate_key(&owner, &never, false).await.unwrap();
    let crate::decision::Rotated::Waits { id, from } = rotated.clone() else { panic!("{rotated:?}") };
    assert_eq!(from, Timestamp::from_secs(HOUR));
    let again = place.admin().rotate_key(&owner, &never, false).await.unwrap();
    assert_eq!(again, rotated, "it is the same key");
    assert_eq!(place.step(1).await, Some(HOUR));
    assert_eq!(place.signs(), first);
    place.step(HOUR).await;
    assert_eq!(place.signs(), id);
}

#[tokio::test]
async fn a_pinned_key_and_another_configs_algorithm_are_left_alone() {
    let folder = crate::memory::new_folder();
    let mut place = Place::of(&folder, "become", SETTINGS).await;
    place.step(0).await;
    let import = keys::Import {
        id: KeyId::from_text("field"),
        realm: "r".parse().unwrap(),
        algorithm: "become".parse::<Dialect>().unwrap().facts().tokens.algorithm,
        material: keys::MaterialBytes::Secret(&[7; 64]),
        profile: None,
        purpose: keys::Use::Sign { retires_at: Some(Timestamp::from_secs(7)) },
    };
    place.admin().import_key(&import).await.unwrap();
    place.step(7).await;
    assert_eq!(place.ids(KeyState::Retired).await.len(), 1, "the key before it goes its way");
    place.step(100 * HOUR).await;
    assert_eq!(place.signs().as_str(), "field");
    let owner = Owner::realm(&realm("become"));
    let refused = place.admin().rotate_key(&owner, &SETTINGS, false).await.unwrap_err();
    assert!(refused.to_string().contains("--now"), "{refused}");

    let name = "r".parse().unwrap();
    let old_key_plan = OldKeyPlan::Retiring { retires_at: None };
    let other =
        place.key_lifecycle.vault.replace(&name, Algorithm::Es256, Some(&import.id), old_key_plan, place.clock.now());
    let other = other.await.unwrap().unwrap();
    place.step(200 * HOUR).await;
    assert_eq!(place.signs(), other, "only who takes over a config changes the algorithm");
    let (store, vault) = (&place.key_lifecycle.store, &place.key_lifecycle.vault);
    assert!(ensure(store, vault, &[realm("become")], &SETTINGS, place.clock.now()).await.unwrap());
    assert_eq!(place.the(KeyState::Active).await, other, "it signs until the next one was published long enough");
    let next = place.the(KeyState::Next).await;
    place.step(200 * HOUR).await;
    assert_eq!(place.signs(), other);
    // Another config's keeper leaves it.
    let realms = |algorithm| vec![Arc::new(Realm { algorithm, ..Realm::clone(&realm("become")) })];
    assert!(
        ensure(
            &place.key_lifecycle.store,
            &place.key_lifecycle.vault,
            &realms(Algorithm::Es256),
            &SETTINGS,
            place.clock.now()
        )
        .await
        .unwrap()
    );
    assert_eq!(place.ids(KeyState::Next).await.len(), 0, "who returns to the old algorithm discards it");
    assert_eq!(place.the(KeyState::Active).await, other);
    assert!(
        ensure(
            &place.key_lifecycle.store,
            &place.key_lifecycle.vault,
            &realms("become".parse::<Dialect>().unwrap().facts().tokens.algorithm),
            &SETTINGS,
            place.clock.now()
        )
        .await
        .unwrap()
    );
    assert_ne!(place.the(KeyState::Next).await, next);
    let next = place.the(KeyState::Next).await;
    place.step(201 * HOUR).await;
    assert_eq!(place.signs(), next);
}

#[tokio::test]
async fn a_realm_of_oauth_that_names_no_algorithm_keeps_its_keys() {
    let folder = crate::memory::new_folder();
    let mut place = Place::of(&folder, "oauth", SETTINGS).await;
    place.step(0).await;
    let first = place.signs();
    assert_eq!(place.algorithm_of(&first).await, Algorithm::Es256);
    let named = |algorithm, keeps_algorithm| {
        vec![Arc::new(Realm { algorithm, keeps_algorithm, ..Realm::clone(&realm("oauth")) })]
    };
    let name = "r".parse().unwrap();
    let old_key_plan = OldKeyPlan::Retiring { retires_at: None };
    let old = Algorithm::EdDsa;
    let old = place
        .key_lifecycle
        .vault
        .replace(&name, old, Some(&first), old_key_plan, place.clock.now())
        .await
        .unwrap()
        .unwrap();
    // What a store of an earlier version has: a key of the old default.
    let (store, vault) = (place.key_lifecycle.store.clone(), place.key_lifecycle.vault.clone());
    let ensured = async |realms: Vec<Arc<Realm>>| {
        ensure(&store, &vault, &realms, &SETTINGS, Timestamp::from_secs(1)).await.unwrap()
    };
    assert!(!ensured(named(Algorithm::Es256, true)).await);
    assert_eq!(place.the(KeyState::Active).await, old);
    let owner = Owner::realm(&named(Algorithm::Es256, true)[0]);
    let rotated = place.admin().rotate_key(&owner, &SETTINGS, true).await.unwrap();
    let Rotated::Signs { id, .. } = rotated else { panic!("{rotated:?}") };
    assert_eq!(place.algorithm_of(&id).await, Algorithm::EdDsa, "rotation keeps it too");
    assert!(ensured(named(Algorithm::Es256, false)).await, "one that names it gets it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keepers_of_several_gateways_make_one_key_a_rotation() {
    let folder = crate::memory::new_folder();
    let mut places = vec![];
    for _ in 0..8 {
        places.push(Place::of(&folder, "become", SETTINGS).await);
    }
    for (second, keys) in [(0, 1), (9 * HOUR, 2), (10 * HOUR, 2), (19 * HOUR, 3), (20 * HOUR, 3)] {
        let mut running = vec![];
        for mut place in places.drain(..) {
            running.push(tokio::spawn(async move {
                place.step(second).await;
                place
            }));
        }
        for place in running {
            places.push(place.await.unwrap());
        }
        // What others did comes with following the store.
        for Place { key_lifecycle, .. } in &places {
            key_lifecycle.live_state.refresh_keys(&key_lifecycle.vault).await.unwrap();
        }
        let records = places[0].key_lifecycle.vault.records().await.unwrap();
        assert_eq!(records.iter().filter(|key| key.realm.as_str() == "r").count(), keys, "{second}");
        let signs: std::collections::HashSet<_> = places.iter().map(Place::signs).collect();
        assert_eq!(signs.len(), 1, "{second}");
    }
}

#[tokio::test]
async fn a_key_is_retired_by_hand_only_when_that_ends_no_token() {
    let folder = crate::memory::new_folder();
    let mut place = Place::of(&folder, "become", SETTINGS).await;
    place.step(0).await;
    let first = place.signs();
    let refusal = async |place: &Place, id: &KeyId| place.admin().retire_key(id, false).await.unwrap_err().to_string();
    assert!(refusal(&place, &first).await.contains("portero key rotate --realm r"));
    place.step(9 * HOUR).await;
    let next = place.the(KeyState::Next).await;
    place.admin().retire_key(&next, false).await.unwrap();
    assert!(refusal(&place, &next).await.contains("is retired already"));
    // The schedule publishes another, which signs an hour later.
    place.step(9 * HOUR).await;
    place.step(10 * HOUR).await;
    assert!(refusal(&place, &first).await.contains("tokens until 1970-01-01T10:02:55Z; --force ends them now"));
    place.until(10 * HOUR + 175);
    place.admin().retire_key(&first, false).await.unwrap();
    place.step(19 * HOUR).await;
    place.step(20 * HOUR).await;
    let second = place.the(KeyState::Retiring).await;
    place.admin().retire_key(&second, true).await.unwrap();
    assert!(place.ids(KeyState::Retiring).await.is_empty());
}

/// So many milliseconds forward: a step of the civil clock alone.
const STEP: i64 = 14 * HOUR * 1_000;

#[tokio::test]
async fn while_the_clock_is_in_doubt_no_key_is_made_promoted_or_retired() {
    let folder = crate::memory::new_folder();
    let mut place = Place::of(&folder, "become", SETTINGS).await;
    place.step(0).await;
    let first = place.signs();
    place.clock.step(STEP);
    place.key_lifecycle.step().await.unwrap();
    assert!(place.ids(KeyState::Next).await.is_empty(), "none is prepared");
    place.clock.step(-STEP);
    place.key_lifecycle.step().await.unwrap();
    place.clock.pass(Duration::from_hours(24));
    place.key_lifecycle.step().await.unwrap();
    assert_eq!(place.ids(KeyState::Next).await.len(), 1, "after a day in step it is");

    place.clock.step(STEP);
    place.key_lifecycle.step().await.unwrap();
    assert_eq!(place.signs(), first, "none is promoted");
    let owner = Owner::realm(&realm("become"));
    let refused = place.admin().rotate_key(&owner, &SETTINGS, false).await;
    assert!(matches!(&refused, Err(error) if error.to_string().contains("portero clock confirm")), "{refused:?}");
    place.admin().rotate_key(&owner, &SETTINGS, true).await.unwrap();
    assert_eq!(place.the(KeyState::Retiring).await, first);

    place.clock.step(STEP);
    place.key_lifecycle.step().await.unwrap();
    assert_eq!(place.the(KeyState::Retiring).await, first, "none is retired");
    let refused = place.admin().retire_key(&first, false).await.unwrap_err().to_string();
    assert!(refused.contains("in doubt") && refused.contains("--force"), "{refused}");
    place.admin().retire_key(&first, true).await.unwrap();
    assert!(place.ids(KeyState::Retiring).await.is_empty());
}

#[tokio::test]
async fn a_realm_without_a_key_gets_one_on_whatever_clock() {
    let folder = crate::memory::new_folder();
    let mut place = Place::of(&folder, "become", SETTINGS).await;
    place.clock.step(STEP);
    place.key_lifecycle.step().await.unwrap();
    assert_eq!(place.ids(KeyState::Active).await.len(), 1);
    place.key_lifecycle.trusted.now().unwrap_err();
}

#[tokio::test]
async fn the_material_of_a_key_that_an_earlier_version_revoked_is_wiped_on_whatever_clock() {
    let folder = crate::memory::new_folder();
    let mut place = Place::of(&folder, "sws", SETTINGS).await;
    place.step(0).await;
    let first = place.the(KeyState::Active).await;
    // As that version does it, while both run.
    place.key_lifecycle.store.run("UPDATE keys SET state = 'revoked', ended_at = 1 WHERE state = 'active'").await;
    place.clock.step(-DAY_MILLIS);
    place.key_lifecycle.trusted.now().unwrap_err();
    place.key_lifecycle.step().await.unwrap();
    let records = place.key_lifecycle.vault.records().await.unwrap();
    assert!(records.iter().any(|key| key.id == first && key.state == KeyState::Revoked && key.wiped));
    assert_ne!(place.the(KeyState::Active).await, first);
}

#[tokio::test]
async fn a_key_that_a_clock_ahead_made_rotates_once_that_is_put_right() {
    let folder = crate::memory::new_folder();
    let mut place = Place::of(&folder, "sws", SETTINGS).await;
    let keep = async |place: &Place| place.key_lifecycle.trusted.keep(&place.key_lifecycle.store).await.unwrap();
    place.clock.step(1_000 * DAY_MILLIS);
    place.key_lifecycle.step().await.unwrap();
    let first = place.the(KeyState::Active).await;
    place.clock.step(-1_000 * DAY_MILLIS);
    place.key_lifecycle.step().await.unwrap();
    let began = async |place: &Place| {
        let records = place.key_lifecycle.vault.records().await.unwrap();
        let record = records.into_iter().find(|key| key.id == first).unwrap();
        (record.created_at, record.activated_at)
    };
    assert!(began(&place).await.0 > place.clock.now(), "nothing is put right while the clock is in doubt");
    keep(&place).await;
    clock::confirm(&place.key_lifecycle.store.audited(), place.clock.now()).await.unwrap();
    keep(&place).await;
    assert_eq!(place.step(60).await, Some(60 + 9 * HOUR));
    assert_eq!(began(&place).await, (Timestamp::from_secs(60), Some(Timestamp::from_secs(60))));
    place.step(60 + 9 * HOUR).await;
    let next = place.the(KeyState::Next).await;
    place.step(60 + 10 * HOUR).await;
    assert_eq!(place.the(KeyState::Active).await, next);
}
