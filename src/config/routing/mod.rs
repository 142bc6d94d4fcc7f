//! Which requests are answered or forwarded, and how.
//!
//! ```text
//! endpoints  [[token_endpoints]]: the paths that Portero answers itself
//! oauth      [oauth]: those of OAuth 2.0, and its documents
//! resources  [resources.NAME]: what OAuth clients read about a protected resource
//! routes     [[routes]]: what is forwarded, and where to
//!   policy   what a route asks for
//!   rewrite  what it changes
//! cors       what pages of other origins may do, at all of these
//! ```
//!
//! They name what the rooms beside have read: realms and verifiers (`identity`), upstreams, and what `[server]` says
//! for all routes (`process`).

mod cors;
pub(super) mod endpoints;
pub(super) mod oauth;
mod policy;
pub(super) mod resources;
mod rewrite;
pub(super) mod routes;
