//! Finding the token on a request: in the places that the route names, and nowhere else.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::domain::Reason;

/// The scheme of RFC 6750, compared without regard to case.
const BEARER: &str = "Bearer";

/// A place where a token may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `Authorization: Bearer <token>`; with `bare`, also `Authorization: <token>` (the `toc` contract).
    Authorization {
        /// Whether a value without a scheme is a token.
        bare: bool,
        /// The schemes beside `Bearer` whose credentials are a token, such as `Token`.
        schemes: Box<[Box<str>]>,
    },
    /// A header whose value is the token, with or without `Bearer`.
    Header(HeaderName),
    /// A query parameter. It is stripped before the request is forwarded.
    Query(Box<str>),
    /// A cookie.
    Cookie(Box<str>),
}

/// A token as it was found; nothing about it is checked yet. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Credential<'h>(Found<'h>);

#[derive(Clone)]
enum Found<'h> {
    /// What a header field has where a token stands: any octets.
    Octets(&'h [u8]),
    /// A text that was looked at when it was found.
    Text(Cow<'h, str>),
}

impl Credential<'_> {
    /// The token's octets, whatever they are. They are for comparing with tokens that were opened
    /// before; looking at each octet first would be most of what a remembered token costs.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        self.0.octets()
    }

    /// The token.
    ///
    /// # Errors
    /// [`Reason::MalformedToken`] when these octets cannot be one.
    pub fn text(&self) -> Result<&str, Reason> {
        self.0.text()
    }
}

impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// Looks for the token in every one of `sources`. Empty values count as none (seen in clients,
/// after a failed login); the same token in two places is one token.
///
/// # Errors
/// [`Reason::ConflictingTokens`] when two different ones stand there (RFC 6750 section 3.1), or two `Authorization`
/// fields that differ in any way; and [`Reason::MalformedToken`] when something stands there that cannot be one.
#[inline]
pub fn find_credential<'h>(
    sources: &[Source],
    headers: &'h HeaderMap,
    query: Option<&'h str>,
) -> Result<Option<Credential<'h>>, Reason> {
    let mut first = None;
    for source in sources {
        match source {
            Source::Authorization { bare, schemes } => {
                let mut fields = headers.get_all(header::AUTHORIZATION).iter();
                if let Some(value) = fields.next() {
                    // Which of two that differ the service reads, nobody knows here; equal ones are forwarded as one.
                    if fields.any(|other| other != value) {
                        return Err(Reason::ConflictingTokens);
                    }
                    let token = authorization(value, *bare, schemes)?;
                    if !token.is_empty() {
                        add(&mut first, Found::Octets(token))?;
                    }
                }
            }
            Source::Header(name) => {
                for value in headers.get_all(name) {
                    let value = value.as_bytes().trim_ascii();
                    let token = after_scheme(value, BEARER).unwrap_or(value);
                    if !token.is_empty() {
                        add(&mut first, Found::Octets(token))?;
                    }
                }
            }
            Source::Query(name) => add_from_query(&mut first, name, query.unwrap_or_default())?,
            Source::Cookie(name) => add_from_cookies(&mut first, name, headers)?,
        }
    }
    Ok(first.map(Credential))
}

/// `query` without the parameters called `name`; `None` when it has none of them.
#[must_use]
pub fn strip_query(query: &str, name: &str) -> Option<String> {
    let names_it = |pair: &&str| form_urlencoded::parse(pair.as_bytes()).any(|(key, _)| key == name);
    if !query.split('&').any(|pair| names_it(&pair)) {
        return None;
    }
    Some(query.split('&').filter(|pair| !names_it(pair)).collect::<Vec<_>>().join("&"))
}

impl Found<'_> {
    fn octets(&self) -> &[u8] {
        match self {
            Self::Octets(octets) => octets,
            Self::Text(text) => text.as_bytes(),
        }
    }

    fn text(&self) -> Result<&str, Reason> {
        match self {
            Self::Octets(octets) => word(octets),
            Self::Text(text) => Ok(text),
        }
    }
}

fn add_from_query<'h>(first: &mut Option<Found<'h>>, name: &str, query: &'h str) -> Result<(), Reason> {
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        if *key == *name && !value.is_empty() {
            // The system that is asked about it may trim it: two texts would be one token, and only one of them
            // revoked.
            word(value.as_bytes())?;
            add(first, Found::Text(value))?;
        }
    }
    Ok(())
}

fn add_from_cookies<'h>(first: &mut Option<Found<'h>>, name: &str, headers: &'h HeaderMap) -> Result<(), Reason> {
    for value in headers.get_all(header::COOKIE) {
        // Octets: other cookies are not ours to judge, and may hold any (RFC 6265 section 5.4).
        for token in cookies(value.as_bytes()).filter(|(key, _)| *key == name.as_bytes()).map(|(_, value)| value) {
            if !token.is_empty() {
                add(first, Found::Text(word(token)?.into()))?;
            }
        }
    }
    Ok(())
}

