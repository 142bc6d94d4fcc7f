//! The endpoints that Portero answers itself: a whole request in, a whole response out.
//!
//! ```text
//! contracts     the five contracts' logins and refreshes
//! observed      the same where an old system still answers
//! oauth         OAuth's endpoints: token · revocation · introspection
//! documents     public keys and metadata
//! speaker       a realm that answers, in the language that the client reads
//! dispatch      which of these answers a request
//! endpoints     what the endpoints have, a request to one, and what all of their responses need
//! ```

mod contracts;
mod dispatch;
mod documents;
mod endpoints;
mod oauth;
mod observed;
mod speaker;

pub use endpoints::{BODY_BYTES_MAX, CLIENT_LEFT, TokenBody, TokenEndpoints, TokenMessage, failed};
use endpoints::{GRANTED, Happened, RETRY_FAILED, counted, note};
use speaker::Speaker;
