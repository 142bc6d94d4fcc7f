//! Floor 0: the words that every other module shares. Nothing here does I/O.

pub mod account;
pub mod algorithm;
pub mod claims;
pub mod clock;
pub mod duration;
pub mod form;
pub mod grant;
pub mod id;
pub mod json;
pub mod made_secret;
pub mod random;
pub mod reason;
pub mod roles;
pub mod secret;
pub mod text;
pub mod trusted_time;

pub use account::{AccountName, Holder};
pub use algorithm::Algorithm;
pub use claims::{Claims, EPOCH_DELETED, PrincipalKind, TokenKind, TokenSubject};
#[cfg(test)]
pub(crate) use clock::HandClock;
pub use clock::{Clock, SystemClock, Timestamp};
pub use grant::{Grant, GrantType, IssuedToken, UnknownGrantType};
pub use id::{KeyId, PrincipalId, RealmName, RevocationId, SessionId};
pub use reason::Reason;
pub use roles::Roles;
pub use secret::Secret;
pub use trusted_time::{Suspended, TrustedNow, TrustedTime};
