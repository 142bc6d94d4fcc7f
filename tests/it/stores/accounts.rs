//! Accounts: made once, numbered without gaps, ended for good.

use std::collections::BTreeSet;

use portero::{
    domain::{EPOCH_DELETED, PrincipalId, PrincipalKind, TokenSubject},
    state::{
        account::{
            self, AccountError, Filter, KnownAccounts, LegacyId, Listing, NewAccount, OldTokens, Sort, Speaker, company,
        },
        revocation::log::RevokedSubject,
        store::{EPOCH_FLOOR, Store, StoreError},
    },
};

use super::{CALLERS, Gateways, NOW, by, count, hash, named, new_user, on_both_stores, realm, set_role};

impl Gateways {
    /// The highest epoch in the log of revocations; the log has it once.
    async fn epoch_in_log(&self, id: PrincipalId) -> u32 {
        let records = self.revoked().await;
        let epochs = records.iter().filter_map(|record| match record.subject {
            RevokedSubject::Principal(subject, epoch) if subject == id => Some(epoch),
            _ => None,
        });
        let epochs: Vec<_> = epochs.collect();
        assert!(epochs.len() < 2, "a subject stands in the log once");
        epochs.first().copied().unwrap_or(0)
    }
}

#[test]
fn an_account_is_found_by_every_gateway_as_it_was_made() {
    on_both_stores(async |gateways| {
        let (store, other) = (gateways.store(), gateways.other());
        let new = NewAccount {
            legacy_id: LegacyId::Given(7),
            display_name: Some("Ana".to_owned()),
            role: Some("admin".to_owned()),
            scopes: vec!["a".to_owned(), "b".to_owned()],
            grants: Some(vec![]),
            ..new_user("ana")
        };
        let ana = account::insert(&by(store), &new, &hash("h"), NOW).await.unwrap();
        assert_eq!((ana.legacy_id, ana.epoch, ana.created_at), (Some(7), 0, NOW));
        assert_eq!(account::find(other, &realm(), &named("ana")).await.unwrap().as_ref(), Some(&ana));
        assert_eq!(account::find_by_id(other, ana.id).await.unwrap().as_ref(), Some(&ana));
        let next = NewAccount { legacy_id: LegacyId::Next, ..new_user("eva") };
        assert_eq!(account::insert(&by(other), &next, &hash("h"), NOW).await.unwrap().legacy_id, Some(8));
        let taken = [
            new_user("ana"),
            NewAccount { id: ana.id, ..new_user("other") },
            NewAccount { legacy_id: LegacyId::Given(7), ..new_user("other") },
        ];
        for taken in taken {
            let refused = account::insert(&by(other), &taken, &hash("h"), NOW).await;
            assert!(matches!(refused, Err(AccountError::Exists(_))));
        }
        assert_eq!(account::find(store, &"sws".parse().unwrap(), &named("ana")).await.unwrap(), None);
    });
}

#[test]
fn a_name_with_a_zero_byte_is_one_that_nobody_has() {
    on_both_stores(async |gateways| {
        let (store, realm) = (gateways.store(), &realm());
        gateways.user("ana").await;
        let zero = named("ana\0");
        assert_eq!(account::find(store, realm, &zero).await.unwrap(), None);
        assert_eq!(company::find(store, realm, "\0").await.unwrap(), None);
        let refused = account::set_locked(&by(store), realm, &zero, true).await;
        assert!(matches!(refused, Err(AccountError::NotFound(_))), "{refused:?}");
        // What would write one is refused before either engine sees it.
        let refused = company::set_disabled(&by(store), realm, "acme\0", true, NOW).await;
        assert!(matches!(refused, Err(AccountError::Store(StoreError::ZeroByte))), "{refused:?}");
        let page = async |filter, after| {
            let listing = Listing {
                realm,
                kind: PrincipalKind::User,
                filter,
                sort: Sort::Name,
                descending: false,
                after,
                limit: 9,
            };
            account::page(store, &listing).await.unwrap().len()
        };
        assert_eq!(page(Filter { name_prefix: Some("\0".to_owned()), ..Filter::default() }, None).await, 0);
        assert_eq!(page(Filter::default(), Some(named("\0"))).await, 1);
    });
}

#[test]
fn accounts_are_listed_in_pages_by_the_bytes_of_their_names() {
    on_both_stores(async |gateways| {
        for name in ["é", "b", "B", "a b", "a", "_"] {
            gateways.user(name).await;
        }
        let client = NewAccount { kind: PrincipalKind::Client, ..new_user("c") };
        account::insert(&by(gateways.store()), &client, &hash("h"), NOW).await.unwrap();
        let (mut names, mut after) = (vec![], None);
        loop {
            let page = account::list(gateways.other(), &realm(), PrincipalKind::User, after.as_ref(), 2).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            names.extend(page.into_iter().map(|account| account.name.name));
        }
        assert_eq!(names, ["B", "_", "a", "a b", "b", "é"]);
    });
}

