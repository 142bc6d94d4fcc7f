//! Keys from outside, and those that were revoked.

use portero::{
    domain::{Algorithm, KeyId},
    rules::{contract::Dialect, profile::ClaimProfile},
    state::{
        account,
        keys::{
            Import, ImportError, KeyState, MaterialBytes, UNNAMED_KEYS_MAX, Use, Vault, VaultError, takes_old_tokens,
        },
        store,
    },
};

use super::{
    CALLERS, NOW, by, count,
    keys::{KEPT, record},
    named, on_both_stores, realm,
};

const SECRET: [u8; 32] = [7; 32];

const VERIFY: Use = Use::Verify { until: None };

/// How the tokens look that the `toc` API gave before Portero.
fn earlier_tokens() -> ClaimProfile {
    "toc".parse::<Dialect>().unwrap().facts().earlier_tokens.clone().unwrap()
}

fn import(id: &str) -> Import<'static> {
    Import {
        id: KeyId::from_text(id),
        realm: realm(),
        algorithm: Algorithm::Hs256,
        material: MaterialBytes::Secret(&SECRET),
        profile: None,
        purpose: VERIFY,
    }
}

#[test]
fn an_imported_key_comes_back_as_it_went_in_with_the_epochs_of_its_realm() {
    on_both_stores(async |gateways| {
        let [one, other] = gateways.vaults().await;
        let ana = gateways.user("ana").await.id;
        account::end_tokens(&by(gateways.store()), &realm(), &named("ana"), NOW).await.unwrap();
        let profile = ClaimProfile { unknown_accounts: true, ..earlier_tokens() };
        let until = Use::Verify { until: Some(NOW) };
        one.import(&Import { profile: Some(profile), purpose: until, ..import("old") }, NOW).await.unwrap();
        let old = record(&other, &KeyId::from_text("old")).await;
        assert_eq!((old.state, old.retires_at), (KeyState::Retiring, Some(NOW)));
        assert!(old.imported && old.unknown_accounts && !old.pinned && !old.verify_only);
        assert!(takes_old_tokens(gateways.other(), &realm()).await.unwrap());
        let looked = store::look(&gateways.settings).await.unwrap();
        assert_eq!(looked.takes_strangers, [("old".to_owned(), realm().to_string())]);
        assert_eq!(looked.master_key, gateways.store().meta("master_key_fingerprint").await.unwrap());
        let ring = other.load().await.unwrap();
        let imported = ring.get("old").unwrap().imported.clone().unwrap();
        assert_eq!(imported.epoch_of(&portero::domain::TokenSubject::Account(ana)), 1);
        let revision = one.revision().await.unwrap();
        assert!(other.restrict(&old.id).await.unwrap());
        assert!(!record(&one, &old.id).await.unknown_accounts);
        assert_ne!(one.revision().await.unwrap(), revision, "gateways look again");
        assert!(!other.restrict(&KeyId::from_text("none")).await.unwrap());

        let again = other.import(&import("old"), NOW).await;
        assert!(matches!(again, Err(ImportError::Known(id)) if id == old.id));
        let first = one.replace(&realm(), Algorithm::Hs256, None, KEPT, NOW).await.unwrap().unwrap();
        let signs = Import {
            material: MaterialBytes::Secret(&[8; 32]),
            purpose: Use::Sign { retires_at: None },
            ..import("signs")
        };
        one.import(&signs, NOW).await.unwrap();
        assert_eq!(record(&other, &first).await.state, KeyState::Retiring);
        let signs = record(&other, &signs.id).await;
        assert!(signs.pinned && signs.state == KeyState::Active);
    });
}

