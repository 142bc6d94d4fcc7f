//! The log of revocations, and those who follow it.

use std::{collections::HashSet, time::Duration};

use portero::{
    domain::{PrincipalId, RevocationId, SessionId, Timestamp},
    state::{
        account, clock,
        revocation::{
            self, RevocationReader, Revocations,
            log::{self, EXPIRED_KEPT, Record, RevokedSubject},
        },
        store::Store,
    },
};

use super::{CALLERS, NOW, at, by, hash, named, new_user, on_both_stores, realm, trusted};

fn record(subject: RevokedSubject, expires_at: Option<Timestamp>) -> Record {
    Record { subject, expires_at, created_at: NOW }
}

fn token(number: usize) -> RevokedSubject {
    RevokedSubject::Token(RevocationId::from_bytes([u8::try_from(number).unwrap(); 16]))
}

async fn caught(follower: &mut RevocationReader) -> Vec<Record> {
    let mut records = vec![];
    let caught = follower.catch_up(|some| records.extend_from_slice(some)).await.unwrap();
    assert_eq!(caught.last, records.last().copied());
    assert!(!caught.is_another_history);
    records
}

#[test]
fn a_follower_hears_of_revocations_in_their_order() {
    on_both_stores(async |gateways| {
        let mut follower = RevocationReader::new(gateways.other().apart());
        let before = record(token(1), None);
        log::append(gateways.store(), &before).await.unwrap();
        assert_eq!(caught(&mut follower).await, [before]);
        let all = [
            record(RevokedSubject::Session(SessionId::generate()), Some(at(-1))),
            record(RevokedSubject::Principal(PrincipalId::generate(), u32::MAX), None),
            record(token(0), Some(at(5))),
        ];
        for record in &all {
            log::append(gateways.store(), record).await.unwrap();
        }
        assert_eq!(caught(&mut follower).await, all);
        assert_eq!(caught(&mut follower).await, []);
    });
}

#[test]
fn of_several_revocations_of_one_subject_the_strictest_stays() {
    on_both_stores(async |gateways| {
        let mut follower = RevocationReader::new(gateways.other().apart());
        for (end, kept) in
            [(Some(10), Some(10)), (Some(5), Some(10)), (Some(20), Some(20)), (None, None), (Some(30), None)]
        {
            log::append(gateways.store(), &record(token(1), end.map(at))).await.unwrap();
            assert_eq!(caught(&mut follower).await, [record(token(1), kept.map(at))]);
        }
        let ana = PrincipalId::generate();
        for (epoch, kept) in [(2, 2), (1, 2), (3, 3)] {
            log::append(gateways.store(), &record(RevokedSubject::Principal(ana, epoch), None)).await.unwrap();
            assert_eq!(caught(&mut follower).await, [record(RevokedSubject::Principal(ana, kept), None)]);
        }
        assert_eq!(gateways.revoked().await.len(), 2);
    });
}

#[test]
fn of_many_revocations_of_one_subject_the_longest_and_the_highest_stay() {
    on_both_stores(async |gateways| {
        let (ana, eva) = (PrincipalId::generate(), PrincipalId::generate());
        let call = move |store: Store, caller: usize| async move {
            let number = u32::try_from(caller).unwrap();
            let end = Some(at(number.into()));
            log::append(&store, &record(token(1), end)).await.unwrap();
            log::append(&store, &record(token(2), end.filter(|_| caller != 7))).await.unwrap();
            log::append(&store, &record(RevokedSubject::Principal(ana, number), None)).await.unwrap();
            log::append(&store, &record(RevokedSubject::Principal(eva, 99 - number), None)).await.unwrap();
        };
        gateways.at_once(call).await;
        let last = u32::try_from(CALLERS).unwrap() - 1;
        let kept: HashSet<_> = gateways.revoked().await.iter().map(|kept| (kept.subject, kept.expires_at)).collect();
        let expected = [
            (token(1), Some(at(last.into()))),
            (token(2), None),
            (RevokedSubject::Principal(ana, last), None),
            (RevokedSubject::Principal(eva, 99), None),
        ];
        assert_eq!(kept, expected.into());
    });
}

