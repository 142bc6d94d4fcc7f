//! Floor 3: the use cases. What is decided about a request, and what a login does.

pub mod accounts;
mod authenticate;
mod clock_watch;
mod decide;
pub mod explain;
mod follow;
mod foreign;
mod internal;
pub mod keeper;
mod key_care;
pub mod lifetimes;
mod login;
#[cfg(test)]
mod moved_clock;
pub mod oauth;
mod prune;
pub mod schedule;
mod site;
mod snapshot;
mod steward;
mod trace;

pub use authenticate::{Awaiting, ForeignKey, Job, Proof};
pub use clock_watch::ClockWatch;
pub use decide::{Decision, Denial, Permit, Preflight, Request, Target, decide};
pub use follow::{FollowError, Follower, POLL};
pub use foreign::{ForeignIssuerError, ForeignIssuers};
pub use internal::{INTERNAL_LIFETIME, INTERNAL_TYPE};
pub use key_care::Rotated;
pub use login::Registrar;
pub use prune::Pruner;
pub use site::{EndpointSettings, ForwardToken, Mode, OauthSettings, RouteSettings, Service, Site};
pub use snapshot::{Endpoint, Gate, Route, Snapshot, SnapshotError, View};
pub use steward::{Revoked, Steward, StewardError};
