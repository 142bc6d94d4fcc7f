//! How gRPC says that a call failed: in the trailers of an answer whose status is 200
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use std::fmt::Write as _;

use http::{HeaderMap, header};

/// The content type of a call, and of its answer.
pub const CONTENT_TYPE: &str = "application/grpc";

/// The content type of an answer to a browser's call (gRPC-Web), whose trailers may stand in the head.
pub const WEB_CONTENT_TYPE: &str = "application/grpc-web+proto";

/// The content type to answer a call with; `None` where the request is no gRPC call.
#[must_use]
pub fn content_type(headers: &HeaderMap) -> Option<&'static str> {
    let value = headers.get(header::CONTENT_TYPE)?.as_bytes();
    let (kind, rest) = value.split_at_checked(CONTENT_TYPE.len())?;
    if !kind.eq_ignore_ascii_case(CONTENT_TYPE.as_bytes()) {
        return None;
    }
    match rest {
        [] | [b'+' | b';' | b' ', ..] => Some(CONTENT_TYPE),
        [b'-', rest @ ..] => rest.get(..3)?.eq_ignore_ascii_case(b"web").then_some(WEB_CONTENT_TYPE),
        _ => None,
    }
}

/// The status code that a denial with this HTTP status is in gRPC
/// (<https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>).
#[must_use]
pub const fn status(http: u16) -> u8 {
    const INVALID_ARGUMENT: u8 = 3;
    const DEADLINE_EXCEEDED: u8 = 4;
    const PERMISSION_DENIED: u8 = 7;
    const RESOURCE_EXHAUSTED: u8 = 8;
    const UNIMPLEMENTED: u8 = 12;
    const INTERNAL: u8 = 13;
    const UNAVAILABLE: u8 = 14;
    const UNAUTHENTICATED: u8 = 16;
    match http {
        400 | 417 => INVALID_ARGUMENT,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 | 405 => UNIMPLEMENTED,
        408 | 504 => DEADLINE_EXCEEDED,
        413 | 429 | 431 => RESOURCE_EXHAUSTED,
        502 | 503 => UNAVAILABLE,
        _ => INTERNAL,
    }
}

/// `grpc-message`: every octet that is no visible ASCII character or space, and the percent sign, as `%XX`.
#[must_use]
pub fn message(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b' '..=b'~' if octet != b'%' => encoded.push(char::from(octet)),
            // Writing into a string cannot fail.
            _ => drop(write!(encoded, "%{octet:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn calls_are_known_by_their_content_type() {
        for (value, expected) in [
            ("application/grpc", Some(CONTENT_TYPE)),
            ("application/grpc+proto", Some(CONTENT_TYPE)),
            ("Application/GRPC; charset=utf-8", Some(CONTENT_TYPE)),
            ("application/grpc-web", Some(WEB_CONTENT_TYPE)),
            ("application/grpc-web-text+proto", Some(WEB_CONTENT_TYPE)),
            ("application/grpc-gateway", None),
            ("application/grpcx", None),
            ("application/json", None),
            ("", None),
        ] {
            let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(value))].into_iter().collect();
            assert_eq!(content_type(&headers), expected, "{value}");
        }
        assert_eq!(content_type(&HeaderMap::new()), None);
    }

    #[test]
    fn messages_are_ascii() {
        assert_eq!(message("100% Método"), "100%25 M%C3%A9todo");
        assert_eq!(message("a\r\nb"), "a%0D%0Ab");
    }
}
