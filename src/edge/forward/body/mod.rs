//! Bodies of requests and responses on their way to us, and of requests on their way to servers.
//!
//! ```text
//! received   a body as it comes, from either side: it ends only as its sender ends it
//! error      how a client's body fails (pure)
//! request    what a server receives: the body, and what is kept of it for another try
//! pipes      bodies that a server of HTTP/2 does not take at once: each ends with its exchange
//! progress   whose silence a body's pause is (pure)
//! ```

pub(super) mod error;
pub(super) mod pipes;
pub(super) mod progress;
pub(super) mod received;
pub(super) mod request;
