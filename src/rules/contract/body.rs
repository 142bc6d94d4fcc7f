//! What all contracts share in reading a request's body.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Forms, Lack, MissingMember, MissingMembers, Rejection, TokenRequest};

/// What a contract asks of the `Content-Type` of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Announced {
    /// Any type is fine, or none.
    Any,
    /// A type other than JSON's is «no JSON»; an absent one is fine.
    IfSent,
    /// An absent type is «no JSON» too.
    Required,
}

/// The members of the request's body.
pub(super) fn announced<'a>(
    request: &TokenRequest<'a>,
    announced: Announced,
    forms: Forms,
) -> Result<&'a Map<String, Value>, Rejection> {
    let body = forms.body(request.body).ok_or(Rejection::NotJson)?;
    if forms != Forms::Refused && request.body.form.is_some() {
        return body.as_ref().map_err(|_| Rejection::NotJson);
    }
    let is_fine = match (announced, request.content_type) {
        (Announced::Any, _) | (Announced::IfSent, None) => true,
        (Announced::Required, None) => false,
        (Announced::IfSent | Announced::Required, Some(content_type)) => is_json(content_type),
    };
    if !is_fine {
        return Err(Rejection::NotJson);
    }
    body.as_ref().map_err(|_| Rejection::NotJson)
}

/// The values of `members`, in that order. One that is absent, empty or of another type than a string is missing.
///
/// # Errors
/// [`Rejection::Missing`] with every one that is not there.
pub(super) fn required<'a, 'm>(
    body: &'a Map<String, Value>,
    members: impl IntoIterator<Item = &'m Arc<str>>,
) -> Result<Vec<&'a str>, Rejection> {
    let (mut values, mut missing) = (vec![], vec![]);
    for member in members {
        let lack = match body.get(&**member) {
            Some(Value::String(value)) if !value.is_empty() => {
                values.push(value.as_str());
                continue;
            }
            None => Lack::Absent,
            Some(Value::String(_)) => Lack::Blank,
            Some(Value::Null) => Lack::Null,
            Some(_) => Lack::Mistyped,
        };
        missing.push(MissingMember { name: Arc::clone(member), lack });
    }
    MissingMembers::lacking(missing).map_or(Ok(values), |missing| Err(Rejection::Missing(missing)))
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
    use crate::{
        domain::json::{NotJson, parse_form, parse_object},
        rules::contract::RequestBody,
    };

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
    fn a_contract_says_what_it_asks_of_the_content_type() {
        let method = Method::POST;
        let good = parse_object(b"{}");
        let passes = |content_type, rule| {
            let request = TokenRequest {
                method: &method,
                query: None,
                content_type,
                authorization: None,
                body: (&good).into(),
                refresh: false,
            };
            announced(&request, rule, Forms::Refused).is_ok()
        };
        let types: [Option<&[u8]>; 3] = [None, Some(b"application/json"), Some(b"text/plain")];
        assert_eq!(types.map(|kind| passes(kind, Announced::Any)), [true, true, true]);
        assert_eq!(types.map(|kind| passes(kind, Announced::IfSent)), [true, true, false]);
        assert_eq!(types.map(|kind| passes(kind, Announced::Required)), [false, true, false]);
        let bad = Err(NotJson);
        let request = TokenRequest {
            method: &method,
            query: None,
            content_type: None,
            authorization: None,
            body: (&bad).into(),
            refresh: false,
        };
        assert_eq!(announced(&request, Announced::Any, Forms::Refused), Err(Rejection::NotJson));
    }

    #[test]
    fn a_contract_says_whether_it_reads_forms() {
        let (json, form) = (parse_object(b"{}"), parse_form(b"user=ana&pin=a%2520b"));
        let broken = parse_form(b"user=ana&user=luz");
        let read = |forms, form| {
            let body = RequestBody { json: &json, form };
            let method = &Method::POST;
            let content_type = Some(&b"application/x-www-form-urlencoded"[..]);
            let request = TokenRequest { method, query: None, content_type, authorization: None, body, refresh: false };
            announced(&request, Announced::Any, forms).map(|members| members.get("pin").and_then(Value::as_str))
        };
        assert_eq!(read(Forms::Refused, Some(&form)), Ok(None), "its JSON is read");
        assert_eq!(read(Forms::Also, Some(&form)), Ok(Some("a%20b")), "decoded once");
        assert_eq!(read(Forms::Only, Some(&form)), Ok(Some("a%20b")));
        assert_eq!((read(Forms::Also, None), read(Forms::Only, None)), (Ok(None), Err(Rejection::NotJson)));
        assert_eq!(read(Forms::Also, Some(&broken)), Err(Rejection::NotJson));
    }

    #[test]
    fn absent_empty_and_mistyped_members_are_missing() {
        let members = ["a", "b"].map(Arc::<str>::from);
        let read = |body: Value| {
            let values = required(body.as_object().unwrap(), &members);
            values.map(|values| values.into_iter().map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(read(json!({"b": "2", "a": " ", "c": 1})), Ok(vec![" ".to_owned(), "2".to_owned()]));
        let lacking = |lacks: [Option<Lack>; 2]| {
            let member =
                |(name, lack): (&Arc<str>, Option<Lack>)| Some(MissingMember { name: Arc::clone(name), lack: lack? });
            Err(Rejection::Missing(
                MissingMembers::lacking(members.iter().zip(lacks).filter_map(member).collect()).unwrap(),
            ))
        };
        for (body, lacks) in [
            (json!({}), [Some(Lack::Absent), Some(Lack::Absent)]),
            (json!({"a": "", "b": null}), [Some(Lack::Blank), Some(Lack::Null)]),
            (json!({"a": 1, "b": ["x"]}), [Some(Lack::Mistyped), Some(Lack::Mistyped)]),
            (json!({"A": "x", "b": true}), [Some(Lack::Absent), Some(Lack::Mistyped)]),
            (json!({"a": "x", "b": ""}), [None, Some(Lack::Blank)]),
        ] {
            assert_eq!(read(body), lacking(lacks));
        }
    }
}
