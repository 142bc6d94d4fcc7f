//! One request's life, from its head to its line in the log.
//!
//! In come requests from hyper's server; out go their responses. Between them the same few steps for every request,
//! whatever its version of HTTP and whether it has a body:
//!
//! ```text
//! serve           the life itself: it calls the others
//! admit           decide about it; answer what the gateway itself answers
//! attempt         which server it goes to; connect, send, wait for the response's head; whether to retry
//! hand_back       the response's way to the client begins
//! head            what either side receives of the other's head, and HTTP/2's in the form of HTTP/1's
//! body            bodies as they are received, and what a server receives of one
//! response_body   what the client receives: the body; with it ends the exchange
//! record          counts, and the log's line
//! ```
//!
//! Beside them:
//!
//! ```text
//! endpoint        requests to token endpoints
//! local_response  responses of ours
//! give_up         what a request receives that could not be proxied
//! upgrade         what goes on as another protocol
//! exchange        what is known of one request meanwhile
//! failure         what goes wrong, and what that says (pure)
//! blame           whose failure it was, which counts against the server or not
//! context         what is there for every request: services, a thread's connections, what ends it before its time
//! ```

mod admit;
mod attempt;
mod blame;
mod body;
pub(super) mod context;
mod endpoint;
pub(super) mod exchange;
mod failure;
pub(super) mod give_up;
mod hand_back;
pub(super) mod head;
pub(super) mod local_response;
pub(super) mod record;
pub(super) mod response_body;
pub(super) mod serve;
pub(super) mod upgrade;

pub use context::services::{Certificates, Services, Shared, Tunables};
