//! Floor 4: the use cases. What is decided about a request, and what a login does.
//!
//! ```text
//! sync      following the store, keeping keys, clearing away what has ended
//! admin     what operators do: accounts, revocations, keys
//! issue     logins, refreshes, tokens; OAuth's endpoints
//! decide    the hot path: the snapshot, and what follows from it for a request
//! verifier  asking old systems about logins
//! schedule  what is due for a realm's keys (pure)
//! ```

pub mod admin;
pub mod decide;
pub mod issue;
#[cfg(test)]
mod moved_clock;
pub mod schedule;
pub mod sync;
pub mod verifier;

pub use admin::{
    AdminError, AdminService, AdminServices, Elsewhere, Everywhere, Revoked, Rotated, SESSIONS_LISTED_MAX,
};
pub use decide::{
    authenticate::{Awaiting, AwaitingCheck, ExternalKey, Job, Proof},
    decision::{Decision, Denial, Permit, Preflight, Target, decide},
    following::{Following, LATE_AFTER, WAIT_MAX, WAITING_MAX, Waited},
    freshness::{Freshness, StaleAction, StalenessSettings},
    internal::{INTERNAL_LIFETIME, INTERNAL_TYPE},
    live_state::{LiveState, View},
    request::Request,
    site::{EndpointSettings, ForwardToken, Mode, OauthSettings, RouteSettings, Service, Site, TakeoverSettings},
    snapshot::{Endpoint, Route, Snapshot, SnapshotError, Takeover},
};
pub use issue::{Caller, Presence, TokenAsker, TokenService, check_account_status};
pub use sync::{
    ClockWatch, ExternalIssuerError, ExternalIssuers, IssuerProblem, POLL, Pruner, Reopening, Resumed, StoreSync,
    StoreSyncError, examine_issuers,
};
