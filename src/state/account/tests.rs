use tempfile::TempDir;

use super::*;
use crate::{
    domain::{
        AccountName, Clock, EPOCH_DELETED, GrantType, PrincipalId, PrincipalKind, RealmName, SessionId, SystemClock,
        Timestamp,
    },
    state::{
        revocation::log::{self, RevokedSubject},
        session,
        store::{self, Store, query},
    },
};

const NOW: Timestamp = Timestamp::from_secs(1_768_521_600);

async fn open(folder: &TempDir) -> Store {
    Store::make(&store::StoreSettings::Sqlite(folder.path().join("portero.db"))).await.unwrap()
}

async fn store() -> (TempDir, Store) {
    let folder = crate::memory::new_folder();
    let store = open(&folder).await;
    (folder, store)
}

fn name(name: &str) -> AccountName {
    AccountName { business: String::new(), name: name.to_owned() }
}

fn user(realm: &str, user: &str) -> NewAccount {
    NewAccount {
        id: PrincipalId::generate(),
        realm: realm.parse().unwrap(),
        kind: PrincipalKind::User,
        name: name(user),
        display_name: None,
        legacy_id: LegacyId::None,
        role: None,
        scopes: vec![],
        company: None,
        grants: None,
    }
}

fn client(id: &str, company: &str) -> NewAccount {
    NewAccount { kind: PrincipalKind::Client, company: Some(company.to_owned()), ..user("become", id) }
}

fn hash(text: &str) -> PasswordHash {
    PasswordHash::from_stored(text.to_owned())
}

async fn add(store: &Store, new: &NewAccount) -> Account {
    insert(&store.audited(), new, &hash("h"), NOW).await.unwrap()
}

async fn reload(store: &Store, account: &Account) -> Account {
    find(store, &account.realm, &account.name).await.unwrap().unwrap()
}

/// Gives an account another role, or none; its tokens end where it is another.
async fn set_role(
    store: &Store,
    realm: &RealmName,
    name: &AccountName,
    role: Option<&str>,
    now: Timestamp,
) -> Result<Raised, AccountError> {
    let judge = |before: &Account, after: &Account| {
        Ok(if before.role == after.role { OldTokens::Keep } else { OldTokens::End })
    };
    let revision = Revision { role: Revised::To(role.map(str::to_owned)), ..Revision::default() };
    revise(&store.audited(), realm, name, revision, judge, now).await
}

/// What tokens that name the account, and do not identify it, are known by.
fn named(account: &Account) -> PrincipalId {
    PrincipalId::of_name(&account.realm, &account.name.business, &account.name.name)
}

/// What the revocation log says now, with the number to go on from.
async fn logged(store: &Store, seq: i64) -> (Raised, i64) {
    let (records, seq) = log::since(store, seq, 1000).await.unwrap();
    let epochs = records.iter().map(|record| {
        assert_eq!(record.expires_at, None);
        match record.subject {
            RevokedSubject::Principal(id, epoch) => (id, epoch),
            other => panic!("{other:?}"),
        }
    });
    (epochs.collect(), seq)
}

/// The log goes by the order of the ids, which are random.
fn sorted(mut raised: Raised) -> Raised {
    raised.sort_unstable();
    raised
}

#[tokio::test]
async fn an_account_is_found_as_it_was_made() {
    let (_folder, store) = store().await;
    let new = NewAccount {
        kind: PrincipalKind::Project,
        name: AccountName { business: "B".into(), name: "Ñandú".into() },
        display_name: Some("Ana Ruiz".into()),
        legacy_id: LegacyId::Given(7),
        role: Some("ADMIN".into()),
        scopes: vec!["read".into(), "identity:write".into()],
        company: Some("ACME S.A.".into()),
        grants: Some(vec![GrantType::RefreshToken]),
        ..user("toc", "")
    };
    let made = add(&store, &new).await;
    assert_eq!(NewAccount::from(&made), new);
    assert_eq!((made.disabled, made.locked, made.epoch, made.created_at), (false, false, 0, NOW));
    assert_eq!(find(&store, &new.realm, &new.name).await.unwrap().as_ref(), Some(&made));
    assert_eq!(find_by_id(&store, new.id).await.unwrap(), Some(made));
    // Names are exact bytes, and in another realm or business it is someone else.
    for (realm, business, name) in [("toc", "B", "ñandú"), ("toc", "b", "Ñandú"), ("sws", "B", "Ñandú")] {
        let name = AccountName { business: business.into(), name: name.into() };
        assert_eq!(find(&store, &realm.parse().unwrap(), &name).await.unwrap(), None);
    }
}

