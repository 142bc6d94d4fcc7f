use std::time::Duration;

use super::*;
use crate::{
    domain::trusted_time::trusted,
    state::keys::{KeyState, RETIRED_KEPT, Restored, RetiredAtOnce, SEALED_KEPT},
};

const MOMENT: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_key_goes_from_next_to_retired() {
    let (place, first) = Place::with_key(Algorithm::Es256).await;
    let vault = &place.vault;
    let next = vault.prepare(&realm(), Algorithm::Es256, Some(&first), false, at(10)).await.unwrap().unwrap();
    assert_eq!(place.states().await, ["active", "next"]);
    let ring = vault.load().await.unwrap();
    assert_eq!(ring.active(&realm()).unwrap().id, first, "a next key signs nothing");
    assert!(ring.get(next.as_str()).is_some_and(|key| key.public().is_some()), "and is published");

    assert!(vault.promote(&realm(), &next, Some(&first), until(100), trusted(at(20))).await.unwrap());
    let (old, new) = (place.record(&first).await, place.record(&next).await);
    assert_eq!((old.state, old.retiring_since, old.retires_at), (KeyState::Retiring, Some(at(20)), Some(at(100))));
    assert_eq!((new.state, new.activated_at, new.created_at), (KeyState::Active, Some(at(20)), at(10)));

    assert!(vault.retire_due(trusted(at(99))).await.unwrap().is_empty());
    assert_eq!(vault.retire_due(trusted(at(100))).await.unwrap(), std::slice::from_ref(&first));
    assert_eq!(place.record(&first).await.ended_at, Some(at(100)));
    let ring = vault.load().await.unwrap();
    assert!(ring.get(first.as_str()).is_none(), "its tokens are of an unknown key");
    let wiped_by = at(100).plus(SEALED_KEPT);
    assert_eq!(vault.wipe_retired(trusted(wiped_by)).await.unwrap(), 0);
    assert!(!place.record(&first).await.wiped);
    assert_eq!(vault.wipe_retired(trusted(wiped_by.plus(MOMENT))).await.unwrap(), 1);
    assert!(place.record(&first).await.wiped);

    let forgotten_by = at(100).plus(RETIRED_KEPT);
    assert_eq!(vault.forget(trusted(forgotten_by)).await.unwrap(), 0);
    assert_eq!(place.states().await, ["retired", "active"]);
    assert_eq!(vault.forget(trusted(forgotten_by.plus(MOMENT))).await.unwrap(), 1);
    assert_eq!(place.states().await, ["active"]);
}

#[tokio::test]
async fn a_key_with_endless_tokens_never_retires_by_itself() {
    let (place, first) = Place::with_key(Algorithm::Hs256).await;
    place.vault.replace(&realm(), Algorithm::Hs256, Some(&first), KEPT, at(1)).await.unwrap().unwrap();
    assert!(place.vault.retire_due(trusted(Timestamp::from_millis(i64::MAX))).await.unwrap().is_empty());
    assert!(!place.vault.retire(&first, trusted(Timestamp::from_millis(i64::MAX))).await.unwrap());
    assert!(place.vault.retire_at_once(&first, KeyState::Retiring, at(2)).await.unwrap().is_done());
    let again = place.vault.retire_at_once(&first, KeyState::Retiring, at(2)).await.unwrap();
    assert_eq!(again, RetiredAtOnce::Overtaken, "once");
}

#[tokio::test]
async fn what_was_seen_must_still_stand() {
    let (place, first) = Place::with_key(Algorithm::Hs256).await;
    let vault = &place.vault;
    let stale = KeyId::generate();
    for seen in [None, Some(&stale)] {
        assert_eq!(vault.replace(&realm(), Algorithm::Hs256, seen, KEPT, at(1)).await.unwrap(), None);
        assert_eq!(vault.prepare(&realm(), Algorithm::Hs256, seen, false, at(1)).await.unwrap(), None);
        assert!(!vault.promote(&realm(), &stale, seen, KEPT, trusted(at(1))).await.unwrap());
    }
    let next = vault.prepare(&realm(), Algorithm::Hs256, Some(&first), false, at(1)).await.unwrap().unwrap();
    assert_eq!(vault.prepare(&realm(), Algorithm::Hs256, Some(&first), false, at(1)).await.unwrap(), None);
    assert!(!vault.promote(&realm(), &stale, Some(&first), KEPT, trusted(at(1))).await.unwrap());
    let other = vault.prepare(&realm(), Algorithm::Es384, Some(&first), true, at(2)).await.unwrap().unwrap();
    assert_eq!(place.record(&next).await.state, KeyState::Retired, "a next key of another algorithm is discarded");
    assert_eq!(place.record(&other).await.state, KeyState::Next);
}

