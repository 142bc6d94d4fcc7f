//! Sessions without expiry: a principal has only so many.

use std::collections::HashSet;

use portero::{
    domain::PrincipalId,
    state::{
        account,
        session::{self, ENDLESS_MAX, Trimmed},
        store::Store,
    },
};

use super::{CALLERS, Gateways, NOW, by, count, login, named, on_both_stores, realm};

/// Rows of one piece of upkeep.
const PIECE: u32 = 100;

impl Gateways {
    /// Gives a principal so many sessions without expiry, as an earlier version would.
    async fn fill(&self, principal: PrincipalId, sessions: u32) {
        let sessions = usize::try_from(sessions).unwrap();
        let call = move |store: Store, caller: usize| async move {
            for _ in (caller..sessions).step_by(CALLERS) {
                session::insert(&store, &login(principal, 1, None)).await.unwrap();
            }
        };
        self.at_once(call).await;
    }
}

#[test]
fn a_principal_never_has_more_sessions_without_expiry_than_the_bound() {
    const ROOM: usize = 10;
    on_both_stores(async |gateways| {
        let ana = gateways.user("ana").await.id;
        gateways.fill(ana, ENDLESS_MAX - u32::try_from(ROOM).unwrap()).await;
        let call = move |store: Store, _| async move {
            let own = login(ana, 2, None);
            (own.id, session::open(&store, &own).await.unwrap())
        };
        let opened = gateways.at_once(call).await;
        assert_eq!(count(&opened, |(own, opened)| own == opened), ROOM);
        let listed = gateways.sessions_of(ana).await;
        assert_eq!(listed.len(), usize::try_from(ENDLESS_MAX).unwrap());
        let known: HashSet<_> = listed.iter().map(|listed| listed.session.id).collect();
        assert!(opened.iter().all(|(_, opened)| known.contains(opened)), "those that joined joined one that is there");

        // Two have ended: two logins take their rows.
        for listed in &listed[500..502] {
            gateways.revoke_session(listed.session.id).await;
        }
        let opened = gateways.at_once(call).await;
        assert_eq!(count(&opened, |(own, opened)| own == opened), 2);
        assert_eq!(gateways.sessions_of(ana).await.len(), listed.len());
    });
}

#[test]
fn the_surplus_of_an_earlier_version_goes_once_it_has_ended_and_what_lives_stays() {
    const SURPLUS: u32 = 20;
    on_both_stores(async |gateways| {
        let ana = gateways.user("ana").await.id;
        gateways.fill(ana, ENDLESS_MAX + SURPLUS).await;
        let trim = |store: Store| async move {
            let mut at = Trimmed::default();
            while let Some(next) = session::trim(&store, at, PIECE).await.unwrap() {
                at = next;
            }
        };
        tokio::join!(trim(gateways.store().clone()), trim(gateways.other().clone()));
        let all = usize::try_from(ENDLESS_MAX + SURPLUS).unwrap();
        assert_eq!(gateways.sessions_of(ana).await.len(), all, "none has ended");
        account::end_tokens(&by(gateways.store()), &realm(), &named("ana"), NOW).await.unwrap();
        tokio::join!(trim(gateways.store().clone()), trim(gateways.other().clone()));
        assert_eq!(gateways.sessions_of(ana).await.len(), usize::try_from(ENDLESS_MAX).unwrap());
    });
}

#[test]
fn the_sessions_of_a_large_account_that_was_deleted_go_in_pieces_by_whichever_gateway() {
    const REST: u32 = 150;
    on_both_stores(async |gateways| {
        let ana = gateways.user("ana").await.id;
        gateways.fill(ana, 1_000 + REST).await;
        account::delete(&by(gateways.store()), &realm(), &named("ana"), NOW).await.unwrap();
        assert_eq!(gateways.sessions_of(ana).await.len(), usize::try_from(REST).unwrap());
        let call = |store: Store, _| async move { while session::clear_deleted(&store, PIECE).await.unwrap() {} };
        gateways.at_once(call).await;
        assert_eq!(gateways.sessions_of(ana).await, []);
    });
}
