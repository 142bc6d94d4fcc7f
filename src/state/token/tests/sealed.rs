//! Sealed tokens: one spelling, one realm, one length.

use aws_lc_rs::aead::NONCE_LEN;
use proptest::prelude::*;

use super::fixture::*;
use crate::{
    domain::{AccountName, Algorithm, Holder, KeyId, PrincipalKind, Reason, TokenKind, TokenSubject},
    state::token::{MintError, SEALED_TEXT_BYTES_MAX, sealed_text_bytes},
};

const ALPHABET: &str = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

fn ground() -> Ground {
    Ground::new([realm("apis", "apis", Algorithm::Sealed)], [key("apis", Algorithm::Sealed)])
}

fn token(ground: &Ground) -> String {
    ground.mint("apis", TokenKind::Access, &holder()).unwrap().expose().to_owned()
}

fn named(name: String) -> Holder {
    let name = AccountName { business: String::new(), name };
    Holder { name, role: String::new(), scopes: vec![], company: None, ..holder() }
}

#[test]
fn what_is_sealed_opens() {
    let (ground, holder) = (ground(), holder());
    for kind in [TokenKind::Access, TokenKind::Content, TokenKind::Refresh] {
        let token = ground.mint("apis", kind, &holder).unwrap();
        let claims = ground.open(token.expose()).unwrap();
        assert_eq!(
            (claims.subject, claims.principal, claims.kind),
            (TokenSubject::Account(holder.id), Some(PrincipalKind::User), kind)
        );
        assert_eq!((claims.epoch, &*claims.name, claims.roles.only()), (3, "ana", Some("ADMIN")));
        assert_eq!((claims.issued_at, claims.not_before), (NOW, NOW));
        assert_eq!(claims.expires_at, Some(NOW.plus(std::time::Duration::from_hours(1))));
        assert_eq!(claims.scopes, ["read".into(), "write".into()]);
        assert_eq!(claims.organization.as_deref(), Some("acme"));
    }
    let claims = ground.open(ground.mint("apis", TokenKind::Access, &named("x".into())).unwrap().expose()).unwrap();
    assert_eq!((claims.roles, claims.scopes, claims.organization), (crate::domain::Roles::none(), vec![], None));
}

#[test]
fn no_changed_character_opens() {
    let ground = ground();
    let good = token(&ground);
    for at in 0..good.len() {
        for other in ALPHABET.chars().filter(|&other| !good[at..].starts_with(other)) {
            let changed = format!("{}{other}{}", &good[..at], &good[at + 1..]);
            assert!(ground.open(&changed).is_err(), "{other} at {at}");
        }
    }
}

#[test]
fn no_changed_bit_opens() {
    let ground = ground();
    let good = bs58::decode(token(&ground)).into_vec().unwrap();
    for at in 0..8 * good.len() {
        let mut changed = good.clone();
        changed[at / 8] ^= 1 << (at % 8);
        let reason = ground.open(&bs58::encode(changed).into_string()).unwrap_err();
        let expected = match at / 8 {
            0 => Reason::MalformedToken,
            1..=KeyId::RAW_BYTES => Reason::UnknownKey,
            _ => Reason::InvalidSignature,
        };
        assert_eq!(reason, expected, "bit {at}");
    }
}

#[test]
fn what_is_cut_or_longer_does_not_open() {
    let ground = ground();
    let good = token(&ground);
    let bytes = bs58::decode(&good).into_vec().unwrap();
    for len in 0..good.len() {
        assert!(ground.open(&good[..len]).is_err(), "{len} characters");
    }
    for len in 0..bytes.len() {
        assert!(ground.open(&bs58::encode(&bytes[..len]).into_string()).is_err(), "{len} bytes");
    }
    for other in [format!("{good}1"), format!("1{good}"), format!("{good}z"), format!(" {good}"), format!("{good}\n")] {
        assert!(ground.open(&other).is_err(), "{other}");
    }
    for other in ["0", "O", "I", "l", "ñ", "\u{0}", "=", ""] {
        assert_eq!(ground.open(other), Err(Reason::MalformedToken), "{other}");
    }
    for character in ["1", "2", "z", "ñ"] {
        assert_eq!(ground.open(&character.repeat(201)), Err(Reason::MalformedToken));
        assert!(ground.open(&character.repeat(200)).is_err());
    }
}

#[test]
fn a_key_opens_what_it_sealed_for_its_own_realm() {
    let material = [7; 32];
    let id = KeyId::generate();
    let apis = || realm("apis", "apis", Algorithm::Sealed);
    let ground = Ground::new([apis()], [key_of(&id, "apis", Algorithm::Sealed, &material)]);
    let token = token(&ground);
    assert!(ground.open(&token).is_ok());
    let stranger = Ground::new([apis()], [key("apis", Algorithm::Sealed)]);
    assert_eq!(stranger.open(&token), Err(Reason::UnknownKey));
    let other = realm("other", "apis", Algorithm::Sealed);
    let moved = Ground::new([apis(), other], [key_of(&id, "other", Algorithm::Sealed, &material)]);
    assert_eq!(moved.open(&token), Err(Reason::InvalidSignature));
    let remade = Ground::new([apis()], [key_of(&id, "apis", Algorithm::Sealed, &[8; 32])]);
    assert_eq!(remade.open(&token), Err(Reason::InvalidSignature));
    let signing = Ground::new([apis()], [key_of(&id, "apis", Algorithm::Hs256, &material)]);
    assert_eq!(signing.open(&token), Err(Reason::WrongAlgorithm));
    let orphaned = Ground::new([], [key_of(&id, "apis", Algorithm::Sealed, &material)]);
    assert_eq!(orphaned.open(&token), Err(Reason::UnknownKey));
}

