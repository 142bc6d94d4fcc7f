//! Refresh tokens: a session has one family of tokens, at whichever gateway they are exchanged.

use std::{collections::HashSet, time::Duration};

use portero::{
    domain::{KeyId, PrincipalId, Secret, Timestamp},
    state::{
        clock,
        refresh::{self, RotationOutcome, Successor, Terms},
        revocation::log::{self, EXPIRED_KEPT, RevokedSubject},
        session,
        store::Store,
    },
};

use super::{CALLERS, Gateways, NOW, at, by, login, on_both_stores, trusted};

const GRACE: Duration = Duration::from_secs(10);

const END: Timestamp = Timestamp::from_secs(2_000_000);

/// A login whose refresh token a client may exchange.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) token: Secret,
    pub(super) first: Successor,
}

impl Gateways {
    /// A session, and the refresh token that its login gave to a client.
    pub(super) async fn login_at(&self, client: PrincipalId, token: &str) -> Login {
        let session = login(PrincipalId::generate(), 1, Some(3_000_000));
        session::insert(self.store(), &session).await.unwrap();
        let first = Successor {
            session: session.id,
            client,
            scopes: vec!["read".to_owned(), "write".to_owned()],
            epoch: 3,
            key: KeyId::from_text("k"),
            generation: 0,
            created_at: NOW,
            expires_at: END,
            ends_at: END,
            spent_at: None,
        };
        Login { token: token.into(), first }
    }
}

impl Login {
    /// Exchanges a token of its line.
    pub(super) async fn spend(&self, store: &Store, token: &Secret, now: Timestamp) -> RotationOutcome {
        let first = (*token == self.token).then_some(&self.first);
        let terms = || Terms { client: self.first.client, grace: GRACE, lifetime: None, now };
        refresh::spend(store, token, first, terms).await.unwrap()
    }

    /// What a token of its line gives.
    pub(super) async fn successor(&self, store: &Store, token: &Secret) -> Secret {
        successor(self.spend(store, token, NOW).await)
    }
}

fn successor(outcome: RotationOutcome) -> Secret {
    let RotationOutcome::Successor(token, _) = outcome else { panic!("{outcome:?}") };
    token
}

#[test]
fn a_token_is_exchanged_once_and_gives_its_successor_again_within_the_grace() {
    on_both_stores(async |gateways| {
        let (store, other) = (gateways.store(), gateways.other());
        let login = gateways.login_at(PrincipalId::generate(), "login").await;
        assert_eq!(refresh::find(store, &login.token).await.unwrap(), None);
        assert_eq!(login.spend(store, &"another".into(), NOW).await, RotationOutcome::Refused);
        let second = login.successor(store, &login.token).await;
        let expected = Successor { generation: 1, ..login.first.clone() };
        assert_eq!(refresh::find(other, &second).await.unwrap(), Some(expected));
        let spent = refresh::find(other, &login.token).await.unwrap().unwrap();
        assert_eq!((spent.generation, spent.spent_at), (0, Some(NOW)));
        assert_eq!(refresh::client_of(other, login.first.session).await.unwrap(), Some(login.first.client));
        assert_eq!(login.spend(other, &login.token, NOW).await, RotationOutcome::Successor(second.clone(), END));

        let thief = Terms { client: PrincipalId::generate(), grace: GRACE, lifetime: None, now: NOW };
        assert_eq!(refresh::spend(other, &second, None, || thief).await.unwrap(), RotationOutcome::Refused);
        assert_eq!(login.spend(other, &second, END).await, RotationOutcome::Refused, "it has ended");
        let day = Some(Duration::from_hours(24));
        let terms = Terms { client: login.first.client, grace: GRACE, lifetime: day, now: NOW };
        let third = refresh::spend(other, &second, None, || terms).await.unwrap();
        let RotationOutcome::Successor(third, end) = third else { panic!("{third:?}") };
        assert_eq!(end, NOW.plus(Duration::from_hours(24)));
        assert_eq!(login.spend(store, &login.token, NOW).await, RotationOutcome::Refused, "its successor was used");
        assert!(!refresh::is_revoked(store, login.first.session).await.unwrap());

        let late = NOW.plus(GRACE);
        assert_eq!(refresh::accuse(store, &third, GRACE, late).await.unwrap(), RotationOutcome::Refused);
        let RotationOutcome::Reused(record) = login.spend(store, &login.token, late).await else { panic!() };
        assert_eq!(record.subject, RevokedSubject::Session(login.first.session));
        assert_eq!(record.expires_at, Some(at(3_000_000)), "as long as the session");
        assert!(refresh::is_revoked(other, login.first.session).await.unwrap());
        assert_eq!(login.spend(other, &third, NOW).await, RotationOutcome::Refused);
        assert_eq!(refresh::accuse(other, &second, GRACE, late).await.unwrap(), RotationOutcome::Refused);
        assert_eq!(gateways.revoked().await, [record]);
    });
}

