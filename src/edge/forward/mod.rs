//! One request's life, from its head to its line in the log.
//!
//! ```text
//! admit             decide about it; answer what the gateway itself answers
//! attempt           which server it goes to, and what is answered when that fails
//! upstream_request  what the server receives
//! client_response   what the client receives of the server's response
//! local_response    writing responses of ours
//! record            counts, and the log's line
//! in_flight         ends what has lost its token
//! exchange          what is known of one request meanwhile; `stream`, what its HTTP/2 stream brings along
//! upload            whose silence a body's pause is
//! upgrade           what goes on as another protocol
//! direct            requests without a body, past pingora; `message`, `body`, `client` are its parts
//! pingora_loop      everything else, by pingora's hooks
//! services          what all of it shares, and what a reload may change
//! ```

mod admit;
mod attempt;
mod body;
mod client;
mod client_response;
pub(super) mod direct;
pub(super) mod exchange;
pub(super) mod in_flight;
pub(super) mod local_response;
mod message;
pub(super) mod pingora_loop;
mod record;
pub(super) mod services;
pub(super) mod stream;
pub(super) mod upgrade;
pub(super) mod upload;
pub(super) mod upstream_request;

pub use services::{Certificates, Means, Shared, Tunables};
