//! Signing and sealing keys: sealed in the store, ready to use in memory.
//!
//! ```text
//! crypto/       one key: what it is made of, what it does, and how its public half travels
//! master/       the key that seals the others, and its file          (reseal: another one for all)
//! vault         opening and reading              (record: a key's row without its material)
//! lifecycle/    changing: rotation, ending, import
//! ring          all of them in memory, by id     (published: what others may know of them)
//! kept          as the store has them, for a start without it; examine, what a start will find
//! password_key  seals fast hashes of other systems; throttle_key hashes names for the throttle
//! ```

mod crypto;
mod error;
mod examine;
mod kept;
mod lifecycle;
mod master;
mod password_key;
mod published;
mod record;
mod reseal;
mod ring;
#[cfg(test)]
mod tests;
mod throttle_key;
mod vault;

pub use crypto::{Imported, Key, KeyError, KeyState, MaterialBytes, ValidUntil, jwk, spki};
pub use error::VaultError;
pub use examine::{examine, master_of_store};
pub use kept::{KeptKeys, derive};
pub use lifecycle::{Import, ImportError, OldKeyPlan, Use, takes_old_tokens};
pub use lifecycle::{RETIRED_KEPT, Restored, RetiredAtOnce, SEALED_KEPT, verifies};
pub use master::{MasterKey, MasterKeyError};
pub use password_key::PasswordKeys;
pub use published::{Audience, published};
pub use record::KeyRecord;
pub use ring::{Keyring, OwnHeader, UNNAMED_KEYS_MAX};
pub use vault::{Vault, VaultSettings};
