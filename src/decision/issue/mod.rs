//! Logins, refreshes and tokens.
//!
//! ```text
//! login          a token endpoint's request, from its secret to its tokens
//! refresh        the exchange of a contract's refresh token, and of one that was used before
//! takeover       logins that an old system has a part in: `lead`, and what is compared in `observe`
//! asked          tokens that an old system is asked about
//! oauth          OAuth's token, introspection and revocation endpoints
//! pace           when a refused login is answered
//! caller         who asks, for throttles and queues
//! account_status whether an account may use the token that it presents
//! upgrade        replaces a weak hash after a login
//! ```

pub(super) mod account_status;
pub(super) mod asked;
pub(super) mod caller;
pub(super) mod login;
pub mod oauth;
mod pace;
mod refresh;
pub mod takeover;
mod upgrade;

pub use account_status::check_account_status;
pub use asked::TokenAsker;
pub use caller::{Caller, Presence};
pub use login::TokenService;
