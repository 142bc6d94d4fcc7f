//! The hot path. In come the snapshot, the live state, the clock and a request's head; out comes what becomes of it.
//!
//! ```text
//! request       a request's head
//! decision      `decide`: path, route, and what comes of it
//! admit         its second half: token, account status, policy
//! authenticate  from a token's octets to who it speaks for
//! snapshot      one config in force, with its keys
//! live_state    the present snapshot, and what is remembered beside it; a request's view of both
//! site          what the config says of routes and endpoints
//! following     how far the store is followed, for requests that wait for its next step
//! freshness     how old what is known of a shared store may be
//! canary        whether a revocation has arrived here
//! in_force      what goes into the copy of the store that a gateway starts from (`state/store_snapshot`)
//! internal      tokens for the services behind
//! lifetimes     how long tokens of a realm can live
//! trace         what is noted of each step
//! explain       the same decision with a trace, and in words
//! ```

mod admit;
pub(super) mod authenticate;
mod canary;
pub(super) mod decision;
pub mod explain;
pub(super) mod following;
pub(super) mod freshness;
mod in_force;
pub(super) mod internal;
pub mod lifetimes;
pub(super) mod live_state;
pub(super) mod request;
pub(super) mod site;
pub(super) mod snapshot;
pub(super) mod trace;
