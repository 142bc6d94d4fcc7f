//! Access tokens as well-known issuers write them, read by the profiles that ship. The claims are those of the vendors'
//! references, with other people in them.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::fixture::*;
use crate::{
    domain::{Claims, Reason, TokenSubject},
    rules::{
        issuer::{ExternalIssuer, Issuer},
        profile::{ClaimMapping, Shipped},
    },
    state::token,
};

/// What a token is taken for.
struct Read {
    subject: &'static str,
    name: &'static str,
    roles: &'static [&'static str],
    scopes: &'static [&'static str],
    organization: Option<&'static str>,
}

/// The issuer `corp`, whose tokens are read so and are for `audience`.
fn ground(mapping: ClaimMapping, issuer: &str, audience: &str) -> Ground {
    let mut ground = Ground::new([], []);
    let external = ExternalIssuer {
        name: "corp".parse().unwrap(),
        issuer: issuer.into(),
        audiences: vec!["https://other.example".into(), audience.into()],
        leeway: Duration::ZERO,
        claims: mapping,
        is_asked: false,
    };
    ground.keys = ground.keys.with_external(&external.name, vec![hs256_key(KID, "corp", SECRET)]);
    ground.issuers.insert(external.name.clone(), Issuer::External(external.into()));
    ground
}

fn open(ground: &Ground, claims: &Map<String, Value>) -> Result<Claims, Reason> {
    ground.open(&signed(text(&good_header()), text(claims)))
}

/// Why `claims` are refused, in words.
fn defect(ground: &Ground, claims: &Map<String, Value>) -> String {
    let token = signed(text(&good_header()), text(claims));
    token::defect(&token, &ground.keys, &ground.issuers).unwrap().to_string()
}

fn holds(claims: &Claims, read: &Read) {
    assert_eq!(claims.subject, TokenSubject::External(read.subject.into()));
    assert_eq!(&*claims.name, read.name);
    assert_eq!(claims.roles.iter().collect::<Vec<_>>(), read.roles);
    assert_eq!(claims.scopes.iter().map(|scope| &**scope).collect::<Vec<_>>(), read.scopes);
    assert_eq!(claims.organization.as_deref(), read.organization);
}

fn soon() -> i64 {
    NOW.as_secs() + 300
}

fn keycloak() -> Map<String, Value> {
    object(json!({
        "exp": soon(), "iat": NOW.as_secs(), "auth_time": NOW.as_secs(),
        "jti": "onrtac:7b3c1e0a-5a0c-4a5f-8a2b-0f6d6f2d1c11",
        "iss": "https://login.example.com/realms/corp", "aud": ["realm-management", "api", "account"],
        "sub": "8e6b2a4c-2d0f-4a3b-9a51-6f0c9f1f2b10", "typ": "Bearer", "azp": "crm",
        "sid": "5b0c7a9e-1111-4c4c-9c9c-2b2b2b2b2b2b", "acr": "1", "allowed-origins": ["https://crm.example.com"],
        "realm_access": {"roles": ["default-roles-corp", "offline_access", "ADMIN"]},
        "resource_access": {"crm": {"roles": ["editor"]}, "account": {"roles": ["view-profile"]}},
        "scope": "openid profile email", "email_verified": true, "organization": ["acme"],
        "name": "Ana Ruiz", "preferred_username": "ana", "given_name": "Ana", "family_name": "Ruiz",
    }))
}

#[test]
fn keycloak_has_roles_in_an_object() {
    let ground = ground(Shipped::Keycloak.mapping(), "https://login.example.com/realms/corp", "api");
    let read = Read {
        subject: "8e6b2a4c-2d0f-4a3b-9a51-6f0c9f1f2b10",
        name: "ana",
        roles: &["default-roles-corp", "offline_access", "ADMIN"],
        scopes: &["openid", "profile", "email"],
        organization: Some("acme"),
    };
    holds(&open(&ground, &keycloak()).unwrap(), &read);
    // Its other tokens open nothing.
    for kind in ["ID", "Refresh", "Offline", "Logout"] {
        assert_eq!(open(&ground, &with(keycloak(), "typ", json!(kind))).map(drop), Err(Reason::WrongTokenKind));
    }
    assert_eq!(defect(&ground, &with(keycloak(), "typ", json!("ID"))), "typ is another; expected Bearer");
    // Lightweight access tokens have no sub unless the client scope `basic` is there.
    assert_eq!(defect(&ground, &without(keycloak(), "sub")), "sub is missing; expected a text");
    let strangers = with(keycloak(), "realm_access", json!({"roles": {"ADMIN": true}}));
    assert!(open(&ground, &strangers).unwrap().roles.is_empty());
}

