//! What is spoken with a server.

/// The version of HTTP that is spoken with a pool's servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1.
    One,
    /// HTTP/2: by ALPN over TLS, with prior knowledge (RFC 9113 section 3.3) without.
    Two,
    /// What ALPN agrees on; only over TLS.
    Auto,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speak {
    /// The version of HTTP that the pool's settings say.
    AsConfigured,
    /// HTTP/1.1 alone: what goes on as another protocol does not fit into a stream.
    Http1,
}
