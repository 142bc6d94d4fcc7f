//! What RFC 9113 (HTTP/2) and RFC 7541 (HPACK) require of a server, case by case, over raw frames.
//!
//! The list follows h2spec's groups for servers (generic, http2, hpack). Where h2spec asks twice for the same, one case
//! cites both sections. What RFC 9113 adds to RFC 7540 is here too; where it allows more than RFC 7540, which h2spec
//! holds to, more is allowed, and the verdict says so.
//!
//! A case sends frames through a `Peer` and ends in a verdict. Portero goes through the cases in the clear and through
//! TLS, a real nginx beside it in the same run, and servers that do it wrong.

/// Runs the cases against Portero and against nginx.
mod beside;
/// Field blocks in pieces: sections 4.3 and 6.10.
mod blocks;
/// A case, its verdict, and how the cases run against a server.
mod case;
/// Requests: sections 7, 8.1, 8.4 and 8.5.
mod exchanges;
/// The fields of a request: sections 8.2 and 8.3.
mod fields;
/// A connection as frames that go out and come in.
mod framed;
/// DATA, HEADERS, PRIORITY and `RST_STREAM`: sections 6.1 to 6.4.
mod frames;
/// RFC 7541.
mod hpack;
/// A client that sends what it likes, and what it asserts of the answers.
pub(super) mod peer;
/// SETTINGS, PING and GOAWAY: sections 6.5 to 6.8.
mod settings;
/// The start, and what holds for each frame: sections 3.4, 4.1, 4.2, 5.4 and 5.5.
mod start;
/// The states and numbers of streams: sections 5.1 and 5.3.
mod streams;
/// Flow control: section 6.9.
mod windows;
/// Frames and heads as bytes.
pub(super) mod wire;
/// Servers that break the rules: each case must find one of them out.
mod wrong;
