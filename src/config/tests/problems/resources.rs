//! What is wrong with protected resources, and with routes that name one.

use super::check_on_base;

/// A resource at line 6 whose address and servers stand at lines 7 and 8, with `more` from line 9 on.
fn resource(more: &str) -> String {
    format!(
        "[resources.mcp]\nresource = \"https://api.example.com/mcp\"\nauthorization_servers = [\"https://login.example.com\"]\n{more}"
    )
}

/// A route that names `name` at line 14, behind a good resource.
fn route(name: &str, more: &str) -> String {
    resource(&format!(
        "[[routes]]\nname = \"a\"\nupstream = \"crm\"\npath = \"/mcp\"\naccept = [\"apis\"]\nresource = \"{name}\"\n{more}"
    ))
}

#[test]
fn a_resource_says_where_it_is_and_who_gives_tokens_for_it() {
    const PLAIN: &str = "7:12: resources.mcp.resource: must be https; http is for loopback addresses (127.0.0.1, [::1]) only: \
        clients would send their tokens to anyone on the network path";
    let at = |url: &str| resource("").replace("https://api.example.com/mcp", url);
    check_on_base(&[
        (&resource(""), "no problem"),
        (
            &resource(
                "scopes_supported = [\"read\", \"mcp:tools\"]\nresource_name = \"CRM\"\nresource_documentation = \"https://d\"\n\
                 resource_policy_uri = \"https://p\"\nresource_tos_uri = \"https://t\"\ncors = { origins = [\"*\"] }",
            ),
            "no problem",
        ),
        (&at("http://127.0.0.1:8080"), "no problem"),
        (&at("https://api.example.com/"), "no problem"),
        (
            "[resources.mcp]",
            "6:1: resources.mcp.resource: missing; add it, for example resource = \"https://api.example.com/mcp\"\n\
             6:1: resources.mcp.authorization_servers: missing; add it, for example authorization_servers = [\"https://login.example.com\"]",
        ),
        (&at("http://api.example.com/mcp"), PLAIN),
        (
            &at("https://api.example.com/mcp?a=b"),
            "7:12: resources.mcp.resource: must have no query: it names one thing",
        ),
        (
            &at("https://api.example.com/mcp#a"),
            "7:12: resources.mcp.resource: must be a URL without user information and fragment, such as \"https://api.example.com/mcp\"",
        ),
        (
            &at("https://api.example.com/a/../mcp"),
            "7:12: resources.mcp.resource: its path is not canonical, so no request would match it",
        ),
        (&at("https://*.example.com/mcp"), "7:12: resources.mcp.resource: no request could name its host"),
        (
            &resource("").replace("https://login.example.com", "http://login.example.com"),
            "8:26: resources.mcp.authorization_servers[0]: must be https; http is for loopback addresses (127.0.0.1, [::1]) only: \
             clients would log in with anyone on the network path",
        ),
        (
            &resource("").replace("\"https://login.example.com\"", ""),
            "8:25: resources.mcp.authorization_servers: must not be empty",
        ),
        (
            &resource("scopes_supported = [\"read write\"]"),
            "9:21: resources.mcp.scopes_supported[0]: 'read write' is not one scope, such as \"read\"",
        ),
        (
            &resource("scope_supported = [\"read\"]"),
            "9:1: resources.mcp.scope_supported: unknown key; did you mean 'scopes_supported'?",
        ),
        (
            &resource("").replace("resources.mcp", "resources.\"m p\""),
            "6:1: resources.\"m p\": the name must be 1 to 64 of A-Z, a-z, 0-9, '_', '.' and '-'",
        ),
    ]);
}

#[test]
fn one_path_has_the_metadata_of_one_resource_and_no_route_takes_it_away() {
    const PATH: &str = "/.well-known/oauth-protected-resource/mcp";
    let second = resource("").replace("resources.mcp", "resources.other");
    check_on_base(&[
        (
            &resource(&second),
            &format!(
                "10:12: resources.other.resource: matches the same requests as the metadata of a resource of line 6 (host api.example.com, path {PATH})"
            ),
        ),
        (&resource(&second.replace("api.example.com", "other.example.com")), "no problem"),
        (
            &resource(&format!(
                "[[routes]]\nname = \"a\"\nupstream = \"crm\"\nhosts = [\"api.example.com\"]\npath = \"{PATH}\"\nexact = true\nauth = \"public\""
            )),
            "13:8: routes[0].path: the metadata of a resource of line 6 owns this path; no request would reach the route",
        ),
        (
            &resource(&format!(
                "[[token_endpoints]]\nhosts = [\"api.example.com\"]\npath = \"{PATH}\"\nrealms = [\"apis\"]"
            )),
            &format!(
                "7:12: resources.mcp.resource: matches the same requests as the token endpoint of line 9 (host api.example.com, path {PATH})"
            ),
        ),
    ]);
}

#[test]
fn a_route_names_a_resource_whose_tokens_it_reads() {
    check_on_base(&[
        (&route("mcp", ""), "no problem"),
        (&route("mpc", ""), "14:12: routes[0].resource: no resource is called 'mpc'; did you mean 'mcp'?"),
        (
            &route("mcp", "sources = [\"query:token\"]"),
            "14:12: routes[0].resource: clients of a resource send the token in Authorization (RFC 6750), which sources leaves out",
        ),
        (
            &route("mcp", "").replace("accept = [\"apis\"]", "auth = \"public\""),
            "14:1: routes[0].resource: a public route does not look at tokens; leave it out, or say auth = \"optional\"",
        ),
        (
            "[[routes]]\nname = \"a\"\nupstream = \"crm\"\naccept = [\"apis\"]\nresource = \"mcp\"",
            "10:12: routes[0].resource: no resource is called 'mcp'; there is none yet: add [resources.NAME]",
        ),
    ]);
}
