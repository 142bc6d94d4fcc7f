//! Whose tokens are read: realms and keys that are the same in each run, so that a finding can be run again.

use std::{sync::Arc, time::Duration};

use portero::{
    domain::{Algorithm, KeyId, Timestamp},
    rules::{
        contract,
        realm::{Lifetime, Realm},
    },
    state::keys::{Key, KeyState, MaterialBytes},
};

/// How far clocks may be apart.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// The audience of every realm and issuer.
pub const AUDIENCE: &str = "api";

/// A realm whose issuer is `https://gateway.example.com/` and its name.
pub fn realm(name: &str, dialect: &str, algorithm: Algorithm) -> Realm {
    Realm {
        name: name.parse().expect("a realm's name"),
        dialect: dialect.parse().expect("a dialect that ships"),
        issuer: format!("https://gateway.example.com/{name}"),
        audience: AUDIENCE.to_owned(),
        leeway: LEEWAY,
        algorithm,
        keeps_algorithm: false,
        lifetime: Lifetime::Fixed(Duration::from_hours(1)),
        content_lifetime: Duration::from_hours(1),
        refresh_lifetime: Duration::from_hours(12),
        wire: contract::DialectSettings::default(),
        uniform_errors: false,
    }
}

/// An active key of a realm.
pub fn key(id: &str, realm: &str, algorithm: Algorithm, material: MaterialBytes<'_>) -> Key {
    let realm = realm.parse().expect("a realm's name");
    Key::new(KeyId::from_text(id), realm, algorithm, KeyState::Active, Timestamp::from_secs(0), material)
        .expect("a key")
}

/// What the realms and keys of a target become.
pub fn shared(keys: impl IntoIterator<Item = Key>) -> impl Iterator<Item = Arc<Key>> {
    keys.into_iter().map(Arc::new)
}
