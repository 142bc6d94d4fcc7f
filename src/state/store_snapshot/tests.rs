//! The file as a whole: what is written comes back, and what is not as it was written does not.

use std::{
    collections::HashMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use tempfile::TempDir;
use uuid::Uuid;

use super::{
    Boot, Confirmed, Found, InForce, Instant, Observer, Recorder, SnapshotLocation, StoreSnapshotError, Written,
    examine, frame, load, recorder::BASE_PAUSE,
};
use crate::{
    domain::{Algorithm, PrincipalId, RevocationId, SessionId, SystemClock, Timestamp},
    state::{
        account::{AccountId, KnownAccounts},
        clock::{self, Pruned, TrustedClock},
        keys::{OldKeyPlan, Vault, VaultSettings},
        revocation::{
            Revocations,
            log::{Record, RevokedSubject},
        },
        store::{Position, Store, StoreSettings},
    },
};

const STORE: &str = "postgres://portero@db/portero";

const CONFIRM_EVERY: Duration = Duration::from_secs(5);

/// Makes numbers look random: an id is a digest.
const SPREAD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

/// How long the writer may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Held {
    revocations: Revocations,
    accounts: KnownAccounts,
}

impl InForce for Held {
    fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    fn accounts(&self) -> &KnownAccounts {
        &self.accounts
    }
}

/// A gateway that writes a snapshot, with keys of a store of its own.
struct Gateway {
    folder: TempDir,
    held: Arc<Held>,
    vault: Vault,
    recorder: Recorder,
    written: mpsc::Receiver<Written>,
    /// Seconds since the machine started, and revisions of the feed.
    now: u64,
}

fn at(now: u64) -> Confirmed {
    let (secs, seq) = (i64::try_from(now).unwrap(), i64::try_from(now).unwrap());
    Confirmed {
        position: Position { seq, bits: u128::from(now) },
        accounts_seen: seq,
        at: Instant {
            civil: Timestamp::from_secs(1_000_000 + secs),
            since_boot: Duration::from_secs(now),
            boot: Boot::from_id(Some(Uuid::from_u128(1))),
        },
    }
}

fn record(subject: RevokedSubject) -> Record {
    Record { subject, expires_at: Some(Timestamp::from_secs(2_000_000)), created_at: Timestamp::from_secs(1) }
}

fn token(n: u128) -> Record {
    record(RevokedSubject::Token(RevocationId::from_bytes((n + 1).wrapping_mul(SPREAD).to_be_bytes())))
}

impl Gateway {
    async fn new() -> Self {
        let (tell, written) = mpsc::channel();
        let observer = Arc::new(move |some| {
            // The test may have ended.
            let _ = tell.send(some);
        });
        Self::observed(observer, written).await
    }

