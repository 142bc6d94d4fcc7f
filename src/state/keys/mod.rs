//! Signing and sealing keys: sealed in the store, ready to use in memory. `jwk` is how public keys travel.

mod good_until;
pub mod jwk;
mod key;
mod master;
mod ring;
mod vault;

pub use good_until::GoodUntil;
pub use key::{Key, KeyError, KeyState, MaterialBytes};
pub use master::{MasterKey, MasterKeyError};
pub use ring::{Keyring, OwnHeader, UNNAMED_KEYS_MAX};
pub use vault::{Settings, Vault, VaultError};
