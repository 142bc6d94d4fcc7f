//! Fields that speak about one connection: they go no further (RFC 9110 section 7.6.1).

use http::{HeaderMap, HeaderName, header};

use crate::rules::list::elements;

const OF_CONNECTIONS_COUNT: usize = 9;

/// Fields that speak about one connection beside those that `Connection` names.
static OF_CONNECTIONS: [HeaderName; OF_CONNECTIONS_COUNT] = [
    header::CONNECTION,
    header::EXPECT,
    HeaderName::from_static("http2-settings"),
    KEEP_ALIVE,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Fields that no nomination takes away: they frame the message, or say for whom it is.
static NOT_NOMINATED: [HeaderName; 2] = [header::CONTENT_LENGTH, header::HOST];

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// What most messages say in `Connection`, and hardly any has as a field: it is not parsed as a name.
static USUAL: [HeaderName; 2] = [KEEP_ALIVE, HeaderName::from_static("close")];

/// Removes what speaks about the connection on which a message came, and what `Connection` names.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named = |name: &str| {
            let usual = USUAL.iter().find(|usual| name.eq_ignore_ascii_case(usual.as_str()));
            usual.cloned().or_else(|| name.parse().ok())
        };
        let named = elements(headers, &header::CONNECTION).filter_map(named);
        let named: Vec<HeaderName> = named.filter(|name| !NOT_NOMINATED.contains(name)).collect();
        for name in named {
            headers.remove(name);
        }
    }
    // A message has one or two of them: a look at each of its names costs less than asking for each of ours.
    let mut stands = [false; OF_CONNECTIONS_COUNT];
    for name in headers.keys() {
        if let Some(at) = OF_CONNECTIONS.iter().position(|one| one == name) {
            stands[at] = true;
        }
    }
    for (name, _) in OF_CONNECTIONS.iter().zip(stands).filter(|(_, stands)| *stands) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_about_a_connection_stays_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Hop, content-length, Host"),
            ("connection", "x-other, a b"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("upgrade", "h2c"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
            ("host", "a"),
            ("content-length", "3"),
            ("x-end", "1"),
        ] {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        remove_hop_by_hop(&mut headers);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "host", "x-end"]);
    }
}
