//! What a route changes of its requests and answers. Routes without a [`Rewrites`] change nothing.
//!
//! ```text
//! path      the authorised path, with another prefix
//! fields    header fields that are set and removed, and those that nobody may touch
//! names     names that servers could take for others, and fields that name another request
//! hop_by_hop  fields that speak about one connection
//! harden    what an answer gives away, and what it tells browsers
//! settings  all of it, as a route has it
//! ```

mod fields;
mod harden;
mod hop_by_hop;
mod names;
mod path;
mod settings;

pub use fields::{Change, FieldEdits, Side, is_framing_or_hop_by_hop, is_of_proxies, is_reserved, why_not};
pub use harden::{REVEALING, hardening};
pub use hop_by_hop::{remove_hop_by_hop, remove_hop_by_hop_but_upgrade};
pub use names::{Dropped, MeantNames, OddNames, join_authorization, means_something, method_overrides};
pub use path::PathRewrite;
pub use settings::{HostPolicy, Rewrites};
