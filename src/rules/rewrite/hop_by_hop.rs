//! Fields that speak about one connection: they go no further (RFC 9110 section 7.6.1).

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::rules::list::elements;

/// What most messages say in `Connection`, and hardly any has as a field.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// What others say there: no field should have this name (RFC 9112 section 9.6), and one that has it is named so.
const CLOSE: HeaderName = HeaderName::from_static("close");

/// Fields that no nomination takes away: they frame the message, or say for whom it is.
static NOT_NOMINATED: [HeaderName; 2] = [header::CONTENT_LENGTH, header::HOST];

/// Removes what speaks about the connection on which a message came, and what `Connection` names.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // A message has one or two of them: a look at each of its names costs less than asking for each of ours.
    let fields = headers.iter().filter(|(name, _)| speaks_about_connection(name.as_str()));
    let (mut latest, mut others, mut nominates, mut closes) = (None, vec![], false, false);
    for (name, value) in fields {
        match value.as_bytes() {
            said if *name == header::CONNECTION && said.eq_ignore_ascii_case(b"close") => closes = true,
            said if *name == header::CONNECTION => nominates |= !said.eq_ignore_ascii_case(b"keep-alive"),
            _ => nominates |= *name == KEEP_ALIVE,
        }
        // The only one of most messages needs no list.
        if let Some(other) = latest.replace(name.clone()) {
            others.push(other);
        }
    }
    if nominates {
        for name in nominated(headers) {
            headers.remove(name);
        }
    } else if closes {
        headers.remove(CLOSE);
    }
    let Some(last) = latest else { return };
    if others.is_empty() {
        headers.remove(last);
        return;
    }
    others.push(last);
    // What is left stands in another order for each order in which fields are removed: it is always the same.
    others.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    for name in others {
        headers.remove(name);
    }
}

/// The same for a 101, whose `Upgrade` says what the connection goes on as: that stays, and `Connection` names it (RFC
/// 9110 section 7.8).
pub fn remove_hop_by_hop_but_upgrade(headers: &mut HeaderMap) {
    for name in nominated(headers).iter().filter(|name| **name != header::UPGRADE) {
        headers.remove(name);
    }
    let stays = |name: &HeaderName| [header::CONNECTION, header::UPGRADE].contains(name);
    let others = headers.keys().filter(|name| speaks_about_connection(name.as_str()) && !stays(name));
    for name in others.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
}

/// Whether a field of this name, in lower case, speaks about one connection, whatever `Connection` names.
pub(super) fn speaks_about_connection(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "expect"
            | "http2-settings"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The fields that `Connection` names.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let named = elements(headers, &header::CONNECTION).filter_map(|name| name.parse().ok());
    named.filter(|name| !NOT_NOMINATED.contains(name)).collect()
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

    #[test]
    fn a_101_says_what_the_connection_goes_on_as_and_nothing_else_of_it() {
        for said in [&["upgrade"][..], &["Upgrade, X-Hop, close"], &["x-hop", "close"], &[]] {
            let mut headers = HeaderMap::new();
            for (name, value) in [("upgrade", "foo"), ("x-hop", "1"), ("keep-alive", "1"), ("x-end", "1")] {
                headers.insert(name, HeaderValue::from_static(value));
            }
            for said in said {
                headers.append(header::CONNECTION, said.parse().unwrap());
            }
            remove_hop_by_hop_but_upgrade(&mut headers);
            assert_eq!(
                (&headers["connection"], &headers["upgrade"]),
                (&"Upgrade".parse().unwrap(), &"foo".parse().unwrap())
            );
            let hop = said.iter().any(|said| said.to_ascii_lowercase().contains("x-hop"));
            assert_eq!((headers.contains_key("x-hop"), headers.contains_key("keep-alive")), (!hop, false), "{said:?}");
            assert!(headers.contains_key("x-end") && headers.get_all("connection").iter().count() == 1);
        }
    }

    #[test]
    fn a_field_close_goes_where_it_is_named() {
        for (said, left) in [("close", 0), ("Keep-Alive, CLOSE", 0), ("keep-alive", 1), ("closed", 1)] {
            let mut headers = HeaderMap::new();
            headers.insert("close", "1".parse().unwrap());
            headers.insert("connection", said.parse().unwrap());
            remove_hop_by_hop(&mut headers);
            assert_eq!(headers.len(), left, "{said}");
        }
    }
}