/// The cookies of a field, each name with its value.
fn cookies(field: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    field.split(|octet| *octet == b';').filter_map(|pair| {
        let (name, value) = pair.split_at(pair.iter().position(|octet| *octet == b'=')?);
        Some((name.trim_ascii(), value[1..].trim_ascii()))
    })
}

/// A field of cookies without those of this name; `None` where nothing is left of it.
#[must_use]
pub fn strip_cookie(field: &[u8], name: &str) -> Option<Vec<u8>> {
    let names_it = |pair: &&[u8]| cookies(pair).any(|(key, _)| key == name.as_bytes());
    let rest: Vec<_> =
        field.split(|octet| *octet == b';').filter(|pair| !names_it(pair)).map(<[u8]>::trim_ascii).collect();
    Some(rest.join(&b"; "[..])).filter(|rest| !rest.is_empty())
}

/// Notes a token beside the first. Where there are two, both are looked at before they are compared,
/// so that the answer does not depend on which of them is malformed.
#[inline]
fn add<'h>(first: &mut Option<Found<'h>>, token: Found<'h>) -> Result<(), Reason> {
    match first {
        None => {
            *first = Some(token);
            Ok(())
        }
        Some(first) if first.text()? == token.text()? => Ok(()),
        Some(_) => Err(Reason::ConflictingTokens),
    }
}

/// A value of visible ASCII, spaces and tabs, trimmed.
fn text(value: &HeaderValue) -> Result<&str, Reason> {
    value.to_str().map(str::trim).map_err(|_| Reason::MalformedToken)
}

/// What stands where `Authorization` has a token; empty where the field has no token.
#[inline]
fn authorization<'h>(value: &'h HeaderValue, bare: bool, schemes: &[Box<str>]) -> Result<&'h [u8], Reason> {
    let trimmed = value.as_bytes().trim_ascii();
    match after_scheme(trimmed, BEARER).or_else(|| schemes.iter().find_map(|scheme| after_scheme(trimmed, scheme))) {
        Some(token) => Ok(token),
        None => without_scheme(value, bare),
    }
}

fn without_scheme(value: &HeaderValue, bare: bool) -> Result<&[u8], Reason> {
    match text(value)? {
        // Another scheme's credentials (`Basic …`) are not ours to judge: they count as none.
        value if value.is_empty() || value.contains(' ') => Ok(&[]),
        value if bare => Ok(value.as_bytes()),
        _ => Err(Reason::MalformedToken),
    }
}

/// What follows the scheme `name`, when that is the scheme.
#[inline]
fn after_scheme<'h>(value: &'h [u8], name: &str) -> Option<&'h [u8]> {
    let (scheme, rest) = value.split_at_checked(name.len())?;
    // Nearly all spell it so, and the case of letters takes longer to compare.
    if scheme != name.as_bytes() && !scheme.eq_ignore_ascii_case(name.as_bytes()) {
        return None;
    }
    if rest.is_empty() { Some(rest) } else { matches!(rest[0], b' ' | b'\t').then(|| rest.trim_ascii()) }
}

