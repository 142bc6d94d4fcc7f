//! Lists in field values.

use http::{HeaderMap, HeaderName};

/// The elements of a list that may stand in several fields of one name (RFC 9110 section 5.6.1), without the blanks
/// around them. A value that is not text has one empty element.
pub fn elements<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl DoubleEndedIterator<Item = &'h str> + use<'h> {
    elements_or(headers, name, "")
}

/// The same, where a value that is not text is read as `unreadable`.
pub fn elements_or<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
    unreadable: &'static str,
) -> impl DoubleEndedIterator<Item = &'h str> + use<'h> {
    let values = headers.get_all(name).into_iter();
    values.flat_map(move |value| value.to_str().unwrap_or(unreadable).split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;

    #[test]
    fn several_fields_are_one_list() {
        let mut headers = HeaderMap::new();
        for value in ["a, B ", "", "c\t,,d"] {
            headers.append(header::VARY, HeaderValue::from_static(value));
        }
        headers.append(header::VARY, HeaderValue::from_bytes(b"\xe9, e").unwrap());
        let all: Vec<_> = elements(&headers, &header::VARY).collect();
        assert_eq!(all, ["a", "B", "", "c", "", "d", ""]);
        let read: Vec<_> = elements_or(&headers, &header::VARY, "x, y").skip(6).collect();
        assert_eq!(read, ["x", "y"]);
        let back: Vec<_> = elements(&headers, &header::VARY).rev().collect();
        assert_eq!(back, ["", "d", "", "c", "", "B", "a"]);
    }
}
