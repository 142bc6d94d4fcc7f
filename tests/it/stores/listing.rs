//! Lists of accounts, and changes of what they are.

use portero::{
    domain::{GrantType, PrincipalKind},
    state::{
        account::{
            self, Account, AccountError, Filter, LegacyId, Listing, Logins, NewAccount, OldTokens, Revised, Revision,
            Sort, Status, company, write_logins,
        },
        store::Store,
    },
};

use super::{CALLERS, Gateways, NOW, at, by, count, hash, named, new_user, on_both_stores, realm};

impl Gateways {
    /// The names of all accounts that are wanted, in pages of two.
    async fn listed(&self, filter: &Filter, sort: Sort, descending: bool) -> Vec<String> {
        let (mut names, mut after) = (vec![], None);
        loop {
            let (realm, kind) = (&realm(), PrincipalKind::User);
            let listing = Listing { realm, kind, filter: filter.clone(), sort, descending, after, limit: 2 };
            let page = account::page(self.other(), &listing).await.unwrap();
            let Some(last) = page.last() else { return names };
            after = Some(last.name.clone());
            names.extend(page.into_iter().map(|account| account.name.name));
        }
    }
}

#[test]
fn accounts_are_filtered_sorted_and_paged_alike() {
    on_both_stores(async |gateways| {
        let (store, realm) = (gateways.store(), &realm());
        let logins = Logins::default();
        // In the order of their bytes; made in another one.
        let all = ["Ana", "ana", "anb", "ano\u{10ffff}x", "ño"];
        for (age, name) in [("ano\u{10ffff}x", 1), ("ño", 2), ("anb", 2), ("Ana", 3), ("ana", 4)].map(|(a, b)| (b, a))
        {
            let (role, company) = if age == 2 { ("r", "c") } else { ("other", "other") };
            let new = NewAccount { role: Some(role.into()), company: Some(company.into()), ..new_user(name) };
            let made = account::insert(&by(store), &new, &hash("h"), at(age)).await.unwrap();
            if age != 4 {
                logins.succeeded(made.id, at(100 - age));
            }
        }
        write_logins(store, &logins, async || ()).await.unwrap();
        account::set_disabled(&by(store), realm, &named("Ana"), true, NOW).await.unwrap();
        account::set_locked(&by(store), realm, &named("Ana"), true).await.unwrap();
        account::set_locked(&by(store), realm, &named("ana"), true).await.unwrap();

        let list = async |filter: Filter, sort, descending| gateways.listed(&filter, sort, descending).await;
        assert_eq!(list(Filter::default(), Sort::Name, false).await, all);
        let turned: Vec<_> = all.iter().rev().copied().collect();
        assert_eq!(list(Filter::default(), Sort::Name, true).await, turned);
        let created = ["ano\u{10ffff}x", "anb", "ño", "Ana", "ana"];
        assert_eq!(list(Filter::default(), Sort::Created, false).await, created);
        let login = ["ana", "Ana", "anb", "ño", "ano\u{10ffff}x"];
        assert_eq!(list(Filter::default(), Sort::LastLogin, false).await, login, "first who never did");
        let turned: Vec<_> = login.iter().rev().copied().collect();
        assert_eq!(list(Filter::default(), Sort::LastLogin, true).await, turned);

        let only = async |filter: Filter| gateways.listed(&filter, Sort::Name, false).await;
        let of = |status| Filter { status: Some(status), ..Filter::default() };
        assert_eq!(only(of(Status::Active)).await, ["anb", "ano\u{10ffff}x", "ño"]);
        assert_eq!(only(of(Status::Locked)).await, ["ana"]);
        assert_eq!(only(of(Status::Disabled)).await, ["Ana"]);
        assert_eq!(only(Filter { role: Some("r".into()), ..Filter::default() }).await, ["anb", "ño"]);
        assert_eq!(only(Filter { company: Some("c".into()), ..of(Status::Locked) }).await, [""; 0]);
        let begins = |prefix: &str| Filter { name_prefix: Some(prefix.into()), ..Filter::default() };
        assert_eq!(only(begins("an")).await, ["ana", "anb", "ano\u{10ffff}x"]);
        assert_eq!(only(begins("ano\u{10ffff}")).await, ["ano\u{10ffff}x"]);
        assert_eq!(only(begins("a%")).await, [""; 0], "no pattern");
        let never = Filter { never_logged_in: true, ..Filter::default() };
        assert_eq!(only(never.clone()).await, ["ana"]);
        let before = Some(at(98));
        assert_eq!(only(Filter { last_login_before: before, ..Filter::default() }).await, ["Ana"]);
        assert_eq!(only(Filter { last_login_before: before, ..never }).await, ["Ana", "ana"]);

        // A page behind an account that is gone has a place by name alone.
        let kind = PrincipalKind::User;
        let gone = |sort| Listing {
            realm,
            kind,
            filter: Filter::default(),
            sort,
            descending: false,
            after: Some(named("b")),
            limit: 2,
        };
        assert_eq!(account::page(store, &gone(Sort::Name)).await.unwrap().len(), 1);
        let refused = account::page(store, &gone(Sort::Created)).await;
        assert!(matches!(refused, Err(AccountError::NotFound(_))));
    });
}