#[test]
fn entra_has_the_account_in_oid() {
    let issuer = "https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0";
    let ground = ground(Shipped::Entra.mapping(), issuer, "6e74172b-be56-4843-9ff4-e66a39bb12e3");
    let v2 = object(json!({
        "aud": "6e74172b-be56-4843-9ff4-e66a39bb12e3", "iss": issuer,
        "iat": NOW.as_secs(), "nbf": NOW.as_secs(), "exp": soon(), "aio": "AXQAi/8IAAAA…", "azp": "6f6f6f6f-1111",
        "azpacr": "0", "name": "Ana Ruiz", "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
        "preferred_username": "ana@corp.example", "rh": "I", "roles": ["Task.Write", "Task.Read"],
        "scp": "access_as_user other", "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
        "tid": "72f988bf-86f1-41af-91ab-2d7cd011db47", "uti": "fqiBqXLPj0eQa82S-IYFAA", "ver": "2.0",
    }));
    let read = Read {
        subject: "690222be-ff1a-4d56-abd1-7e4f7d38e474",
        name: "ana@corp.example",
        roles: &["Task.Write", "Task.Read"],
        scopes: &["access_as_user", "other"],
        organization: Some("72f988bf-86f1-41af-91ab-2d7cd011db47"),
    };
    holds(&open(&ground, &v2).unwrap(), &read);
    // A token of a program: no scp and no user.
    let program = without(without(v2.clone(), "scp"), "preferred_username");
    let program = open(&ground, &program).unwrap();
    assert_eq!((&*program.name, program.scopes.len()), ("6f6f6f6f-1111", 0));
    assert_eq!(defect(&ground, &without(v2.clone(), "oid")), "oid is missing; expected a text");
    let graph = with(v2, "aud", json!("00000003-0000-0000-c000-000000000000"));
    assert_eq!(open(&ground, &graph).map(drop), Err(Reason::WrongAudience));
    assert_eq!(
        defect(&ground, &graph),
        "aud is another; expected one of https://other.example, 6e74172b-be56-4843-9ff4-e66a39bb12e3"
    );
}

#[test]
fn auth0_has_permissions_where_they_count() {
    let ground = ground(Shipped::Auth0.mapping(), "https://corp.eu.auth0.com/", "https://api.example.com");
    let token = object(json!({
        "iss": "https://corp.eu.auth0.com/", "sub": "auth0|507f1f77bcf86cd799439011",
        "aud": ["https://api.example.com", "https://corp.eu.auth0.com/userinfo"],
        "iat": NOW.as_secs(), "exp": soon(), "azp": "my_client_id", "org_id": "org_9ybsU1dN2dKfDkBi",
        "scope": "openid profile read:all write:all", "permissions": ["read:all"], "https://erp.example/roles": ["ADMIN"],
    }));
    let read = Read {
        subject: "auth0|507f1f77bcf86cd799439011",
        name: "my_client_id",
        roles: &[],
        scopes: &["read:all"],
        organization: Some("org_9ybsU1dN2dKfDkBi"),
    };
    holds(&open(&ground, &token).unwrap(), &read);
    // An API without role-based access control has scopes alone; one with it may grant nothing.
    let scopes = |claims: Map<String, Value>| open(&ground, &claims).unwrap().scopes.len();
    assert_eq!(scopes(without(token.clone(), "permissions")), 4);
    assert_eq!(scopes(with(token.clone(), "permissions", json!([]))), 0);
    // A claim of one's own has a URL for its name.
    let role = vec!["\"https://erp.example/roles\"".parse().unwrap()];
    let mapping = ClaimMapping { role, ..Shipped::Auth0.mapping() };
    let ground = self::ground(mapping, "https://corp.eu.auth0.com/", "https://api.example.com");
    assert_eq!(open(&ground, &token).unwrap().roles.only(), Some("ADMIN"));
}

