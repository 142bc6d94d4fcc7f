//! Two secrets of an account, and what is written down of its logins.

use portero::{
    domain::{PrincipalId, Timestamp},
    state::{
        account::{self, Account, AccountError, Credentials, Logins, OldTokens, SecretHash, write_logins},
        store::Store,
    },
};

use super::{CALLERS, Gateways, NOW, at, by, hash, named, new_user, on_both_stores, realm, trusted};

impl Gateways {
    async fn ana(&self) -> Account {
        account::find(self.other(), &realm(), &named("ana")).await.unwrap().unwrap()
    }

    async fn overlap(&self, new: &str, made: bool, ends_at: Timestamp) {
        let secret = SecretHash { hash: &hash(new), made };
        account::overlap_secrets(&by(self.store()), &realm(), &named("ana"), secret, ends_at).await.unwrap();
    }

    /// What opens the account at this time.
    async fn opened_by(&self, now: Timestamp) -> (String, Option<String>) {
        let Credentials { current, previous } = self.ana().await.credentials(now);
        (current.text().to_owned(), previous.map(|previous| previous.text().to_owned()))
    }
}

fn pair(current: &str, previous: Option<&str>) -> (String, Option<String>) {
    (current.to_owned(), previous.map(str::to_owned))
}

#[test]
fn two_secrets_are_taken_until_one_ends_or_is_replaced_by_anybody() {
    on_both_stores(async |gateways| {
        let (store, realm, name, end) = (gateways.store(), &realm(), &named("ana"), at(2_000_000));
        let made = SecretHash { hash: &hash("one"), made: true };
        let ana = account::insert(&by(store), &new_user("ana"), made, NOW).await.unwrap();
        assert!(ana.is_secret_made() && gateways.ana().await == ana);
        gateways.overlap("two", true, end).await;
        assert!(gateways.ana().await.is_secret_made());
        assert_eq!(gateways.opened_by(NOW).await, pair("two", Some("one")));
        assert_eq!(gateways.opened_by(end).await, pair("two", None), "its end is not in it");
        gateways.overlap("three", false, end).await;
        assert_eq!(gateways.opened_by(NOW).await, pair("three", Some("two")));
        assert!(!gateways.ana().await.is_secret_made(), "somebody chose one of them");

        // Each is hashed anew in its own place.
        assert!(account::update_hash_if_unchanged(store, ana.id, &hash("two"), &hash("two'")).await.unwrap());
        assert!(account::update_hash_if_unchanged(store, ana.id, &hash("three"), &hash("three'")).await.unwrap());
        assert!(!account::update_hash_if_unchanged(store, ana.id, &hash("one"), &hash("one'")).await.unwrap());
        assert_eq!(gateways.opened_by(NOW).await, pair("three'", Some("two'")));

        assert!(account::end_overlap(&by(store), realm, name).await.unwrap());
        assert!(!account::end_overlap(&by(store), realm, name).await.unwrap());
        assert_eq!(gateways.opened_by(NOW).await, pair("three'", None));

        gateways.overlap("four", true, end).await;
        assert_eq!(account::prune_previous(store, trusted(end), 9).await.unwrap(), 0);
        assert_eq!(account::prune_previous(store, trusted(at(2_000_001)), 9).await.unwrap(), 1);
        assert_eq!(gateways.opened_by(NOW).await, pair("four", None));
        assert!(gateways.ana().await.is_secret_made(), "the chosen one is gone");

        gateways.overlap("five", true, end).await;
        let keep = OldTokens::Keep;
        account::set_password_hash(&by(store), realm, name, &hash("six"), keep, NOW).await.unwrap();
        assert_eq!(gateways.opened_by(NOW).await, pair("six", None));
        assert!(!gateways.ana().await.is_secret_made());

        // Two that rotate at once leave two secrets, and the later one's is the present one.
        let call = |store: Store, caller: usize| async move {
            let new = hash(&format!("new {caller}"));
            let secret = SecretHash { hash: &new, made: true };
            account::overlap_secrets(&by(&store), &super::realm(), &named("ana"), secret, end).await
        };
        assert!(gateways.at_once(call).await.iter().all(Result::is_ok));
        let (current, previous) = gateways.opened_by(NOW).await;
        assert!(current.starts_with("new") && previous.is_some_and(|previous| previous != current));

        account::delete(&by(store), realm, name, NOW).await.unwrap();
        let again = account::insert(&by(store), &new_user("ana"), &hash("again"), NOW).await.unwrap();
        assert_eq!(again.credentials(NOW).previous, None);
        let nobody = account::end_overlap(&by(store), realm, &named("nobody")).await;
        assert!(matches!(nobody, Err(AccountError::NotFound(_))));
    });
}

#[test]
fn logins_of_accounts_are_written_down_and_those_of_nobody_are_not() {
    on_both_stores(async |gateways| {
        let (ana, eva) = (gateways.user("ana").await.id, gateways.user("eva").await.id);
        let written = async || {
            let of = async |id| account::find_by_id(gateways.other(), id).await.unwrap().unwrap();
            [of(ana).await, of(eva).await].map(|account| (account.last_login_at, account.failed_logins))
        };
        let logins = Logins::default();
        let write = async || write_logins(gateways.store(), &logins, async || ()).await.unwrap();
        write().await;
        assert_eq!(written().await, [(None, 0), (None, 0)]);
        logins.failed(ana);
        logins.failed(ana);
        logins.failed(PrincipalId::generate());
        write().await;
        logins.failed(ana);
        logins.succeeded(eva, at(7));
        write().await;
        assert_eq!(written().await, [(None, 3), (Some(at(7)), 0)]);
        logins.succeeded(ana, at(9));
        logins.failed(ana);
        logins.failed(eva);
        write().await;
        assert_eq!(written().await, [(Some(at(9)), 1), (Some(at(7)), 1)]);

        // Every gateway counts on top of what the others wrote.
        let call = move |store: Store, _| async move {
            let logins = Logins::default();
            logins.failed(ana);
            logins.failed(eva);
            write_logins(&store, &logins, async || ()).await
        };
        assert!(gateways.at_once(call).await.iter().all(Result::is_ok));
        let all = u32::try_from(CALLERS).unwrap() + 1;
        assert_eq!(written().await.map(|(_, failed)| failed), [all, all]);

        // A deleted account gets no row, and the next one of its name begins anew.
        logins.failed(ana);
        account::delete(&by(gateways.store()), &realm(), &named("ana"), NOW).await.unwrap();
        write().await;
        assert_eq!(gateways.user("ana").await.failed_logins, 0);
    });
}