#[tokio::test]
async fn epochs_that_an_earlier_version_raised_are_recorded_under_names_too() {
    let (_folder, store) = store().await;
    let [ana, eva, other] = [("toc", "ana"), ("toc", "eva"), ("sws", "ana")].map(|(realm, name)| user(realm, name));
    let mut accounts = vec![];
    for new in [ana, eva, other] {
        accounts.push(add(&store, &new).await);
    }
    // As that version left them: the epoch is higher, and nothing stands under the name.
    for account in [&accounts[0], &accounts[2]] {
        let raised = query("UPDATE principals SET epoch = 3 WHERE id = $1");
        raised.bind(&account.id.uuid().as_bytes()[..]).execute(&store).await.unwrap();
    }
    let expected: Raised = vec![(named(&accounts[0]), 3)];
    for _ in 0..2 {
        assert_eq!(record_names(&store.audited(), &accounts[0].realm, NOW).await.unwrap(), expected);
        assert_eq!(logged(&store, 0).await.0, expected);
    }
}

#[tokio::test]
async fn what_exists_is_not_made_again() {
    let (_folder, store) = store().await;
    let ana = NewAccount { legacy_id: LegacyId::Given(1), ..user("sws", "ana") };
    add(&store, &ana).await;
    let same_id = NewAccount { id: ana.id, ..user("sws", "eva") };
    let same_number = NewAccount { legacy_id: LegacyId::Given(1), ..user("sws", "eva") };
    for (new, text) in [
        (user("sws", "ana"), "account 'ana' in realm 'sws' exists already".to_owned()),
        (same_id, format!("the id {} exists already", ana.id)),
        (same_number, "the legacy id 1 in realm 'sws' exists already".to_owned()),
    ] {
        assert_eq!(insert(&store.audited(), &new, &hash("h"), NOW).await.unwrap_err().to_string(), text);
    }
    add(&store, &NewAccount { legacy_id: LegacyId::Given(1), ..user("apis", "ana") }).await;
}

#[tokio::test]
async fn what_could_not_be_a_header_is_refused() {
    let (_folder, store) = store().await;
    let role = |role: &str| NewAccount { role: Some(role.into()), ..user("sws", "ana") };
    let scope = |scope: &str| NewAccount { scopes: vec![scope.into()], ..user("sws", "ana") };
    let legacy_id = |id| NewAccount { legacy_id: LegacyId::Given(id), ..user("sws", "ana") };
    for new in [
        user("sws", ""),
        user("sws", " ana"),
        user("sws", "an\na"),
        user("sws", &"a".repeat(NAME_BYTES_MAX + 1)),
        NewAccount { kind: PrincipalKind::Project, ..user("toc", "p") },
        role(""),
        role("A\r\nX-Auth-Role: ADMIN"),
        scope("read write"),
        scope("lectura-ñ"),
        legacy_id(-1),
        legacy_id(LEGACY_ID_MAX + 1),
    ] {
        let refused = insert(&store.audited(), &new, &hash("h"), NOW).await;
        assert!(matches!(refused, Err(AccountError::Invalid(..))), "{new:?}");
    }
}

#[tokio::test]
async fn legacy_ids_count_from_one_and_never_come_back() {
    let (_folder, store) = store().await;
    let next = async |realm, user_name| {
        let account = add(&store, &NewAccount { legacy_id: LegacyId::Next, ..user(realm, user_name) }).await;
        account.legacy_id.unwrap()
    };
    assert_eq!(next("sws", "a").await, 1);
    assert_eq!(next("other", "a").await, 1);
    add(&store, &NewAccount { legacy_id: LegacyId::Given(41), ..user("sws", "b") }).await;
    assert_eq!(next("sws", "c").await, 42);
    add(&store, &NewAccount { legacy_id: LegacyId::Given(5), ..user("sws", "d") }).await;
    delete(&store.audited(), &"sws".parse().unwrap(), &name("c"), NOW).await.unwrap();
    assert_eq!(next("sws", "e").await, 43);
    add(&store, &NewAccount { legacy_id: LegacyId::Given(LEGACY_ID_MAX), ..user("sws", "f") }).await;
    let new = NewAccount { legacy_id: LegacyId::Next, ..user("sws", "g") };
    assert!(matches!(insert(&store.audited(), &new, &hash("h"), NOW).await, Err(AccountError::Invalid(..))));
}

