use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, phc},
};

use super::{
    Check, PASSWORD_BYTES_MAX, PasswordError, PasswordHash, hash, needs_rehash,
    todays_hash::{DUMMY, LANES, MEMORY_KIB, PASSES, SALT_BYTES},
    verify,
};
use crate::domain::{PrincipalId, Secret};

/// A hash of half the memory of today's.
pub(crate) fn weak_hash(password: &str) -> PasswordHash {
    let params = Params::new(MEMORY_KIB / 2, PASSES, LANES, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: phc::PasswordHash = argon2.hash_password_with_salt(password.as_bytes(), &[7; SALT_BYTES]).unwrap();
    PasswordHash(hash.to_string())
}

fn check_of(hash: &PasswordHash) -> Check {
    hash.open(PrincipalId::generate(), None).unwrap()
}

#[test]
fn a_password_matches_its_own_hash_only() {
    let stored = hash(&"1234".into()).unwrap();
    assert!(stored.text().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert!(verify(&"1234".into(), Some(&check_of(&stored))));
    assert!(!verify(&"1235".into(), Some(&check_of(&stored))));
    assert!(!verify(&"1234".into(), None));
    assert_ne!(hash(&"1234".into()).unwrap(), stored);
    assert_eq!(format!("{stored:?}"), "PasswordHash(…)");
}

#[test]
fn what_an_unknown_account_is_checked_against_is_a_hash_like_any_other() {
    let stored = hash(&"1234".into()).unwrap();
    let shape = |hash: &PasswordHash| {
        let parsed = phc::PasswordHash::new(hash.text()).unwrap();
        (parsed.algorithm, parsed.version, parsed.params.clone(), parsed.hash.map(|output| output.as_bytes().len()))
    };
    assert_eq!(shape(&DUMMY.to_stored()), shape(&stored));
    assert!(!needs_rehash(&DUMMY.to_stored()));
}

#[test]
fn what_could_not_be_set_never_matches() {
    let longest = Secret::new("ñ".repeat(PASSWORD_BYTES_MAX / 2));
    let longer = Secret::new(format!("{}x", longest.expose()));
    assert!(verify(&longest, Some(&check_of(&hash(&longest).unwrap()))));
    assert_eq!(hash(&longer), Err(PasswordError::TooLong));
    assert_eq!(hash(&"".into()), Err(PasswordError::Empty));
    assert!(!verify(&longer, Some(&check_of(&hash(&longest).unwrap()))));
    assert!(!verify(&"1234".into(), Some(&check_of(&PasswordHash::from_stored("1234".into())))));
}

#[test]
fn a_weaker_hash_is_made_again_and_a_stronger_one_kept() {
    assert!(!needs_rehash(&hash(&"1234".into()).unwrap()));
    let made_with = |memory, passes, algorithm| {
        let argon2 = Argon2::new(algorithm, Version::V0x13, Params::new(memory, passes, 1, None).unwrap());
        let hash: phc::PasswordHash = argon2.hash_password_with_salt(b"1234", &[7; SALT_BYTES]).unwrap();
        PasswordHash(hash.to_string())
    };
    let weak = made_with(MEMORY_KIB / 2, PASSES, Algorithm::Argon2id);
    assert!(verify(&"1234".into(), Some(&check_of(&weak))));
    assert!(needs_rehash(&weak));
    assert!(needs_rehash(&made_with(MEMORY_KIB, PASSES, Algorithm::Argon2i)));
    assert!(!needs_rehash(&made_with(MEMORY_KIB, PASSES + 1, Algorithm::Argon2id)));
    assert!(needs_rehash(&PasswordHash::from_stored("$2b$12$x".into())));
}
