//! What a client receives of an upstream's answer, where its route says something about that.

use http::{HeaderName, HeaderValue, header};
use pingora::{
    Error, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
};

use super::exchange::Exchange;
use crate::{
    edge::respond::Asker,
    rules::{
        cors::{Cors, is_cors_field},
        rewrite::{REVEALING, Rewrites, hardening},
    },
};

impl Exchange {
    /// Makes the upstream's head the client's. Interim heads pass as they are: the final one speaks for the route.
    pub(super) fn amend(&self, request: &RequestHeader, response: &mut ResponseHeader) -> Result<()> {
        let Some(settings) = self.route().map(|route| &route.settings) else { return Ok(()) };
        if response.status.is_informational() {
            return Ok(());
        }
        if let Some(rewrites) = &settings.rewrites {
            rewrite(response, rewrites, self.asker(request).secure)?;
        }
        settings.cors.as_ref().map_or(Ok(()), |cors| share(response, cors, &self.asker(request)))
    }

    /// Looks at how much of the request's body has come. pingora counts each byte once, however often it is
    /// offered to a server.
    pub(super) fn take_body(&self, bytes: usize) -> Result<()> {
        let most = self.route().and_then(|route| route.settings.body_bytes_max);
        match most {
            // The error ends the request to the upstream before the end of its body.
            Some(most) if u64::try_from(bytes).unwrap_or(u64::MAX) > most => {
                Err(Error::new_down(ErrorType::HTTPStatus(413)))
            }
            _ => Ok(()),
        }
    }
}

fn rewrite(response: &mut ResponseHeader, rewrites: &Rewrites, secure: bool) -> Result<()> {
    if rewrites.harden {
        for name in &REVEALING {
            response.remove_header(name);
        }
        for (name, value) in hardening(secure) {
            if !response.headers.contains_key(&name) {
                response.insert_header(name, value)?;
            }
        }
    }
    for name in &rewrites.response.remove {
        response.remove_header(name);
    }
    for (name, value) in &rewrites.response.set {
        response.insert_header(name.clone(), value.clone())?;
    }
    Ok(())
}

/// Puts the route's word in the place of the service's: two would be none to a browser.
fn share(response: &mut ResponseHeader, cors: &Cors, asker: &Asker<'_>) -> Result<()> {
    let own: Vec<HeaderName> = response.headers.keys().filter(|name| is_cors_field(name)).cloned().collect();
    for name in own {
        response.remove_header(&name);
    }
    for (name, value) in cors.answer(asker.headers) {
        response.insert_header(name, value)?;
    }
    if cors.varies() && !says_origin(response) {
        response.append_header(header::VARY, HeaderValue::from_static("origin"))?;
    }
    Ok(())
}

fn says_origin(response: &ResponseHeader) -> bool {
    let lists = response.headers.get_all(header::VARY).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).any(|name| name == "*" || name.eq_ignore_ascii_case("origin"))
}
