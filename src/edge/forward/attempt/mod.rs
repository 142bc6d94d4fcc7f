//! One try after the other, until a server responds or no other may be asked.
//!
//! ```text
//! choose         which server it goes to
//! send           an attempt: a connection, the request on it, the head of the response
//! connect        a connection that another request makes, or a new one
//! hand_over      what the server receives, and how long the two sides are waited for
//! informational  informational responses: how many there may be, and where they go
//! waiting        how long the head of a response is waited for
//! retry          whether there is another attempt
//! ```

mod choose;
mod connect;
mod hand_over;
pub(super) mod informational;
pub(super) mod retry;
mod send;
pub(super) mod waiting;
