//! Sessions: written once, listed in order, kept until they have ended for long enough.

use portero::{
    domain::{PrincipalId, SessionId},
    state::{
        account,
        revocation::log::{self, Record, RevokedSubject},
        session::{self, ENDED_KEPT, Listed},
        store::{Store, StoreError},
    },
};

use super::{CALLERS, Gateways, NOW, at, by, count, login, named, on_both_stores, realm, trusted};

impl Gateways {
    pub(super) async fn sessions_of(&self, principal: PrincipalId) -> Vec<Listed> {
        session::list(self.other(), &realm(), principal, None, 10_000).await.unwrap()
    }

    pub(super) async fn revoke_session(&self, id: SessionId) {
        let record = Record { subject: RevokedSubject::Session(id), expires_at: None, created_at: NOW };
        log::append(self.store(), &record).await.unwrap();
    }
}

#[test]
fn a_session_is_found_by_every_gateway_and_written_once() {
    on_both_stores(async |gateways| {
        let (store, other) = (gateways.store(), gateways.other());
        for session in [login(PrincipalId::generate(), 1, Some(2)), login(PrincipalId::generate(), 1, None)] {
            assert_eq!(session::find(other, session.id).await.unwrap(), None);
            assert_eq!(session::open(store, &session).await.unwrap(), session.id);
            assert_eq!(session::find(other, session.id).await.unwrap().as_ref(), Some(&session));
            assert!(matches!(session::open(other, &session).await, Err(StoreError::Conflict)));
        }
    });
}

#[test]
fn sessions_are_listed_newest_first_in_pages_and_those_that_ended_are_marked() {
    on_both_stores(async |gateways| {
        let ana = gateways.user("ana").await.id;
        let mut ids = vec![];
        for created_at in [2, 1, 3, 2] {
            let session = login(ana, created_at, Some(9));
            session::insert(gateways.store(), &session).await.unwrap();
            ids.push(session.id);
        }
        let expected = [ids[2], ids[3], ids[0], ids[1]];
        let (mut listed, mut after) = (vec![], None);
        loop {
            let page = session::list(gateways.other(), &realm(), ana, after, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.session.id);
            listed.extend(page.iter().map(|listed| listed.session.id));
        }
        assert_eq!(listed, expected);
        assert_eq!(session::list(gateways.store(), &"sws".parse().unwrap(), ana, None, 9).await.unwrap(), []);

        gateways.revoke_session(ids[0]).await;
        let revoked = |sessions: &[Listed]| sessions.iter().map(Listed::has_ended).collect::<Vec<_>>();
        assert_eq!(revoked(&gateways.sessions_of(ana).await), [false, false, true, false]);
        account::end_tokens(&by(gateways.store()), &realm(), &named("ana"), NOW).await.unwrap();
        let later = login(ana, 4, Some(9));
        session::insert(gateways.store(), &later).await.unwrap();
        assert_eq!(revoked(&gateways.sessions_of(ana).await), [false, true, true, true, true]);
    });
}

#[test]
fn a_session_ends_with_the_last_of_those_who_extend_it() {
    on_both_stores(async |gateways| {
        let session = login(PrincipalId::generate(), 1, Some(1));
        session::insert(gateways.store(), &session).await.unwrap();
        let id = session.id;
        let extend = move |store: Store, caller: usize| async move {
            session::extend(&store, id, Some(at(i64::try_from(caller).unwrap()))).await.unwrap();
        };
        gateways.at_once(extend).await;
        let end = |found: Option<session::Session>| found.unwrap().expires_at;
        let last = i64::try_from(CALLERS).unwrap() - 1;
        assert_eq!(end(session::find(gateways.other(), id).await.unwrap()), Some(at(last)));
        session::extend(gateways.store(), id, None).await.unwrap();
        session::extend(gateways.other(), id, Some(at(99))).await.unwrap();
        assert_eq!(end(session::find(gateways.store(), id).await.unwrap()), None);
    });
}

#[test]
fn sessions_are_dropped_a_day_after_their_end_and_those_without_end_never() {
    on_both_stores(async |gateways| {
        let ana = PrincipalId::generate();
        for end in [None, Some(10), Some(11), Some(12)] {
            session::insert(gateways.store(), &login(ana, 1, end)).await.unwrap();
        }
        let now = trusted(at(12).plus(ENDED_KEPT));
        assert_eq!(session::prune(gateways.store(), now, 1).await.unwrap(), 1);
        assert_eq!(session::prune(gateways.other(), now, 9).await.unwrap(), 1);
        assert_eq!(session::prune(gateways.store(), now, 9).await.unwrap(), 0);
        let left = gateways.sessions_of(ana).await;
        assert!(left.iter().all(|listed| listed.session.expires_at.is_none_or(|end| end == at(12))));
        assert_eq!(left.len(), 2);
    });
}

/// Both delete many of the same rows, in an order of their own.
#[test]
fn accounts_are_deleted_while_their_sessions_are_dropped() {
    const ACCOUNTS: usize = 4;
    const SESSIONS: usize = 32;
    on_both_stores(async |gateways| {
        let mut accounts = vec![];
        for number in 0..ACCOUNTS {
            accounts.push(gateways.user(&format!("user {number}")).await.id);
        }
        let ids = accounts.clone();
        let fill = move |store: Store, caller: usize| {
            let ids = ids.clone();
            async move {
                for number in 0..ACCOUNTS * SESSIONS / CALLERS {
                    let end = i64::try_from((caller * 37 + number) % CALLERS).unwrap();
                    session::insert(&store, &login(ids[caller % ACCOUNTS], 1, Some(end))).await.unwrap();
                }
            }
        };
        gateways.at_once(fill).await;
        let now = trusted(at(1_000).plus(ENDED_KEPT));
        let call = move |store: Store, caller: usize| async move {
            if caller < ACCOUNTS {
                account::delete(&by(&store), &realm(), &named(&format!("user {caller}")), NOW).await.unwrap();
                0
            } else {
                session::prune(&store, now, 5).await.unwrap()
            }
        };
        let dropped: u64 = gateways.at_once(call).await.into_iter().sum();
        assert!(dropped <= u64::try_from(ACCOUNTS * SESSIONS).unwrap(), "a row is dropped once");
        let mut left = vec![];
        for id in accounts {
            left.extend(gateways.sessions_of(id).await);
        }
        assert_eq!(count(&left, |_| true), 0);
    });
}