/// One word of visible ASCII, without commas. Every octet is looked at, which a processor does many
/// at a time; stopping at the first wrong one would look at them one by one.
fn word(octets: &[u8]) -> Result<&str, Reason> {
    let is_word = octets.iter().fold(true, |is_word, octet| is_word & (octet.is_ascii_graphic() && (*octet != b',')));
    std::str::from_utf8(octets).ok().filter(|_| is_word).ok_or(Reason::MalformedToken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn sws() -> Vec<Source> {
        vec![
            Source::Header(HeaderName::from_static("currenttokenvalue")),
            Source::Authorization { bare: false, schemes: Box::default() },
        ]
    }

    fn find(sources: &[Source], pairs: &[(&'static str, &str)], query: Option<&str>) -> Result<Option<String>, Reason> {
        let headers = headers(pairs);
        match find_credential(sources, &headers, query)? {
            Some(token) => token.text().map(|text| Some(text.to_owned())),
            None => Ok(None),
        }
    }

    #[test]
    fn the_scheme_is_read_in_any_case_and_empty_counts_as_none() {
        for value in ["Bearer abc", "bearer abc", "BEARER   abc ", "bEaReR\tabc"] {
            assert_eq!(find(&sws(), &[("authorization", value)], None), Ok(Some("abc".into())), "{value}");
        }
        for value in ["", "Bearer", "Bearer ", "bearer   ", "Basic YTpi"] {
            assert_eq!(find(&sws(), &[("authorization", value)], None), Ok(None), "{value}");
        }
    }

    #[test]
    fn a_bare_token_is_one_only_where_the_contract_says_so() {
        let bare = [Source::Authorization { bare: true, schemes: Box::default() }];
        assert_eq!(find(&bare, &[("authorization", "abc")], None), Ok(Some("abc".into())));
        assert_eq!(find(&bare, &[("authorization", "Bearer abc")], None), Ok(Some("abc".into())));
        assert_eq!(find(&sws(), &[("authorization", "abc")], None), Err(Reason::MalformedToken));
    }

    #[test]
    fn a_scheme_of_the_contracts_own_stands_beside_bearer() {
        let own = [Source::Authorization { bare: false, schemes: ["Token".into(), "JWT".into()].into() }];
        for value in ["Token abc", "token  abc", "JWT abc", "Bearer abc"] {
            assert_eq!(find(&own, &[("authorization", value)], None), Ok(Some("abc".into())), "{value}");
        }
        assert_eq!(find(&own, &[("authorization", "Tokens abc")], None), Ok(None));
        assert_eq!(find(&own, &[("authorization", "Token ")], None), Ok(None));
        assert_eq!(find(&sws(), &[("authorization", "Token abc")], None), Ok(None), "it is another's");
    }

    #[test]
    fn the_same_token_twice_passes_and_two_different_ones_do_not() {
        let same = [("currenttokenvalue", "abc"), ("authorization", "Bearer abc")];
        assert_eq!(find(&sws(), &same, None), Ok(Some("abc".into())));
        let differ = [("currenttokenvalue", "abc"), ("authorization", "Bearer abd")];
        assert_eq!(find(&sws(), &differ, None), Err(Reason::ConflictingTokens));
        let twice = [("authorization", "Bearer abc"), ("authorization", "Bearer abd")];
        assert_eq!(find(&sws(), &twice, None), Err(Reason::ConflictingTokens));
        let one_empty = [("currenttokenvalue", ""), ("authorization", "Bearer abd")];
        assert_eq!(find(&sws(), &one_empty, None), Ok(Some("abd".into())));
    }

    #[test]
    fn what_cannot_be_a_token_is_malformed() {
        for value in ["Bearer a b", "Bearer a,b", "Bearer a\tb", "Bearer \u{f1}", "Bearer a\u{a0}b"] {
            assert_eq!(find(&sws(), &[("authorization", value)], None), Err(Reason::MalformedToken), "{value}");
        }
    }

    #[test]
    fn of_two_tokens_a_malformed_one_counts_before_that_they_differ() {
        for (first, second) in
            [("a,b", "Bearer abc"), ("abc", "Bearer a,b"), ("a,b", "Bearer a,b"), ("\u{f1}", "Bearer abc")]
        {
            let pairs = [("currenttokenvalue", first), ("authorization", second)];
            assert_eq!(find(&sws(), &pairs, None), Err(Reason::MalformedToken), "{first} {second}");
        }
    }

    #[test]
    fn octets_are_what_stands_behind_the_scheme() {
        let headers = headers(&[("authorization", "\tbearer \t a,\u{f1} ")]);
        let credential = find_credential(&sws(), &headers, None).unwrap().unwrap();
        assert_eq!(credential.octets(), "a,\u{f1}".as_bytes());
        assert_eq!(credential.text(), Err(Reason::MalformedToken));
    }

    #[test]
    fn queries_and_cookies_are_read_only_where_the_route_says_so() {
        let named = [Source::Query("token".into()), Source::Cookie("sid".into())];
        assert_eq!(find(&named, &[], Some("a=1&token=a%62c")), Ok(Some("abc".into())));
        assert_eq!(find(&named, &[("cookie", "x=1; sid=abc")], Some("token=")), Ok(Some("abc".into())));
        assert_eq!(find(&named, &[("cookie", "sid=abd")], Some("token=abc")), Err(Reason::ConflictingTokens));
        assert_eq!(find(&named, &[], Some("token=abc&token=abd")), Err(Reason::ConflictingTokens));
        assert_eq!(find(&sws(), &[("cookie", "sid=abc")], Some("token=abc")), Ok(None));
        for query in ["token=abc%20", "token=abc+", "token=+abc", "token=a%09"] {
            assert_eq!(find(&named, &[], Some(query)), Err(Reason::MalformedToken), "{query}");
        }
    }

    #[test]
    fn stripping_takes_every_spelling_of_the_parameter_and_leaves_the_rest_as_it_was() {
        assert_eq!(strip_query("a=1&token=x&b=%20", "token").as_deref(), Some("a=1&b=%20"));
        assert_eq!(strip_query("t%6fken=x&token", "token").as_deref(), Some(""));
        assert_eq!(strip_query("a=1&tokens=2", "token"), None);
    }
}
