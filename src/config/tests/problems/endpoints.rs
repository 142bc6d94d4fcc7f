//! What is wrong with token endpoints.

use super::check_on_base;

#[test]
fn token_endpoints_own_their_path_and_tell_their_realms_apart() {
    const APIS: &str = "[[token_endpoints]]\npath = \"/t\"\nrealms = [\"apis\"]\n";
    check_on_base(&[
        (
            "[[token_endpoints]]",
            "6:1: token_endpoints[0].path: missing; add it, for example path = \"/api/auth/token\"\n\
             6:1: token_endpoints[0].realms: missing; add it, for example realms = [\"crm\"]",
        ),
        ("[[token_endpoints]]\npath = \"/t\"\nrealms = []", "8:10: token_endpoints[0].realms: must not be empty"),
        (
            "[[token_endpoints]]\npath = \"t\"\nrealms = [\"apis\"]",
            "7:8: token_endpoints[0].path: 't' cannot be matched: a path starts with '/'",
        ),
        (
            "[[token_endpoints]]\npath = \"/t\"\nrealms = [\"sws\"]",
            "8:11: token_endpoints[0].realms[0]: no realm is called 'sws'; known: apis, become, more",
        ),
        (
            "[[token_endpoints]]\npath = \"/t\"\nrealms = [\"apis\", \"apis\"]",
            "8:19: token_endpoints[0].realms[1]: 'apis' stands here twice",
        ),
        (
            "[[token_endpoints]]\npath = \"/t\"\nrealms = [\"apis\", \"more\"]",
            "8:19: token_endpoints[0].realms[1]: 'more' and 'apis' are both of dialect 'apis'; \
             a request would not tell them apart: give them two paths or hosts",
        ),
        (
            "realms.s = { dialect = \"sws\", timezone = \"UTC\" }\n[[token_endpoints]]\npath = \"/t\"\nrealms = [\"apis\", \"s\"]",
            "9:19: token_endpoints[0].realms[1]: 's' would never be chosen: whatever a body for it has, a realm before it takes; \
             give it another path or host",
        ),
        (
            "[[token_endpoints]]\npath = \"/t\"\nrealms = [\"become\"]\ngrant = \"refresh\"",
            "8:11: token_endpoints[0].realms[0]: grant = \"refresh\" is for realms of dialect 'apis'; \
             'become' is of dialect 'become', which has no refresh tokens",
        ),
        (
            &format!("{APIS}grant = \"code\""),
            "9:9: token_endpoints[0].grant: 'code' is not known here; known: login, refresh",
        ),
        (
            &format!("{APIS}{APIS}"),
            "10:8: token_endpoints[1].path: matches the same requests as the token endpoint of line 6 (host *, path /t)",
        ),
        (&format!("{APIS}{APIS}hosts = [\"h\"]"), "no problem"),
        (
            &format!(
                "{APIS}[[routes]]\nname = \"x\"\nupstream = \"crm\"\nauth = \"public\"\nexact = true\npath = \"/t\""
            ),
            "14:8: routes[0].path: the token endpoint of line 6 owns this path; no request would reach the route",
        ),
        (
            &format!("{APIS}[[routes]]\nname = \"x\"\nupstream = \"crm\"\nauth = \"public\"\npath = \"/t\""),
            "no problem",
        ),
        (
            &format!(
                "{APIS}hosts = [\"*.e.com\"]\n[[routes]]\nname = \"x\"\nupstream = \"crm\"\nauth = \"public\"\nexact = true\nhosts = [\"a.e.com\"]\npath = \"/t\""
            ),
            "16:8: routes[0].path: the token endpoint of line 6 owns this path; no request would reach the route",
        ),
        (
            &format!(
                "{APIS}hosts = [\"h\"]\n[[routes]]\nname = \"x\"\nupstream = \"crm\"\nauth = \"public\"\nexact = true\npath = \"/t\""
            ),
            "no problem",
        ),
    ]);
}
