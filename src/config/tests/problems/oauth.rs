//! What is wrong with `[oauth]`.

use super::check_on_base;

#[test]
fn oauth_needs_a_realm_and_paths_of_its_own() {
    const REALM: &str = "realms.o.dialect = \"oauth\"\n";
    check_on_base(&[
        (
            "[oauth]\ntoken = \"/t\"",
            "6:1: oauth: there is no realm of dialect 'oauth'; add one, for example [realms.oauth]",
        ),
        (&format!("{REALM}[oauth]"), "no problem"),
        (
            &format!("{REALM}realms.p.dialect = \"oauth\"\n[oauth]"),
            "8:1: oauth.realm: missing; several realms are of dialect 'oauth', say which one is served",
        ),
        (&format!("{REALM}realms.p.dialect = \"oauth\"\n[oauth]\nrealm = \"p\""), "no problem"),
        (
            &format!("{REALM}[oauth]\nrealm = \"apis\""),
            "8:9: oauth.realm: realm 'apis' is of dialect 'apis', and not 'oauth'",
        ),
        (&format!("{REALM}[oauth]\nrealm = \"oo\""), "8:9: oauth.realm: no realm is called 'oo'; did you mean 'o'?"),
        (
            &format!("{REALM}[oauth]\ntoken = true\njwks = \"keys\"\ntokens = false"),
            "8:9: oauth.token: true is no path; leave the key out for the usual one\n\
             9:8: oauth.jwks: 'keys' cannot be matched: a path starts with '/'\n\
             10:1: oauth.tokens: unknown key; did you mean 'token'?",
        ),
        (
            &format!("{REALM}[oauth]\nrefresh_grace = \"6m\""),
            "8:17: oauth.refresh_grace: '6m' is not a duration from 0s to 5m, such as \"500ms\", \"30s\", \"12h\" or \"1d\"",
        ),
        (
            &format!("{REALM}[oauth]\ntoken = \"/t\"\njwks = \"/t\""),
            "9:8: oauth.jwks: matches the same requests as the token endpoint of line 7 (host *, path /t)",
        ),
        (
            &format!("{REALM}[oauth]\n[[token_endpoints]]\npath = \"/oauth/token\"\nrealms = [\"apis\"]"),
            "7:1: oauth.token: matches the same requests as the token endpoint of line 8 (host *, path /oauth/token)",
        ),
        (
            "realms.o = { dialect = \"oauth\", issuer = \"o\" }\n[oauth]",
            "7:1: oauth.metadata: the issuer of realm 'o' is no URL, so it has no metadata; \
             give the realm another issuer, or say metadata = false",
        ),
        ("realms.o = { dialect = \"oauth\", issuer = \"o\" }\n[oauth]\nmetadata = false", "no problem"),
        (
            "realms.o = { dialect = \"oauth\", issuer = \"o\" }\n[oauth]\nmetadata = false\nopenid_configuration = \"/c\"",
            "9:24: oauth.openid_configuration: the issuer of realm 'o' is no URL, so it has no metadata; give the realm another \
             issuer, or say openid_configuration = false",
        ),
        (
            &format!("{REALM}[oauth]\nopenid_configuration = true"),
            "8:24: oauth.openid_configuration: true is no path; say where, for example \"/.well-known/openid-configuration\"",
        ),
        (
            "realms.o = { dialect = \"oauth\", issuer = \"https://g/a//b\" }\n[oauth]",
            "7:1: oauth.metadata: the path of realm 'o''s issuer is not canonical, so no request would match it",
        ),
        (
            &format!("{REALM}[[token_endpoints]]\npath = \"/t\"\nrealms = [\"o\"]"),
            "9:11: token_endpoints[0].realms[0]: 'o' is of dialect 'oauth', whose endpoints stand in [oauth]",
        ),
    ]);
}