#[tokio::test]
async fn a_realm_is_listed_in_pages_by_name() {
    let (_folder, store) = store().await;
    for user_name in ["c", "a", "b"] {
        add(&store, &user("sws", user_name)).await;
    }
    add(&store, &user("apis", "x")).await;
    let realm = "sws".parse().unwrap();
    let page = async |after: Option<&AccountName>| {
        let page = list(&store, &realm, PrincipalKind::User, after, 2).await.unwrap();
        page.into_iter().map(|account| account.name.name).collect::<Vec<_>>()
    };
    assert_eq!(page(None).await, ["a", "b"]);
    assert_eq!(page(Some(&name("b"))).await, ["c"]);
    assert!(list(&store, &realm, PrincipalKind::Client, None, 2).await.unwrap().is_empty());
}

#[tokio::test]
async fn each_change_that_ends_tokens_raises_the_epoch_in_the_log() {
    let (_folder, store) = store().await;
    let ana = add(&store, &user("sws", "ana")).await;
    let (realm, name) = (&ana.realm, &ana.name);
    let mut seen = 0;
    for epoch in 1..=6 {
        let raised = match epoch {
            1 | 6 => set_disabled(&store.audited(), realm, name, true, NOW).await,
            2 => set_role(&store.audited(), realm, name, Some("ADMIN"), NOW).await,
            3 => set_role(&store.audited(), realm, name, None, NOW).await,
            4 => set_password_hash(&store.audited(), realm, name, &hash("new"), OldTokens::End, NOW).await,
            _ => end_tokens(&store.audited(), realm, name, NOW).await,
        }
        .unwrap();
        assert_eq!(raised, [(ana.id, epoch), (named(&ana), epoch)]);
        let (records, seq) = logged(&store, seen).await;
        assert_eq!(sorted(records), sorted(raised), "a row of its own, under a new number");
        assert!(seq > seen);
        seen = seq;
        assert_eq!(reload(&store, &ana).await.epoch, epoch);
    }
    assert_eq!(reload(&store, &ana).await.password_hash, hash("new"));
}

#[tokio::test]
async fn other_changes_end_nothing() {
    let (_folder, store) = store().await;
    let ana = add(&store, &NewAccount { role: Some("USER".into()), ..user("sws", "ana") }).await;
    let (realm, name) = (&ana.realm, &ana.name);
    assert!(set_disabled(&store.audited(), realm, name, false, NOW).await.unwrap().is_empty());
    assert!(set_role(&store.audited(), realm, name, Some("USER"), NOW).await.unwrap().is_empty());
    assert!(
        set_password_hash(&store.audited(), realm, name, &hash("new"), OldTokens::Keep, NOW).await.unwrap().is_empty()
    );
    set_locked(&store.audited(), realm, name, true).await.unwrap();
    assert!(reload(&store, &ana).await.locked);
    set_locked(&store.audited(), realm, name, false).await.unwrap();
    let now = reload(&store, &ana).await;
    assert_eq!(now, Account { password_hash: hash("new"), ..ana });
    assert_eq!(logged(&store, 0).await.0, []);
}

#[tokio::test]
async fn a_deleted_account_never_comes_back() {
    let (_folder, store) = store().await;
    let new = user("sws", "ana");
    let ana = add(&store, &new).await;
    let login = session::Session {
        id: SessionId::generate(),
        realm: ana.realm.clone(),
        principal: ana.id,
        created_at: NOW,
        expires_at: None,
    };
    session::insert(&store, &login).await.unwrap();
    set_disabled(&store.audited(), &ana.realm, &ana.name, true, NOW).await.unwrap();
    let raised = delete(&store.audited(), &ana.realm, &ana.name, NOW).await.unwrap();
    assert_eq!(raised, [(ana.id, EPOCH_DELETED), (named(&ana), EPOCH_DELETED)]);
    assert_eq!(sorted(logged(&store, 0).await.0), sorted(raised));
    assert_eq!(find_by_id(&store, ana.id).await.unwrap(), None);
    assert_eq!(session::find(&store, login.id).await.unwrap(), None);
    assert!(
        matches!(insert(&store.audited(), &new, &hash("h"), NOW).await, Err(AccountError::Retired(id)) if id == ana.id)
    );
    let again = add(&store, &user("sws", "ana")).await;
    assert_ne!(again.id, ana.id);
}

