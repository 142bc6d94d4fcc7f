//! Facts about the store.

use portero::state::store::{Beat, Store};

use super::{CALLERS, on_both_stores};

const NAME: &str = "fact";

fn number(value: Option<&[u8]>) -> u64 {
    value.map_or(0, |value| std::str::from_utf8(value).unwrap().parse().unwrap())
}

fn raised(value: Option<&[u8]>) -> Vec<u8> {
    (number(value) + 1).to_string().into_bytes()
}

#[test]
fn a_fact_of_the_store_is_what_was_set_last() {
    on_both_stores(async |gateways| {
        let (store, other) = (gateways.store(), gateways.other());
        assert_eq!(store.meta(NAME).await.unwrap(), None);
        assert_eq!(store.meta_or_insert(NAME, b"first").await.unwrap(), b"first");
        assert_eq!(other.meta_or_insert(NAME, b"second").await.unwrap(), b"first");
        other.set_meta(NAME, &[0, 255]).await.unwrap();
        assert_eq!(store.meta(NAME).await.unwrap().unwrap(), [0, 255]);
        store
            .revise_meta(NAME, |present| {
                assert_eq!(present, Some(&[0, 255][..]));
                None
            })
            .await
            .unwrap();
        assert_eq!(store.meta(NAME).await.unwrap().unwrap(), [0, 255], "nothing was to be changed");
        store.revise_meta(NAME, |_| Some(vec![])).await.unwrap();
        assert_eq!(other.meta(NAME).await.unwrap(), Some(vec![]));
    });
}

#[test]
fn of_many_first_values_of_a_fact_everybody_sees_the_same() {
    on_both_stores(async |gateways| {
        let call = |store: Store, number: usize| async move {
            store.meta_or_insert(NAME, number.to_string().as_bytes()).await.unwrap()
        };
        let seen = gateways.at_once(call).await;
        let kept = gateways.store().meta(NAME).await.unwrap().unwrap();
        assert!(seen.iter().all(|seen| *seen == kept));
    });
}

#[test]
fn no_revision_of_a_fact_is_lost() {
    on_both_stores(async |gateways| {
        let call = |store: Store, _| async move { store.revise_meta(NAME, |present| Some(raised(present))).await };
        assert!(gateways.at_once(call).await.iter().all(Result::is_ok));
        let kept = gateways.store().meta(NAME).await.unwrap();
        assert_eq!(number(kept.as_deref()), CALLERS as u64);
    });
}

#[test]
fn a_fact_that_is_set_is_not_lost_to_those_who_revise_it() {
    const HIGH: u64 = 1_000_000;
    on_both_stores(async |gateways| {
        let call = |store: Store, caller: usize| async move {
            if caller.is_multiple_of(8) {
                store.set_meta(NAME, HIGH.to_string().as_bytes()).await
            } else {
                store.revise_meta(NAME, |present| Some(raised(present))).await
            }
        };
        assert!(gateways.at_once(call).await.iter().all(Result::is_ok));
        let kept = gateways.store().meta(NAME).await.unwrap();
        assert!(number(kept.as_deref()) >= HIGH, "who read it before wrote it after");
    });
}

#[test]
fn gateways_that_follow_a_server_are_listed_until_they_leave() {
    on_both_stores(async |gateways| {
        let shared = gateways.store().is_shared();
        let beat = |number: u8| Beat {
            id: [number; 16],
            name: format!("gateway {number}"),
            seq: number.into(),
            serves: number > 1,
            offset_millis: (number > 1).then_some(-5),
        };
        for number in [2, 1, 2] {
            assert_eq!(gateways.store().beat(&beat(number)).await.unwrap().is_some(), shared);
        }
        let peers = gateways.other().peers().await.unwrap();
        let told: Vec<_> =
            peers.iter().map(|peer| (&peer.name[..], peer.seq, peer.serves, peer.offset_millis)).collect();
        let expected = [("gateway 1", 1, false, None), ("gateway 2", 2, true, Some(-5))];
        assert_eq!(told, &expected[..if shared { 2 } else { 0 }]);
        gateways.other().leave([2; 16]).await.unwrap();
        assert_eq!(gateways.store().peers().await.unwrap().len(), usize::from(shared));
        assert!(!gateways.store().tidy_feed().await.unwrap(), "nothing is old");
        assert_eq!(gateways.store().peers().await.unwrap().len(), usize::from(shared));
    });
}
