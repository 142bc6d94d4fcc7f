//! Accounts: users, clients and projects of the realms, and the companies of `become`. Only an
//! administrator makes them; a login reads them.
//!
//! Whatever ends the tokens of an account raises its epoch and writes that into the revocation log,
//! in one transaction. The functions that do so answer with the new epochs ([`Raised`]), so that a
//! gateway in the same process refuses the old tokens at once, without reading the log.
//!
//! ```text
//! record       an account as the store has it        new_account  one to be made     insert  makes it
//! repository   finds, changes and deletes them       revise       changes what they may
//! secret       replaces secrets                      credentials  what a login is held against
//! password/    hashes of secrets                     password_rules  what a new one must be
//! hasher       threads that hash                     logins       writes logins down
//! known        who is known, in memory               listing      pages of them
//! company      the companies                         import/      accounts of another system
//! ```

pub mod company;
mod credentials;
mod error;
mod hasher;
pub mod import;
mod insert;
mod known;
mod listing;
mod logins;
mod new_account;
pub mod password;
mod password_rules;
mod record;
mod repository;
mod revise;
mod secret;
#[cfg(test)]
mod tests;

pub use credentials::{Credentials, OpenCredentials};
pub use error::AccountError;
pub use hasher::{Checked, Hasher, HasherError, HasherSettings, Observer};
pub use insert::insert;
pub use known::{AccountId, KnownAccounts, Speaker};
pub use listing::{Filter, Listing, Sort, Status, list, page};
pub use logins::{LOGINS_ACCOUNTS_MAX, Logins, write_logins};
pub use new_account::{LEGACY_ID_MAX, LegacyId, NAME_BYTES_MAX, NewAccount, SCOPES_MAX};
pub use password::{Matched, PasswordError, PasswordHash, PasswordKey};
pub use password_rules::{PASSWORD_CHARS_MIN, PasswordRules, RefusedPasswords};
pub use record::{Account, PreviousSecret, Raised};
pub(in crate::state) use repository::{ACCOUNT, BESIDE, of_row};
pub use repository::{
    OldTokens, active_epochs, delete, end_tokens, find, find_by_id, record_names, set_disabled, set_locked,
};
pub use revise::{Revised, Revision, revise};
pub use secret::{
    OVERLAP_MAX, SecretHash, end_overlap, overlap_secrets, prune_previous, set_password_hash, update_hash_if_unchanged,
};
