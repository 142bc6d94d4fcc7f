//! What a contract's token endpoint takes and answers, as JSON Schema: for the API's document. `docs/contracts.md` has
//! every answer.

use serde_json::{Map, Value, json};

use super::Dialect;

/// A token endpoint of one contract.
#[derive(Clone, Debug, PartialEq)]
pub struct Schemas {
    /// The JSON body of its request.
    pub request: Value,
    /// The JSON body of its answer with 200.
    pub answer: Value,
    /// The statuses of its refusals.
    pub refusals: &'static [u16],
}

impl Dialect {
    /// What its logins take and answer, or its refreshes. `None` where it has none: OAuth's endpoints take forms.
    #[must_use]
    pub fn schemas(self, refresh: bool) -> Option<Schemas> {
        let members: &[&str] = if refresh { &["refreshToken"] } else { self.contract().identifying_members() };
        let token = object(&[("token", string()), ("expiresIn", integer())]);
        let answer = match (self, refresh) {
            (Self::Sws, false) => object(&[
                ("tokenValido", string()),
                ("vencimiento", string()),
                ("usuario", object(&[("id", integer()), ("username", string()), ("nombre", string())])),
            ]),
            (Self::Apis, false) => object(&[
                ("id", string()),
                ("username", string()),
                ("role", string()),
                ("accessToken", token.clone()),
                ("contentToken", token.clone()),
                ("refreshToken", token),
            ]),
            (Self::Apis, true) => object(&[("accessToken", token.clone()), ("contentToken", token)]),
            (Self::Toc, false) => json!({ "type": "string" }),
            (Self::Maxpoint, false) => object(&[
                ("code", integer()),
                ("status", string()),
                ("message", string()),
                ("data", object(&[("token", string()), ("expire_in", string())])),
            ]),
            (Self::Become, false) => object(&[("access_token", string()), ("exp", integer()), ("iat", integer())]),
            _ => return None,
        };
        let refusals: &[u16] = match self {
            // It answers its own errors with 200, unless `error_status` says otherwise.
            Self::Sws => &[405, 408, 413, 429, 503],
            Self::Become => &[400, 401, 404, 405, 408, 413, 429, 503],
            _ => &[400, 401, 405, 408, 413, 429, 503],
        };
        let request = members.iter().map(|name| (*name, string())).collect::<Vec<_>>();
        // Members that it does not know are ignored.
        Some(Schemas { request: object(&request), answer, refusals })
    }
}

fn string() -> Value {
    json!({ "type": "string" })
}

fn integer() -> Value {
    json!({ "type": "integer" })
}

fn object(members: &[(&str, Value)]) -> Value {
    let properties: Map<_, _> = members.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    let required: Vec<_> = members.iter().map(|(name, _)| *name).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contract_has_a_login_and_one_a_refresh() {
        let has = |refresh| Dialect::ALL.into_iter().filter(move |dialect| dialect.schemas(refresh).is_some());
        assert_eq!(has(false).count(), 5);
        assert_eq!(has(true).collect::<Vec<_>>(), [Dialect::Apis]);
        let sws = Dialect::Sws.schemas(false).unwrap();
        assert_eq!(sws.request["required"], json!(["username", "password"]));
    }
}