#[tokio::test]
async fn a_replacement_takes_the_next_key_that_is_published_already() {
    let (place, first) = Place::with_key(Algorithm::Hs256).await;
    let vault = &place.vault;
    let next = vault.prepare(&realm(), Algorithm::Hs256, Some(&first), true, at(1)).await.unwrap().unwrap();
    let signs = vault.replace(&realm(), Algorithm::Hs256, Some(&first), KEPT, at(2)).await.unwrap();
    assert_eq!(signs, Some(next.clone()));
    assert!(!place.record(&next).await.asked);
    let unfit = vault.prepare(&realm(), Algorithm::Hs256, Some(&next), false, at(3)).await.unwrap().unwrap();
    let signs = vault.replace(&realm(), Algorithm::EdDsa, Some(&next), KEPT, at(4)).await.unwrap().unwrap();
    assert_eq!(place.record(&signs).await.algorithm, Algorithm::EdDsa);
    assert_eq!(place.record(&unfit).await.state, KeyState::Retired);
}

#[tokio::test]
async fn a_revoked_key_opens_nothing_in_any_state() {
    let (place, first) = Place::with_key(Algorithm::Hs256).await;
    let vault = &place.vault;
    let next = vault.prepare(&realm(), Algorithm::Hs256, Some(&first), false, at(1)).await.unwrap().unwrap();
    assert_eq!(vault.revoke(&first, at(2)).await.unwrap(), Some(vec![]));
    let ring = vault.load().await.unwrap();
    assert_eq!(ring.get(first.as_str()).unwrap().state, KeyState::Revoked);
    assert_eq!(ring.active(&realm()).unwrap().id, next, "the next key is there for that");
    assert!(vault.revoke(&next, at(3)).await.unwrap().is_some());
    assert_ne!(vault.load().await.unwrap().active(&realm()).unwrap().id, next);
    assert!(vault.revoke(&next, at(4)).await.unwrap().is_some(), "twice is once");
    assert_eq!(place.record(&next).await.ended_at, Some(at(3)));
    assert_eq!(vault.revoke(&KeyId::generate(), at(5)).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_rotate_at_once_one_makes_a_key() {
    for processes in [2, 8] {
        let (place, first) = Place::with_key(Algorithm::Es256).await;
        let made = at_once(&place, processes, {
            let first = first.clone();
            async move |vault: Vault| {
                vault.prepare(&realm(), Algorithm::Es256, Some(&first), true, at(1)).await.unwrap().is_some()
            }
        });
        assert_eq!(made.await, 1, "{processes}");
        let promoted = at_once(&place, processes, {
            let first = first.clone();
            async move |vault: Vault| {
                let ring = vault.records().await.unwrap();
                let next = ring.iter().find(|key| key.id != first).unwrap().id.clone();
                vault.promote(&realm(), &next, Some(&first), KEPT, trusted(at(2))).await.unwrap()
            }
        });
        assert_eq!(promoted.await, 1, "{processes}");
        let active = place.vault.load().await.unwrap().active(&realm()).unwrap().id.clone();
        let replaced = at_once(&place, processes, async move |vault: Vault| {
            vault.replace(&realm(), Algorithm::Es256, Some(&active), KEPT, at(3)).await.unwrap().is_some()
        });
        assert_eq!(replaced.await, 1, "{processes}");
        assert_eq!(place.states().await.len(), 3);
    }
}

/// How many of so many processes say that it was they.
async fn at_once<F>(place: &Place, processes: usize, work: impl FnOnce(Vault) -> F + Clone + Send + 'static) -> usize
where
    F: Future<Output = bool> + Send,
{
    let mut running = vec![];
    for _ in 0..processes {
        let (vault, work) = (place.beside().await, work.clone());
        running.push(tokio::spawn(async move { work(vault).await }));
    }
    let mut count = 0;
    for one in running {
        count += usize::from(one.await.unwrap());
    }
    count
}

#[tokio::test]
async fn a_replacement_activates_only_the_key_that_it_looked_at() {
    let (place, first) = Place::with_key(Algorithm::Hs256).await;
    let vault = &place.vault;
    for algorithm in [Algorithm::Hs256, Algorithm::EdDsa] {
        let looked_at = vault.successor(&realm(), algorithm).await.unwrap();
        let next = vault.prepare(&realm(), Algorithm::Hs256, Some(&first), false, at(1)).await.unwrap();
        let next = next.unwrap();
        let placed = vault.put_in_place(&realm(), algorithm, Some(&first), looked_at, KEPT, at(2)).await.unwrap();
        assert_eq!(placed, None, "a next key has come meanwhile");
        let looked_at = vault.successor(&realm(), Algorithm::Hs256).await.unwrap();
        let other = place.beside().await;
        assert!(other.retire_at_once(&next, KeyState::Next, at(3)).await.unwrap().is_done());
        let placed =
            vault.put_in_place(&realm(), Algorithm::Hs256, Some(&first), looked_at, KEPT, at(4)).await.unwrap();
        assert_eq!(placed, None, "the next key has gone meanwhile");
        assert_eq!(vault.load().await.unwrap().active(&realm()).unwrap().id, first);
    }
}

#[tokio::test]
async fn a_key_that_retired_too_early_is_restored_while_its_material_is_there() {
    let (place, first) = Place::with_key(Algorithm::Hs256).await;
    let vault = &place.vault;
    vault.replace(&realm(), Algorithm::Hs256, Some(&first), until(5), at(1)).await.unwrap().unwrap();
    assert_eq!(vault.restore(&first).await.unwrap(), Restored::NotThere, "it has not retired");
    vault.retire_due(trusted(at(5))).await.unwrap();
    assert!(vault.load().await.unwrap().get(first.as_str()).is_none());
    assert_eq!(vault.restore(&first).await.unwrap(), Restored::Done);
    let restored = place.record(&first).await;
    assert_eq!((restored.state, restored.retires_at, restored.ended_at), (KeyState::Retiring, None, None));
    assert!(vault.load().await.unwrap().get(first.as_str()).is_some_and(|key| key.can_sign()));
    assert!(vault.retire_at_once(&first, KeyState::Retiring, at(6)).await.unwrap().is_done());
    assert!(place.record(&first).await.wiped);
    assert_eq!(vault.restore(&first).await.unwrap(), Restored::NotThere, "forced is wiped");
}

#[tokio::test]
async fn the_material_of_a_revoked_key_is_wiped_in_every_state() {
    let (place, active) = Place::with_key(Algorithm::Es256).await;
    let vault = &place.vault;
    vault.replace(&realm(), Algorithm::Es256, Some(&active), until(5), at(1)).await.unwrap().unwrap();
    vault.retire_due(trusted(at(5))).await.unwrap();
    let retiring = vault.load().await.unwrap().active(&realm()).unwrap().id.clone();
    let signing = vault.replace(&realm(), Algorithm::Es256, Some(&retiring), KEPT, at(6)).await.unwrap().unwrap();
    let next = vault.prepare(&realm(), Algorithm::Es256, Some(&signing), false, at(7)).await.unwrap().unwrap();
    for id in [active, retiring, next, signing] {
        assert!(vault.revoke(&id, at(8)).await.unwrap().is_some());
        let record = place.record(&id).await;
        assert_eq!((record.state, record.wiped), (KeyState::Revoked, true));
        let ring = vault.load().await.unwrap();
        let key = ring.get(id.as_str()).unwrap();
        assert!(!key.can_sign() && key.public().is_none() && key.header_text("JWT").is_none());
    }
    vault.wipe_retired(trusted(Timestamp::from_millis(i64::MAX))).await.unwrap();
    vault.forget(trusted(Timestamp::from_millis(i64::MAX))).await.unwrap();
    assert_eq!(place.states().await, ["revoked", "revoked", "revoked", "revoked", "active"]);
}
