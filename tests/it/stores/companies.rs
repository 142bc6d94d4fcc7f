//! Companies, and what ends with them.

use portero::state::{
    account::{self, AccountError, NewAccount, company},
    store::Store,
};

use super::{CALLERS, Gateways, NOW, by, count, hash, named, new_user, on_both_stores, realm};

const COMPANY: &str = "acme";

impl Gateways {
    async fn member(&self, name: &str) {
        let new = NewAccount { company: Some(COMPANY.to_owned()), ..new_user(name) };
        account::insert(&by(self.store()), &new, &hash("h"), NOW).await.unwrap();
    }

    async fn epoch_of(&self, name: &str) -> u32 {
        account::find(self.other(), &realm(), &named(name)).await.unwrap().unwrap().epoch
    }
}

#[test]
fn a_company_is_found_listed_and_deleted_and_ends_the_tokens_of_its_clients() {
    on_both_stores(async |gateways| {
        let (store, realm) = (gateways.store(), &realm());
        for name in ["b", "B", COMPANY] {
            company::insert(&by(store), realm, name, NOW).await.unwrap();
        }
        gateways.member("ana").await;
        gateways.member("eva").await;
        gateways.user("other").await;
        let found = company::find(gateways.other(), realm, COMPANY).await.unwrap().unwrap();
        assert_eq!((found.disabled, found.created_at), (false, NOW));
        let first = company::list(store, realm, None, 2).await.unwrap();
        let rest = company::list(store, realm, Some(&first[1].name), 2).await.unwrap();
        let names: Vec<_> = first.iter().chain(&rest).map(|company| &company.name[..]).collect();
        assert_eq!(names, ["B", COMPANY, "b"]);

        assert_eq!(company::set_disabled(&by(store), realm, COMPANY, true, NOW).await.unwrap().len(), 4);
        assert!(company::find(gateways.other(), realm, COMPANY).await.unwrap().unwrap().disabled);
        assert_eq!(company::set_disabled(&by(store), realm, COMPANY, false, NOW).await.unwrap(), []);
        let raised = company::delete(&by(store), realm, COMPANY, NOW).await.unwrap();
        assert!(raised.len() == 4 && raised.iter().all(|(_, epoch)| *epoch == 2));
        assert_eq!([gateways.epoch_of("ana").await, gateways.epoch_of("other").await], [2, 0]);
        assert_eq!(count(&gateways.revoked().await, |_| true), 4);
        let missing = [
            company::set_disabled(&by(store), realm, COMPANY, true, NOW).await,
            company::delete(&by(store), realm, COMPANY, NOW).await,
        ];
        assert!(missing.iter().all(|missing| matches!(missing, Err(AccountError::NotFound(_)))));
        assert_eq!(company::find(store, realm, COMPANY).await.unwrap(), None);
    });
}

#[test]
fn of_many_companies_of_one_name_one_is_made_and_one_is_deleted() {
    on_both_stores(async |gateways| {
        let insert = |store: Store, _| async move { company::insert(&by(&store), &realm(), COMPANY, NOW).await };
        let made = gateways.at_once(insert).await;
        assert_eq!(count(&made, Result::is_ok), 1);
        assert_eq!(count(&made, |made| matches!(made, Err(AccountError::Exists(_)))), CALLERS - 1);
        let delete = |store: Store, _| async move { company::delete(&by(&store), &realm(), COMPANY, NOW).await };
        let deleted = gateways.at_once(delete).await;
        assert_eq!(count(&deleted, Result::is_ok), 1);
        assert_eq!(count(&deleted, |deleted| matches!(deleted, Err(AccountError::NotFound(_)))), CALLERS - 1);
    });
}

/// Each of them changes several rows of the same accounts: none waits for one that waits for it.
#[test]
fn the_epochs_of_a_companys_clients_are_raised_by_many_at_once() {
    on_both_stores(async |gateways| {
        company::insert(&by(gateways.store()), &realm(), COMPANY, NOW).await.unwrap();
        for name in ["a", "b", "c", "d", "e"] {
            gateways.member(name).await;
        }
        let call = |store: Store, caller: usize| async move {
            let realm = &realm();
            match caller % 4 {
                0 => company::set_disabled(&by(&store), realm, COMPANY, true, NOW).await,
                1 => account::record_names(&by(&store), realm, NOW).await.map_err(AccountError::from),
                2 => account::end_tokens(&by(&store), realm, &named("b"), NOW).await,
                _ => account::end_tokens(&by(&store), realm, &named("d"), NOW).await,
            }
        };
        for answer in gateways.at_once(call).await {
            answer.unwrap();
        }
        let share = u32::try_from(CALLERS / 4).unwrap();
        assert_eq!([gateways.epoch_of("a").await, gateways.epoch_of("b").await], [share, 2 * share]);
    });
}
