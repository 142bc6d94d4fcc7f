//! What an old system is asked: the login request of the realm's contract, made anew.
//!
//! The client's own bytes are not passed on. A member that Portero does not read could be the one that the old system
//! reads (`"Username"` beside `"username"`), and then its yes would be about somebody else.

use serde_json::{Map, Value, json};

use crate::{
    domain::{AccountName, Secret, secret::SecretBytes},
    rules::dialect::Dialect,
};

/// The members of a contract's login request; `None` for a contract that has no such request.
const fn members(dialect: Dialect) -> Option<(&'static str, &'static str, &'static str)> {
    match dialect {
        Dialect::Sws | Dialect::Apis => Some(("", "username", "password")),
        Dialect::Toc => Some(("business", "proyecto", "password")),
        Dialect::Maxpoint => Some(("", "clientId", "clientSecret")),
        Dialect::Become => Some(("", "client_id", "client_secret")),
        Dialect::Oauth => None,
    }
}

/// The body that asks whether this name has this secret; `None` for a contract that has no such request.
#[must_use]
pub fn question(dialect: Dialect, name: &AccountName, secret: &Secret) -> Option<SecretBytes> {
    let (business, account, password) = members(dialect)?;
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
pub fn is_exact(dialect: Dialect, body: &Map<String, Value>) -> bool {
    let Some((business, account, password)) = members(dialect) else { return false };
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
        rules::dialect::{DialectSettings, Operation, TokenRequest},
    };

    #[test]
    fn each_contract_reads_the_question_as_the_login_that_it_asks_about() {
        for dialect in Dialect::ALL.into_iter().filter(|dialect| *dialect != Dialect::Oauth) {
            let business = if dialect == Dialect::Toc { "5a2ac4" } else { "" };
            let name = AccountName { business: business.to_owned(), name: "ñ\"\\".to_owned() };
            let asked = question(dialect, &name, &"p\u{0}w".into()).unwrap();
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
            assert_eq!((login.name, login.secret.expose()), (name, "p\u{0}w"), "{dialect}");
            assert!(is_exact(dialect, body.as_ref().unwrap()), "{dialect}");
        }
        assert!(
            question(Dialect::Oauth, &AccountName { business: String::new(), name: "a".into() }, &"b".into()).is_none()
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
            assert!(!is_exact(Dialect::Sws, body.as_object().unwrap()), "{body}");
        }
    }
}
