//! Which contract answers where several share a path: two paths are claimed twice by the documents.

use http::Method;
use serde_json::{Map, Value};

use super::Dialect;
use portero::domain::json::NotJson;

/// The order of the methods in `Allow`.
const ALLOW_ORDER: [Method; 3] = [Method::GET, Method::HEAD, Method::POST];

/// The index in `dialects` of the one that answers a request.
///
/// Only those that have the method are asked, unless none has it: then the answer is a 405, and it is
/// the one who would have read the body that gives it. Among them it is the first whose identifying
/// members stand in the body, whatever their values, else the first. The document with prescribed
/// errors therefore stands first in the config, and answers `{}` and what is no JSON.
#[must_use]
pub fn select(dialects: &[Dialect], method: &Method, body: &Result<Map<String, Value>, NotJson>) -> usize {
    let speaks = |dialect: Dialect| dialect.contract().methods().contains(method);
    let none_speaks = !dialects.iter().any(|&dialect| speaks(dialect));
    let asked = || (0..dialects.len()).filter(|&index| none_speaks || speaks(dialects[index]));
    let identified = |index: &usize| {
        let members = dialects[*index].contract().identifying_members();
        body.as_ref().is_ok_and(|body| members.iter().any(|&member| body.contains_key(member)))
    };
    asked().find(identified).or_else(|| asked().next()).unwrap_or_default()
}

/// What a 405 says is allowed: the methods of all `dialects`, as `Allow` lists them (RFC 9110 section 10.2.1).
#[must_use]
pub fn allow(dialects: &[Dialect]) -> String {
    let listed = ALLOW_ORDER.iter().filter(|method| dialects.iter().any(|d| d.contract().methods().contains(method)));
    listed.map(Method::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use portero::domain::json::parse_object;

    const TOKEN: [Dialect; 2] = [Dialect::Maxpoint, Dialect::Apis];
    const AUTH: [Dialect; 2] = [Dialect::Become, Dialect::Toc];

    fn chosen(dialects: &[Dialect], method: &Method, body: &str) -> Dialect {
        dialects[select(dialects, method, &parse_object(body.as_bytes()))]
    }

    #[test]
    fn the_body_says_whom_it_is_meant_for() {
        for (body, expected) in [
            (r#"{"clientSecret":null}"#, Dialect::Maxpoint),
            (r#"{"password":""}"#, Dialect::Apis),
            (r#"{"username":1}"#, Dialect::Apis),
            (r#"{"username":"a","password":"b","clientId":"c"}"#, Dialect::Maxpoint),
            (r#"{"Username":"a"}"#, Dialect::Maxpoint),
            (r#"{"x":{"username":"a"}}"#, Dialect::Maxpoint),
        ] {
            assert_eq!(chosen(&TOKEN, &Method::POST, body), expected, "{body}");
        }
        assert_eq!(chosen(&AUTH, &Method::POST, r#"{"client_id":""}"#), Dialect::Become);
        assert_eq!(chosen(&AUTH, &Method::POST, r#"{"proyecto":0}"#), Dialect::Toc);
    }

    #[test]
    fn the_first_answers_what_fits_none() {
        for body in ["{}", "", "[]", "null", r#"{"username":1,"username":1}"#] {
            assert_eq!(chosen(&TOKEN, &Method::POST, body), Dialect::Maxpoint, "{body}");
            assert_eq!(chosen(&[Dialect::Apis, Dialect::Maxpoint], &Method::POST, body), Dialect::Apis, "{body}");
        }
    }

    #[test]
    fn a_method_of_one_goes_to_that_one() {
        assert_eq!(chosen(&AUTH, &Method::GET, r#"{"client_id":"x"}"#), Dialect::Toc);
        assert_eq!(chosen(&[Dialect::Become, Dialect::Toc, Dialect::Toc], &Method::GET, ""), Dialect::Toc);
    }

    #[test]
    fn a_method_of_none_is_refused_by_whom_the_body_is_meant_for() {
        assert_eq!(chosen(&AUTH, &Method::PUT, ""), Dialect::Become);
        assert_eq!(chosen(&AUTH, &Method::PUT, r#"{"business":"x"}"#), Dialect::Toc);
        assert_eq!(select(&[], &Method::POST, &Err(NotJson)), 0);
    }

    #[test]
    fn allow_lists_every_method_once() {
        assert_eq!(allow(&AUTH), "GET, HEAD, POST");
        assert_eq!(allow(&TOKEN), "POST");
        for dialect in Dialect::ALL {
            assert!(dialect.contract().methods().iter().all(|method| ALLOW_ORDER.contains(method)));
        }
    }
}
