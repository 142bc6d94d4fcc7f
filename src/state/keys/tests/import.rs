use super::*;
use crate::{
    domain::trusted_time::trusted,
    rules::profile::ClaimProfile,
    state::keys::{Import, ImportError, Key, KeyState, MaterialBytes, UNNAMED_KEYS_MAX, Use},
};

const SECRET: MaterialBytes<'static> = MaterialBytes::Secret(&[7; 32]);

fn import(id: &str, purpose: Use) -> Import<'static> {
    let (id, algorithm) = (KeyId::from_text(id), Algorithm::Hs256);
    Import { id, realm: realm(), algorithm, material: SECRET, profile: None, purpose }
}

#[tokio::test]
async fn a_profile_and_a_public_key_come_back_as_they_went_in() {
    let (place, first) = Place::with_key(Algorithm::Hs256).await;
    let verify = Use::Verify { until: Some(at(50)) };
    let toc = Import { profile: Some(ClaimProfile::toc()), ..import("old key", verify) };
    place.vault.import(&toc, at(1)).await.unwrap();
    let ring = place.beside().await.load().await.unwrap();
    let key = ring.get("old key").unwrap();
    assert_eq!(key.profile.as_deref(), Some(&ClaimProfile::toc()));
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
    let fate = Fate::Retiring { retires_at: Some(at(20)) };
    vault.replace(&realm(), Algorithm::Hs256, Some(&field), fate, at(10)).await.unwrap().unwrap();
    assert_eq!(vault.retire_due(trusted(at(1_000))).await.unwrap(), std::slice::from_ref(&first));
    let field = place.record(&field).await;
    assert_eq!((field.state, field.retires_at), (KeyState::Retiring, None));
}

#[tokio::test]
async fn an_imported_key_never_retires_by_itself() {
    let (place, first) = Place::with_key(Algorithm::Hs256).await;
    let fate = Fate::Retiring { retires_at: Some(at(10)) };
    place.vault.import(&import("old", Use::Sign { retires_at: Some(at(10)) }), at(1)).await.unwrap();
    let old = KeyId::from_text("old");
    place.vault.replace(&realm(), Algorithm::Hs256, Some(&old), fate, at(2)).await.unwrap().unwrap();
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
    assert!(vault.retire_at_once(&KeyId::from_text("a"), KeyState::Retiring, at(2)).await.unwrap());
    assert!(matches!(failed(import("a", verify)).await, ImportError::Known(_)), "retired ids are not given again");
    vault.import(&import("b", verify), at(1)).await.unwrap();
    vault.revoke(&KeyId::from_text("b"), at(2)).await.unwrap();
    assert!(matches!(failed(import("c", verify)).await, ImportError::Revoked(id) if id.as_str() == "b"));
    let weak = Import { material: MaterialBytes::Secret(&[7; 31]), ..import("d", verify) };
    assert!(matches!(failed(weak).await, ImportError::Material(_)));
}

#[tokio::test]
async fn few_keys_are_tried_for_tokens_that_name_none() {
    let place = Place::new().await;
    let unnamed = |id: usize| Import {
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
    let other = Import { material: MaterialBytes::Secret(&[8; 32]), ..unnamed(10) };
    place.vault.import(&other, at(4)).await.unwrap_err();
    place.vault.revoke(&KeyId::from_text("1"), at(4)).await.unwrap();
    place.vault.import(&other, at(5)).await.unwrap();
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