#[test]
fn another_version_is_not_read_even_when_well_sealed() {
    let key = key("apis", Algorithm::Sealed);
    let raw_id = key.id.to_raw().unwrap();
    for version in [0, 2, 255] {
        let mut payload = vec![0; 60];
        let context = [&[version], &raw_id[..], b"apis"].concat();
        key.seal([1; NONCE_LEN], &context, &mut payload).unwrap();
        let bytes = [&[version], &raw_id[..], &[1; NONCE_LEN], &payload].concat();
        let ground = Ground::new([realm("apis", "apis", Algorithm::Sealed)], [key.clone()]);
        assert_eq!(ground.open(&bs58::encode(bytes).into_string()), Err(Reason::MalformedToken), "{version}");
    }
}

#[test]
fn a_payload_of_another_shape_is_refused_even_when_well_sealed() {
    let key = key("apis", Algorithm::Sealed);
    let raw_id = key.id.to_raw().unwrap();
    let ground = Ground::new([realm("apis", "apis", Algorithm::Sealed)], [key.clone()]);
    let open = |payload: &[u8]| {
        let mut payload = payload.to_vec();
        key.seal([1; NONCE_LEN], &[&[1], &raw_id[..], b"apis"].concat(), &mut payload).unwrap();
        ground.open(&bs58::encode([&[1], &raw_id[..], &[1; NONCE_LEN], &payload].concat()).into_string())
    };
    let fixed = [1; 45];
    assert_eq!(open(&[&fixed[..], &[0, 0, 0, 0]].concat()).map(|claims| claims.kind), Ok(TokenKind::Access));
    for texts in [&[][..], &[0, 0, 0], &[0, 0, 0, 1], &[0, 0, 0, 0, 0], &[255, 0, 0, 0], &[1, 0xff, 0, 0, 0]] {
        assert_eq!(open(&[&fixed[..], texts].concat()), Err(Reason::InvalidClaims), "{texts:?}");
    }
    assert_eq!(open(&[]), Err(Reason::InvalidClaims));
    // A kind that nobody seals is the least of them.
    let unknown = [&[9][..], &fixed[1..], &[0, 0, 0, 0]].concat();
    assert_eq!(open(&unknown).map(|claims| claims.kind), Ok(TokenKind::Refresh));
}

#[test]
fn the_longest_account_still_fits_and_one_byte_more_does_not() {
    let ground = ground();
    for _ in 0..64 {
        let token = ground.mint("apis", TokenKind::Access, &named("x".repeat(SEALED_TEXT_BYTES_MAX))).unwrap();
        assert!(token.expose().len() <= 200, "{}", token.expose().len());
        assert_eq!(ground.open(token.expose()).unwrap().name.len(), SEALED_TEXT_BYTES_MAX);
    }
    let too_long = named("x".repeat(SEALED_TEXT_BYTES_MAX + 1));
    assert!(matches!(ground.mint("apis", TokenKind::Access, &too_long), Err(MintError::TooLong(_))));
    let by_scopes = Holder { scopes: vec!["y".into(), "z".into()], ..named("x".repeat(SEALED_TEXT_BYTES_MAX - 3)) };
    assert_eq!(sealed_text_bytes(&by_scopes), SEALED_TEXT_BYTES_MAX);
    assert!(ground.mint("apis", TokenKind::Access, &by_scopes).is_ok());
    let one_more = Holder { role: "r".into(), ..by_scopes };
    assert!(matches!(ground.mint("apis", TokenKind::Access, &one_more), Err(MintError::TooLong(_))));
}

proptest! {
    #[test]
    fn any_base58_is_read_or_refused(token in "[1-9A-HJ-NP-Za-km-z]{0,210}") {
        prop_assert!(ground().open(&token).is_err());
    }

    #[test]
    fn base58_has_one_spelling_for_each_byte_string(bytes in prop::collection::vec(any::<u8>(), 0..146)) {
        let text = bs58::encode(&bytes).into_string();
        prop_assert_eq!(bs58::decode(&text).into_vec().unwrap(), bytes);
    }

    #[test]
    fn what_decodes_encodes_back_to_the_same_text(text in "[1-9A-HJ-NP-Za-km-z]{0,200}") {
        let mut bytes = [0; 200];
        if let Ok(len) = bs58::decode(&text).onto(&mut bytes[..]) {
            prop_assert_eq!(bs58::encode(&bytes[..len]).into_string(), text);
        }
    }
}
