//! External issuers: whose tokens Portero accepts without having minted them, and their keys over time.
//!
//! ```text
//! settings   what the config says of one issuer
//! machine    fresh → stale, still serving → closed; when to fetch. Pure
//! freshness  what an answer's headers say of its age
//! discovery  where the keys are, by the issuer's own metadata
//! endpoint   where the issuer is asked about tokens, by the same
//! fetch      HTTPS GETs under bounds
//! snapshot   the last good set on disk, for cold starts
//! refresh    the task that runs the machine: IssuerKeys
//! shared     what requests read of the task
//! files      keys that lie in files instead
//! ```
//!
//! For `Source::Jwks`, [`IssuerKeys::start`] tells its *sink* every set that comes into force, and the empty one when
//! there is none any more: what was told last is what holds. A token's `kid` is looked up among them; if it is missing,
//! [`IssuerKeys::ask`] waits for a fetch if one may be made, and then it is looked up again, once. A verdict on a token
//! whose signature was checked earlier asks [`ValidUntil::holds`](crate::state::keys::ValidUntil::holds), which does
//! not need the task. For `Source::Files`, [`files::read`] gives the keys once. Nothing here ever sees a token.

mod discovery;
mod endpoint;
mod fetch;
pub mod files;
mod freshness;
mod machine;
mod refresh;
mod settings;
mod shared;
mod snapshot;
#[cfg(test)]
mod tests;

pub use discovery::{is_secure, names_document};
pub use endpoint::{EndpointLookup, EndpointLookupError};
pub use fetch::FetcherError;
pub use machine::{FRESH_MAX, FRESH_MIN};
pub use refresh::IssuerKeys;
pub use settings::{IssuerSettings, Jwks, KeyFile, Source};
