//! Signing and sealing keys: sealed in the store, ready to use in memory.

mod key;
mod master;
mod published;
mod ring;
mod vault;

pub use key::{Key, KeyError, KeyState};
pub use master::{MasterKey, MasterKeyError};
pub use published::published;
pub use ring::Keyring;
pub use vault::{Settings, Vault, VaultError};