#[test]
fn okta_has_the_account_in_uid() {
    let ground = ground(Shipped::Okta.mapping(), "https://corp.okta.com/oauth2/default", "api://default");
    let token = object(json!({
        "ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
        "iss": "https://corp.okta.com/oauth2/default", "aud": "api://default", "iat": NOW.as_secs(), "exp": soon(),
        "cid": "0oabucvyc38HLL1ef0h7", "uid": "00uid4BxXw6I6TV4m0g3", "scp": ["openid", "email"],
        "auth_time": NOW.as_secs(), "sub": "ana@corp.example", "groups": ["Everyone", "Domain Admins"],
    }));
    let read = Read {
        subject: "00uid4BxXw6I6TV4m0g3",
        name: "ana@corp.example",
        roles: &["Everyone", "Domain Admins"],
        scopes: &["openid", "email"],
        organization: None,
    };
    holds(&open(&ground, &token).unwrap(), &read);
    let program = with(without(token, "uid"), "sub", json!("0oabucvyc38HLL1ef0h7"));
    assert_eq!(open(&ground, &program).unwrap().subject, TokenSubject::External("0oabucvyc38HLL1ef0h7".into()));
    assert_eq!(defect(&ground, &without(program, "cid")), "uid or cid is missing; expected a text");
}

#[test]
fn cognito_has_no_audience_but_the_client() {
    let issuer = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_example";
    let ground = ground(Shipped::Cognito.mapping(), issuer, "55ucsb3h1ubtbmkcpoiqdetail");
    let token = object(json!({
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "device_key": "aaaaaaaa", "cognito:groups": ["admin", "x"],
        "iss": issuer, "version": 2, "client_id": "55ucsb3h1ubtbmkcpoiqdetail", "origin_jti": "aaa",
        "event_id": "bbb", "token_use": "access", "scope": "phone openid", "auth_time": NOW.as_secs(),
        "exp": soon(), "iat": NOW.as_secs(), "jti": "ccc", "username": "ana",
    }));
    let read = Read {
        subject: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        name: "ana",
        roles: &["admin", "x"],
        scopes: &["phone", "openid"],
        organization: None,
    };
    holds(&open(&ground, &token).unwrap(), &read);
    // Its ID token names the client in `aud`, and says what it is.
    let id = with(with(token.clone(), "token_use", json!("id")), "aud", json!("55ucsb3h1ubtbmkcpoiqdetail"));
    assert_eq!(open(&ground, &id).map(drop), Err(Reason::WrongTokenKind));
    assert_eq!(open(&ground, &without(id, "client_id")).map(drop), Err(Reason::InvalidClaims));
    assert_eq!(open(&ground, &with(token, "client_id", json!("another"))).map(drop), Err(Reason::WrongAudience));
}

#[test]
fn google_has_an_address() {
    let ground = ground(Shipped::Google.mapping(), "https://accounts.google.com", "https://api.example.com");
    let token = object(json!({
        "aud": "https://api.example.com", "azp": "112233445566778899000", "email": "job@corp.iam.gserviceaccount.com",
        "email_verified": true, "exp": soon(), "iat": NOW.as_secs(), "iss": "https://accounts.google.com",
        "sub": "112233445566778899000", "hd": "corp.example",
    }));
    let read = Read {
        subject: "112233445566778899000",
        name: "job@corp.iam.gserviceaccount.com",
        roles: &[],
        scopes: &[],
        organization: Some("corp.example"),
    };
    holds(&open(&ground, &token).unwrap(), &read);
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let ground = ground(Shipped::Keycloak.mapping(), "https://login.example.com/realms/corp", "api");
    let seconds = "expected a number of seconds since 1970";
    for (claim, value, expected) in [
        ("iss", json!("https://login.example.com"), "iss is another; expected https://login.example.com/realms/corp"),
        ("iss", json!(7), "iss is a number; expected a text"),
        ("exp", json!("soon"), &*format!("exp is a text; {seconds}")),
        ("exp", json!(1.5), &*format!("exp is a number with a fraction; {seconds}")),
        ("nbf", json!({}), &*format!("nbf is an object; {seconds}")),
        ("jti", json!(""), "jti is an empty text; expected a text"),
        ("sub", json!(["a"]), "sub is a list; expected a text"),
        ("sub", json!(null), "sub is not a text; expected a text"),
        ("aud", json!(null), "aud is not a text, nor a list of texts; expected one of https://other.example, api"),
    ] {
        assert_eq!(defect(&ground, &with(keycloak(), claim, value.clone())), expected, "{claim} {value}");
    }
    for claim in ["iss", "exp", "aud", "sub"] {
        assert!(defect(&ground, &without(keycloak(), claim)).starts_with(&format!("{claim} is missing; ")), "{claim}");
    }
    // Of what nobody we know has signed, nothing is told.
    let forged = signed_with(b"another secret of thirty-two byt", text(&good_header()), text(&keycloak()));
    assert_eq!(token::defect(&forged, &ground.keys, &ground.issuers), None);
}
