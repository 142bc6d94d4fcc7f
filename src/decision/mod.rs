//! Floor 3: the use cases. What is decided about a request, and what a login does.

pub mod accounts;
mod authenticate;
mod decide;
mod follow;
pub mod lifetimes;
mod login;
pub mod oauth;
mod site;
mod snapshot;
mod steward;

pub use authenticate::{Job, Proof};
pub use decide::{Decision, Denial, Permit, Request, decide};
pub use follow::{FollowError, Follower, POLL};
pub use login::Registrar;
pub use site::{EndpointSettings, OauthSettings, RouteSettings, Service, Site};
pub use snapshot::{Endpoint, Gate, Route, Snapshot, SnapshotError, View};
pub use steward::{Revoked, Steward, StewardError};
