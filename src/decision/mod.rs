//! Floor 3: the use cases. What is decided about a request, and what a login does.

pub mod accounts;
mod authenticate;
mod caller;
mod clock_watch;
mod decide;
pub mod explain;
mod follow;
mod following;
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
mod standing;
mod steward;
mod trace;
pub mod upkeep;

pub use authenticate::{Awaiting, ForeignKey, Job, Proof};
pub use caller::{Caller, Presence};
pub use clock_watch::ClockWatch;
pub use decide::{Decision, Denial, Permit, Preflight, Request, Target, decide};
pub use follow::{FollowError, Follower, POLL};
pub use following::{Following, LATE_AFTER, WAIT_MAX, WAITING_MAX, Waited};
pub use foreign::{ForeignIssuerError, ForeignIssuers, IssuerProblem, examine_issuers};
pub use internal::{INTERNAL_LIFETIME, INTERNAL_TYPE};
pub use key_care::Rotated;
pub use login::Registrar;
pub use prune::Pruner;
pub use site::{EndpointSettings, ForwardToken, Mode, OauthSettings, RouteSettings, Service, Site};
pub use snapshot::{Endpoint, Gate, Route, Snapshot, SnapshotError, View};
pub use standing::check_standing;
pub use steward::{Revoked, SESSIONS_LISTED_MAX, Steward, StewardError};
