//! The lines of refresh tokens that a client holds: they end with it.

use std::sync::Arc;

use portero::{
    domain::{PrincipalId, PrincipalKind, Secret, SessionId},
    state::{
        account::{self, NewAccount, OldTokens},
        refresh::{self, RotationOutcome},
        revocation::log::{self, Record, RevokedSubject},
        session,
        store::{Store, Turn},
    },
};
use uuid::Uuid;

use crate::support::{PATIENCE, wait_until_async};

use super::{CALLERS, Gateways, NOW, by, hash, named, new_user, on_both_stores, realm, refresh::Login};

/// Lines that end in the transaction that ends the client.
const AT_ONCE: usize = 1_000;

impl Gateways {
    /// A client with so many lines that were begun.
    async fn client_with_lines(&self, lines: usize) -> (PrincipalId, Vec<(Login, Secret)>) {
        let new = NewAccount { kind: PrincipalKind::Client, ..new_user("client") };
        let client = account::insert(&by(self.store()), &new, &hash("h"), NOW).await.unwrap().id;
        let mut logins = vec![];
        for number in 0..lines {
            let login = self.login_at(client, &format!("login {number}")).await;
            let second = login.successor(self.store(), &login.token).await;
            logins.push((login, second));
        }
        (client, logins)
    }
}

/// What ends a client.
#[derive(Clone, Copy)]
enum End {
    Families,
    Disable,
    Secret,
    Delete,
}

impl End {
    async fn run(self, store: &Store, client: PrincipalId) {
        let (realm, name) = (&realm(), &named("client"));
        match self {
            Self::Families => refresh::end_families_of(store, client, NOW).await.unwrap(),
            Self::Disable => drop(account::set_disabled(&by(store), realm, name, true, NOW).await.unwrap()),
            Self::Secret => {
                let replaced =
                    account::set_password_hash(&by(store), realm, name, &hash("i"), OldTokens::End, NOW).await;
                drop(replaced.unwrap());
            }
            Self::Delete => drop(account::delete(&by(store), realm, name, NOW).await.unwrap()),
        }
    }
}

fn no_line_is_exchanged_after(end: End) {
    on_both_stores(async |gateways| {
        let (client, logins) = gateways.client_with_lines(CALLERS).await;
        let logins = Arc::new(logins);
        let call = |store: Store, caller: usize| {
            let logins = Arc::clone(&logins);
            async move {
                let (login, token) = &logins[caller];
                let mut token = token.clone();
                for _ in 0..3 {
                    if caller == CALLERS / 2 {
                        end.run(&store, client).await;
                        break;
                    }
                    match login.spend(&store, &token, NOW).await {
                        RotationOutcome::Successor(next, _) => token = next,
                        RotationOutcome::Refused => break,
                        RotationOutcome::Reused(_) => panic!("it was used once"),
                    }
                }
                token
            }
        };
        let last = gateways.at_once(call).await;
        for ((login, _), token) in logins.iter().zip(&last) {
            assert_eq!(login.spend(gateways.other(), token, NOW).await, RotationOutcome::Refused);
            assert!(refresh::is_revoked(gateways.other(), login.first.session).await.unwrap());
        }
    });
}

#[test]
fn no_line_of_a_client_is_exchanged_after_its_families_ended() {
    no_line_is_exchanged_after(End::Families);
}

#[test]
fn no_line_of_a_client_is_exchanged_after_it_was_disabled() {
    no_line_is_exchanged_after(End::Disable);
}

#[test]
fn no_line_of_a_client_is_exchanged_after_its_secret_was_replaced() {
    no_line_is_exchanged_after(End::Secret);
}

#[test]
fn no_line_of_a_client_is_exchanged_after_it_was_deleted() {
    no_line_is_exchanged_after(End::Delete);
}

#[test]
fn the_many_lines_of_a_client_end_at_once_and_their_sessions_are_revoked_in_pieces() {
    const REST: usize = 3;
    on_both_stores(async |gateways| {
        let client = PrincipalId::generate();
        let template = gateways.login_at(client, "login").await;
        // In the order of their ids, in which their sessions are revoked.
        let mut sessions: Vec<_> = (0..AT_ONCE + REST).map(|_| SessionId::generate()).collect();
        sessions.sort_by_key(|session| session.uuid());
        let begin = |store: Store, caller: usize| {
            let (template, sessions) = (template.clone(), sessions.clone());
            async move {
                for (number, session) in sessions.iter().enumerate().skip(caller).step_by(CALLERS) {
                    let mut login = Login { token: format!("login {number}").as_str().into(), ..template.clone() };
                    login.first.session = *session;
                    login.successor(&store, &login.token).await;
                }
            }
        };
        gateways.at_once(begin).await;
        // The store does not know the other sessions any more: nothing of them is left.
        let last = sessions[AT_ONCE + REST - 1];
        let known = session::Session { id: last, ..super::login(PrincipalId::generate(), 1, None) };
        session::insert(gateways.store(), &known).await.unwrap();

        refresh::end_families_of(gateways.store(), client, NOW).await.unwrap();
        assert_eq!(gateways.revoked().await, []);
        assert!(refresh::is_revoked(gateways.other(), last).await.unwrap(), "it is due");
        let mut later = Login { token: "later".into(), ..template.clone() };
        later.first.session = SessionId::generate();
        later.successor(gateways.other(), &later.token).await;
        assert!(!refresh::is_revoked(gateways.store(), later.first.session).await.unwrap(), "it began later");
        let go_on = |store: Store, _| async move { while refresh::end_more_families(&store, NOW).await.unwrap() {} };
        gateways.at_once(go_on).await;
        assert_eq!(gateways.revoked().await.len(), 1);
        assert!(refresh::is_revoked(gateways.other(), last).await.unwrap());
        assert!(!refresh::is_revoked(gateways.other(), later.first.session).await.unwrap());
        if gateways.store().is_shared() {
            end_once_more_meanwhile(gateways, &template).await;
        }
    });
}

/// Ends a client once more while another gateway does the last piece of what is due of it: what the second end found is
/// due then.
async fn end_once_more_meanwhile(gateways: &Gateways, template: &Login) {
    let (store, client) = (gateways.store(), template.first.client);
    let begin = async |token: &str, session| {
        let mut login = Login { token: token.into(), ..template.clone() };
        login.first.session = session;
        login.successor(store, &login.token).await;
    };
    let last = SessionId::from_uuid(Uuid::max());
    begin("last", last).await;
    let known = session::Session { id: last, ..super::login(PrincipalId::generate(), 1, None) };
    session::insert(store, &known).await.unwrap();
    refresh::end_families_of(store, client, NOW).await.unwrap();

    // Holds the other gateway up where it revokes this session.
    let mut holding = store.begin(Turn::Nothing).await.unwrap();
    let record = Record { subject: RevokedSubject::Session(last), expires_at: None, created_at: NOW };
    log::append_in(&mut holding, &record).await.unwrap();
    let other = gateways.other().clone();
    let ending = tokio::spawn(async move { refresh::end_more_families(&other, NOW).await });
    let mut connection = gateways.connect().await;
    wait_until_async("it is held up", PATIENCE, async || {
        let waits = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)");
        waits.fetch_one(&mut connection).await.unwrap()
    })
    .await;
    let new = SessionId::generate();
    begin("new", new).await;
    refresh::end_families_of(store, client, NOW).await.unwrap();
    holding.commit().await.unwrap();
    assert!(ending.await.unwrap().unwrap());
    assert!(refresh::is_revoked(gateways.other(), new).await.unwrap(), "it is due");
}