#[tokio::test]
async fn what_does_not_exist_is_named() {
    let (_folder, store) = store().await;
    let realm = "toc".parse().unwrap();
    let project = AccountName { business: "B".into(), name: "p\u{1b}".into() };
    let text = "there is no account 'p\\u{1b}' of business 'B' in realm 'toc'";
    for error in [
        set_disabled(&store.audited(), &realm, &project, true, NOW).await.unwrap_err(),
        set_locked(&store.audited(), &realm, &project, true).await.unwrap_err(),
        set_role(&store.audited(), &realm, &project, None, NOW).await.unwrap_err(),
        set_password_hash(&store.audited(), &realm, &project, &hash("h"), OldTokens::End, NOW).await.unwrap_err(),
        end_tokens(&store.audited(), &realm, &project, NOW).await.unwrap_err(),
        delete(&store.audited(), &realm, &project, NOW).await.unwrap_err(),
    ] {
        assert_eq!(error.to_string(), text);
    }
    let error = company::delete(&store.audited(), &realm, "C", NOW).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no company 'C' in realm 'toc'");
    assert!(matches!(
        company::set_disabled(&store.audited(), &realm, "C", true, NOW).await,
        Err(AccountError::NotFound(_))
    ));
    assert_eq!(logged(&store, 0).await.0, []);
}

#[tokio::test]
async fn a_hash_is_renewed_only_while_it_is_the_one_that_was_proved() {
    let (_folder, store) = store().await;
    let ana = add(&store, &user("sws", "ana")).await;
    assert!(update_hash_if_unchanged(&store, ana.id, &hash("h"), &hash("better")).await.unwrap());
    assert!(!update_hash_if_unchanged(&store, ana.id, &hash("h"), &hash("late")).await.unwrap());
    let now = reload(&store, &ana).await;
    assert_eq!((now.password_hash, now.epoch), (hash("better"), 0));
}

#[tokio::test]
async fn a_company_takes_its_clients_tokens_along() {
    let (_folder, store) = store().await;
    let realm: RealmName = "become".parse().unwrap();
    let acme = company::insert(&store.audited(), &realm, "acme", NOW).await.unwrap();
    company::insert(&store.audited(), &realm, "other", NOW).await.unwrap();
    assert!(matches!(company::insert(&store.audited(), &realm, "acme", NOW).await, Err(AccountError::Exists(_))));
    assert_eq!(company::find(&store, &realm, "acme").await.unwrap(), Some(acme.clone()));
    assert_eq!(company::list(&store, &realm, None, 1).await.unwrap(), [acme]);
    assert_eq!(company::list(&store, &realm, Some("acme"), 9).await.unwrap()[0].name, "other");

    let (a, b) = (add(&store, &client("a", "acme")).await, add(&store, &client("b", "acme")).await);
    add(&store, &client("c", "other")).await;
    let at_epoch = |epoch| sorted([a.id, named(&a), b.id, named(&b)].map(|id| (id, epoch)).to_vec());
    assert_eq!(sorted(company::set_disabled(&store.audited(), &realm, "acme", true, NOW).await.unwrap()), at_epoch(1));
    assert!(company::find(&store, &realm, "acme").await.unwrap().unwrap().disabled);
    assert!(company::set_disabled(&store.audited(), &realm, "acme", false, NOW).await.unwrap().is_empty());
    assert_eq!(sorted(company::delete(&store.audited(), &realm, "acme", NOW).await.unwrap()), at_epoch(2));
    assert_eq!(sorted(logged(&store, 0).await.0), at_epoch(2));
    assert_eq!(reload(&store, &a).await.company.as_deref(), Some("acme"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_that_add_and_change_at_once_agree() {
    let (folder, one) = store().await;
    let two = open(&folder).await;
    let ana = add(&one, &user("sws", "ana")).await;
    let writers: Vec<_> = [(one.clone(), "one"), (two, "two")]
        .into_iter()
        .map(|(store, who)| {
            let ana = ana.clone();
            tokio::spawn(async move {
                for n in 0..15 {
                    let new = NewAccount { legacy_id: LegacyId::Next, ..user("sws", &format!("{who}-{n:02}")) };
                    add(&store, &new).await;
                    end_tokens(&store.audited(), &ana.realm, &ana.name, SystemClock.now()).await.unwrap();
                    let shared = insert(&store.audited(), &user("sws", &format!("both-{n}")), &hash("h"), NOW).await;
                    assert!(matches!(shared, Ok(_) | Err(AccountError::Exists(_))), "{shared:?}");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let all = list(&one, &ana.realm, PrincipalKind::User, None, 100).await.unwrap();
    let mut legacy_ids: Vec<_> = all.iter().filter_map(|account| account.legacy_id).collect();
    legacy_ids.sort_unstable();
    assert_eq!(legacy_ids, (1..=30).collect::<Vec<_>>());
    assert_eq!(all.len(), 1 + 30 + 15);
    let (raised, _) = logged(&one, 0).await;
    assert!(raised.len() == 2 && raised.contains(&(ana.id, 30)) && raised.contains(&(named(&ana), 30)), "{raised:?}");
    assert_eq!(reload(&one, &ana).await.epoch, 30);
}