    async fn observed(observer: Observer, written: mpsc::Receiver<Written>) -> Self {
        let folder = crate::memory::new_folder();
        let store = Store::make(&StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
        let settings = VaultSettings { master_key_file: folder.path().join("master.key") };
        let vault = Vault::make(store, &settings).await.unwrap();
        for realm in ["a", "b"] {
            let (realm, at_once) = (realm.parse().unwrap(), OldKeyPlan::Retiring { retires_at: None });
            let made = vault.replace(&realm, Algorithm::EdDsa, None, at_once, Timestamp::from_secs(1)).await;
            made.unwrap().unwrap();
        }
        TrustedClock::open(vault.store(), Arc::new(SystemClock)).await.unwrap().keep(vault.store()).await.unwrap();
        let held = Arc::<Held>::default();
        held.accounts.resume(HashMap::from([("a".parse().unwrap(), vec![AccountId(4)])]), 0).await;
        let path = folder.path().join("snapshot");
        let mut recorder =
            Recorder::start(path, STORE.to_owned(), CONFIRM_EVERY, Arc::clone(&held) as _, observer).unwrap();
        recorder.note_keys(&vault, vault.kept().await.unwrap()).unwrap();
        recorder.note_clock(clock::read(vault.store()).await.unwrap().unwrap());
        recorder.note_realms(held.accounts.realms());
        Self { folder, held, vault, recorder, written, now: 100 }
    }

    fn place(&self) -> SnapshotLocation {
        SnapshotLocation {
            path: self.path(),
            store: STORE.to_owned(),
            master_key_file: self.folder.path().join("master.key"),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("snapshot")
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap()
    }

    fn put(&self, bytes: &[u8]) {
        fs::write(self.path(), bytes).unwrap();
    }

    fn apply(&mut self, records: &[Record]) {
        self.held.revocations.apply(records);
        self.recorder.note(records);
    }

    /// Confirms after so many seconds, and waits until that is written.
    fn confirm_after(&mut self, seconds: u64) {
        self.now += seconds;
        self.recorder.confirm(at(self.now), Duration::from_secs(self.now));
        let civil = at(self.now).at.civil;
        while self.written.recv_timeout(PATIENCE).unwrap().confirmed_at != civil {}
    }

    fn examine(&self) -> Result<Found, StoreSnapshotError> {
        examine(&self.place())
    }

    /// What comes into an empty memory.
    async fn loaded(&self) -> (Held, Found) {
        let (held, found) = (Held::default(), self.examine().unwrap());
        load(&self.place(), &found, &held.revocations, &held.accounts).await.unwrap();
        (held, found)
    }
}

/// The same revocations, in whatever order.
fn sorted(revocations: &Revocations) -> Vec<String> {
    let all = (0..Revocations::PARTS).flat_map(|part| revocations.held(part, Timestamp::from_secs(0)));
    let mut all: Vec<_> = all.map(|record| format!("{record:?}")).collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_base_and_its_journal_come_back_whole() {
    let mut gateway = Gateway::new().await;
    let principal = PrincipalId::generate();
    gateway.apply(&(0..50_000).map(token).collect::<Vec<_>>());
    gateway.apply(&[record(RevokedSubject::Session(SessionId::generate()))]);
    gateway.confirm_after(0);
    assert_eq!(gateway.examine().unwrap().confirmed, at(100));
    let base = gateway.bytes().len();
    assert!(base < 17 * 50_001 + 10_000, "{base} bytes");
    assert_eq!(fs::metadata(gateway.path()).unwrap().permissions().mode() & 0o777, 0o600);

    gateway.apply(&[token(50_000), record(RevokedSubject::Principal(principal, 7))]);
    let realm = "a".parse().unwrap();
    gateway.recorder.note_accounts(&realm, &[AccountId(5)]);
    // Its base is not there yet: it would be known in part.
    gateway.recorder.note_accounts(&"b".parse().unwrap(), &[AccountId(6)]);
    gateway.confirm_after(1);
    // Nothing new: a confirmation is written now and then only.
    gateway.recorder.confirm(at(102), Duration::from_secs(102));
    gateway.confirm_after(6);
    let (held, found) = gateway.loaded().await;
    assert_eq!(sorted(&held.revocations), sorted(&gateway.held.revocations));
    let mut accounts = held.accounts.held(&realm, 0);
    accounts.sort_by_key(|AccountId(id)| *id);
    assert_eq!((held.accounts.realms(), accounts), (vec![realm], vec![AccountId(4), AccountId(5)]));
    assert_eq!((found.confirmed, found.torn, found.revocations), (at(107), false, 50_003));
    let kept = gateway.vault.kept().await.unwrap();
    assert_eq!(found.keys, kept);
    assert_eq!(gateway.vault.open_kept(&found.keys).unwrap().own().count(), 2);
    let journal = gateway.bytes().len() - base;
    assert!((100..1_000).contains(&journal), "{journal} bytes");
}

#[tokio::test]
async fn a_missing_end_makes_it_older_and_a_missing_piece_of_the_base_useless() {
    let mut gateway = Gateway::new().await;
    gateway.apply(&[token(1)]);
    gateway.confirm_after(0);
    let base = gateway.bytes().len();
    gateway.apply(&[token(2)]);
    gateway.confirm_after(1);
    let first = gateway.bytes().len();
    gateway.apply(&[token(3)]);
    gateway.confirm_after(1);
    let whole = gateway.bytes();
    for cut in base..whole.len() {
        gateway.put(&whole[..cut]);
        let found = gateway.examine().unwrap();
        let confirmed = if cut < first { at(100) } else { at(101) };
        assert_eq!(found.confirmed, confirmed, "{cut}");
        let (held, _) = gateway.loaded().await;
        assert!(held.revocations.counts().tokens >= if cut < first { 1 } else { 2 }, "{cut}");
    }
    for cut in (0..base).step_by(7).chain([base - 1]) {
        gateway.put(&whole[..cut]);
        let error = gateway.examine().unwrap_err();
        assert!(matches!(error, StoreSnapshotError::Incomplete(_) | StoreSnapshotError::NotOne(_)), "{cut}: {error}");
    }
    for at in (0..whole.len()).step_by(5) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        gateway.put(&flipped);
        assert!(gateway.examine().is_err(), "{at}");
    }
}

#[tokio::test]
async fn pieces_of_two_snapshots_are_none_and_an_older_one_is_as_old_as_it_is() {
    let mut gateway = Gateway::new().await;
    gateway.confirm_after(0);
    let older = gateway.bytes();
    gateway.apply(&[token(1)]);
    gateway.recorder.note_realms(vec!["b".parse().unwrap()]);
    gateway.confirm_after(BASE_PAUSE.as_secs());
    // A new base is another file.
    while gateway.bytes()[..frame::HEADER_BYTES] == older[..frame::HEADER_BYTES] {
        gateway.written.recv_timeout(PATIENCE).unwrap();
    }
    gateway.apply(&[token(2)]);
    gateway.confirm_after(1);
    let newer = gateway.bytes();
    gateway.put(&older);
    let now = at(gateway.now).at;
    assert_eq!(gateway.examine().unwrap().age(&now), Some(BASE_PAUSE + Duration::from_secs(1)));
    let length = older.len().min(newer.len()) - 10;
    for (begin, end) in [(&older, &newer), (&newer, &older)] {
        for cut in (frame::HEADER_BYTES..length).step_by(11) {
            gateway.put(&[&begin[..cut], &end[cut..]].concat());
            assert!(gateway.examine().is_err(), "{cut}");
        }
    }
    gateway.put(&newer);
    assert_eq!(gateway.examine().unwrap().age(&now), Some(Duration::ZERO));
    let behind = Instant { civil: now.civil.minus(Duration::from_millis(1)), ..now };
    assert_eq!(gateway.examine().unwrap().age(&behind), None);
}

#[tokio::test]
async fn another_key_another_store_and_other_eyes_are_refused_with_a_sentence() {
    let mut gateway = Gateway::new().await;
    gateway.confirm_after(0);
    let place = gateway.place();
    let other = SnapshotLocation { store: "postgres://portero@elsewhere/portero".to_owned(), ..place.clone() };
    let said = examine(&other).unwrap_err().to_string();
    assert!(said.contains("another store than postgres://portero@elsewhere"), "{said}");
    let other_key = gateway.folder.path().join("other.key");
    fs::write(&other_key, "00".repeat(32)).unwrap();
    fs::set_permissions(&other_key, Permissions::from_mode(0o600)).unwrap();
    let other = SnapshotLocation { master_key_file: other_key, ..place.clone() };
    assert!(matches!(examine(&other), Err(StoreSnapshotError::Master(_))));
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(gateway.path(), Permissions::from_mode(mode)).unwrap();
        assert!(matches!(gateway.examine(), Err(StoreSnapshotError::Exposed { .. })), "{mode:o}");
    }
    fs::remove_file(gateway.path()).unwrap();
    assert!(matches!(gateway.examine(), Err(StoreSnapshotError::Missing(_))));
    fs::create_dir(gateway.path()).unwrap();
    assert!(matches!(gateway.examine(), Err(StoreSnapshotError::Io { .. })));
}

#[tokio::test]
async fn a_revoked_key_leaves_the_file_with_all_that_was_written_before() {
    let mut gateway = Gateway::new().await;
    gateway.confirm_after(0);
    let before = gateway.examine().unwrap().keys;
    let header = |gateway: &Gateway| gateway.bytes()[..frame::HEADER_BYTES].to_vec();
    let first = header(&gateway);
    let id = gateway.vault.records().await.unwrap()[0].id.clone();
    gateway.vault.revoke(&id, Timestamp::from_secs(2)).await.unwrap().unwrap();
    let kept = gateway.vault.kept().await.unwrap();
    assert!(kept.lacks_some_of(&before) && !before.lacks_some_of(&before));
    gateway.recorder.note_keys(&gateway.vault, kept.clone()).unwrap();
    // At once, although a base was written a moment ago.
    gateway.confirm_after(1);
    while header(&gateway) == first {
        gateway.written.recv_timeout(PATIENCE).unwrap();
    }
    assert_eq!(gateway.examine().unwrap().keys, kept);
}

#[tokio::test]
async fn what_is_too_much_for_the_journal_comes_with_a_new_base_and_the_old_one_ages() {
    let mut gateway = Gateway::new().await;
    gateway.confirm_after(0);
    gateway.apply(&(0..30_000).map(token).collect::<Vec<_>>());
    // Too soon for a base: nothing is confirmed that is not there.
    gateway.recorder.confirm(at(101), Duration::from_secs(101));
    gateway.recorder.confirm(at(110), Duration::from_secs(110));
    assert_eq!(gateway.examine().unwrap().confirmed, at(100));
    gateway.apply(&[token(30_000)]);
    gateway.confirm_after(BASE_PAUSE.as_secs());
    let (held, found) = gateway.loaded().await;
    assert_eq!((held.revocations.counts().tokens, found.confirmed), (30_001, at(gateway.now)));
    assert_eq!(held.revocations.pruned(), Pruned::default());
    // Somebody removed it: it comes again.
    fs::remove_file(gateway.path()).unwrap();
    gateway.apply(&[token(30_001)]);
    gateway.now += 1;
    gateway.recorder.confirm(at(gateway.now), Duration::from_secs(gateway.now));
    while !gateway.path().exists() {
        gateway.now += 5;
        gateway.recorder.confirm(at(gateway.now), Duration::from_secs(gateway.now));
        let _ = gateway.written.recv_timeout(Duration::from_millis(10));
    }
    assert_eq!(gateway.loaded().await.0.revocations.counts().tokens, 30_002);
}

#[tokio::test]
async fn nobody_waits_for_a_disk_that_stands_still() {
    let (tell, written) = mpsc::channel();
    let (go_on, stalled) = mpsc::sync_channel::<()>(0);
    let stalled = Mutex::new(stalled);
    let mut gateway = Gateway::observed(
        Arc::new(move |some| {
            // Neither the test's end nor its going on is of interest: the thread stands still until one of them.
            let _ = tell.send(some);
            let _ = stalled.lock().unwrap().recv();
        }),
        written,
    )
    .await;
    gateway.recorder.confirm(at(100), Duration::from_secs(100));
    gateway.written.recv_timeout(PATIENCE).unwrap();
    // The thread that writes is held in there. More comes than is kept for it, and this returns each time.
    for number in 0..100 {
        gateway.now += 1;
        gateway.apply(&[token(number)]);
        gateway.recorder.confirm(at(gateway.now), Duration::from_secs(gateway.now));
    }
    assert!(gateway.written.try_recv().is_err());
    assert_eq!(gateway.examine().unwrap().confirmed, at(100), "it ages, and is whole");
    drop(go_on);
    // It goes on with all that waits for it, and has room again. With the next base all of it is there.
    gateway.written.recv_timeout(PATIENCE).unwrap();
    gateway.confirm_after(BASE_PAUSE.as_secs());
    let (held, found) = gateway.loaded().await;
    assert_eq!((held.revocations.counts().tokens, found.confirmed), (100, at(gateway.now)));
}

#[tokio::test]
async fn another_file_in_its_place_is_left_alone() {
    let mut gateway = Gateway::new().await;
    gateway.put(b"somebody's only copy of something");
    gateway.recorder.confirm(at(100), Duration::from_secs(100));
    // The writer ends with the recorder.
    let Gateway { folder, recorder, written, .. } = gateway;
    drop(recorder);
    assert!(written.recv_timeout(PATIENCE).is_err(), "nothing was written");
    assert_eq!(fs::read(folder.path().join("snapshot")).unwrap(), b"somebody's only copy of something");
    assert_eq!(
        fs::read_dir(folder.path())
            .unwrap()
            .filter(|entry| { entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with(".new")) })
            .count(),
        0
    );
}
