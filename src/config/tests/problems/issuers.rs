//! What is wrong with external issuers.

use super::{check_on_base, report, route};

/// An issuer that needs nothing more than where its keys are, at line 6, with `more` at line 8.
fn issuer(more: &str) -> String {
    format!("[issuers.corp]\nissuer = \"https://i\"\n{more}")
}

#[test]
fn an_issuer_says_who_it_is_and_where_its_keys_are() {
    const URL: &str = "jwks_url = \"https://i/jwks\"\n";
    let with_url = |more: &str| issuer(&format!("{URL}{more}"));
    check_on_base(&[
        (&with_url(""), "no problem"),
        (
            "[issuers.corp]",
            "6:1: issuers.corp.issuer: missing; add it, for example issuer = \"https://login.example.com\"\n\
             6:1: issuers.corp: says nothing of its keys; add discovery or jwks_url = \"https://…\", or keys = [{ file, algorithm, id }]",
        ),
        (
            &issuer(""),
            "6:1: issuers.corp: says nothing of its keys; add discovery or jwks_url = \"https://…\", or keys = [{ file, algorithm, id }]",
        ),
        (
            &issuer("jwks_ulr = \"https://i/jwks\""),
            "6:1: issuers.corp: says nothing of its keys; add discovery or jwks_url = \"https://…\", or keys = [{ file, algorithm, id }]\n\
             8:1: issuers.corp.jwks_ulr: unknown key; did you mean 'jwks_url'?",
        ),
        (
            &with_url("keys = [{ file = \"k\", algorithm = \"RS256\", id = \"1\" }]"),
            "6:1: issuers.corp: keys are fetched (jwks_url or discovery) or lie in files (keys), not both",
        ),
        (
            &with_url("").replace("corp", "Corp"),
            "6:1: issuers.Corp: the name must be 1 to 64 of a-z, 0-9, '-' and '_', and start with a letter",
        ),
        (
            &with_url("").replace("corp", "apis"),
            "6:1: issuers.apis: a realm has this name; a route that accepts it could mean either",
        ),
        (
            &with_url("").replace("https://i\"", "https://g/apis\""),
            "7:10: issuers.corp.issuer: realm 'apis' has this issuer too; subjects would not be told apart",
        ),
        (
            &with_url(&with_url("").replace("corp", "other")),
            "10:10: issuers.other.issuer: issuer 'corp' has this issuer too; subjects would not be told apart",
        ),
        (
            &with_url("secret = \"hunter2\""),
            "9:1: issuers.corp.secret: unknown key; known: discovery, issuer, audience, profile, claims, claims_to_headers, introspection, algorithms, jwks_url, refresh, max_stale, cooldown, timeout, ca",
        ),
        (
            &with_url("audience = \"\"\nleeway = \"1s\""),
            "9:12: issuers.corp.audience: must not be empty\n\
             10:1: issuers.corp.leeway: unknown key; known: discovery, issuer, audience, profile, claims, claims_to_headers, introspection, algorithms, jwks_url, refresh, max_stale, cooldown, timeout, ca",
        ),
    ]);
}

#[test]
fn an_issuer_may_say_itself_where_its_keys_are() {
    let of = |more: &str| format!("[issuers.corp]\n{more}");
    check_on_base(&[
        (&of("discovery = \"https://i\""), "no problem"),
        (&of("discovery = \"https://i/\"\nissuer = \"https://j\"\ntimeout = \"1s\""), "no problem"),
        (
            &of("discovery = \"https://i/.well-known/openid-configuration\""),
            "6:1: issuers.corp.issuer: missing; add it, for example issuer = \"https://login.example.com\"",
        ),
        (
            &of("discovery = \"http://i\""),
            "7:13: issuers.corp.discovery: must be https; http is for loopback addresses (127.0.0.1, [::1]) only: anyone on the network path could name keys of their own",
        ),
        (
            &of("discovery = \"https://i?a=b\""),
            "7:13: issuers.corp.discovery: must be the issuer, or its metadata document, without a query",
        ),
        (
            &of("discovery = \"https://i\"\njwks_url = \"https://i/jwks\""),
            "8:1: issuers.corp.jwks_url: discovery says where the keys are; leave one of both out",
        ),
        (
            &of("discovery = \"https://i\"\nkeys = []"),
            "6:1: issuers.corp: keys are fetched (jwks_url or discovery) or lie in files (keys), not both",
        ),
        (
            &of("discovery = \"http://127.0.0.1:1\"\nca = \"ca.pem\""),
            "8:6: issuers.corp.ca: discovery is http: there is no certificate to check",
        ),
    ]);
}

