//! What is remembered while accounts are taken over.

use portero::{
    domain::{SessionId, Timestamp},
    state::{
        account::{self, Account, OldTokens},
        takeover::{
            confirmation,
            counts::{self, Count, Kind},
            old_tokens::{self, NewOldToken},
            steps,
            trusted::{self, Settled, Totals, TrustedLogin},
        },
    },
};

use super::{NOW, at, by, hash, named, on_both_stores, realm, trusted as trusted_now};

/// After [`NOW`].
const LATER: Timestamp = Timestamp::from_secs(1_000_100);

#[test]
fn a_confirmation_is_of_one_hash_alone() {
    on_both_stores(async |gateways| {
        let (store, other) = (gateways.store(), gateways.other());
        let ana = gateways.user("ana").await;
        assert_eq!(confirmation::find(other, ana.id).await.unwrap(), None);
        assert_eq!(confirmation::unknown(store, &realm(), 9).await.unwrap().0, 1);
        confirmation::confirm(store, ana.id, "old", &hash("h"), NOW).await.unwrap();
        let found = confirmation::find(other, ana.id).await.unwrap().unwrap();
        assert_eq!((found.of(&hash("h")), found.of(&hash("i"))), (Some(NOW), None));

        // Another hash is learnt with its confirmation, or not at all.
        let learnt = async |old: &Account, new: &str| {
            confirmation::learn(&by(other), old, "old", &hash(new), LATER).await.unwrap()
        };
        let before = ana.clone().with_secret(hash("h"));
        assert!(learnt(&before, "i").await && !learnt(&before, "k").await);
        let stored = account::find_by_id(store, ana.id).await.unwrap().unwrap();
        assert_eq!(stored.password_hash, hash("i"));
        let found = confirmation::find(store, ana.id).await.unwrap().unwrap();
        assert_eq!((found.of(&hash("i")), found.of(&hash("h"))), (Some(LATER), None));
        assert_eq!(confirmation::confirmed(store, &realm(), LATER).await.unwrap(), (1, 1));
        assert_eq!(confirmation::confirmed(store, &realm(), at(2_000_000)).await.unwrap(), (1, 0));

        // An operator's password is nobody's confirmation.
        let keep = OldTokens::Keep;
        account::set_password_hash(&by(store), &realm(), &named("ana"), &hash("own"), keep, NOW).await.unwrap();
        assert_eq!(confirmation::find(store, ana.id).await.unwrap().unwrap().of(&hash("own")), None);
        confirmation::distrust(store, ana.id, "old", &hash("before"), LATER).await.unwrap();
        assert_eq!(confirmation::find(other, ana.id).await.unwrap().unwrap().of(&hash("i")), Some(LATER));
        confirmation::distrust(store, ana.id, "old", &hash("i"), LATER).await.unwrap();
        assert_eq!(confirmation::find(other, ana.id).await.unwrap().unwrap().of(&hash("i")), None);
        gateways.user("eva").await;
        let (count, unknown) = confirmation::unknown(other, &realm(), 1).await.unwrap();
        assert_eq!((count, unknown[0].name.as_str(), unknown[0].refused), (2, "ana", true));
    });
}

#[test]
fn logins_that_were_decided_alone_are_settled_once() {
    on_both_stores(async |gateways| {
        let (store, other) = (gateways.store(), gateways.other());
        let ana = gateways.user("ana").await;
        let sessions = [(); 3].map(|()| SessionId::generate());
        for (session, end) in sessions.iter().zip([200, 100, 300]) {
            let login = TrustedLogin {
                session: *session,
                account: ana.id,
                realm: realm(),
                verifier: "old".to_owned(),
                created_at: NOW,
                expires_at: at(end),
            };
            trusted::mark(store, &login, &hash("h")).await.unwrap();
        }
        assert_eq!(trusted::pending_of(other, ana.id, &hash("h")).await.unwrap().len(), 3);
        assert_eq!(trusted::pending_of(other, ana.id, &hash("i")).await.unwrap(), []);
        let overdue = trusted::overdue(other, trusted_now(at(250))).await.unwrap();
        assert_eq!(overdue.iter().map(|login| login.session).collect::<Vec<_>>(), [sessions[1], sessions[0]]);
        trusted::settle(store, &sessions[..1], Settled::Refused, NOW).await.unwrap();
        trusted::settle(other, &sessions[..2], Settled::Confirmed, LATER).await.unwrap();
        assert!(trusted::is_pending(store, sessions[2]).await.unwrap());
        let totals = Totals { pending: 1, confirmed: 1, refused: 1, expired: 0 };
        assert_eq!(trusted::totals(store, "old").await.unwrap(), totals);
        assert_eq!(trusted::totals(store, "other").await.unwrap(), Totals::default());
        let listed = trusted::list(store, "old").await.unwrap();
        assert!(listed.len() == 3 && listed.iter().all(|listed| listed.name == Some(named("ana"))));
        assert_eq!(trusted::prune(store, trusted_now(at(1_000_050 + 90 * 86_400)), 9).await.unwrap(), 1);
        assert_eq!(trusted::list(other, "old").await.unwrap().len(), 2, "what waits stays");
    });
}

