use super::*;
use crate::{
    domain::trusted_time::trusted,
    rules::{contract::Dialect, profile::ClaimProfile},
    state::{
        keys::{
            Import, ImportError, Key, KeyState, Keyring, MasterKey, MaterialBytes, Restored, UNNAMED_KEYS_MAX, Use,
        },
        store::query,
    },
};

const SECRET: MaterialBytes<'static> = MaterialBytes::Secret(&[7; 32]);

/// How the tokens look that the `toc` API gave before Portero.
fn earlier_tokens() -> ClaimProfile {
    "toc".parse::<Dialect>().unwrap().facts().earlier_tokens.clone().unwrap()
}

fn import(id: &str, purpose: Use) -> Import<'static> {
    let (id, algorithm) = (KeyId::from_text(id), Algorithm::Hs256);
    Import { id, realm: realm(), algorithm, material: SECRET, profile: None, purpose }
}

#[tokio::test]
async fn a_profile_and_a_public_key_come_back_as_they_went_in() {
    let (place, first) = Place::with_key(Algorithm::Hs256).await;
    let verify = Use::Verify { until: Some(at(50)) };
    let toc = Import { profile: Some(earlier_tokens()), ..import("old key", verify) };
    place.vault.import(&toc, at(1)).await.unwrap();
    let ring = place.beside().await.load().await.unwrap();
    let key = ring.get("old key").unwrap();
    assert_eq!(key.profile.as_deref(), Some(&earlier_tokens()));
    assert_eq!((ring.unnamed().len(), &ring.active(&realm()).unwrap().id), (1, &first));
    let record = place.record(&key.id).await;
    assert_eq!((record.state, record.retires_at), (KeyState::Retiring, Some(at(50))));
    assert!(record.imported && !record.pinned && !record.verify_only);

    let material = Key::generate_material(Algorithm::Es256).unwrap();
    let pair = MaterialBytes::Secret(&material);
    let pair = Key::new(KeyId::generate(), realm(), Algorithm::Es256, KeyState::Active, at(0), pair).unwrap();
    let der = pair.public_der().unwrap();
    let public = Import {
        algorithm: Algorithm::Es256,
        material: MaterialBytes::Public(&der),
        ..import("public", Use::Verify { until: None })
    };
    place.vault.import(&public, at(2)).await.unwrap();
    let ring = place.beside().await.load().await.unwrap();
    let token = pair.sign("JWT", &serde_json::Map::new()).unwrap();
    let (signed, signature) = token.expose().rsplit_once('.').unwrap();
    let signature = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signature).unwrap();
    let key = ring.get("public").unwrap();
    assert!(key.verifies(signed.as_bytes(), &signature) && !key.can_sign());
    assert!(place.record(&key.id).await.verify_only);
    let signs = Import { purpose: Use::Sign { retires_at: None }, id: KeyId::from_text("other"), ..public };
    assert!(matches!(place.vault.import(&signs, at(3)).await, Err(ImportError::Material(_))), "it cannot sign");
}

#[tokio::test]
async fn a_signing_import_takes_over_and_is_pinned() {
    let (place, first) = Place::with_key(Algorithm::Hs256).await;
    let vault = &place.vault;
    let next = vault.prepare(&realm(), Algorithm::Hs256, Some(&first), false, at(1)).await.unwrap().unwrap();
    vault.import(&import("field", Use::Sign { retires_at: Some(at(9)) }), at(2)).await.unwrap();
    let ring = vault.load().await.unwrap();
    assert_eq!(ring.active(&realm()).unwrap().id.as_str(), "field");
    assert!(place.record(&KeyId::from_text("field")).await.pinned);
    assert_eq!(place.record(&first).await.retires_at, Some(at(9)));
    assert_eq!(place.record(&next).await.state, KeyState::Retired);

    // Whatever its realm's tokens live for: those that it signed elsewhere may live for longer.
    let field = KeyId::from_text("field");
    let old_key_plan = OldKeyPlan::Retiring { retires_at: Some(at(20)) };
    vault.replace(&realm(), Algorithm::Hs256, Some(&field), old_key_plan, at(10)).await.unwrap().unwrap();
    assert_eq!(vault.retire_due(trusted(at(1_000))).await.unwrap(), std::slice::from_ref(&first));
    let field = place.record(&field).await;
    assert_eq!((field.state, field.retires_at), (KeyState::Retiring, None));
}

