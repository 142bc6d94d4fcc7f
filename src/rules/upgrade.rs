//! What a request may ask to switch to (RFC 9110 section 7.8).

/// What every route may be asked for: its bytes are no requests, and it ends with the token that opened it.
const EVERYWHERE: &str = "websocket";

/// Whether a protocol, in lower case, is another HTTP: it would carry requests past every check.
#[must_use]
pub fn carries_requests(protocol: &str) -> bool {
    protocol.starts_with("h2") || protocol.contains("http")
}

/// Whether a protocol, in lower case, is one that no server is ever asked for: another HTTP, or TLS (RFC 2817), which
/// would hide one.
#[must_use]
pub fn is_never_asked_for(protocol: &str) -> bool {
    carries_requests(protocol) || protocol.split('/').next() == Some("tls")
}

/// Which of the protocols that a request asks for a server is asked for, where its route lists `listed` (in lower
/// case).
pub fn offered<'p>(asked: &[&'p str], listed: &[Box<str>]) -> Vec<&'p str> {
    let passes = |protocol: &str| {
        let protocol = protocol.to_ascii_lowercase();
        let known = protocol == EVERYWHERE || listed.iter().any(|listed| **listed == *protocol);
        known && !is_never_asked_for(&protocol)
    };
    asked.iter().copied().filter(|protocol| passes(protocol)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_asked_for_web_sockets_and_what_is_listed() {
        let listed = ["foo/1".into(), "tls/1.2".into()];
        for (asked, expected) in [
            (&["websocket"][..], &["websocket"][..]),
            (&["WebSocket", "bar"], &["WebSocket"]),
            (&["Foo/1", "foo", "foo/2"], &["Foo/1"]),
            (&["TLS/1.2", "tls"], &[]),
            (&["h2c", "HTTP/1.1"], &[]),
        ] {
            assert_eq!(offered(asked, &listed), expected, "{asked:?}");
        }
    }
}
