//! Opaque tokens: no text but the one that was sealed opens, and nothing panics.
//!
//! The first octet says what the rest is: `t` changes of the good token's characters, `b` changes of its bytes, each
//! two octets: where, and what is put there. `i`, `d` and `a` insert, leave out and append. Any other input is the
//! token itself.

use std::sync::LazyLock;

use portero::{
    domain::{Algorithm, TokenKind},
    rules::issuer::Issuer,
    state::{
        keys::{Keyring, MaterialBytes},
        token::{self, Issuers},
    },
};

use crate::ground;

/// What seals.
const SECRET: &[u8; 32] = b"thirty-two bytes that are secret";

/// The id of a sealing key is 8 bytes in hexadecimal.
const KEY_ID: &str = "00000000000000aa";

/// A token that [`token::mint`] gave with this key (see the README beside).
const GOOD: &str = include_str!("../seeds/opaque/good");

struct Ground {
    keys: Keyring,
    issuers: Issuers,
    bytes: Vec<u8>,
}

static GROUND: LazyLock<Ground> = LazyLock::new(|| {
    let apis = ground::realm("apis", "apis", Algorithm::Sealed);
    // Its material is the other's too: only the context tells them apart.
    let other = ground::realm("other", "apis", Algorithm::Sealed);
    let key = |id, realm| ground::key(id, realm, Algorithm::Sealed, MaterialBytes::Secret(SECRET));
    let ground = Ground {
        keys: Keyring::new(ground::shared([key(KEY_ID, "apis"), key("00000000000000bb", "other")])),
        issuers: [apis, other].map(|realm| (realm.name.clone(), Issuer::Realm(realm.into()))).into_iter().collect(),
        bytes: bs58::decode(GOOD).into_vec().expect("the good token is base58"),
    };
    let (claims, _) = token::open(GOOD, &ground.keys, &ground.issuers).expect("the good token opens");
    assert_eq!((claims.kind, claims.realm.as_str()), (TokenKind::Access, "apis"));
    ground
});

/// Holds one input against what is promised.
///
/// # Panics
/// Panics where a promise does not hold: that is a finding.
pub fn check(data: &[u8]) {
    let ground = &*GROUND;
    let token = match data.split_first() {
        Some((b't', changes)) => String::from_utf8_lossy(&changed(GOOD.as_bytes(), changes)).into_owned(),
        Some((b'b', changes)) => bs58::encode(changed(&ground.bytes, changes)).into_string(),
        Some((b'i', changes)) => String::from_utf8_lossy(&inserted(GOOD.as_bytes(), changes)).into_owned(),
        Some((b'd', places)) => String::from_utf8_lossy(&left_out(GOOD.as_bytes(), places)).into_owned(),
        Some((b'a', more)) => format!("{GOOD}{}", String::from_utf8_lossy(more)),
        _ => String::from_utf8_lossy(data).into_owned(),
    };
    let opened = token::open(&token, &ground.keys, &ground.issuers);
    assert_eq!(opened.is_ok(), token == GOOD, "{token:?}");
}

fn changed(original: &[u8], changes: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for change in changes.chunks_exact(2) {
        let at = usize::from(change[0]) % bytes.len();
        bytes[at] = change[1];
    }
    bytes
}

fn inserted(original: &[u8], changes: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for change in changes.chunks_exact(2) {
        bytes.insert(usize::from(change[0]) % bytes.len(), change[1]);
    }
    bytes
}

fn left_out(original: &[u8], places: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for place in places.iter().take(original.len() - 1) {
        bytes.remove(usize::from(*place) % bytes.len());
    }
    bytes
}
