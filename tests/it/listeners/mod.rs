//! What comes before the first request: TLS, the PROXY protocol, HTTP/2, and how many connections there may be.

mod conformance;
mod curl;
mod expiry;
pub(crate) mod h2;
mod h2_refusals;
mod h2_requests;
mod h2_streams;
mod h2_tunnels;
mod limits;
mod proxy_protocol;
mod resting;
mod tls;