#[test]
fn a_claim_becomes_a_field_that_means_nothing_else() {
    let with = |headers: &str| issuer(&format!("jwks_url = \"https://i/jwks\"\nclaims_to_headers = {{ {headers} }}"));
    let at = |name: &str| format!("issuers.corp.claims_to_headers.{name}");
    let meant = "HTTP, or what reads it, gives it a meaning already";
    check_on_base(&[
        (&with("X-Tenant = \"tenant\", X-Roles = \"realm_access.roles\""), "no problem"),
        (
            &with("X-Auth-Tenant = \"tenant\""),
            &format!(
                "9:39: {}: 'x-auth-tenant' is no field for a claim: it is one of the gateway's own, and services that read it trust the gateway for it",
                at("X-Auth-Tenant")
            ),
        ),
        (
            &with("Connection = \"a\", Authorization = \"b\""),
            &format!(
                "9:36: {}: 'connection' is no field for a claim: it frames the message or speaks about one connection, which is the gateway's to say\n\
                 9:57: {}: 'authorization' is no field for a claim: {meant}",
                at("Connection"),
                at("Authorization")
            ),
        ),
        (
            &with("X_Tenant = \"a\""),
            &format!(
                "9:34: {}: 'x_tenant' is no field for a claim: services could take it for another spelling of another name: use letters, digits and hyphens",
                at("X_Tenant")
            ),
        ),
        (
            &with("X-A = \"a\", x-a = \"b\", X-B = \"a..b\""),
            &format!(
                "9:40: {}: 'x-a' stands here twice: names are compared without regard to case\n\
                 9:51: {}: must say where a claim stands, such as \"realm_access.roles\": a name is empty",
                at("x-a"),
                at("X-B")
            ),
        ),
    ]);
    for (route, problem) in [
        (
            "auth = \"public\"\nrequest_headers.remove = [\"x-tenant\"]",
            "'x-tenant' is not for a route to change: claims_to_headers of issuer 'corp' says what stands there",
        ),
        (
            "accept = [\"corp\"]\nsources = [\"header:X-Tenant\"]",
            "'x-tenant' cannot hold a token: claims_to_headers of issuer 'corp' says what services receive there",
        ),
    ] {
        let route = format!("[[routes]]\nname = \"r\"\nupstream = \"crm\"\n{route}\n");
        let both = report(&format!("{}{route}{}", super::BASE, with("X-Tenant = \"tenant\"")));
        assert!(both.contains(problem), "{both}");
    }
}

#[test]
fn a_claim_stands_where_a_path_says() {
    const MUST: &str = "must say where a claim stands, such as \"realm_access.roles\"";
    let with = |more: &str| issuer(&format!("jwks_url = \"https://i/jwks\"\n{more}"));
    check_on_base(&[
        (
            &with("profile = \"keycloak\"\naudience = [\"a\", \"b\"]\nclaims = { role = [\"a.b\", \"c\"], name = [] }"),
            "no problem",
        ),
        (
            &with("profile = \"keyclock\""),
            "9:11: issuers.corp.profile: 'keyclock' is not known here; did you mean 'keycloak'?",
        ),
        (
            &with("claims = { roles = \"a\", role = \"https://erp/roles\", name = \"a..b\", scopes = \"'\" }"),
            &format!(
                "9:12: issuers.corp.claims.roles: unknown key; did you mean 'role'?\n\
                 9:32: issuers.corp.claims.role: {MUST}: a name with a dot, '/', a quote or a space in it is written in quotes: '\"https://erp.example/roles\"'\n\
                 9:60: issuers.corp.claims.name: {MUST}: a name is empty\n\
                 9:77: issuers.corp.claims.scopes: {MUST}: a name with a dot, '/', a quote or a space in it is written in quotes: '\"https://erp.example/roles\"'"
            ),
        ),
        (
            &with("claims = { subject = [], audience = 7 }"),
            "9:22: issuers.corp.claims.subject: must not be empty: every token has to say this\n\
             9:37: issuers.corp.claims.audience: expected a string, found 7",
        ),
        (&with("audience = []"), "9:12: issuers.corp.audience: must not be empty"),
        (&with("audience = [\"a\", \"a\"]"), "9:18: issuers.corp.audience[1]: 'a' stands here twice"),
        (
            &with("claims = { role = [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\", \"h\", \"i\"] }"),
            "9:19: issuers.corp.claims.role: must name at most 8 claims",
        ),
    ]);
}

