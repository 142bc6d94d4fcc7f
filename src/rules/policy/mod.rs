//! Which callers may use a route, and where on a request a token is looked for.

mod authorise;
mod credential;
mod looser;

pub use authorise::{Auth, Policy, Rule};
pub use credential::{Credential, Source, find_credential, strip_cookie, strip_query};
pub use looser::Looser;