#[tokio::test]
async fn an_imported_key_never_retires_by_itself() {
    let (place, first) = Place::with_key(Algorithm::Hs256).await;
    let old_key_plan = OldKeyPlan::Retiring { retires_at: Some(at(10)) };
    place.vault.import(&import("old", Use::Sign { retires_at: Some(at(10)) }), at(1)).await.unwrap();
    let old = KeyId::from_text("old");
    place.vault.replace(&realm(), Algorithm::Hs256, Some(&old), old_key_plan, at(2)).await.unwrap().unwrap();
    assert_eq!(place.record(&old).await.retires_at, None, "its tokens of old may live on");
    assert_eq!(place.record(&first).await.retires_at, Some(at(10)));
}

#[tokio::test]
async fn an_id_is_given_once_and_a_revoked_key_stays_revoked() {
    let (place, first) = Place::with_key(Algorithm::Hs256).await;
    let vault = &place.vault;
    let verify = Use::Verify { until: None };
    let failed = async |import: Import<'static>| vault.import(&import, at(1)).await.unwrap_err();
    let taken = import(first.as_str(), verify);
    assert!(matches!(failed(taken.clone()).await, ImportError::Known(_)));
    vault.import(&import("a", verify), at(1)).await.unwrap();
    assert!(vault.retire_at_once(&KeyId::from_text("a"), KeyState::Retiring, at(2)).await.unwrap().is_done());
    assert!(matches!(failed(import("a", verify)).await, ImportError::Known(_)), "retired ids are not given again");
    vault.import(&import("b", verify), at(1)).await.unwrap();
    vault.revoke(&KeyId::from_text("b"), at(2)).await.unwrap();
    assert!(matches!(failed(import("c", verify)).await, ImportError::Revoked(_)));
    let weak = Import { material: MaterialBytes::Secret(&[7; 31]), ..import("d", verify) };
    assert!(matches!(failed(weak).await, ImportError::Material(_)));
}

#[tokio::test]
async fn few_keys_are_tried_for_tokens_that_name_none() {
    let place = Place::new().await;
    let secrets: [_; 11] = std::array::from_fn(|n| [u8::try_from(n).unwrap(); 32]);
    let unnamed = |id: usize| Import {
        material: MaterialBytes::Secret(&secrets[id]),
        profile: Some(ClaimProfile { unnamed: true, ..ClaimProfile::default() }),
        ..import(&id.to_string(), Use::Verify { until: None })
    };
    for id in 0..UNNAMED_KEYS_MAX {
        place.vault.import(&unnamed(id), at(1)).await.unwrap();
    }
    assert!(matches!(place.vault.import(&unnamed(9), at(1)).await, Err(ImportError::TooManyUnnamed)));
    place.vault.import(&import("named", Use::Verify { until: None }), at(1)).await.unwrap();
    place.vault.retire_at_once(&KeyId::from_text("0"), KeyState::Retiring, at(2)).await.unwrap();
    place.vault.import(&unnamed(9), at(3)).await.unwrap();
    // A revoked key takes no other's place among those that are tried.
    place.vault.import(&unnamed(10), at(4)).await.unwrap_err();
    place.vault.revoke(&KeyId::from_text("1"), at(4)).await.unwrap();
    place.vault.import(&unnamed(10), at(5)).await.unwrap();
    let tried = place.vault.load().await.unwrap();
    let tried: Vec<_> = tried.unnamed().iter().map(|key| key.id.as_str()).collect();
    assert_eq!(tried, ["2", "3", "9", "10"]);
}