#[test]
fn a_key_that_was_revoked_is_revoked_under_every_name_and_not_imported_again() {
    on_both_stores(async |gateways| {
        let [one, other] = gateways.vaults().await;
        let ids = ["a", "b"].map(KeyId::from_text);
        for id in ["a", "b"] {
            one.import(&import(id), NOW).await.unwrap();
        }
        assert_eq!(other.revoke(&ids[0], NOW).await.unwrap().unwrap(), [ids[1].clone()]);
        for id in &ids {
            let revoked = record(&one, id).await;
            assert!(revoked.state == KeyState::Revoked && revoked.wiped && revoked.ended_at == Some(NOW));
        }
        assert_eq!(other.revoke(&ids[0], NOW).await.unwrap().unwrap(), []);
        assert_eq!(other.revoke(&KeyId::from_text("none"), NOW).await.unwrap(), None);
        assert!(matches!(one.import(&import("c"), NOW).await, Err(ImportError::Revoked(_))));
        assert!(!takes_old_tokens(gateways.other(), &realm()).await.unwrap());
        assert!(one.load().await.is_ok());
    });
}

#[test]
fn of_many_imports_of_one_name_one_is_made() {
    on_both_stores(async |gateways| {
        let vaults = gateways.vaults().await;
        let call = |vault: Vault, _| async move { vault.import(&import("a"), NOW).await };
        let made = gateways.vaults_at_once(&vaults, call).await;
        assert_eq!(count(&made, Result::is_ok), 1);
        assert_eq!(count(&made, |made| matches!(made, Err(ImportError::Known(_)))), CALLERS - 1);
    });
}

#[test]
fn there_are_never_more_keys_without_a_name_than_may_be_tried() {
    on_both_stores(async |gateways| {
        let vaults = gateways.vaults().await;
        let call = |vault: Vault, caller: usize| async move {
            let secret = [u8::try_from(caller).unwrap() + 1; 32];
            let material = MaterialBytes::Secret(&secret);
            let id = format!("key {caller}");
            vault.import(&Import { material, profile: Some(earlier_tokens()), ..import(&id) }, NOW).await
        };
        let made = gateways.vaults_at_once(&vaults, call).await;
        assert_eq!(count(&made, Result::is_ok), UNNAMED_KEYS_MAX);
        assert_eq!(count(&made, |made| matches!(made, Err(ImportError::TooManyUnnamed))), CALLERS - UNNAMED_KEYS_MAX);
    });
}

/// An import that comes before the revocation is revoked with it; one that comes after is refused.
#[test]
fn nothing_of_a_key_is_good_that_is_imported_and_revoked_at_once() {
    on_both_stores(async |gateways| {
        let vaults = gateways.vaults().await;
        vaults[0].import(&import("a"), NOW).await.unwrap();
        let call = |vault: Vault, caller: usize| async move {
            if caller.is_multiple_of(8) {
                vault.revoke(&KeyId::from_text("a"), NOW).await.map(drop)
            } else {
                match vault.import(&import(&format!("key {caller}")), NOW).await {
                    Ok(()) | Err(ImportError::Revoked(_)) => Ok(()),
                    Err(ImportError::Vault(error)) => Err(error),
                    Err(other) => panic!("{other}"),
                }
            }
        };
        for done in gateways.vaults_at_once(&vaults, call).await {
            done.unwrap();
        }
        let records = vaults[1].records().await.unwrap();
        assert!(records.iter().all(|record| record.state == KeyState::Revoked && record.wiped));
        assert!(vaults[1].load().await.is_ok());
    });
}

#[test]
fn a_signing_key_that_many_revoke_at_once_has_one_successor() {
    on_both_stores(async |gateways| {
        let vaults = gateways.vaults().await;
        let first = vaults[0].replace(&realm(), Algorithm::Hs256, None, KEPT, NOW).await.unwrap().unwrap();
        let call = |vault: Vault, _| {
            let first = first.clone();
            async move { Ok::<_, VaultError>(vault.revoke(&first, NOW).await?.is_some()) }
        };
        for done in gateways.vaults_at_once(&vaults, call).await {
            assert!(done.unwrap());
        }
        let records = vaults[1].records().await.unwrap();
        let states: Vec<_> = records.iter().map(|record| (record.state, record.id == first)).collect();
        assert!(states.contains(&(KeyState::Revoked, true)) && states.contains(&(KeyState::Active, false)));
        assert_eq!(states.len(), 2);
    });
}
