//! What an old system is asked: the login request of the realm's contract, made anew.
//!
//! The client's own bytes are not passed on. A member that Portero does not read could be the one that the old system
//! reads (`"Username"` beside `"username"`), and then its yes would be about somebody else.

use serde_json::{Map, Value};

use crate::{
    domain::{AccountName, Secret, secret::SecretBytes},
    rules::contract::{Contract, Meaning},
};

/// The body that asks whether this name has this secret; `None` for a contract that has no such request.
#[must_use]
pub fn question(contract: &dyn Contract, name: &AccountName, secret: &Secret) -> Option<SecretBytes> {
    let members = contract.login_members();
    if members.is_empty() {
        return None;
    }
    // The text of JSON by hand: a map of values would keep a copy of the secret.
    let mut body = Vec::with_capacity(256);
    for (at, (member, meaning)) in members.iter().enumerate() {
        let value = match meaning {
            Meaning::Name => &name.name,
            Meaning::Business => &name.business,
            Meaning::Secret => secret.expose(),
        };
        body.push(if at == 0 { b'{' } else { b',' });
        serde_json::to_writer(&mut body, &**member).ok()?;
        body.push(b':');
        serde_json::to_writer(&mut body, value).ok()?;
    }
    body.push(b'}');
    Some(SecretBytes::new(body))
}

/// Whether a client's own request has exactly the contract's members, each a string: then an old system that was sent
/// the client's bytes can have read nothing else.
#[must_use]
pub fn is_exact(contract: &dyn Contract, body: &Map<String, Value>) -> bool {
    let members = contract.login_members();
    let is_string = |member: &str| body.get(member).is_some_and(Value::is_string);
    !members.is_empty() && body.len() == members.len() && members.iter().all(|(member, _)| is_string(member))
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;
    use crate::{
        domain::json,
        rules::contract::{Dialect, DialectSettings, Operation, TokenRequest},
    };

    #[test]
    fn each_contract_reads_the_question_as_the_login_that_it_asks_about() {
        for dialect in Dialect::shipped().filter(|dialect| !dialect.is_oauth()) {
            let business = if dialect.facts().accounts.has_business { "5a2ac4" } else { "" };
            let name = AccountName { business: business.to_owned(), name: "ñ\"\\".to_owned() };
            let asked = question(dialect.contract(), &name, &"p\u{0}w".into()).unwrap();
            let body = json::parse_object(asked.expose());
            let request = TokenRequest {
                method: &Method::POST,
                query: None,
                content_type: Some(b"application/json"),
                authorization: None,
                body: (&body).into(),
                refresh: false,
            };
            let Ok(Operation::Login(login)) = dialect.contract().read(&request, &DialectSettings::default()) else {
                panic!("{dialect}: no login");
            };
            assert_eq!((login.name, login.secret.expose()), (name, "p\u{0}w"), "{dialect}");
            assert!(is_exact(dialect.contract(), body.as_ref().unwrap()), "{dialect}");
        }
        let name = AccountName { business: String::new(), name: "a".into() };
        assert!(question(Dialect::oauth().contract(), &name, &"b".into()).is_none());
        assert!(!is_exact(Dialect::oauth().contract(), &Map::new()));
    }

    #[test]
    fn a_member_more_or_of_another_type_is_not_exact() {
        let users: Dialect = "sws".parse().unwrap();
        for body in [
            json!({"username": "a", "password": "b", "Username": "c"}),
            json!({"username": "a"}),
            json!({"username": "a", "Password": "b"}),
            json!({"username": "a", "password": 1}),
        ] {
            assert!(!is_exact(users.contract(), body.as_object().unwrap()), "{body}");
        }
    }
}
