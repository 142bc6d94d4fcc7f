//! What the dialects share in reading a request's body.

use serde_json::{Map, Value};

use super::{Rejection, TokenRequest};

/// The request's JSON object, for contracts that ask for its announcement: a `Content-Type` other
/// than JSON's is «no JSON», an absent one is fine (decided for `sws` and `maxpoint`).
pub(super) fn announced<'a>(request: &TokenRequest<'a>) -> Result<&'a Map<String, Value>, Rejection> {
    if request.content_type.is_none_or(is_json) { unannounced(request) } else { Err(Rejection::NotJson) }
}

/// The request's JSON object, whatever its `Content-Type` (decided for `apis` and `toc`).
pub(super) fn unannounced<'a>(request: &TokenRequest<'a>) -> Result<&'a Map<String, Value>, Rejection> {
    request.body.as_ref().map_err(|_| Rejection::NotJson)
}

/// The values of `members`, in that order; missing, empty and of another type than a string are alike.
///
/// # Errors
/// [`Rejection::Missing`] with every one that is not there.
pub(super) fn required<'a, const N: usize>(
    body: &'a Map<String, Value>,
    members: [&'static str; N],
) -> Result<[&'a str; N], Rejection> {
    let values = members.map(|member| body.get(member).and_then(Value::as_str).unwrap_or_default());
    let missing: Vec<_> = members.into_iter().zip(values).filter(|(_, value)| value.is_empty()).collect();
    if missing.is_empty() {
        Ok(values)
    } else {
        Err(Rejection::Missing(missing.into_iter().map(|(member, _)| member).collect()))
    }
}

/// Whether a `Content-Type` says `application/json` or `*+json` (RFC 6839 section 3.1), in any case. Parameters
/// are ignored, `charset` among them: JSON has none (RFC 8259 section 11).
pub fn is_json(content_type: &[u8]) -> bool {
    const SUFFIX: &[u8] = b"+json";
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let Some(slash) = essence.iter().position(|&byte| byte == b'/') else { return false };
    let (kind, subtype) = (&essence[..slash], &essence[slash + 1..]);
    if ![kind, subtype].iter().all(|word| word.iter().all(|&byte| is_token_char(byte))) {
        return false;
    }
    let suffixed = subtype.len() > SUFFIX.len() && subtype[subtype.len() - SUFFIX.len()..].eq_ignore_ascii_case(SUFFIX);
    (kind.eq_ignore_ascii_case(b"application") && subtype.eq_ignore_ascii_case(b"json"))
        || (!kind.is_empty() && suffixed)
}

/// `tchar` of RFC 9110 section 5.6.2.
const fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;
    use portero::domain::json::{NotJson, parse_object};

    #[test]
    fn json_is_announced_in_any_case_and_with_any_parameters() {
        for good in [
            "application/json",
            "Application/JSON",
            "application/json; charset=latin1",
            " application/json ;x",
            "application/problem+json",
            "text/x+JSON",
        ] {
            assert!(is_json(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ";",
            "json",
            "/json",
            "/a+json",
            "text/json",
            "text/plain",
            "application/jsonp",
            "application/+json",
            "application/x+json5",
        ] {
            assert!(!is_json(bad.as_bytes()), "{bad}");
        }
        for bad in [
            "application/x-www-form-urlencoded",
            "text/plain, application/a+json",
            "a b/c+json",
            "application/json/a+json",
        ] {
            assert!(!is_json(bad.as_bytes()), "{bad}");
        }
        assert!(!is_json(b"application/\xFF+json"));
    }

    #[test]
    fn an_absent_content_type_is_fine_and_another_one_is_not() {
        let method = Method::POST;
        let request =
            |content_type, body| TokenRequest { method: &method, query: None, content_type, body, refresh: false };
        let (good, bad) = (parse_object(b"{}"), Err(NotJson));
        assert!(announced(&request(None, &good)).is_ok());
        assert!(announced(&request(Some(b"application/json"), &good)).is_ok());
        assert_eq!(announced(&request(Some(b"text/plain"), &good)), Err(Rejection::NotJson));
        assert_eq!(announced(&request(None, &bad)), Err(Rejection::NotJson));
        assert!(unannounced(&request(Some(b"text/plain"), &good)).is_ok());
        assert_eq!(unannounced(&request(None, &bad)), Err(Rejection::NotJson));
    }

    #[test]
    fn missing_empty_and_mistyped_members_are_alike() {
        let read =
            |body: Value| required(body.as_object().unwrap(), ["a", "b"]).map(|values| values.map(str::to_owned));
        assert_eq!(read(json!({"b": "2", "a": " ", "c": 1})), Ok([" ".to_owned(), "2".to_owned()]));
        for absent in
            [json!({}), json!({"a": "", "b": null}), json!({"a": 1, "b": ["x"]}), json!({"A": "x", "b": true})]
        {
            assert_eq!(read(absent), Err(Rejection::Missing(vec!["a", "b"])));
        }
        assert_eq!(read(json!({"a": "x", "b": ""})), Err(Rejection::Missing(vec!["b"])));
    }
}
