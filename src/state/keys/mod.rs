//! Signing and sealing keys: sealed in the store, ready to use in memory.
//!
//! ```text
//! key       one key, parsed; material and what it does            ring    all of them, by id
//! record    a key's row without its material                      spki    public keys for others
//! master    seals the others          master_file   where it is, while a reseal replaces it
//! jwk       public keys as they travel                        ed25519  its weak keys
//! imported  of those from outside      vault        opening and reading
//! thumbprint  tells material apart     examine      what a start will find
//! kept      as the store has them, for a start without it
//! password_key  seals fast hashes of other systems
//! rotation · ending · import · reseal   changing
//! throttle_key  a key that signs nothing: under it the throttle hashes names
//! ```

mod ed25519;
mod ending;
mod error;
mod examine;
mod import;
mod imported;
pub mod jwk;
mod kept;
mod key;
mod master;
mod master_file;
mod password_key;
mod published;
mod record;
mod reseal;
mod ring;
mod rotation;
pub mod spki;
#[cfg(test)]
mod tests;
mod throttle_key;
mod thumbprint;
mod valid_until;
mod vault;

pub use ending::{RETIRED_KEPT, Restored, RetiredAtOnce, SEALED_KEPT, verifies};
pub use error::VaultError;
pub use examine::{examine, master_of_store};
pub use import::{Import, ImportError, Use, takes_old_tokens};
pub use imported::Imported;
pub use kept::{KeptKeys, derive};
pub use key::{Key, KeyError, KeyState, MaterialBytes};
pub use master::{MasterKey, MasterKeyError};
pub use password_key::PasswordKeys;
pub use published::{Audience, published};
pub use record::KeyRecord;
pub use ring::{Keyring, OwnHeader, UNNAMED_KEYS_MAX};
pub use rotation::OldKeyPlan;
pub use valid_until::ValidUntil;
pub use vault::{Vault, VaultSettings};