#[tokio::test]
async fn a_revoked_key_is_never_imported_again() {
    let (place, _) = Place::with_key(Algorithm::Hs256).await;
    let verify = Use::Verify { until: None };
    place.vault.import(&import("a", verify), at(1)).await.unwrap();
    place.vault.revoke(&KeyId::from_text("a"), at(2)).await.unwrap();
    // However long ago, under whatever master key, for whatever realm and name.
    place.vault.forget(trusted(Timestamp::from_millis(i64::MAX))).await.unwrap();
    for _ in 0..2 {
        place.beside().await.reseal().await.unwrap();
        let vault = place.beside().await;
        let again = Import { realm: "other".parse().unwrap(), ..import("b", verify) };
        let refused = vault.import(&again, at(3)).await.unwrap_err();
        assert!(matches!(&refused, ImportError::Revoked(id) if id.as_str() == "a"), "{refused}");
    }
}

#[tokio::test]
async fn an_equivalent_form_of_a_revoked_secret_is_never_imported() {
    let verify = Use::Verify { until: None };
    let long: [u8; 80] = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let hashed = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &long);
    let padded = [&long[..40], &[0; 24]].concat();
    for (revoked, again) in [(&long[..], hashed.as_ref()), (hashed.as_ref(), &long), (&long[..40], &padded)] {
        let place = Place::new().await;
        let vault = &place.vault;
        let of = async |id: &'static str, secret: &[u8]| {
            vault.import(&Import { material: MaterialBytes::Secret(secret), ..import(id, verify) }, at(1)).await
        };
        of("a", revoked).await.unwrap();
        vault.revoke(&KeyId::from_text("a"), at(2)).await.unwrap();
        assert!(matches!(of("b", again).await, Err(ImportError::Revoked(_))));
        of("c", &[9; 40]).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_that_was_wiped_before_it_is_revoked_is_never_imported_again() {
    let verify = Use::Verify { until: Some(at(2)) };
    for forced in [true, false] {
        let place = Place::new().await;
        let a = KeyId::from_text("a");
        place.vault.import(&import("a", verify), at(1)).await.unwrap();
        if forced {
            assert!(place.vault.retire_at_once(&a, KeyState::Retiring, at(2)).await.unwrap().is_done());
        } else {
            place.vault.retire_due(trusted(at(2))).await.unwrap();
            assert_eq!(place.vault.wipe_retired(trusted(Timestamp::from_millis(i64::MAX))).await.unwrap(), 1);
        }
        // It leaked long ago, as is known now.
        place.vault.revoke(&a, at(3)).await.unwrap().unwrap();
        let refused = place.vault.import(&import("b", verify), at(4)).await.unwrap_err();
        assert!(matches!(&refused, ImportError::Revoked(id) if *id == a), "{refused}");
    }
}

#[tokio::test]
async fn every_key_of_revoked_material_is_revoked() {
    let (place, first) = Place::with_key(Algorithm::Hs256).await;
    let vault = &place.vault;
    let [a, b, c, other] = ["a", "b", "c", "other"].map(KeyId::from_text);
    vault.import(&import("a", Use::Verify { until: Some(at(2)) }), at(1)).await.unwrap();
    vault.retire_due(trusted(at(2))).await.unwrap();
    vault.import(&import("b", Use::Sign { retires_at: Some(at(900)) }), at(3)).await.unwrap();
    let elsewhere = Import { realm: "elsewhere".parse().unwrap(), ..import("c", Use::Verify { until: None }) };
    vault.import(&elsewhere, at(4)).await.unwrap();
    let material = MaterialBytes::Secret(&[8; 32]);
    vault.import(&Import { material, ..import("other", Use::Verify { until: None }) }, at(5)).await.unwrap();
    let others = vault.revoke(&c, at(6)).await.unwrap();
    assert_eq!(others, Some(vec![a.clone(), b.clone()]));
    for id in [&a, &b, &c] {
        let record = place.record(id).await;
        assert_eq!((record.state, record.wiped), (KeyState::Revoked, true), "{id}");
    }
    for id in [&first, &other] {
        assert_eq!(place.record(id).await.state, KeyState::Retiring, "{id}");
    }
    let signs = vault.load().await.unwrap().active(&realm()).unwrap().id.clone();
    assert!(![first, b].contains(&signs), "another signs now");
}

