//! Metrics in the names of `docs/observability.md`. Handles are resolved when a snapshot is built or when a label is
//! first seen, so that a request costs an atomic addition and no look-up.
//!
//! ```text
//! registry   all families; it gives handles out, and renders the page
//! families   registers them
//! requests   what each request counts: routes, and the waits for upstreams
//! listeners  clients before their requests
//! reached    upstreams and external issuers
//! verifiers  old systems and issuers that are asked
//! store      the store's age, snapshot and clock, and its revocations
//! process    hashes, token cache, audit log, config, clock
//! ```

mod families;
mod listeners;
mod process;
mod reached;
mod registry;
mod requests;
mod store;
mod verifiers;

pub use listeners::ListenerMetrics;
pub use process::{AuditMetrics, ClockMetrics, ConfigMetrics, PasswordMetrics, TokenCacheMetrics};
pub use reached::{IssuerMetrics, UpstreamMetrics};
pub use registry::{EndpointMetrics, Metrics};
pub use requests::{RouteMetrics, UpstreamWaits};
pub use store::{RevocationMetrics, StoreMetrics};
pub use verifiers::{TokenCheckMetrics, VerifierMetrics};
