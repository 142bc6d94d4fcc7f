//! Which client asks, and with which secret: by Basic, or in the body (RFC 6749 section 2.3.1).

use http::{HeaderMap, header};
use zeroize::Zeroizing;

use super::{error::OAuthError, form::Form};
use crate::{
    domain::Secret,
    rules::contract::{Login, basic::Pair},
};

/// Finds the client's name and secret. Neither is checked yet.
///
/// # Errors
/// [`OAuthError::InvalidClient`] where the request has no credentials that can be read, and
/// [`OAuthError::InvalidRequest`] for two ways at once.
pub fn find(headers: &HeaderMap, form: &Form) -> Result<Login, OAuthError> {
    let mut authorizations = headers.get_all(header::AUTHORIZATION).iter();
    let (first, more) = (authorizations.next(), authorizations.next());
    if more.is_some() {
        return Err(OAuthError::InvalidRequest("the Authorization header is repeated"));
    }
    let (id, secret) = (form.get("client_id"), form.get("client_secret"));
    let Some(authorization) = first else {
        let (id, secret) = id.zip(secret).ok_or(OAuthError::InvalidClient)?;
        return Ok(Login::new(id, secret));
    };
    if secret.is_some() {
        return Err(OAuthError::InvalidRequest("the client authenticates in two ways at once"));
    }
    let login = authorization.to_str().ok().and_then(basic).ok_or(OAuthError::InvalidClient)?;
    // A client may say its name again in the body, but not another one.
    if id.is_some_and(|id| id != login.name.name) {
        return Err(OAuthError::InvalidRequest("client_id is not the client that authenticates"));
    }
    Ok(login)
}

/// `Basic` over two words that were encoded as in a form each, so that a `:` in one does not end it.
fn basic(authorization: &str) -> Option<Login> {
    let pair = Pair::of(authorization)?;
    let (id, secret) = pair.parts();
    let (id, secret) = (decoded(id)?, decoded(secret)?);
    let complete = !id.expose().is_empty() && !secret.expose().is_empty();
    complete.then(|| Login::new(id.expose(), secret.expose()))
}

/// `application/x-www-form-urlencoded` (RFC 6749 appendix B), of one value alone.
fn decoded(text: &str) -> Option<Secret> {
    let pair = Zeroizing::new(format!("v={}", text.replace('&', "%26")));
    let (_, value) = form_urlencoded::parse(pair.as_bytes()).next()?;
    (!value.contains(char::REPLACEMENT_CHARACTER)).then(|| Secret::new(value.into_owned()))
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use http::HeaderValue;

    use super::*;
    use crate::rules::contract::oauth::FORM;

    fn found(authorizations: &[String], body: &str) -> Result<Login, OAuthError> {
        let mut headers = HeaderMap::new();
        for authorization in authorizations {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(authorization).unwrap());
        }
        find(&headers, &Form::read(Some(FORM.as_bytes()), body.as_bytes()).ok().unwrap())
    }

    fn basic_of(pair: &str) -> [String; 1] {
        [format!("Basic {}", STANDARD.encode(pair))]
    }

    #[test]
    fn a_client_is_read_from_basic_or_from_the_body() {
        let expected = Ok(Login::new("one", "s3cret"));
        assert_eq!(found(&basic_of("one:s3cret"), ""), expected);
        assert_eq!(found(&[basic_of("one:s3cret")[0].replace("Basic", "bASIC")], ""), expected);
        assert_eq!(found(&basic_of("one:s3cret"), "client_id=one"), expected);
        assert_eq!(found(&[], "client_id=one&client_secret=s3cret"), expected);
    }

    #[test]
    fn basic_is_decoded_as_a_form_is() {
        for (pair, id, secret) in [
            ("a%3Ab:c", "a:b", "c"),
            ("a:b:c", "a", "b:c"),
            ("a+b:c%20d%2Be", "a b", "c d+e"),
            ("a:x&y=z", "a", "x&y=z"),
            ("%C3%B1:%25", "ñ", "%"),
        ] {
            assert_eq!(found(&basic_of(pair), ""), Ok(Login::new(id, secret)), "{pair}");
        }
    }

    #[test]
    fn two_ways_at_once_are_one_too_many() {
        for (authorizations, body) in [
            (basic_of("one:s").to_vec(), "client_id=one&client_secret=s"),
            (basic_of("one:s").to_vec(), "client_secret=s"),
            (basic_of("one:s").to_vec(), "client_id=two"),
            ([basic_of("one:s"), basic_of("one:s")].concat(), ""),
            (vec!["Bearer x".into()], "client_id=one&client_secret=s"),
        ] {
            let refused = found(&authorizations, body).err();
            assert!(matches!(refused, Some(OAuthError::InvalidRequest(_))), "{authorizations:?} {body}: {refused:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_client() {
        for body in ["", "client_id=one", "client_secret=s", "client_id=one&client_secret="] {
            assert_eq!(found(&[], body), Err(OAuthError::InvalidClient), "{body}");
        }
        for bad in [
            "Basic",
            "Basic ",
            "Basic !!!",
            "Bearer b25lOnM=",
            "Basic b25l",     // without a colon
            "Basic OnM=",     // without a name
            "Basic b25lOg==", // without a secret
            "Basic b25lOnM",  // without padding
            "Basic /zo=",     // no UTF-8
            "Basic JWZmOnM=", // no UTF-8 once decoded
        ] {
            assert_eq!(found(&[bad.to_owned()], ""), Err(OAuthError::InvalidClient), "{bad}");
        }
    }
}
