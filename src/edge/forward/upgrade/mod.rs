//! Upgrades (RFC 9110 section 7.8): a request that asks for one is decided about like any other, its head goes to an
//! upstream, and once that answered 101 the bytes of both sides are passed on. Nothing that the client sends behind its
//! head goes anywhere before.
//!
//! We pass the bytes ourselves because a tunnel must end with its token while nobody says anything,
//! and a `WebSocket` must be told so between two frames.
//!
//! ```text
//! open     asks a server to switch, and gives the client its 101
//! tunnel   passes the bytes on until one side ends it, its token does, or the gateway drains
//! pump     bytes of both directions, through buffers of a fixed size
//! frames   where the frames of a `WebSocket` begin, and its closing frame
//! ```

mod frames;
mod open;
mod pump;
mod tunnel;

pub(super) use open::{asked, open};