#[test]
fn what_ends_the_tokens_of_an_account_raises_its_epoch_in_the_log() {
    on_both_stores(async |gateways| {
        let (store, realm, name) = (gateways.store(), &realm(), &named("ana"));
        let ana = gateways.user("ana").await;
        let by_name = PrincipalId::of_name(realm, "", "ana");
        let both = |epoch| vec![(ana.id, epoch), (by_name, epoch)];
        assert_eq!(account::set_disabled(&by(store), realm, name, true, NOW).await.unwrap(), both(1));
        assert_eq!(account::set_disabled(&by(store), realm, name, false, NOW).await.unwrap(), []);
        assert_eq!(set_role(store, realm, name, Some("r"), NOW).await.unwrap(), both(2));
        assert_eq!(set_role(store, realm, name, Some("r"), NOW).await.unwrap(), [], "it has it");
        assert_eq!(set_role(store, realm, name, None, NOW).await.unwrap(), both(3));
        let end = OldTokens::End;
        assert_eq!(account::set_password_hash(&by(store), realm, name, &hash("i"), end, NOW).await.unwrap(), both(4));
        let keep = OldTokens::Keep;
        assert_eq!(account::set_password_hash(&by(store), realm, name, &hash("j"), keep, NOW).await.unwrap(), []);
        assert_eq!(account::end_tokens(&by(store), realm, name, NOW).await.unwrap(), both(5));
        account::set_locked(&by(store), realm, name, true).await.unwrap();
        assert!(!account::update_hash_if_unchanged(store, ana.id, &hash("i"), &hash("k")).await.unwrap());
        assert!(account::update_hash_if_unchanged(store, ana.id, &hash("j"), &hash("k")).await.unwrap());
        let found = account::find(gateways.other(), realm, name).await.unwrap().unwrap();
        assert_eq!((found.epoch, found.locked, found.password_hash), (5, true, hash("k")));
        assert_eq!(gateways.epoch_in_log(ana.id).await, 5);
        assert_eq!(gateways.epoch_in_log(by_name).await, 5);

        store.set_meta(EPOCH_FLOOR, b"1000").await.unwrap();
        assert_eq!(account::end_tokens(&by(store), realm, name, NOW).await.unwrap(), both(1000));
        assert_eq!(account::record_names(&by(store), realm, NOW).await.unwrap(), [(by_name, 1000)]);
        assert_eq!(account::delete(&by(store), realm, name, NOW).await.unwrap(), both(EPOCH_DELETED));
        assert_eq!(account::find_by_id(gateways.other(), ana.id).await.unwrap(), None);
        assert_eq!(gateways.epoch_in_log(ana.id).await, EPOCH_DELETED);
        let again = NewAccount { id: ana.id, ..new_user("ana") };
        let refused = account::insert(&by(store), &again, &hash("h"), NOW).await;
        assert!(matches!(refused, Err(AccountError::Retired(id)) if id == ana.id));
    });
}

#[test]
fn an_account_that_is_not_there_cannot_be_changed() {
    on_both_stores(async |gateways| {
        let (store, realm, name) = (gateways.store(), &realm(), &named("nobody"));
        let refused = [
            account::set_disabled(&by(store), realm, name, true, NOW).await,
            account::set_locked(&by(store), realm, name, true).await.map(|()| vec![]),
            set_role(store, realm, name, Some("r"), NOW).await,
            account::set_password_hash(&by(store), realm, name, &hash("h"), OldTokens::End, NOW).await,
            account::end_tokens(&by(store), realm, name, NOW).await,
            account::delete(&by(store), realm, name, NOW).await,
        ];
        assert!(refused.iter().all(|refused| matches!(refused, Err(AccountError::NotFound(_)))));
        assert!(
            !account::update_hash_if_unchanged(store, PrincipalId::generate(), &hash("h"), &hash("i")).await.unwrap()
        );
        assert_eq!(gateways.revoked().await, []);
    });
}

#[test]
fn of_many_accounts_of_one_name_one_is_made() {
    on_both_stores(async |gateways| {
        let call =
            |store: Store, _| async move { account::insert(&by(&store), &new_user("ana"), &hash("h"), NOW).await };
        let made = gateways.at_once(call).await;
        assert_eq!(count(&made, Result::is_ok), 1);
        assert_eq!(count(&made, |made| matches!(made, Err(AccountError::Exists(_)))), CALLERS - 1);
        let listed = account::list(gateways.store(), &realm(), PrincipalKind::User, None, 9).await.unwrap();
        assert_eq!(listed, [made.into_iter().find_map(Result::ok).unwrap()]);
    });
}

