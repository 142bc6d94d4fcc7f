//! What an old system is asked: the login request of the realm's contract, made anew.
//!
//! The client's own bytes are not passed on. A member that Portero does not read could be the one that the old system
//! reads (`"Username"` beside `"username"`), and then its yes would be about somebody else.

use serde_json::{Map, Value, json};

use crate::{
    domain::{AccountName, Secret, secret::SecretBytes},
    rules::contract::Family,
};

/// The members of a contract's login request; `None` for a contract that has no such request.
const fn members(family: Family) -> Option<(&'static str, &'static str, &'static str)> {
    match family {
        Family::Sws | Family::Apis => Some(("", "username", "password")),
        Family::Toc => Some(("business", "proyecto", "password")),
        Family::Maxpoint => Some(("", "clientId", "clientSecret")),
        Family::Become => Some(("", "client_id", "client_secret")),
        Family::Other => None,
    }
}

/// The body that asks whether this name has this secret; `None` for a contract that has no such request.
#[must_use]
pub fn question(family: Family, name: &AccountName, secret: &Secret) -> Option<SecretBytes> {
    let (business, account, password) = members(family)?;
    let body = if business.is_empty() {
        json!({ account: name.name, password: secret.expose() })
    } else {
        json!({ business: name.business, account: name.name, password: secret.expose() })
    };
    serde_json::to_vec(&body).ok().map(SecretBytes::new)
}

/// Whether a client's own request has exactly the contract's members, each a string: then an old system that was sent
/// the client's bytes can have read nothing else.
#[must_use]
pub fn is_exact(family: Family, body: &Map<String, Value>) -> bool {
    let Some((business, account, password)) = members(family) else { return false };
    let expected = [business, account, password].into_iter().filter(|member| !member.is_empty());
    let count = if business.is_empty() { 2 } else { 3 };
    body.len() == count && expected.into_iter().all(|member| body.get(member).is_some_and(Value::is_string))
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::{
        domain::json,
        rules::contract::{Dialect, DialectSettings, Operation, TokenRequest},
    };

    #[test]
    fn each_contract_reads_the_question_as_the_login_that_it_asks_about() {
        let of_old = |dialect: &Dialect| dialect.family() != Family::Other;
        let dialects: Vec<_> = Dialect::shipped().filter(of_old).collect();
        assert!(Family::KNOWN.iter().all(|known| dialects.iter().any(|dialect| dialect.family() == *known)));
        for dialect in dialects {
            let family = dialect.family();
            let business = if family == Family::Toc { "5a2ac4" } else { "" };
            let name = AccountName { business: business.to_owned(), name: "ñ\"\\".to_owned() };
            let asked = question(family, &name, &"p\u{0}w".into()).unwrap();
            let body = json::parse_object(asked.expose());
            let request = TokenRequest {
                method: &Method::POST,
                query: None,
                content_type: Some(b"application/json"),
                body: &body,
                refresh: false,
            };
            let Ok(Operation::Login(login)) = dialect.contract().read(&request, &DialectSettings::default()) else {
                panic!("{dialect}: no login");
            };
            assert_eq!((login.name, login.secret.expose()), (name, "p\u{0}w"), "{family:?}");
            assert!(is_exact(family, body.as_ref().unwrap()), "{family:?}");
        }
        assert!(
            question(Family::Other, &AccountName { business: String::new(), name: "a".into() }, &"b".into()).is_none()
        );
    }

    #[test]
    fn a_member_more_or_of_another_type_is_not_exact() {
        for body in [
            json!({"username": "a", "password": "b", "Username": "c"}),
            json!({"username": "a"}),
            json!({"username": "a", "Password": "b"}),
            json!({"username": "a", "password": 1}),
        ] {
            assert!(!is_exact(Family::Sws, body.as_object().unwrap()), "{body}");
        }
    }
}
