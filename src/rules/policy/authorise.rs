//! The verdict over a verified token. It is made anew on every request: a cached identity never
//! carries a cached permission.

use serde_json::Value;

use crate::{
    domain::{Claims, RealmName, Reason, TokenKind},
    rules::claim::ClaimPath,
};

/// Whether a route asks for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A valid token, or no entry.
    Required,
    /// No token passes as anonymous; a bad one is refused all the same.
    Optional,
    /// Tokens are not looked at.
    Public,
}

/// What a route asks of a caller.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whether a token is asked for.
    pub auth: Auth,
    /// The realms whose tokens open the route.
    pub accept: Vec<RealmName>,
    /// The kind of token that opens it.
    pub token: TokenKind,
    /// One of these roles; empty for any.
    pub roles: Vec<Box<str>>,
    /// All of these scopes.
    pub scopes: Vec<Box<str>>,
    /// All of these claims, each with this value (or, in a list claim, among its values).
    pub claims: Vec<(ClaimPath, Value)>,
}

impl Policy {
    /// Judges a verified token.
    ///
    /// # Errors
    /// The reason of the denial: first who the token is from and what it is for (401), then what
    /// it may do (403).
    pub fn authorise(&self, claims: &Claims) -> Result<(), Reason> {
        Rule::ALL.into_iter().find(|rule| !rule.holds(self, claims)).map_or(Ok(()), |rule| Err(rule.reason()))
    }
}

/// One thing that a policy asks of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It is of an accepted realm or issuer.
    Accept,
    /// It is of the kind that opens the route.
    Kind,
    /// It has one of the roles.
    Roles,
    /// It has all of the scopes.
    Scopes,
    /// It has all of the claims.
    Claims,
}

impl Rule {
    /// Every rule, in the order in which they are applied.
    pub const ALL: [Self; 5] = [Self::Accept, Self::Kind, Self::Roles, Self::Scopes, Self::Claims];

    /// Whether `claims` have what `policy` asks for.
    #[inline]
    #[must_use]
    pub fn holds(self, policy: &Policy, claims: &Claims) -> bool {
        match self {
            Self::Accept => policy.accept.contains(&claims.realm),
            Self::Kind => claims.kind == policy.token,
            Self::Roles => policy.roles.is_empty() || claims.roles.has_any(&policy.roles),
            Self::Scopes => policy.scopes.iter().all(|scope| claims.scopes.contains(scope)),
            Self::Claims => {
                policy.claims.iter().all(|(path, wanted)| path.any(&claims.extra, &mut |value| value == wanted))
            }
        }
    }

    /// Why a token that does not have it is refused.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Accept => Reason::RealmNotAccepted,
            Self::Kind => Reason::WrongTokenKind,
            Self::Roles => Reason::RoleMissing,
            Self::Scopes => Reason::ScopeMissing,
            Self::Claims => Reason::ClaimMissing,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::domain::{PrincipalId, PrincipalKind, RevocationId, Roles, Timestamp, TokenSubject};

    fn claims() -> Claims {
        let Value::Object(extra) = json!({"tenant": "x", "permissions": ["read", "write"], "level": 3,
            "realm_access": {"roles": ["a", "b"], "level": 3}, "teams": [{"id": 1}, {"id": 2}], "a.b": true})
        else {
            unreachable!()
        };
        Claims {
            realm: "apis".parse().unwrap(),
            kind: TokenKind::Access,
            subject: TokenSubject::Account(PrincipalId::generate()),
            principal: Some(PrincipalKind::User),
            session: None,
            revocation_id: RevocationId::from_bytes([0; 16]),
            epoch: 0,
            issued_at: Timestamp::from_secs(0),
            not_before: Timestamp::from_secs(0),
            expires_at: None,
            name: "admin".into(),
            legacy_id: None,
            roles: Roles::one("ADMIN"),
            scopes: vec!["read".into()],
            organization: None,
            extra,
        }
    }

    fn policy() -> Policy {
        Policy {
            auth: Auth::Required,
            accept: vec!["sws".parse().unwrap(), "apis".parse().unwrap()],
            token: TokenKind::Access,
            roles: vec![],
            scopes: vec![],
            claims: vec![],
        }
    }

    #[test]
    fn another_realms_token_and_another_kind_are_no_tokens_here() {
        assert_eq!(policy().authorise(&claims()), Ok(()));
        assert_eq!(
            Policy { accept: vec!["sws".parse().unwrap()], ..policy() }.authorise(&claims()),
            Err(Reason::RealmNotAccepted)
        );
        for kind in [TokenKind::Content, TokenKind::Refresh] {
            assert_eq!(policy().authorise(&Claims { kind, ..claims() }), Err(Reason::WrongTokenKind));
        }
    }

    #[test]
    fn one_role_suffices_but_every_scope_is_needed() {
        let roles = |roles: &[&str]| Policy { roles: roles.iter().map(|&r| r.into()).collect(), ..policy() };
        assert_eq!(roles(&["USER", "ADMIN"]).authorise(&claims()), Ok(()));
        assert_eq!(roles(&["admin"]).authorise(&claims()), Err(Reason::RoleMissing));
        assert_eq!(roles(&["ADMIN"]).authorise(&Claims { roles: Roles::none(), ..claims() }), Err(Reason::RoleMissing));
        let scopes = |scopes: &[&str]| Policy { scopes: scopes.iter().map(|&s| s.into()).collect(), ..policy() };
        assert_eq!(scopes(&["read"]).authorise(&claims()), Ok(()));
        assert_eq!(scopes(&["read", "write"]).authorise(&claims()), Err(Reason::ScopeMissing));
    }

    #[test]
    fn claims_compare_by_value_and_type_and_look_into_lists() {
        let wants = |name: &str, value: Value| Policy { claims: vec![(name.parse().unwrap(), value)], ..policy() };
        assert_eq!(wants("tenant", json!("x")).authorise(&claims()), Ok(()));
        assert_eq!(wants("permissions", json!("write")).authorise(&claims()), Ok(()));
        assert_eq!(wants("level", json!(3)).authorise(&claims()), Ok(()));
        for (name, value) in
            [("tenant", json!("y")), ("level", json!("3")), ("permissions", json!("admin")), ("none", json!(null))]
        {
            assert_eq!(wants(name, value).authorise(&claims()), Err(Reason::ClaimMissing), "{name}");
        }
        for (path, value) in [("realm_access.roles", json!("b")), ("teams.id", json!(2)), ("\"a.b\"", json!(true))] {
            assert_eq!(wants(path, value).authorise(&claims()), Ok(()), "{path}");
        }
        for (path, value) in [
            ("realm_access.roles", json!("c")),
            ("realm_access.level", json!("3")),
            ("realm_access", json!("b")),
            ("teams.id", json!(3)),
            ("a.b", json!(true)),
            ("tenant.x", json!("x")),
        ] {
            assert_eq!(wants(path, value).authorise(&claims()), Err(Reason::ClaimMissing), "{path}");
        }
        assert_eq!(
            wants("tenant", json!("x")).authorise(&Claims { extra: Map::new(), ..claims() }),
            Err(Reason::ClaimMissing)
        );
    }
}
