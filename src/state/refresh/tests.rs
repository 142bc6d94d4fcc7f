//! Lines of refresh tokens in a real store.

use std::time::Duration;

use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::{
    domain::{KeyId, PrincipalId, Secret, SessionId, Timestamp, trusted_time::trusted},
    state::{
        clock,
        revocation::log::{self, RevokedSubject},
        session::Session,
        store::{Store, StoreSettings, query},
    },
};

const NOW: Timestamp = Timestamp::from_secs(1_000);
const GRACE: Duration = Duration::from_secs(10);
const END: Timestamp = Timestamp::from_secs(5_000);

/// A family's start: a session, its client, and the refresh token that its login gave.
struct Ground {
    folder: TempDir,
    store: Store,
    login: Secret,
    first: Successor,
}

impl Ground {
    async fn new() -> Self {
        let folder = crate::memory::new_folder();
        let store = open(&folder).await;
        let session = Session {
            id: SessionId::generate(),
            realm: "apis".parse().unwrap(),
            principal: PrincipalId::generate(),
            created_at: NOW,
            expires_at: Some(END.plus(Duration::from_hours(1))),
        };
        crate::state::session::insert(&store, &session).await.unwrap();
        let first = Successor {
            session: session.id,
            client: PrincipalId::generate(),
            scopes: vec!["read".into(), "write".into()],
            epoch: 3,
            key: KeyId::from_text("k"),
            generation: 0,
            created_at: NOW,
            expires_at: END,
            ends_at: END,
            spent_at: None,
        };
        Self { folder, store, login: "3L3Dlogin".into(), first }
    }

    fn terms(&self, now: Timestamp) -> Terms {
        Terms { client: self.first.client, grace: GRACE, lifetime: None, now }
    }

    async fn spend(&self, token: &Secret, now: Timestamp) -> RotationOutcome {
        let first = (*token == self.login).then_some(&self.first);
        spend(&self.store, token, first, || self.terms(now)).await.unwrap()
    }

    /// The successor of a token that is spent `now`.
    async fn successor(&self, token: &Secret, now: Timestamp) -> Secret {
        match self.spend(token, now).await {
            RotationOutcome::Successor(successor, _) => successor,
            other => panic!("{other:?}"),
        }
    }

    async fn revoked(&self) -> Vec<log::Record> {
        log::since(&self.store, 0, 10).await.unwrap().0
    }
}