#[test]
fn a_token_that_is_shown_long_after_it_was_spent_ends_its_session() {
    on_both_stores(async |gateways| {
        let login = gateways.login_at(PrincipalId::generate(), "login").await;
        login.successor(gateways.store(), &login.token).await;
        let accuse = |store: Store, _| {
            let token = login.token.clone();
            async move { refresh::accuse(&store, &token, GRACE, NOW.plus(GRACE)).await.unwrap() }
        };
        let answers = gateways.at_once(accuse).await;
        let reused = answers.iter().filter(|answer| matches!(answer, RotationOutcome::Reused(_))).count();
        assert_eq!(reused, 1, "its session is revoked once");
        assert_eq!(gateways.revoked().await.len(), 1);
    });
}

#[test]
fn many_uses_of_one_token_give_one_line_of_descent() {
    on_both_stores(async |gateways| {
        let login = gateways.login_at(PrincipalId::generate(), "login").await;
        let mut token = login.token.clone();
        for generation in 1..=3 {
            let call = |store: Store, _| {
                let (login, token) = (login.clone(), token.clone());
                async move { login.successor(&store, &token).await }
            };
            let successors = gateways.at_once(call).await;
            assert!(successors.iter().all(|successor| *successor == successors[0]), "all are given the same");
            let found = refresh::find(gateways.other(), &successors[0]).await.unwrap().unwrap();
            assert_eq!((found.generation, found.spent_at), (generation, None));
            token = successors[0].clone();
        }
        assert!(!refresh::is_revoked(gateways.store(), login.first.session).await.unwrap());
    });
}

#[test]
fn of_many_uses_without_a_grace_one_is_answered_and_the_session_ends() {
    on_both_stores(async |gateways| {
        let login = gateways.login_at(PrincipalId::generate(), "login").await;
        let token = login.successor(gateways.store(), &login.token).await;
        let call = |store: Store, _| {
            let (token, client) = (token.clone(), login.first.client);
            let terms = move || Terms { client, grace: Duration::ZERO, lifetime: None, now: NOW };
            async move { refresh::spend(&store, &token, None, terms).await.unwrap() }
        };
        let (mut given, mut reused) = (vec![], 0);
        for answer in gateways.at_once(call).await {
            match answer {
                RotationOutcome::Successor(token, _) => given.push(token),
                RotationOutcome::Reused(_) => reused += 1,
                RotationOutcome::Refused => {}
            }
        }
        assert_eq!((given.len(), reused), (1, 1));
        assert_eq!(login.spend(gateways.other(), &given[0], NOW).await, RotationOutcome::Refused);
    });
}

#[test]
fn lines_of_many_sessions_are_exchanged_beside_each_other() {
    on_both_stores(async |gateways| {
        let client = PrincipalId::generate();
        let mut logins = vec![];
        for number in 0..CALLERS {
            logins.push(gateways.login_at(client, &format!("login {number}")).await);
        }
        let call = |store: Store, caller: usize| {
            let login = logins[caller].clone();
            async move {
                let second = login.successor(&store, &login.token).await;
                login.successor(&store, &second).await.expose().to_owned()
            }
        };
        let tokens: HashSet<_> = gateways.at_once(call).await.into_iter().collect();
        assert_eq!(tokens.len(), CALLERS);
    });
}

#[test]
fn a_line_is_forgotten_a_week_after_its_end_and_not_begun_again() {
    on_both_stores(async |gateways| {
        clock::confirm(&by(gateways.store()), NOW).await.unwrap();
        let login = gateways.login_at(PrincipalId::generate(), "login").await;
        let second = login.successor(gateways.store(), &login.token).await;
        login.successor(gateways.store(), &second).await;
        let now = |end: Timestamp| trusted(end.plus(EXPIRED_KEPT));
        assert_eq!(refresh::prune(gateways.store(), now(END), 9).await.unwrap(), 0);
        let after = now(END.plus(Duration::from_millis(1)));
        let call = move |store: Store, _| async move { refresh::prune(&store, after, 2).await.unwrap() };
        assert_eq!(gateways.at_once(call).await.into_iter().sum::<u64>(), 3);
        assert_eq!(refresh::find(gateways.other(), &login.token).await.unwrap(), None);
        let again = Successor { created_at: at(0), ..login.first.clone() };
        let again = Login { first: again, ..login };
        assert_eq!(again.spend(gateways.other(), &again.token, NOW).await, RotationOutcome::Refused);
        assert_eq!(log::prune(gateways.store(), after, 9).await.unwrap(), 0);
    });
}
