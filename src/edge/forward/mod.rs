//! One request's life, from its head to its line in the log.
//!
//! In come requests from hyper's server; out go their responses. Between them the same few steps for every request,
//! whatever its version of HTTP and whether it has a body:
//!
//! ```text
//! serve           the life itself: it calls the others
//! admit           decide about it; answer what the gateway itself answers
//! choose          which server it goes to
//! attempt         one try: connect, send, wait for the response's head; whether to retry
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
//! informational   informational responses: how many there may be, and where they go
//! in_flight       ends what has lost its token, or all of its time
//! connections     connections to servers, of one thread
//! worker          what a thread has of its own; `services`, what all share and a reload may change
//! ```

mod admit;
mod attempt;
mod blame;
mod body;
mod choose;
mod connections;
mod endpoint;
pub(super) mod exchange;
mod failure;
pub(super) mod give_up;
pub(super) mod head;
pub(super) mod in_flight;
mod informational;
pub(super) mod local_response;
mod record;
pub(super) mod response_body;
pub(super) mod serve;
pub(super) mod services;
pub(super) mod upgrade;
pub(super) mod worker;

pub use services::{Certificates, Services, Shared, Tunables};
