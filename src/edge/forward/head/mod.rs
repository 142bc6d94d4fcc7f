//! Heads. In come those that the client and the server sent; out go those that we send the other side. No exchange is
//! changed here: the caller says on which terms, and does with the result what it likes.
//!
//! ```text
//! http2             a request's head over HTTP/2, in the form that one over HTTP/1 has
//! http10            the same of one over HTTP/1.0
//! upstream_request  what the server receives: the authorised path, the gateway's own fields, and no client's
//! client_response   what the client receives of the server's response: one length, and what the route says
//! ```

pub(super) mod client_response;
pub(super) mod http10;
pub(super) mod http2;
pub(in crate::edge) mod upstream_request;
