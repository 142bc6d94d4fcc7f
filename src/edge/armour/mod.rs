//! The bytes of a connection before any parser: what two servers could frame differently is refused here.
//!
//! In come the bytes of a client's connection. Out come the same bytes to hyper, as long as they have one meaning.
//!
//! ```text
//! stream     an HTTP/1 connection: head by head, body by body, each in its time
//! writing    what goes out on it, and informational responses between
//! deadline   how long a head is waited for, and when the connection rests
//! head       a request's head: bounds, and a framing with one meaning (pure)
//! chunks     a chunked body, read strictly (pure)
//! state      what the armour and those who serve the requests tell one another
//! h2_floods  counts frames of HTTP/2 that cost a client nothing
//! h2_heads   counts requests' heads of HTTP/2
//! h2_frames  the heads of frames (pure)
//! ```

mod chunks;
pub(super) mod deadline;
pub(super) mod h2_floods;
mod h2_frames;
pub(super) mod h2_heads;
pub(super) mod head;
pub(super) mod state;
pub(super) mod stream;
mod writing;
