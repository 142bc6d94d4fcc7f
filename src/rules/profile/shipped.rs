//! The claim mappings that ship: how the access tokens of well-known issuers look where nobody has changed them.
//!
//! Each is what the vendor's reference of its access tokens says. Where a vendor leaves a claim to its customers, the
//! name here is the one that its examples use; `claims` of the issuer names another.

use super::mapping::ClaimMapping;
use crate::rules::claim::ClaimPath;

/// A vendor whose access tokens are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shipped {
    /// Keycloak: roles of the realm in `realm_access.roles`.
    Keycloak,
    /// Microsoft Entra ID, v1.0 and v2.0 tokens: `sub` is another one for each application, `oid` is the account.
    Entra,
    /// Auth0: `permissions` where the API has role-based access control, which then counts and not `scope`.
    Auth0,
    /// Okta, a custom authorization server: `uid` is the account and `sub` its login, which can change; the tokens of
    /// clients have `cid` alone.
    Okta,
    /// Amazon Cognito: access tokens have `client_id` and no `aud`.
    Cognito,
    /// Google's ID tokens, which its services send to others as they are.
    Google,
}

impl Shipped {
    /// Each with the word in `gateway.toml`.
    pub const ALL: [(&str, Self); 6] = [
        ("keycloak", Self::Keycloak),
        ("entra", Self::Entra),
        ("auth0", Self::Auth0),
        ("okta", Self::Okta),
        ("cognito", Self::Cognito),
        ("google", Self::Google),
    ];

    /// Which claims say what.
    #[must_use]
    pub fn mapping(self) -> ClaimMapping {
        let default = ClaimMapping::default();
        match self {
            Self::Keycloak => ClaimMapping {
                name: of(&["preferred_username", "client_id", "azp"]),
                role: vec![ClaimPath::member("realm_access").then("roles")],
                scopes: of(&["scope"]),
                organization: of(&["organization"]),
                ..default
            },
            Self::Entra => ClaimMapping {
                subject: of(&["oid"]),
                name: of(&["preferred_username", "upn", "unique_name", "azp", "appid"]),
                role: of(&["roles"]),
                scopes: of(&["scp"]),
                organization: of(&["tid"]),
                ..default
            },
            Self::Auth0 => ClaimMapping {
                name: of(&["client_id", "azp"]),
                role: of(&["roles"]),
                scopes: of(&["permissions", "scope"]),
                organization: of(&["org_id"]),
                ..default
            },
            Self::Okta => ClaimMapping {
                subject: of(&["uid", "cid"]),
                name: of(&["sub"]),
                role: of(&["groups"]),
                scopes: of(&["scp"]),
                organization: vec![],
                ..default
            },
            Self::Cognito => ClaimMapping {
                audience: of(&["client_id"]),
                name: of(&["username", "client_id"]),
                role: of(&["cognito:groups"]),
                scopes: of(&["scope"]),
                organization: vec![],
                ..default
            },
            Self::Google => ClaimMapping {
                name: of(&["email", "azp"]),
                role: vec![],
                scopes: vec![],
                organization: of(&["hd"]),
                ..default
            },
        }
    }
}

fn of(names: &[&str]) -> Vec<ClaimPath> {
    names.iter().map(|name| ClaimPath::member(name)).collect()
}