async fn open(folder: &TempDir) -> Store {
    Store::make(&StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap()
}

fn after(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

#[tokio::test]
async fn each_exchange_makes_one_successor_of_the_same_line() {
    let ground = Ground::new().await;
    assert_eq!(find(&ground.store, &ground.login).await.unwrap(), None);
    assert_eq!(client_of(&ground.store, ground.first.session).await.unwrap(), None);
    let second = ground.successor(&ground.login, NOW).await;
    let third = ground.successor(&second, after(100)).await;
    let found = find(&ground.store, &third).await.unwrap().unwrap();
    assert_eq!(found, Successor { generation: 2, created_at: after(100), ..ground.first.clone() });
    assert_eq!(find(&ground.store, &second).await.unwrap().unwrap().spent_at, Some(after(100)));
    assert_eq!(client_of(&ground.store, ground.first.session).await.unwrap(), Some(ground.first.client));
}

#[tokio::test]
async fn a_lost_answer_comes_again_while_its_successor_is_unspent() {
    let ground = Ground::new().await;
    let second = ground.successor(&ground.login, NOW).await;
    assert_eq!(ground.successor(&ground.login, after(9)).await, second);
    let third = ground.successor(&second, after(9)).await;
    assert_eq!(ground.successor(&second, after(18)).await, third);
    // Its successor was exchanged: no answer was lost. Within the grace that is no theft either.
    assert_eq!(ground.spend(&ground.login, after(9)).await, RotationOutcome::Refused);
    assert!(ground.revoked().await.is_empty());
    ground.successor(&third, after(18)).await;
}

#[tokio::test]
async fn a_use_after_the_grace_ends_the_session() {
    let ground = Ground::new().await;
    let second = ground.successor(&ground.login, NOW).await;
    let RotationOutcome::Reused(record) = ground.spend(&ground.login, after(10)).await else { panic!("not seen") };
    let end = END.plus(Duration::from_hours(1));
    assert_eq!((record.subject, record.expires_at), (RevokedSubject::Session(ground.first.session), Some(end)));
    assert_eq!(ground.revoked().await, [record]);
    assert!(is_revoked(&ground.store, ground.first.session).await.unwrap());
    // The thief's and the owner's are of no more use, and say so once only.
    for token in [&second, &ground.login] {
        assert_eq!(ground.spend(token, after(11)).await, RotationOutcome::Refused);
    }
}

#[tokio::test]
async fn only_the_client_of_a_line_continues_it_and_ends_it() {
    let ground = Ground::new().await;
    let second = ground.successor(&ground.login, NOW).await;
    let stranger = Terms { client: PrincipalId::generate(), ..ground.terms(after(60)) };
    for (token, first) in [(&second, None), (&ground.login, Some(&ground.first)), (&"prt_unknown".into(), None)] {
        assert_eq!(spend(&ground.store, token, first, || stranger).await.unwrap(), RotationOutcome::Refused);
    }
    assert!(ground.revoked().await.is_empty());
    ground.successor(&second, after(61)).await;
}

#[tokio::test]
async fn a_line_ends_with_its_first_token_and_a_token_that_stays_unused_before() {
    let ground = Ground::new().await;
    let lifetime = Some(Duration::from_mins(1));
    let terms = Terms { lifetime, ..ground.terms(NOW) };
    let rotation = spend(&ground.store, &ground.login, Some(&ground.first), || terms).await.unwrap();
    let RotationOutcome::Successor(second, ends) = rotation else { panic!("refused") };
    assert_eq!(ends, after(60));
    assert_eq!(ground.spend(&second, after(60)).await, RotationOutcome::Refused);
    let third = ground.successor(&second, after(59)).await;
    assert_eq!(find(&ground.store, &third).await.unwrap().unwrap().expires_at, END, "no lifetime, no earlier end");
    let late = Terms { lifetime, ..ground.terms(Timestamp::from_secs(4_990)) };
    let RotationOutcome::Successor(fourth, ends) = spend(&ground.store, &third, None, || late).await.unwrap() else {
        panic!()
    };
    assert_eq!(ends, END, "never beyond the line");
    assert_eq!(ground.spend(&fourth, END).await, RotationOutcome::Refused);
}

#[tokio::test]
async fn a_revoked_session_gives_nothing() {
    let ground = Ground::new().await;
    let second = ground.successor(&ground.login, NOW).await;
    let record =
        log::Record { subject: RevokedSubject::Session(ground.first.session), expires_at: None, created_at: NOW };
    log::append(&open(&ground.folder).await, &record).await.unwrap();
    for token in [&second, &ground.login] {
        assert_eq!(ground.spend(token, after(1)).await, RotationOutcome::Refused);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_in_two_processes_get_one_successor() {
    let ground = Ground::new().await;
    let stores = [ground.store.clone(), open(&ground.folder).await];
    let mut token = ground.login.clone();
    for first in [Some(ground.first.clone()), None] {
        let rotation = (0..64).map(|n| {
            let (store, token, first) = (stores[n % 2].clone(), token.clone(), first.clone());
            let terms = ground.terms(NOW);
            tokio::spawn(async move { spend(&store, &token, first.as_ref(), || terms).await.unwrap() })
        });
        let mut successors = vec![];
        for rotation in rotation.collect::<Vec<_>>() {
            successors.push(rotation.await.unwrap());
        }
        successors.dedup();
        let [RotationOutcome::Successor(successor, _)] = &successors[..] else { panic!("{successors:?}") };
        token = successor.clone();
    }
    let tokens = query("SELECT count(*) FROM refresh_tokens").value::<i64>(&ground.store).await.unwrap();
    assert_eq!(tokens, Some(3));
}

#[tokio::test]
async fn a_door_that_does_not_exchange_sees_theft_too() {
    let ground = Ground::new().await;
    assert_eq!(accuse(&ground.store, &ground.login, GRACE, NOW).await.unwrap(), RotationOutcome::Refused);
    let second = ground.successor(&ground.login, NOW).await;
    for (token, now) in [(&ground.login, after(9)), (&second, after(60))] {
        assert_eq!(accuse(&ground.store, token, GRACE, now).await.unwrap(), RotationOutcome::Refused);
    }
    let accused = accuse(&ground.store, &ground.login, GRACE, after(10)).await.unwrap();
    assert!(matches!(accused, RotationOutcome::Reused(_)), "{accused:?}");
}

#[tokio::test]
async fn the_store_has_no_token_and_forgets_lines_that_ended() {
    let ground = Ground::new().await;
    let second = ground.successor(&ground.login, NOW).await;
    ground.store.close().await;
    let file = std::fs::read(ground.folder.path().join("portero.db")).unwrap();
    for token in [&ground.login, &second] {
        let text = token.expose().as_bytes();
        assert!(!file.windows(text.len()).any(|window| window == text));
    }
    let store = open(&ground.folder).await;
    assert_eq!(prune(&store, trusted(END.plus(log::EXPIRED_KEPT)), 9).await.unwrap(), 0);
    let later = trusted(END.plus(log::EXPIRED_KEPT).plus(Duration::from_secs(1)));
    assert_eq!((prune(&store, later, 1).await.unwrap(), prune(&store, later, 9).await.unwrap()), (1, 1));
}

#[tokio::test]
async fn a_line_has_a_longest_length() {
    let ground = Ground::new().await;
    let first = Successor { generation: EXCHANGES_MAX, ..ground.first.clone() };
    let rotation = spend(&ground.store, &ground.login, Some(&first), || ground.terms(NOW)).await.unwrap();
    assert_eq!(rotation, RotationOutcome::Refused);
}

#[tokio::test]
async fn a_token_that_was_spent_in_the_future_gives_nothing_and_ends_nothing() {
    let ground = Ground::new().await;
    let second = ground.successor(&ground.login, after(1_200)).await;
    for now in [NOW, after(1_199)] {
        assert_eq!(ground.spend(&ground.login, now).await, RotationOutcome::Refused);
        assert_eq!(accuse(&ground.store, &ground.login, GRACE, now).await.unwrap(), RotationOutcome::Refused);
    }
    assert!(ground.revoked().await.is_empty());
    assert_eq!(ground.successor(&ground.login, after(1_209)).await, second, "the clock is right again");
}

#[tokio::test]
async fn a_login_whose_line_may_have_been_pruned_begins_none() {
    let ground = Ground::new().await;
    let hands: std::sync::Arc<dyn crate::domain::Clock> = std::sync::Arc::new(crate::domain::HandClock::new(NOW));
    clock::TrustedClock::begin(None, hands).keep(&ground.store).await.unwrap();
    ground.successor(&ground.login, NOW).await;
    let later = trusted(END.plus(log::EXPIRED_KEPT).plus(Duration::from_secs(1)));
    assert_eq!(prune(&ground.store, later, 9).await.unwrap(), 2);
    assert_eq!(ground.spend(&ground.login, after(5)).await, RotationOutcome::Refused, "the clock was set back");
    // An operator says that it is right: what was given before stays refused, and a new login begins a family.
    clock::confirm(&ground.store.audited(), after(10)).await.unwrap();
    assert_eq!(ground.spend(&ground.login, after(15)).await, RotationOutcome::Refused);
    let first = Successor { session: SessionId::generate(), created_at: after(10), ..ground.first.clone() };
    let rotation = spend(&ground.store, &"3L3Danother".into(), Some(&first), || ground.terms(after(20))).await.unwrap();
    assert!(matches!(rotation, RotationOutcome::Successor(..)), "{rotation:?}");
}

#[tokio::test]
async fn a_client_ends_with_all_its_lines_however_many() {
    let ground = Ground::new().await;
    ground.successor(&ground.login, NOW).await;
    let stranger = Terms { client: PrincipalId::generate(), ..ground.terms(NOW) };
    let another = Successor { session: SessionId::generate(), client: stranger.client, ..ground.first.clone() };
    spend(&ground.store, &"3L3Dother".into(), Some(&another), || stranger).await.unwrap();
    let lines = 2 * families::LINES_AT_ONCE + 1;
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) \
                INSERT INTO refresh_tokens (hash, session, client, scope, epoch, key, generation, created_at, expires_at, ends_at) \
                SELECT randomblob(32), randomblob(16), $2, '', 0, 'k', 0, 0, 0, 0 FROM n";
    let client = ground.first.client.uuid().into_bytes().to_vec();
    query(many).bind(lines - 1).bind(client).execute(&ground.store).await.unwrap();
    // The last in the order in which they end.
    let last = Successor { session: SessionId::from_uuid(Uuid::max()), ..ground.first.clone() };
    let spent = spend(&ground.store, &"3L3Dlast".into(), Some(&last), || ground.terms(NOW)).await.unwrap();
    let RotationOutcome::Successor(left, _) = spent else { panic!("{spent:?}") };
    let sessions = "INSERT OR IGNORE INTO sessions (id, realm, principal, created_at, expires_at) \
                    SELECT session, 'apis', x'00', 0, 1 FROM refresh_tokens";
    query(sessions).execute(&ground.store).await.unwrap();
    end_families_of(&ground.store, ground.first.client, after(1)).await.unwrap();
    let revoked = async || log::since(&ground.store, 0, 10_000).await.unwrap().0.len();
    assert_eq!(revoked().await, 1_000, "one transaction ends no more");
    // The others are not exchanged any more, although they are not revoked yet.
    assert_eq!(ground.spend(&left, after(1)).await, RotationOutcome::Refused);
    assert!(is_revoked(&ground.store, last.session).await.unwrap());
    // Nor are those among them that the client begins now, with a new secret.
    let later = Successor { session: SessionId::from_uuid(Uuid::from_u128(u128::MAX - 1)), ..ground.first.clone() };
    let spent = spend(&ground.store, &"3L3Dlater".into(), Some(&later), || ground.terms(after(1))).await.unwrap();
    let RotationOutcome::Successor(living, _) = spent else { panic!("{spent:?}") };
    // As after a crash: another process goes on from there.
    ground.store.close().await;
    let store = open(&ground.folder).await;
    assert!(end_more_families(&store, after(2)).await.unwrap());
    assert_eq!(log::since(&store, 0, 10_000).await.unwrap().0.len(), 2_000);
    while end_more_families(&store, after(2)).await.unwrap() {}
    assert_eq!(log::since(&store, 0, 10_000).await.unwrap().0.len(), usize::try_from(lines).unwrap() + 1);
    for (session, ended) in
        [(ground.first.session, true), (last.session, true), (another.session, false), (later.session, false)]
    {
        assert_eq!(is_revoked(&store, session).await.unwrap(), ended);
    }
    let rotation = spend(&store, &living, None, || ground.terms(after(3))).await.unwrap();
    assert!(matches!(rotation, RotationOutcome::Successor(..)), "{rotation:?}");
}
