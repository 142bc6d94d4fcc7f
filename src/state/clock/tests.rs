//! Several processes and an operator on one row.

use tempfile::TempDir;

use super::*;
use crate::{domain::HandClock, state::store::StoreSettings};

const T: Timestamp = Timestamp::from_secs(1_800_000_000);
const HOUR: i64 = 3_600_000;

struct Place {
    _folder: TempDir,
    store: Store,
    clock: Arc<HandClock>,
}

impl Place {
    async fn new() -> Self {
        let folder = crate::memory::new_folder();
        let store = Store::make(&StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap();
        Self { _folder: folder, store, clock: Arc::new(HandClock::new(T)) }
    }

    /// A gateway that starts.
    async fn start(&self) -> TrustedClock {
        let trusted = TrustedClock::open(&self.store, Arc::clone(&self.clock) as _).await.unwrap();
        self.keep(&trusted).await;
        trusted
    }

    async fn keep(&self, trusted: &TrustedClock) -> Option<Settled> {
        trusted.keep(&self.store).await.unwrap()
    }

    async fn row(&self) -> Row {
        read(&self.store).await.unwrap().unwrap()
    }

    fn pass(&self, hours: u64) {
        self.clock.pass(Duration::from_hours(hours));
    }
}

#[tokio::test]
async fn a_new_store_trusts_and_remembers() {
    let place = Place::new().await;
    assert_eq!(read(&place.store).await.unwrap(), None);
    let trusted = place.start().await;
    assert_eq!(trusted.now().unwrap().civil(), T);
    place.pass(1);
    assert_eq!(place.keep(&trusted).await, None);
    assert_eq!(place.row().await.record.reference, T.plus(Duration::from_hours(1)));
}

#[tokio::test]
async fn a_suspension_outlives_the_process_and_its_time_is_kept_apart() {
    for step in [-14 * HOUR, 14 * HOUR, 30 * 365 * 24 * HOUR] {
        let place = Place::new().await;
        let trusted = place.start().await;
        place.clock.step(step);
        trusted.now().unwrap_err();
        place.keep(&trusted).await;
        place.pass(23);
        place.keep(&trusted).await;
        let row = place.row().await;
        assert_eq!(row.record.reference, T);
        let seen = row.record.suspension.unwrap();
        assert_eq!((seen.apart, seen.run), (place.clock.now(), Duration::from_hours(23)));
        let latest = latest_seen(&place.store, T).await.unwrap();
        assert!(latest >= T && (step < 0 || latest >= seen.apart), "{step}");

        let again = place.start().await;
        let suspended = again.now().unwrap_err();
        assert_eq!(suspended.left, Duration::from_hours(1), "{step}");
        place.pass(1);
        again.now().unwrap();
        assert_eq!(place.keep(&again).await, Some(Settled::InStep));
        let row = place.row().await;
        assert_eq!((row.record.reference, row.record.suspension), (place.clock.now(), None));
        place.start().await.now().unwrap();
    }
}

#[tokio::test]
async fn an_operators_word_is_seen_by_every_process_and_not_for_a_later_doubt() {
    let place = Place::new().await;
    let (one, two) = (place.start().await, place.start().await);
    place.clock.step(14 * HOUR);
    for trusted in [&one, &two] {
        trusted.now().unwrap_err();
        place.keep(trusted).await;
        assert!(!trusted.is_settled(&place.store).await.unwrap());
    }
    let before = confirm(&place.store.audited(), place.clock.now()).await.unwrap().unwrap();
    assert!(before.record.suspension.is_some(), "it answers what it ended");
    assert!(one.is_settled(&place.store).await.unwrap());
    // The clock steps once more before the second one has looked.
    assert_eq!(place.keep(&one).await, Some(Settled::Elsewhere));
    one.now().unwrap();
    place.clock.step(-14 * HOUR);
    two.now().unwrap_err();
    assert_eq!(place.keep(&two).await, None);
    assert_eq!(two.now().unwrap_err().doubt, Doubt::SteppedBack);
    assert_eq!(place.keep(&one).await, None);
    confirm(&place.store.audited(), place.clock.now()).await.unwrap();
    for trusted in [&one, &two] {
        assert_eq!(place.keep(trusted).await, Some(Settled::Elsewhere));
        trusted.now().unwrap();
    }
    assert_eq!(place.row().await.record.reference, T);
}

#[tokio::test]
async fn a_confirmation_before_the_start_counts() {
    let place = Place::new().await;
    drop(place.start().await);
    place.pass(24 * 30);
    place.start().await.now().unwrap_err();
    confirm(&place.store.audited(), place.clock.now()).await.unwrap();
    place.start().await.now().unwrap();
}

#[tokio::test]
async fn a_command_writes_nothing() {
    let place = Place::new().await;
    drop(place.start().await);
    let before = place.row().await;
    place.pass(24 * 365);
    let command = TrustedClock::open(&place.store, Arc::clone(&place.clock) as _).await.unwrap();
    command.now().unwrap_err();
    assert_eq!(place.row().await, before);
}

#[tokio::test]
async fn what_was_pruned_stays_until_a_confirmation() {
    let place = Place::new().await;
    drop(place.start().await);
    let at = Timestamp::from_secs;
    let ends = "SELECT ?1 * 0 + column1 FROM (VALUES (5000), (9000), (3000)) LIMIT ?2";
    assert_eq!(prune(&place.store, "SELECT 1 WHERE ?1 + ?2 < 0", at(0), 9).await.unwrap(), 0);
    assert_eq!(place.row().await.pruned, Pruned::default(), "nothing was dropped");
    assert_eq!(prune(&place.store, ends, at(0), 9).await.unwrap(), 3);
    let trusted = place.start().await;
    place.keep(&trusted).await;
    let pruned = place.row().await.pruned;
    assert_eq!(pruned, Pruned::default().and(at(9)));
    confirm(&place.store.audited(), T).await.unwrap();
    assert_eq!(place.row().await.pruned, pruned.confirmed(T));
    place.keep(&trusted).await;
    assert_eq!(place.row().await.pruned, pruned.confirmed(T));
}

#[tokio::test]
async fn a_time_that_is_no_later_than_the_true_one() {
    let place = Place::new().await;
    let trusted = place.start().await;
    place.pass(1);
    assert_eq!(trusted.no_later(), place.clock.now());
    place.clock.step(14 * HOUR);
    assert_eq!(trusted.no_later(), T.plus(Duration::from_hours(1)));
    place.clock.step(-28 * HOUR);
    assert_eq!(trusted.no_later(), place.clock.now());
}
