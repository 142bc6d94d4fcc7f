//! The body of a request to an OAuth endpoint.

use std::collections::BTreeMap;

use super::error::OAuthError;
use crate::domain::{
    Secret,
    form::{NoForm, fields, is_form},
};

/// The parameters of a request. Without `Debug`: some of them are secrets.
pub struct Form(BTreeMap<String, Secret>);

impl Form {
    /// Reads a body. Unknown parameters are ignored, those without a value count as left out (RFC 6749
    /// section 3.2).
    ///
    /// # Errors
    /// Another media type, bytes that are no UTF-8, and a parameter that stands there twice, known or not.
    pub fn read(content_type: Option<&[u8]>, body: &[u8]) -> Result<Self, OAuthError> {
        if !content_type.is_some_and(is_form) {
            return Err(OAuthError::InvalidRequest("the body must be application/x-www-form-urlencoded"));
        }
        let fields = fields(body).map_err(|why| {
            OAuthError::InvalidRequest(match why {
                NoForm::NotUtf8 => "the body is not UTF-8",
                NoForm::Repeated => "a parameter is repeated",
                NoForm::TooMany => "there are too many parameters",
            })
        })?;
        Ok(Self(fields.into_iter().map(|(name, value)| (name, Secret::new(value))).collect()))
    }

    /// The value of a parameter; `None` when it is left out or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Secret::expose).filter(|value| !value.is_empty())
    }

    /// The value of a parameter that must be there.
    ///
    /// # Errors
    /// `otherwise` tells the client what is missing.
    pub fn required(&self, name: &str, otherwise: &'static str) -> Result<&str, OAuthError> {
        self.get(name).ok_or(OAuthError::InvalidRequest(otherwise))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::form::FORM;

    fn read(body: &str) -> Result<Form, OAuthError> {
        Form::read(Some(FORM.as_bytes()), body.as_bytes())
    }

    #[test]
    fn parameters_are_decoded_and_empty_ones_are_left_out() {
        let form = read("grant_type=client_credentials&scope=a+b%20c&empty=&bare&x=%C3%B1").ok().unwrap();
        assert_eq!(form.get("grant_type"), Some("client_credentials"));
        assert_eq!(form.get("scope"), Some("a b c"));
        assert_eq!(form.get("x"), Some("ñ"));
        for absent in ["empty", "bare", "nothing"] {
            assert_eq!(form.get(absent), None, "{absent}");
        }
        assert!(form.required("empty", "missing").is_err());
    }

    #[test]
    fn a_repeated_parameter_is_refused_whatever_it_is() {
        for body in ["a=1&a=2", "a=1&a=1", "a=&a=", "a&a=1", "b=2&%61=1&a=1", "&a=1&&a=2"] {
            assert_eq!(read(body).err(), Some(OAuthError::InvalidRequest("a parameter is repeated")), "{body}");
        }
        assert!(read("a=1&A=1&&").is_ok());
    }

    #[test]
    fn only_a_form_in_utf_8_is_read() {
        for good in ["application/x-www-form-urlencoded", "Application/X-WWW-Form-URLencoded ; charset=UTF-8"] {
            assert!(Form::read(Some(good.as_bytes()), b"").is_ok(), "{good}");
        }
        for bad in [None, Some("application/json"), Some("application/x-www-form-urlencoded2"), Some("")] {
            assert!(Form::read(bad.map(str::as_bytes), b"a=1").is_err(), "{bad:?}");
        }
        for bad in [&b"a=\xff"[..], b"a=%ff", b"%c3=1"] {
            assert!(Form::read(Some(FORM.as_bytes()), bad).is_err(), "{bad:?}");
        }
    }
}