#[tokio::test]
async fn a_retired_key_whose_material_was_revoked_is_not_restored() {
    let place = Place::new().await;
    let (a, b) = (KeyId::from_text("a"), KeyId::from_text("b"));
    place.vault.import(&import("b", Use::Verify { until: None }), at(1)).await.unwrap();
    place.vault.revoke(&b, at(2)).await.unwrap().unwrap();
    // As where a crash left it.
    let master = MasterKey::read(&master(&place.folder).master_key_file).unwrap();
    let statement = "INSERT INTO keys (id, realm, algorithm, state, sealed, imported, created_at, ended_at) \
                     VALUES ('a', 'r', 'HS256', 'retired', $1, 1, 1, 1)";
    let query = query(statement).bind(master.seal("portero token key a", &[7; 32]));
    query.execute(&place.vault.store).await.unwrap();
    assert_eq!(place.vault.restore(&a).await.unwrap(), Restored::Revoked(b.clone()));
    assert_eq!(place.record(&a).await.state, KeyState::Retired);
    assert_eq!(place.vault.revoke(&b, at(3)).await.unwrap(), Some(vec![a]), "again, to its end");
}

#[tokio::test]
async fn what_does_not_open_is_revoked_all_the_same() {
    let place = Place::new().await;
    let a = KeyId::from_text("a");
    place.vault.import(&import("a", Use::Verify { until: None }), at(1)).await.unwrap();
    place.vault.store.run("UPDATE keys SET sealed = x'00' WHERE id = 'a'").await;
    place.vault.load().await.unwrap_err();
    place.vault.revoke(&a, at(2)).await.unwrap().unwrap();
    assert_eq!(place.vault.load().await.unwrap().get("a").unwrap().state, KeyState::Revoked);
    place.vault.import(&import("b", Use::Verify { until: None }), at(3)).await.unwrap();
}

#[tokio::test]
async fn an_imported_key_that_is_to_sign_leaves_that_to_the_one_before_until_accounts_are_known() {
    let (place, first) = Place::with_key(Algorithm::Hs256).await;
    let vault = &place.vault;
    let present = vault.load().await.unwrap();
    let field = KeyId::from_text("field");
    vault.import(&import("field", Use::Sign { retires_at: Some(at(900)) }), at(1)).await.unwrap();
    let signs = |ring: &Keyring| ring.active(&realm()).map(|key| key.id.clone());
    let read = vault.load().await.unwrap();
    let waiting = read.without_unready(&present, |_| false);
    assert_eq!((signs(&waiting), waiting.get("field").is_none()), (Some(first.clone()), true));
    assert_eq!(signs(&read.without_unready(&waiting, |_| true)), Some(field.clone()));
    // Where no other can sign it does: at a start, and where the one before was revoked.
    let alone = read.without_unready(&Keyring::default(), |_| false);
    assert_eq!(signs(&alone), Some(field.clone()));
    assert_eq!(signs(&read.without_unready(&alone, |_| false)), Some(field.clone()), "it goes on");
    vault.revoke(&first, at(2)).await.unwrap().unwrap();
    let ring = vault.load().await.unwrap().without_unready(&present, |_| false);
    assert_eq!((signs(&ring), ring.get(first.as_str()).unwrap().state), (Some(field), KeyState::Revoked));
}
