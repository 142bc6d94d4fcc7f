//! The commands that ask the running gateway, over its admin API.
//!
//! ```text
//! asking   one question to it, and how long it may take
//! reload   it reads its config again
//! upgrade  a new process takes over from it
//! explain  which route, policy, key and rule decide about a request
//! limits   what restrains logins
//! stale    an operator's word while a shared store is not heard of
//! ```
//!
//! Arguments go in; what to print comes out. Nothing here opens the store; `explain` can do with a config alone.

mod asking;
mod explain;
mod limits;
mod reload;
mod stale;
mod upgrade;

pub(super) use explain::Explain;
pub(super) use limits::Limits;
pub(super) use reload::Reload;
pub(super) use stale::Stale;
pub(super) use upgrade::Upgrade;
