//! Signing and sealing keys: sealed in the store, ready to use in memory. `jwk` is how public keys travel.

pub mod jwk;
mod key;
mod master;
mod ring;
mod vault;

pub use key::{Key, KeyError, KeyState};
pub use master::{MasterKey, MasterKeyError};
pub use ring::Keyring;
pub use vault::{Settings, Vault, VaultError};