#[test]
fn what_an_account_is_changes_as_a_whole_or_not_at_all() {
    on_both_stores(async |gateways| {
        let (store, realm, name) = (gateways.store(), &realm(), &named("ana"));
        let numbered = |number| NewAccount { legacy_id: LegacyId::Given(number), ..new_user("ana") };
        account::insert(&by(store), &numbered(7), &hash("h"), NOW).await.unwrap();
        account::insert(&by(store), &NewAccount { name: named("eva"), ..numbered(8) }, &hash("h"), NOW).await.unwrap();
        company::insert(&by(store), realm, "acme", NOW).await.unwrap();
        let revise = async |revision: Revision, tokens: OldTokens| {
            let judge = |before: &Account, _: &Account| {
                assert_eq!(before.name, *name);
                Ok::<_, AccountError>(tokens)
            };
            account::revise(&by(store), realm, name, revision, judge, NOW).await
        };
        let whole = Revision {
            display_name: Revised::To(Some("Ana".into())),
            role: Revised::To(Some("r".into())),
            scopes: Revised::To(vec!["b".into(), "a".into()]),
            company: Revised::To(Some("acme".into())),
            legacy_id: Revised::To(Some(9)),
            grants: Revised::To(Some(vec![GrantType::RefreshToken])),
        };
        assert_eq!(revise(whole, OldTokens::End).await.unwrap().len(), 2);
        let ana = async || account::find(gateways.other(), realm, name).await.unwrap().unwrap();
        let found = ana().await;
        assert_eq!((found.display_name.as_deref(), found.role.as_deref()), (Some("Ana"), Some("r")));
        assert_eq!((found.scopes.join(" "), found.company.as_deref()), ("b a".to_owned(), Some("acme")));
        assert_eq!((found.legacy_id, found.grants.as_deref()), (Some(9), Some(&[GrantType::RefreshToken][..])));
        assert_eq!(found.epoch, 1);
        assert_eq!(revise(Revision::default(), OldTokens::Keep).await.unwrap(), []);

        let role = || Revised::To(Some("changed".to_owned()));
        let refused = [
            (Revision { legacy_id: Revised::To(Some(8)), role: role(), ..Revision::default() }, "exists already"),
            (
                Revision { company: Revised::To(Some("none".into())), role: role(), ..Revision::default() },
                "add it first",
            ),
            (Revision { scopes: Revised::To(vec!["a b".into()]), role: role(), ..Revision::default() }, "a scope"),
        ];
        for (revision, said) in refused {
            let error = revise(revision, OldTokens::End).await.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert_eq!(ana().await, found, "nothing changed");
        }
        // A number that was given up never comes back by itself.
        let next = NewAccount { legacy_id: LegacyId::Next, ..new_user("leo") };
        assert_eq!(account::insert(&by(store), &next, &hash("h"), NOW).await.unwrap().legacy_id, Some(10));

        // Of many that want one number one gets it.
        for caller in 0..CALLERS {
            gateways.user(&format!("user {caller}")).await;
        }
        let call = |store: Store, caller: usize| async move {
            let judge = |_: &Account, _: &Account| Ok::<_, AccountError>(OldTokens::End);
            let revision = Revision { legacy_id: Revised::To(Some(77)), ..Revision::default() };
            account::revise(&by(&store), &super::realm(), &named(&format!("user {caller}")), revision, judge, NOW).await
        };
        let revised = gateways.at_once(call).await;
        assert_eq!(count(&revised, Result::is_ok), 1);
        assert_eq!(count(&revised, |revised| matches!(revised, Err(AccountError::Exists(_)))), CALLERS - 1);
    });
}
