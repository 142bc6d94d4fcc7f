//! Floor 0: the words that every other module shares. Nothing here does I/O.

pub mod algorithm;
pub mod claims;
pub mod clock;
pub mod id;
pub mod random;
pub mod reason;
pub mod secret;

pub use algorithm::Algorithm;
pub use claims::{Claims, EPOCH_DELETED, PrincipalKind, Subject, TokenKind};
pub use clock::{Clock, SystemClock, Timestamp};
pub use id::{KeyId, PrincipalId, RealmName, RevocationId, SessionId};
pub use reason::Reason;
pub use secret::Secret;