#[test]
fn a_follower_misses_nothing_while_many_revoke() {
    on_both_stores(async |gateways| {
        let mut follower = RevocationReader::new(gateways.other().apart());
        let call = |store: Store, caller: usize| async move {
            for part in 0..3 {
                log::append(&store, &record(token(caller * 3 + part), None)).await.unwrap();
            }
        };
        let revoking = gateways.at_once(call);
        tokio::pin!(revoking);
        let mut heard = vec![];
        let mut is_done = false;
        while !is_done {
            // A look that began after the last of them is the last look.
            is_done = futures_util::poll!(&mut revoking).is_ready();
            heard.extend(caught(&mut follower).await);
        }
        let subjects: HashSet<_> = heard.iter().map(|record| record.subject).collect();
        assert_eq!((heard.len(), subjects.len()), (3 * CALLERS, 3 * CALLERS), "each once");
    });
}

#[test]
fn revocations_are_dropped_a_week_after_their_end_and_those_without_end_never() {
    on_both_stores(async |gateways| {
        clock::confirm(&by(gateways.store()), NOW).await.unwrap();
        for (number, end) in [None, Some(10), Some(11), Some(12)].into_iter().enumerate() {
            log::append(gateways.store(), &record(token(number), end.map(at))).await.unwrap();
        }
        let now = trusted(at(12).plus(EXPIRED_KEPT));
        assert_eq!(log::prune(gateways.store(), now, 1).await.unwrap(), 1);
        assert_eq!(log::prune(gateways.other(), now, 9).await.unwrap(), 1);
        assert_eq!(log::prune(gateways.store(), now, 9).await.unwrap(), 0);
        let left: HashSet<_> = gateways.revoked().await.iter().map(|record| record.expires_at).collect();
        assert_eq!(left, [None, Some(at(12))].into());
        let pruned = clock::read(gateways.other()).await.unwrap().unwrap().pruned;
        assert!(pruned.covers(at(0), at(11)) && !pruned.covers(at(0), at(12)));
    });
}

#[test]
fn a_canary_reaches_those_who_follow_a_server() {
    on_both_stores(async |gateways| {
        let mut follower = RevocationReader::new(gateways.other().apart());
        caught(&mut follower).await;
        let id = RevocationId::from_bytes([7; 16]);
        gateways.store().release_canary(id).await.unwrap();
        let caught = follower.catch_up(|records| assert_eq!(records, [])).await.unwrap();
        let ids: Vec<_> = caught.canaries.iter().map(|canary| canary.id).collect();
        let expected = if gateways.store().is_shared() { vec![id] } else { vec![] };
        assert_eq!(ids, expected);
        assert_eq!(follower.position(), gateways.store().feed_end().await.unwrap());
    });
}

/// After a server lost what it had acknowledged, every gateway does so at once, while accounts are changed.
#[test]
fn what_gateways_have_in_force_is_written_to_a_server_that_lost_it() {
    on_both_stores(async |gateways| {
        if !gateways.store().is_shared() {
            return;
        }
        let mut records = vec![];
        for number in 0..8 {
            let name = format!("user {number}");
            let made = account::insert(&by(gateways.store()), &new_user(&name), &hash("h"), NOW).await.unwrap();
            let by_name = PrincipalId::of_name(&realm(), "", &name);
            records.extend([made.id, by_name].map(|id| record(RevokedSubject::Principal(id, 5), None)));
            let end = Some(NOW.plus(Duration::from_hours(number)));
            records.push(record(RevokedSubject::Session(SessionId::generate()), end));
        }
        let call = |store: Store, caller: usize| {
            let records = records.clone();
            async move {
                if caller.is_multiple_of(4) {
                    let name = named(&format!("user {}", caller % 8));
                    account::end_tokens(&by(&store), &realm(), &name, NOW).await.unwrap();
                } else {
                    let held = Revocations::default();
                    held.apply(&records);
                    revocation::restore(&held, &store, NOW, &mut 0).await.unwrap();
                }
            }
        };
        gateways.at_once(call).await;
        let held = Revocations::default();
        held.apply(&records);
        let mut written = 0;
        revocation::restore(&held, gateways.other(), NOW, &mut written).await.unwrap();
        assert_eq!(written, 0, "all of it is there");
        for number in 0..8 {
            let name = named(&format!("user {number}"));
            let epoch = account::find(gateways.other(), &realm(), &name).await.unwrap().unwrap().epoch;
            assert!(epoch >= 5 && (number % 4 == 0 || epoch == 5), "{epoch}");
        }
    });
}
