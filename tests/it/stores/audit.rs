//! Rows of administrative changes: with the change or not at all, without holes, and never changed unseen.

use std::{sync::Arc, time::Duration};

use portero::{
    decision::{
        AdminService,
        admin::audit::{Scope, Verified},
    },
    domain::{Algorithm, SystemClock},
    observe::audit::{ChainId, ChainKey, Mac, Purpose},
    state::{
        account::{self, AccountError},
        clock::TrustedClock,
        keys::{OldKeyPlan, Vault},
        store::{Actor, Anchor, Store, StoreSettings, anchors, forget_anchors, set_anchor},
    },
};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use super::{CALLERS, Gateways, NOW, by, hash, named, new_user, on_both_stores, realm, set_role, trusted};

impl Gateways {
    /// What somebody else does to the store.
    async fn tamper(&self, statements: &'static str) {
        if let StoreSettings::Sqlite(path) = &self.settings {
            let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
            sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        } else {
            let mut connection = self.connect().await;
            sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
    }
}

fn admin(vault: &Vault) -> AdminService {
    let trusted = TrustedClock::begin(None, Arc::new(SystemClock));
    AdminService::new(Actor::command("tester", "no terminal"), vault, trusted, None)
}

async fn verified(vault: &Vault) -> Verified {
    admin(vault).verify_audit(&Scope::default()).await.unwrap()
}

#[test]
fn rows_have_no_holes_however_many_change_something_at_once() {
    on_both_stores(async |gateways| {
        let vaults = gateways.vaults().await;
        let call = |_: Store, number: usize| {
            let store = vaults[number % 2].audited_store();
            async move {
                let name = format!("user {number}");
                account::insert(&store, &new_user(&name), &hash("h"), NOW).await.unwrap();
                account::set_disabled(&store, &realm(), &named(&name), true, NOW).await.unwrap();
            }
        };
        gateways.at_once(call).await;
        let found = verified(&vaults[0]).await;
        assert_eq!(found.findings, []);
        let rows = admin(&vaults[1]).audit_rows(0, 10_000).await.unwrap();
        assert_eq!((found.rows, rows.len()), (2 * CALLERS as u64, 2 * CALLERS));
        assert!(rows.iter().zip(1..).all(|(row, number)| row.number == number));
        // The disabling of each comes behind its making.
        for row in rows.iter().filter(|row| row.action == "account.disable") {
            let made = rows.iter().find(|made| made.action == "account.add" && made.subject == row.subject).unwrap();
            assert!(made.number < row.number);
        }
    });
}

#[test]
fn what_does_not_happen_has_no_row() {
    on_both_stores(async |gateways| {
        let vaults = gateways.vaults().await;
        let store = vaults[0].audited_store();
        let missing = account::set_disabled(&store, &realm(), &named("nobody"), true, NOW).await;
        assert!(matches!(missing, Err(AccountError::NotFound(_))));
        account::insert(&store, &new_user("ana"), &hash("h"), NOW).await.unwrap();
        assert!(account::insert(&store, &new_user("ana"), &hash("h"), NOW).await.is_err());
        set_role(gateways.store(), &realm(), &named("ana"), None, NOW).await.unwrap();
        let rows = admin(&vaults[0]).audit_rows(0, 10).await.unwrap();
        let actions: Vec<_> = rows.iter().map(|row| row.action.as_str()).collect();
        assert_eq!(actions, ["account.add"]);
        let row = &rows[0];
        assert_eq!((row.actor_kind.as_str(), row.origin.as_str()), ("gateway", "schedule"));
        assert!(!format!("{row:?}").contains("ana") && !format!("{row:?}").contains("argon2"), "{row:?}");
    });
}

#[test]
fn whatever_somebody_does_to_rows_is_found() {
    on_both_stores(async |gateways| {
        let vaults = gateways.vaults().await;
        let store = vaults[0].audited_store();
        for name in ["a", "b", "c", "d"] {
            account::insert(&store, &new_user(name), &hash("h"), NOW).await.unwrap();
        }
        gateways
            .tamper(
                "CREATE TABLE rows_before AS SELECT * FROM audit; \
                 CREATE TABLE anchors_before AS SELECT * FROM audit_anchors",
            )
            .await;
        assert_eq!(verified(&vaults[0]).await.findings, []);
        for (done, said) in [
            ("UPDATE audit SET actor = 'somebody else' WHERE number = 2", "was changed"),
            ("UPDATE audit SET at = at + 1 WHERE number = 4", "was changed"),
            ("UPDATE audit SET new_value = NULL WHERE number = 1", "was changed"),
            ("UPDATE audit SET chain_key = 'another' WHERE number = 1", "nobody has the key"),
            ("DELETE FROM audit WHERE number = 2", "are missing"),
            ("DELETE FROM audit WHERE number = 1", "are missing"),
            ("DELETE FROM audit WHERE number = 4", "their end was cut"),
            ("DELETE FROM audit", "their end was cut"),
            ("DELETE FROM audit_anchors", "anchor of its own rows is gone"),
            ("UPDATE audit_anchors SET line = 3", "was changed"),
            (
                "UPDATE audit SET number = 9 WHERE number = 2; UPDATE audit SET number = 2 WHERE number = 3; \
                 UPDATE audit SET number = 3 WHERE number = 9",
                "was changed",
            ),
            (
                "INSERT INTO audit SELECT 5, at, actor_kind, actor, origin, request, action, kind, realm, subject, \
                 old_value, new_value, chain_key, mac FROM audit WHERE number = 4",
                "was changed",
            ),
        ] {
            gateways.tamper(done).await;
            let found = verified(&vaults[1]).await.findings;
            assert!(found.iter().any(|found| found.what.contains(said)), "{done}: {found:?}");
            gateways
                .tamper(
                    "DELETE FROM audit; INSERT INTO audit SELECT * FROM rows_before; \
                     DELETE FROM audit_anchors; INSERT INTO audit_anchors SELECT * FROM anchors_before",
                )
                .await;
        }
        // What was removed from the end stays found when others follow.
        gateways.tamper("DELETE FROM audit WHERE number = 4").await;
        account::insert(&store, &new_user("e"), &hash("h"), NOW).await.unwrap();
        let found = verified(&vaults[0]).await.findings;
        assert!(found.iter().any(|found| found.what.contains("the rows 4 to 4 are missing")), "{found:?}");
    });
}

#[test]
fn a_new_master_key_leaves_what_was_written_verifiable() {
    on_both_stores(async |gateways| {
        let vaults = gateways.vaults().await;
        let kept = OldKeyPlan::Retiring { retires_at: None };
        vaults[0].replace(&realm(), Algorithm::Hs256, None, kept, NOW).await.unwrap();
        for round in 0..3 {
            vaults[0].reseal().await.unwrap();
            // The other one may have the key of before.
            for (vault, name) in [(&vaults[0], "one"), (&vaults[1], "two")] {
                let name = format!("{name} {round}");
                account::insert(&vault.audited_store(), &new_user(&name), &hash("h"), NOW).await.unwrap();
            }
        }
        let found = verified(&vaults[1]).await;
        assert_eq!((found.findings, found.rows), (vec![], 1 + 3 * 3));
        // A key that the store does not have vouches for nothing.
        account::insert(&by(gateways.store()), &new_user("stranger"), &hash("h"), NOW).await.unwrap();
        let found = verified(&vaults[1]).await.findings;
        assert!(found.iter().any(|found| found.what.contains("nobody has the key")), "{found:?}");
    });
}

#[test]
fn an_anchor_goes_forward_only_and_is_forgotten_after_its_time() {
    on_both_stores(async |gateways| {
        let key = ChainKey::derive("k".to_owned(), b"master");
        let chain = ChainId::of([7; 16]);
        let anchor = |line| Anchor {
            chain,
            gateway: "host".to_owned(),
            file: "/var/log/audit.log".to_owned(),
            line,
            mac: key.code(Purpose::Line, chain, &Mac::BEGINNING, &[u8::try_from(line).unwrap()]),
            events: line,
            ended: false,
        };
        for line in [5, 3, 6] {
            set_anchor(gateways.store(), &key, &anchor(line), NOW).await.unwrap();
        }
        set_anchor(gateways.other(), &key, &anchor(4), NOW).await.unwrap();
        let known = anchors(gateways.other()).await.unwrap();
        assert_eq!((known.len(), &known[0].anchor), (1, &anchor(6)));
        assert!(known[0].is_genuine(&key) && !known[0].is_genuine(&ChainKey::derive("k".to_owned(), b"another")));
        // The store's own anchor stays for ever.
        account::insert(&by(gateways.store()), &new_user("ana"), &hash("h"), NOW).await.unwrap();
        let kept = Duration::from_secs(60);
        assert_eq!(forget_anchors(gateways.store(), trusted(NOW.plus(kept)), kept, 9).await.unwrap(), 0);
        let later = trusted(NOW.plus(kept * 2));
        assert_eq!(forget_anchors(gateways.store(), later, kept, 9).await.unwrap(), 1);
        assert_eq!(anchors(gateways.store()).await.unwrap()[0].anchor.chain, ChainId::STORE);
    });
}