#[test]
fn counts_of_many_gateways_are_one_sum() {
    on_both_stores(async |gateways| {
        let counted = |what: &str, count| Count { kind: Kind::Login, what: what.to_owned(), count };
        let rows = [counted("old/lead/refused", 1), counted("old/lead/confirmed", 2)];
        let added = gateways.at_once(|store, number| {
            let mut rows = rows.to_vec();
            if number % 2 == 0 {
                rows.reverse();
            }
            async move { counts::add(&store, &rows, NOW).await.is_ok() }
        });
        assert!(added.await.into_iter().all(|added| added));
        let day = counts::of_days(gateways.other(), Kind::Login, 1, NOW).await.unwrap();
        assert_eq!(day, [counted("old/lead/confirmed", 128), counted("old/lead/refused", 64)]);
        let next = at(1_000_000 + 86_400);
        assert_eq!(counts::of_days(gateways.other(), Kind::Login, 1, next).await.unwrap(), []);
        assert_eq!(counts::of_days(gateways.other(), Kind::Login, 2, next).await.unwrap().len(), 2);
        assert_eq!(counts::of_days(gateways.other(), Kind::Token, 30, NOW).await.unwrap(), []);
        assert_eq!(counts::prune(gateways.store(), trusted_now(at(1_000_000 + 92 * 86_400)), 9).await.unwrap(), 2);
    });
}

#[test]
fn what_was_accepted_for_going_back_is_used_up_by_it() {
    on_both_stores(async |gateways| {
        let (store, other) = (gateways.store(), gateways.other());
        assert_eq!(steps::find(store, &realm()).await.unwrap(), None);
        let decider = async || {
            let noted = steps::find(other, &realm()).await.unwrap().unwrap();
            (noted.portero, noted.since, noted.accepted_loss)
        };
        steps::note(&by(store), &realm(), true, NOW).await.unwrap();
        steps::accept_loss(&by(store), &realm(), 7).await.unwrap();
        steps::note(&by(store), &realm(), true, LATER).await.unwrap();
        assert_eq!(decider().await, (true, NOW, 7), "a reload that changes nothing");
        steps::note(&by(other), &realm(), false, LATER).await.unwrap();
        assert_eq!(decider().await, (false, LATER, 0));
    });
}

#[test]
fn a_table_of_old_tokens_is_read_as_it_was_imported() {
    on_both_stores(async |gateways| {
        let (store, other) = (gateways.store(), gateways.other());
        let ana = gateways.user("ana").await;
        assert_eq!(old_tokens::revision(store).await.unwrap(), None);
        let token =
            |text: &str, name, expires_at| NewOldToken { hash: old_tokens::hash(text), name: named(name), expires_at };
        let table = [token("a", "ana", None), token("b", "ana", Some(NOW)), token("c", "nobody", None)];
        let imported = old_tokens::import(&by(store), &realm(), &table).await.unwrap();
        assert_eq!((imported.strangers, imported.full), (vec![2], false));
        let revision = old_tokens::revision(other).await.unwrap();
        let loaded = old_tokens::load(other).await.unwrap();
        assert_eq!(loaded.len(), 2);
        let claims = &loaded[&old_tokens::hash("b")];
        assert_eq!((&*claims.name, claims.expires_at, claims.epoch), ("ana", Some(NOW), 0));
        assert_eq!(old_tokens::count(store, &realm(), LATER).await.unwrap(), 1);

        // What ends the account's tokens ends these: they keep the epoch in which they came.
        account::end_tokens(&by(store), &realm(), &ana.name, NOW).await.unwrap();
        assert_eq!(old_tokens::load(other).await.unwrap()[&old_tokens::hash("a")].epoch, 0);
        old_tokens::import(&by(other), &realm(), &table[..1]).await.unwrap();
        assert_eq!(old_tokens::load(store).await.unwrap()[&old_tokens::hash("a")].epoch, 1);
        assert_ne!(old_tokens::revision(store).await.unwrap(), revision);
        assert_eq!(old_tokens::prune(store, trusted_now(at(1_000_001 + 86_400)), 9).await.unwrap(), 1);
        account::delete(&by(store), &realm(), &ana.name, NOW).await.unwrap();
        assert_eq!(old_tokens::load(store).await.unwrap().len(), 0);
    });
}
