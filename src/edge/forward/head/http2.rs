//! The head of a request of HTTP/2, in the form that one of HTTP/1 has.

use http::{
    HeaderValue, Method, Uri, header,
    request::Parts,
    uri::{Authority, PathAndQuery},
};

use crate::{
    domain::Reason,
    edge::armour::head::{self, FIELDS_MAX, HEAD_BYTES_MAX},
    rules::route::has_lower_case,
};

/// Brings a head into the form that one of HTTP/1 has when it was read, or says why it is refused.
pub(in crate::edge::forward) fn take(head: &mut Parts) -> Result<(), Reason> {
    // Its target has no path (RFC 9113 section 8.5), so nothing of what follows fits it.
    if head.method == Method::CONNECT {
        return Err(Reason::MethodNotAllowed);
    }
    if head.headers.len() > FIELDS_MAX || bytes(head) > HEAD_BYTES_MAX {
        return Err(Reason::HeadTooLarge);
    }
    if head.uri.path().bytes().any(|byte| !byte.is_ascii_graphic())
        || !head::is_framed_once(&head.headers)
        || has_lower_case(head.method.as_str().as_bytes())
        || head.headers.values().any(|value| is_padded(value.as_bytes()))
    {
        return Err(Reason::MalformedRequest);
    }
    if head.headers.get_all(header::EXPECT).iter().any(|value| !head::is_known_expectation(value.as_bytes())) {
        return Err(Reason::ExpectationFailed);
    }
    join_cookies(head)?;
    let authority = head.uri.authority().map(Authority::as_str);
    let mut hosts = head.headers.get_all(header::HOST).iter();
    if let Some(host) = hosts.next() {
        // RFC 9113 section 8.3.1: the two must agree, and here to the letter.
        if hosts.next().is_some() || authority.is_some_and(|authority| authority.as_bytes() != host.as_bytes()) {
            return Err(Reason::MalformedRequest);
        }
    } else {
        let authority = authority.ok_or(Reason::MalformedRequest)?;
        let host = HeaderValue::from_str(authority).map_err(|_| Reason::MalformedRequest)?;
        head.headers.insert(header::HOST, host);
    }
    // `Host` says whom it is for, from here on alone.
    head.uri = Uri::from(target(&head.uri)?);
    Ok(())
}

/// What the head would take over HTTP/1, where a field has a colon, a space and a line's end.
fn bytes(head: &Parts) -> usize {
    let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let host = head.uri.authority().map_or(0, |authority| "host: \r\n".len() + authority.as_str().len());
    head.method.as_str().len() + target + "  HTTP/1.1\r\n\r\n".len() + host + fields.sum::<usize>()
}

/// The target in origin form (RFC 9112 section 3.2.1), or `*`. A query alone is none: the `http` crate would put a `/`
/// before it (RFC 9113 section 8.3.1).
fn target(uri: &Uri) -> Result<PathAndQuery, Reason> {
    if uri.path_and_query().is_some_and(|target| target.as_str().starts_with('?')) {
        return Err(Reason::MalformedRequest);
    }
    let escaped = uri.query().map(|query| head::escaped(query.as_bytes())).transpose();
    let target = match escaped.map_err(|error| error.reason())?.flatten() {
        Some(query) => PathAndQuery::try_from(format!("{}?{query}", uri.path())).ok(),
        None => uri.path_and_query().cloned(),
    };
    target.ok_or(Reason::MalformedRequest)
}

/// RFC 9113 section 8.2.1: a value neither begins nor ends with a space or a tab.
fn is_padded(value: &[u8]) -> bool {
    [value.first(), value.last()].into_iter().flatten().any(|byte| matches!(byte, b' ' | b'\t'))
}

/// RFC 9113 section 8.2.3: clients send each cookie by itself, and a server of HTTP/1 reads one line of them.
fn join_cookies(head: &mut Parts) -> Result<(), Reason> {
    let crumbs: Vec<_> = head.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() < 2 {
        return Ok(());
    }
    let cookies = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).map_err(|_| Reason::MalformedRequest)?;
    head.headers.insert(header::COOKIE, cookies);
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn head(method: &str, uri: &str) -> Parts {
        http::Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_head_is_read_as_one_of_http_1() {
        for (method, uri, verdict) in [
            ("GET", "http://a.test/x?y=1", Ok(())),
            ("CONNECT", "a.test:443", Err(Reason::MethodNotAllowed)),
            ("PURGE", "http://a.test/", Ok(())),
            ("get", "http://a.test/", Err(Reason::MalformedRequest)),
            ("PURGe", "http://a.test/", Err(Reason::MalformedRequest)),
            ("GET", "http://a.test/ñ", Err(Reason::MalformedRequest)),
            ("GET", "/no-host", Err(Reason::MalformedRequest)),
            ("GET", "http://a.test?y=1", Err(Reason::MalformedRequest)),
        ] {
            assert_eq!(take(&mut head(method, uri)), verdict, "{method} {uri}");
        }
        let mut taken = head("GET", "http://a.test:1/x?y=ñ");
        take(&mut taken).unwrap();
        assert_eq!((taken.uri.query(), &taken.headers["host"]), (Some("y=%C3%B1"), &"a.test:1".parse().unwrap()));
        let mut many = head("GET", "http://a.test/");
        for at in 0..=FIELDS_MAX {
            many.headers.append(HeaderName::try_from(format!("x-{at}")).unwrap(), HeaderValue::from_static(""));
        }
        assert_eq!(take(&mut many), Err(Reason::HeadTooLarge));
    }
}
