//! Bodies of requests and responses, as they pass through.
//!
//! ```text
//! received   a body as it comes, from either side: it ends only as its sender ends it
//! request    what the server receives: the body, and what is kept of it for another try
//! response   what the client receives: the body; with it ends the exchange
//! pipes      bodies that a server of HTTP/2 does not take at once: each ends with its exchange
//! progress   whose silence a body's pause is (pure)
//! ```

pub(super) mod pipes;
pub(super) mod progress;
pub(super) mod received;
pub(super) mod request;
pub(in crate::edge) mod response;
