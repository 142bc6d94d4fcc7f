//! A request that is only asked about.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use thiserror::Error;

use crate::{
    decision::decide::{request::Request, snapshot::Snapshot},
    domain::Secret,
    rules::{
        policy::Source,
        route::{CanonicalPath, Found, Host, has_lower_case},
    },
};

/// The host of a request whose URL names none.
const HOST_ASSUMED: &str = "localhost";

/// A request in the words of the one who asks.
#[derive(Debug)]
pub struct Inquiry<'a> {
    /// The method.
    pub method: &'a str,
    /// `http://host/path?query`, `https://…`, or `/path?query`.
    pub url: &'a str,
    /// Header fields, each a name and a value. A `Host` among them is the request's, whatever the URL says.
    pub headers: &'a [(String, String)],
    /// A token, to be put where the request's route looks for one.
    pub token: Option<&'a Secret>,
    /// The client that sends it; `None` leaves out how many bad tokens came from there.
    pub client: Option<IpAddr>,
}

/// What was asked about is no request that a client could send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoRequest {
    /// No token of RFC 9110 section 5.6.2.
    #[error("this is no method: a method is one word, such as GET")]
    Method,
    /// Such a request is answered 400 before anything else is looked at.
    #[error(
        "the method has lower-case letters, which is answered 400: methods are compared letter by letter, write GET"
    )]
    MethodCase,
    /// Neither a path nor http and https.
    #[error("this is no URL: write /path?query, or http://host/path?query")]
    Url,
    /// A target holds neither spaces nor control characters.
    #[error("the URL holds a space or a control character: percent-encode it")]
    Target,
    /// A header field.
    #[error("this is no header: write 'Name: value'")]
    Header,
    /// A token.
    #[error("the token holds characters that no header can")]
    Token,
}

/// A request, as the gateway would read it.
#[derive(Debug)]
pub struct Question {
    method: Method,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    pub(super) client: Option<IpAddr>,
}

impl Question {
    /// Reads what is asked about.
    ///
    /// # Errors
    /// It cannot be a request.
    pub fn of(inquiry: &Inquiry<'_>, snapshot: &Snapshot) -> Result<Self, NoRequest> {
        let method = Method::from_bytes(inquiry.method.as_bytes()).map_err(|_| NoRequest::Method)?;
        if has_lower_case(inquiry.method.as_bytes()) {
            return Err(NoRequest::MethodCase);
        }
        let (authority, target) = split(inquiry.url)?;
        // No client sends a fragment.
        let target = target.split('#').next().unwrap_or_default();
        if target.bytes().any(|octet| octet.is_ascii_control() || octet == b' ') {
            return Err(NoRequest::Target);
        }
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut headers = HeaderMap::new();
        for (name, value) in inquiry.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| NoRequest::Header)?;
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).map_err(|_| NoRequest::Header)?);
        }
        if !headers.contains_key(header::HOST) {
            let host = HeaderValue::from_str(authority.unwrap_or(HOST_ASSUMED)).map_err(|_| NoRequest::Url)?;
            headers.insert(header::HOST, host);
        }
        let path = if path.is_empty() { "/" } else { path };
        let (path, query) = (path.to_owned(), query.map(str::to_owned));
        let mut question = Self { method, path, query, headers, client: inquiry.client };
        if let Some(token) = inquiry.token {
            question.carry(token, snapshot)?;
        }
        Ok(question)
    }

    /// As it would be decided about.
    #[must_use]
    pub fn request(&self) -> Request<'_> {
        Request {
            method: &self.method,
            host: Host::of(&self.headers, None),
            path: self.path.as_bytes(),
            query: self.query.as_deref(),
            headers: &self.headers,
        }
    }

    /// Puts a token where the route looks for one: in `Authorization`, unless it does not look there.
    fn carry(&mut self, token: &Secret, snapshot: &Snapshot) -> Result<(), NoRequest> {
        let source = match (Host::of(&self.headers, None), CanonicalPath::parse(self.path.as_bytes())) {
            (Ok(host), Ok(path)) => match snapshot.routes.find(&host, &path, &self.method) {
                Found::Route(route) => preferred(&route.settings.sources).cloned(),
                Found::OtherMethods(..) | Found::Nothing => None,
            },
            _ => None,
        };
        let value = |text: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|_| NoRequest::Token)?;
            value.set_sensitive(true);
            Ok(value)
        };
        let token = token.expose();
        match source {
            None | Some(Source::Authorization { .. }) => {
                self.headers.append(header::AUTHORIZATION, value(&format!("Bearer {token}"))?);
            }
            Some(Source::Header(name)) => drop(self.headers.append(name, value(token)?)),
            Some(Source::Cookie(name)) => {
                self.headers.append(header::COOKIE, value(&format!("{name}={token}"))?);
            }
            Some(Source::Query(name)) => {
                let pair = form_urlencoded::Serializer::new(String::new()).append_pair(&name, token).finish();
                let query = self.query.take().map_or(pair.clone(), |query| format!("{query}&{pair}"));
                self.query = Some(query);
            }
        }
        Ok(())
    }
}

fn preferred(sources: &[Source]) -> Option<&Source> {
    sources.iter().find(|source| matches!(source, Source::Authorization { .. })).or(sources.first())
}

/// The authority, where there is one, and the target.
fn split(url: &str) -> Result<(Option<&str>, &str), NoRequest> {
    if url.starts_with('/') {
        return Ok((None, url));
    }
    let is_http = |scheme: &str| ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let (scheme, rest) = url.split_once("://").ok_or(NoRequest::Url)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if !is_http(scheme) || end == 0 {
        return Err(NoRequest::Url);
    }
    Ok((Some(&rest[..end]), &rest[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_path_or_has_a_host() {
        assert_eq!(split("/a?b"), Ok((None, "/a?b")));
        assert_eq!(split("https://h:8443/a"), Ok((Some("h:8443"), "/a")));
        assert_eq!(split("HTTP://h?b"), Ok((Some("h"), "?b")));
        for wrong in ["", "a", "ftp://h/", "http:///a", "http:/a"] {
            assert_eq!(split(wrong), Err(NoRequest::Url), "{wrong}");
        }
    }
}
