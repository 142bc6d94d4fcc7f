//! Protected-resource metadata (RFC 9728): a refused client learns from the answer alone where to get a token.

use serde_json::{Value, json};

use crate::support::{Config, Contract, Gateway, Request, Upstream, get};

const METADATA: &str = "/.well-known/oauth-protected-resource/mcp";

const URL: &str = "https://portero.test/.well-known/oauth-protected-resource/mcp";

/// A gateway whose routes `/mcp` and `/mcp/write` are of a resource, and `/sws` of none.
fn gateway(upstream: &Upstream) -> Gateway {
    let config = Config::standard(upstream.address)
        .text(
            "[resources.mcp]\nresource = \"https://portero.test/mcp\"\n\
             authorization_servers = [\"https://login.example.com\", \"https://login.example.com/two\"]\n\
             scopes_supported = [\"read\", \"write\"]\nresource_name = \"CRM\"\n\
             cors = { origins = [\"https://page.example\"] }\n\
             [resources.whole]\nresource = \"https://api.example.com\"\nauthorization_servers = [\"https://login.example.com\"]\n",
        )
        .route("mcp", "/mcp", "accept = [\"sws\"]\nresource = \"mcp\"")
        .route("write", "/mcp/write", "accept = [\"sws\"]\nresource = \"mcp\"\nrequire.scopes = [\"write\"]");
    Gateway::run(config.with_accounts())
}

/// What `resource_metadata` of a challenge says.
fn named(challenge: &str) -> Option<&str> {
    challenge.split_once("resource_metadata=\"")?.1.strip_suffix('"')
}

#[test]
fn a_refusal_names_the_metadata_that_name_the_authorization_server() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let refused = gateway.send(&get("/mcp/tools"));
    let challenge = refused.header("www-authenticate").unwrap();
    assert_eq!((refused.status, challenge), (401, &*format!("Bearer realm=\"sws\", resource_metadata=\"{URL}\"")));

    // As a client does it: the path of that URL, and the resource in it is the one that was asked for.
    let path = named(challenge).unwrap().strip_prefix("https://portero.test").unwrap();
    let metadata = gateway.send(&get(path));
    assert_eq!((metadata.status, metadata.header("content-type")), (200, Some("application/json; charset=utf-8")));
    assert_eq!(
        metadata.json(),
        json!({
            "resource": "https://portero.test/mcp",
            "authorization_servers": ["https://login.example.com", "https://login.example.com/two"],
            "bearer_methods_supported": ["header"],
            "scopes_supported": ["read", "write"],
            "resource_name": "CRM",
        })
    );

    let bad = gateway.send(&get("/mcp").bearer("garbage"));
    let expected = format!("Bearer realm=\"sws\", error=\"invalid_token\", resource_metadata=\"{URL}\"");
    assert_eq!((bad.status, bad.header("www-authenticate")), (401, Some(&*expected)));
    let token = gateway.login(Contract::Sws);
    assert_eq!(gateway.status("/mcp", &token), 200);
    let poor = gateway.send(&get("/mcp/write").bearer(&token));
    let expected =
        format!("Bearer realm=\"sws\", error=\"insufficient_scope\", scope=\"write\", resource_metadata=\"{URL}\"");
    assert_eq!((poor.status, poor.header("www-authenticate")), (403, Some(&*expected)));
    let elsewhere = gateway.send(&get("/sws"));
    assert_eq!((elsewhere.status, elsewhere.header("www-authenticate")), (401, Some("Bearer realm=\"sws\"")));
}

#[test]
fn metadata_are_for_everybody_on_the_resources_own_host() {
    let upstream = Upstream::start();
    let gateway = gateway(&upstream);
    let whole = gateway.send(&get(METADATA));
    let head = gateway.send(&Request::new("HEAD", METADATA));
    assert_eq!((head.status, head.header("content-length")), (200, whole.header("content-length")));
    for method in ["POST", "DELETE"] {
        let answer = gateway.send(&Request::new(method, METADATA));
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let page = gateway.send(&get(METADATA).header("Origin", "https://page.example"));
    assert_eq!(page.header("access-control-allow-origin"), Some("https://page.example"));

    // A resource without a path is at the well-known path itself, and on its own host alone.
    let root = "/.well-known/oauth-protected-resource";
    assert_eq!(gateway.status(root, ""), 404);
    let other: Value = gateway.send(&get(root).header("Host", "api.example.com")).json();
    assert_eq!(other["resource"], "https://api.example.com");
    assert_eq!(gateway.send(&get(METADATA).header("Host", "api.example.com")).status, 404);
    upstream.received_nothing();
}