#[test]
fn new_accounts_get_distinct_numbers_without_gaps_and_no_gateway_misses_one() {
    on_both_stores(async |gateways| {
        let known = KnownAccounts::default();
        known.want([realm()].into());
        known.load(gateways.other()).await.unwrap();
        let call = |store: Store, caller: usize| async move {
            let new = NewAccount { legacy_id: LegacyId::Next, ..new_user(&format!("user {caller}")) };
            account::insert(&by(&store), &new, &hash("h"), NOW).await.unwrap()
        };
        let making = gateways.at_once(call);
        tokio::pin!(making);
        let made = loop {
            tokio::select! {
                biased;
                made = &mut making => break made,
                followed = known.follow(gateways.other(), |_, _| {}) => drop(followed.unwrap()),
            }
        };
        let numbers: BTreeSet<_> = made.iter().filter_map(|account| account.legacy_id).collect();
        assert!(numbers.into_iter().eq(1..=i64::try_from(CALLERS).unwrap()));
        known.follow(gateways.other(), |_, _| {}).await.unwrap();
        let speaker = |account: &account::Account| known.account_of(&realm(), &TokenSubject::Account(account.id));
        assert_eq!(count(&made, |account| speaker(account) == Speaker::Account), CALLERS);
    });
}

#[test]
fn every_raise_of_an_epoch_counts() {
    on_both_stores(async |gateways| {
        let ana = gateways.user("ana").await;
        let call = |store: Store, caller: usize| async move {
            let (realm, name) = (&realm(), &named("ana"));
            match caller % 4 {
                0 => account::end_tokens(&by(&store), realm, name, NOW).await,
                1 => account::set_disabled(&by(&store), realm, name, true, NOW).await,
                2 => set_role(&store, realm, name, Some(&format!("role {caller}")), NOW).await,
                _ => account::set_password_hash(&by(&store), realm, name, &hash("i"), OldTokens::End, NOW).await,
            }
        };
        let raised = gateways.at_once(call).await;
        let epochs: BTreeSet<_> = raised.into_iter().map(|raised| raised.unwrap()[0].1).collect();
        let last = u32::try_from(CALLERS).unwrap();
        assert!(epochs.into_iter().eq(1..=last), "each caller is told an epoch of its own");
        assert_eq!(account::find_by_id(gateways.store(), ana.id).await.unwrap().unwrap().epoch, last);
        assert_eq!(gateways.epoch_in_log(ana.id).await, last);
    });
}

#[test]
fn of_many_better_hashes_for_one_hash_one_is_taken() {
    on_both_stores(async |gateways| {
        let id = gateways.user("ana").await.id;
        let call = move |store: Store, caller: usize| async move {
            account::update_hash_if_unchanged(&store, id, &hash("h"), &hash(&format!("{caller}"))).await.unwrap()
        };
        let taken = gateways.at_once(call).await;
        assert_eq!(count(&taken, |taken| *taken), 1);
        let winner = taken.iter().position(|taken| *taken).unwrap();
        let found = account::find_by_id(gateways.store(), id).await.unwrap().unwrap();
        assert_eq!(found.password_hash, hash(&winner.to_string()));
    });
}

#[test]
fn a_name_that_is_deleted_and_made_at_once_has_one_account_at_most_and_every_id_that_was_deleted_has_ended() {
    on_both_stores(async |gateways| {
        let call = |store: Store, caller: usize| async move {
            if caller.is_multiple_of(2) {
                account::delete(&by(&store), &realm(), &named("ana"), NOW).await.map(|raised| (raised[0].0, true))
            } else {
                account::insert(&by(&store), &new_user("ana"), &hash("h"), NOW).await.map(|made| (made.id, false))
            }
        };
        let (mut made, mut deleted) = (BTreeSet::new(), BTreeSet::new());
        for answer in gateways.at_once(call).await {
            match answer {
                Ok((id, true)) => assert!(deleted.insert(id.uuid()), "an account is deleted once"),
                Ok((id, false)) => assert!(made.insert(id.uuid())),
                Err(AccountError::Exists(_) | AccountError::NotFound(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let left = account::list(gateways.store(), &realm(), PrincipalKind::User, None, 9).await.unwrap();
        let left: BTreeSet<_> = left.iter().map(|account| account.id.uuid()).collect();
        assert!(left.len() < 2 && left.is_disjoint(&deleted));
        assert_eq!(made, &left | &deleted);
        for id in deleted {
            assert_eq!(gateways.epoch_in_log(PrincipalId::from_uuid(id)).await, EPOCH_DELETED);
        }
    });
}
