//! Which contract answers where several share a path: two paths are claimed twice by the documents.

use super::{Dialect, Forms, RequestBody};
use http::Method;

/// The order of the methods in `Allow`.
const ALLOW_ORDER: [Method; 3] = [Method::GET, Method::HEAD, Method::POST];

/// The index in `dialects` of the one that answers a request.
///
/// Only those that have the method are asked, unless none has it: then the response is a 405, and the
/// contract that would have read the body gives it. Among them it is the first whose identifying
/// members stand in the body, whatever their values, else the first. The document with prescribed
/// errors therefore stands first in the config, and answers `{}` and what is no JSON.
#[must_use]
pub fn select(dialects: &[Dialect], refresh: bool, method: &Method, body: RequestBody<'_>) -> usize {
    let speaks = |dialect: &Dialect| dialect.contract().methods().contains(method);
    let none_speaks = !dialects.iter().any(speaks);
    let asked = || (0..dialects.len()).filter(|&index| none_speaks || speaks(&dialects[index]));
    let identified = |index: &usize| {
        let contract = dialects[*index].contract();
        let members = contract.identifying_members(refresh);
        let read = contract.facts().forms.body(body).and_then(|body| body.as_ref().ok());
        read.is_some_and(|body| members.iter().any(|member| body.contains_key(&**member)))
    };
    asked().find(identified).or_else(|| asked().next()).unwrap_or_default()
}

/// Whether the last of `dialects` can never be chosen: what it is told by, those before it take, and no method is its
/// alone.
#[must_use]
pub fn covered(dialects: &[&Dialect], refresh: bool) -> bool {
    let [before @ .., last] = dialects else { return false };
    let last = last.contract();
    let covered = |method: &Method, reads: fn(Forms) -> bool| {
        let speaking = before.iter().map(|dialect| dialect.contract()).filter(|c| c.methods().contains(method));
        let mut reading = speaking.filter(|contract| reads(contract.facts().forms)).peekable();
        let is_read = reading.peek().is_some();
        let taken: Vec<_> = reading.flat_map(|contract| contract.identifying_members(refresh)).collect();
        is_read && last.identifying_members(refresh).iter().all(|member| taken.contains(&member))
    };
    let kinds: [fn(Forms) -> bool; 2] = [|forms| forms != Forms::Only, |forms| forms != Forms::Refused];
    let of_last = || kinds.into_iter().filter(|reads| reads(last.facts().forms));
    last.methods().iter().all(|method| of_last().all(|reads| covered(method, reads)))
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
    use crate::domain::json::{NotJson, parse_object};

    const TOKEN: [&str; 2] = ["maxpoint", "apis"];
    const AUTH: [&str; 2] = ["become", "toc"];

    fn dialects(names: &[&str]) -> Vec<Dialect> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn chosen<'n>(names: &[&'n str], method: &Method, body: &str) -> &'n str {
        names[select(&dialects(names), false, method, (&parse_object(body.as_bytes())).into())]
    }

    #[test]
    fn the_body_says_whom_it_is_meant_for() {
        for (body, expected) in [
            (r#"{"clientSecret":null}"#, "maxpoint"),
            (r#"{"password":""}"#, "apis"),
            (r#"{"username":1}"#, "apis"),
            (r#"{"username":"a","password":"b","clientId":"c"}"#, "maxpoint"),
            (r#"{"Username":"a"}"#, "maxpoint"),
            (r#"{"x":{"username":"a"}}"#, "maxpoint"),
        ] {
            assert_eq!(chosen(&TOKEN, &Method::POST, body), expected, "{body}");
        }
        assert_eq!(chosen(&AUTH, &Method::POST, r#"{"client_id":""}"#), "become");
        assert_eq!(chosen(&AUTH, &Method::POST, r#"{"proyecto":0}"#), "toc");
    }

    #[test]
    fn the_first_answers_what_fits_none() {
        for body in ["{}", "", "[]", "null", r#"{"username":1,"username":1}"#] {
            assert_eq!(chosen(&TOKEN, &Method::POST, body), "maxpoint", "{body}");
            assert_eq!(chosen(&["apis", "maxpoint"], &Method::POST, body), "apis", "{body}");
        }
    }

    #[test]
    fn a_method_of_one_goes_to_that_one() {
        assert_eq!(chosen(&AUTH, &Method::GET, r#"{"client_id":"x"}"#), "toc");
        assert_eq!(chosen(&["become", "toc", "toc"], &Method::GET, ""), "toc");
    }

    #[test]
    fn a_method_of_none_is_refused_by_whom_the_body_is_meant_for() {
        assert_eq!(chosen(&AUTH, &Method::PUT, ""), "become");
        assert_eq!(chosen(&AUTH, &Method::PUT, r#"{"business":"x"}"#), "toc");
        assert_eq!(select(&[], false, &Method::POST, (&Err(NotJson)).into()), 0);
    }

    #[test]
    fn allow_lists_every_method_once() {
        assert_eq!(allow(&dialects(&AUTH)), "GET, HEAD, POST");
        assert_eq!(allow(&dialects(&TOKEN)), "POST");
        for dialect in Dialect::shipped() {
            assert!(dialect.contract().methods().iter().all(|method| ALLOW_ORDER.contains(method)));
        }
    }

    #[test]
    fn what_those_before_it_take_is_never_chosen() {
        let is_covered = |names: &[&str]| covered(&dialects(names).iter().collect::<Vec<_>>(), false);
        assert!(!is_covered(&["sws"]) && !is_covered(&TOKEN) && !is_covered(&AUTH));
        assert!(is_covered(&["sws", "apis"]), "both are told by username and password");
        assert!(is_covered(&["maxpoint", "apis", "sws"]));
        assert!(!is_covered(&["apis", "toc"]), "toc has a business, and a GET");
    }

    /// `sws` with `login.form` as it is given.
    fn taking(form: &str) -> Dialect {
        let text = format!("extends = \"sws\"\nname = \"{form}\"\n[login]\nform = \"{form}\"\n");
        Dialect::from(crate::rules::contract::load("f.toml", &text).unwrap().contract)
    }

    #[test]
    fn a_form_goes_to_who_reads_forms() {
        let dialects = ["sws".parse().unwrap(), taking("also")];
        let (json, form) = (Err(NotJson), crate::domain::json::parse_form(b"username=a&password=b"));
        let chosen = |form| select(&dialects, false, &Method::POST, RequestBody { json: &json, form });
        assert_eq!((chosen(Some(&form)), chosen(None)), (1, 0));
        assert!(!covered(&[&dialects[0], &dialects[1]], false), "forms reach it");
        assert!(covered(&[&dialects[1], &dialects[0]], false), "what it reads, the one before it reads");
    }
}