#[test]
fn keys_are_fetched_from_where_nobody_can_change_them_on_the_way() {
    const PLAIN: &str = "8:12: issuers.corp.jwks_url: must be https; http is for loopback addresses (127.0.0.1, [::1]) only: \
        anyone on the network path could put in keys of their own";
    const ODD: &str = "8:12: issuers.corp.jwks_url: must be a URL without user information and fragment, \
        such as \"https://login.example.com/jwks.json\"";
    let url = |url: &str| report(&format!("{}{}", super::BASE, issuer(&format!("jwks_url = \"{url}\""))));
    for good in [
        "https://i/jwks",
        "https://i:8443/jwks?p=b2c",
        "https://10.0.0.1/",
        "https://localhost",
        "http://127.0.0.1:1/jwks",
        "http://127.9.9.9/",
        "http://[::1]:8080/jwks",
    ] {
        assert_eq!(url(good), "no problem", "{good}");
    }
    for plain in [
        "http://i/jwks",
        "http://localhost/jwks",
        "http://10.0.0.1/",
        "http://0.0.0.0/",
        "http://127.1/",
        "ftp://i/jwks",
        "i",
    ] {
        assert_eq!(url(plain), PLAIN, "{plain}");
    }
    for odd in ["/jwks", "//i/jwks", "https:///jwks", "https://u:hunter2@i/jwks", "https://i/jwks#1", "https://i /"] {
        assert_eq!(url(odd), ODD, "{odd}");
    }
}

#[test]
fn algorithms_and_waits_have_bounds() {
    const URL: &str = "jwks_url = \"https://i/jwks\"\n";
    let with_url = |more: &str| issuer(&format!("{URL}{more}"));
    check_on_base(&[
        (
            &with_url(
                "algorithms = [\"PS384\", \"ES512\"]\nrefresh = \"1m\"\nmax_stale = \"30d\"\ncooldown = \"1s\"\ntimeout = \"30s\"\nca = \"ca.pem\"",
            ),
            "no problem",
        ),
        (&with_url("algorithms = []"), "9:14: issuers.corp.algorithms: must not be empty"),
        (
            &with_url("algorithms = [\"none\", \"HS256\"]"),
            "9:15: issuers.corp.algorithms[0]: 'none' is not known here; known: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, ES512\n\
             9:23: issuers.corp.algorithms[1]: HS256 is for keys in files: a published secret is not secret",
        ),
        (
            &with_url("algorithms = [\"sealed\"]"),
            "9:15: issuers.corp.algorithms[0]: 'sealed' is not known here; known: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, ES512",
        ),
        (
            &with_url("refresh = \"59s\"\nmax_stale = \"31d\"\ncooldown = \"0s\"\ntimeout = \"31s\""),
            "9:11: issuers.corp.refresh: '59s' is not a duration from 1m to 1h, such as \"500ms\", \"30s\", \"12h\" or \"1d\"\n\
             10:13: issuers.corp.max_stale: '31d' is not a duration from 1m to 30d, such as \"500ms\", \"30s\", \"12h\" or \"1d\"\n\
             11:12: issuers.corp.cooldown: '0s' is not a duration from 1s to 1h, such as \"500ms\", \"30s\", \"12h\" or \"1d\"\n\
             12:11: issuers.corp.timeout: '31s' is not a duration from 100ms to 30s, such as \"500ms\", \"30s\", \"12h\" or \"1d\"",
        ),
        (
            &with_url("refresh = \"10m\"\nmax_stale = \"9m\""),
            "10:13: issuers.corp.max_stale: 9m is less than refresh (10m): keys would end before they are due",
        ),
        (
            &issuer("jwks_url = \"http://127.0.0.1/\"\nca = \"ca.pem\""),
            "9:6: issuers.corp.ca: jwks_url is http: there is no certificate to check",
        ),
    ]);
}

