//! The bytes of a connection before any parser: what two servers could frame differently is refused here.
//!
//! ```text
//! head       a request's head: one deadline, bounds, and a framing with one meaning
//! chunks     a chunked body, read strictly
//! wire       the stream itself, with bytes that are put back before it
//! watch      whether a client leaves while nothing of it is read
//! h2_floods  counts frames of HTTP/2 that cost a client nothing
//! h2_frames  their heads
//! ```

pub(super) mod chunks;
pub(super) mod h2_floods;
mod h2_frames;
pub(super) mod head;
pub(super) mod watch;
pub(super) mod wire;