#[test]
fn keys_in_files_are_named_one_by_one() {
    const KEY: &str = "{ file = \"k.pem\", algorithm = \"RS256\", id = \"1\" }";
    let keys = |keys: &str| issuer(&format!("keys = [{keys}]"));
    let long = "k".repeat(257);
    check_on_base(&[
        (&keys(KEY), "no problem"),
        (&keys(&format!("{KEY}, {{ file = \"s\", algorithm = \"HS256\", id = \"2\" }}")), "no problem"),
        (&keys(""), "8:8: issuers.corp.keys: must name 1 to 64 keys"),
        (
            &keys("{}"),
            "8:9: issuers.corp.keys[0].file: missing; add it, for example file = \"corp.pem\"\n\
             8:9: issuers.corp.keys[0].algorithm: missing; add it, for example algorithm = \"RS256\"\n\
             8:9: issuers.corp.keys[0].id: missing; add it, for example id = \"k1\"",
        ),
        (
            &keys(&format!("{KEY}, {KEY}")),
            "8:60: issuers.corp.keys[1]: another key has the id '1' too; a token names its key by it",
        ),
        (
            &keys("{ secret = \"hunter2\", algorithm = \"HS256\", id = \"1\" }"),
            "8:9: issuers.corp.keys[0].file: missing; add it, for example file = \"corp.pem\"\n\
             8:11: issuers.corp.keys[0].secret: keys do not stand in this file; put it into one of its own, and name that: file = \"corp.pem\"",
        ),
        (
            &keys("{ file = \"-----BEGIN PUBLIC KEY-----\", algorithm = \"RS256\", id = \"1\" }"),
            "8:18: issuers.corp.keys[0].file: must be the name of a file; the key itself does not belong here",
        ),
        (
            &keys(&format!("{{ file = \"k\", algorithm = \"none\", id = \"{long}\" }}")),
            "8:35: issuers.corp.keys[0].algorithm: 'none' is not known here; known: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, ES512\n\
             8:48: issuers.corp.keys[0].id: 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk…' is not a key id: 1 to 256 octets without control characters",
        ),
        (
            &format!("{}\nalgorithms = [\"ES256\"]", keys(KEY)),
            "8:39: issuers.corp.keys[0].algorithm: 'RS256' is not one of the issuer's algorithms",
        ),
        (&format!("{}\nalgorithms = [\"RS256\", \"HS256\"]", keys(KEY)), "no problem"),
        (
            &format!("{}\nrefresh = \"5m\"\nca = \"x\"", keys(KEY)),
            "9:1: issuers.corp.refresh: keys in files are not fetched; this key is for jwks_url and discovery\n\
             10:1: issuers.corp.ca: keys in files are not fetched; this key is for jwks_url and discovery",
        ),
    ]);
    assert!(
        !report(&keys("{ file = \"-----BEGIN ${SECRET}\", algorithm = \"RS256\", id = \"1\" }")).contains("hunter2")
    );
}

#[test]
fn a_route_accepts_an_issuer_and_a_token_endpoint_does_not() {
    let corp = issuer("jwks_url = \"https://i/jwks\"");
    for (more, expected) in [
        ("accept = [\"corp\"]", "no problem"),
        ("accept = [\"apis\", \"corp\"]\ntoken = \"content\"", "no problem"),
        (
            "accept = [\"corp\"]\ntoken = \"content\"",
            "10:9: routes[0].token: none of the accepted realms gives content tokens (only dialect 'apis' has them); nothing would open the route",
        ),
        ("accept = [\"crop\"]", "9:11: routes[0].accept[0]: no realm or issuer is called 'crop'; did you mean 'corp'?"),
    ] {
        assert_eq!(report(&format!("{}\n{corp}", route(more))), expected, "{more}");
    }
    check_on_base(&[(
        &format!("{corp}\n[[token_endpoints]]\npath = \"/t\"\nrealms = [\"corp\"]"),
        "11:11: token_endpoints[0].realms[0]: no realm is called 'corp'; known: apis, become, more",
    )]);
}
