//! Host and path decide first, then the method; and a refusal costs no connection.

use crate::support::{Config, Connection, Gateway, Request, Upstream, delete, get, post};

#[test]
fn host_and_path_decide_first_and_then_the_method() {
    let (service, narrow) = (Upstream::named("broad"), Upstream::named("narrow"));
    let public = "auth = \"public\"";
    let gateway = Config::new()
        .upstream("service", &[service.address])
        .upstream("narrow", &[narrow.address])
        .route("broad", "/shop", public)
        .route("items", "/shop/items", "auth = \"public\"\nmethods = [\"GET\", \"POST\"]\nupstream = \"narrow\"")
        .route("one", "/shop/one", "auth = \"public\"\nexact = true\nupstream = \"narrow\"")
        .route("tenant", "/shop", "auth = \"public\"\nhosts = [\"*.tenant.test\"]\nupstream = \"narrow\"")
        .start();
    let answer = |request: Request| gateway.send(&request).text();
    assert_eq!(answer(get("/shop")), "broad");
    assert_eq!(answer(get("/shop/items/7?a=1")), "narrow");
    assert_eq!(answer(get("/shop/itemsets")), "broad");
    assert_eq!(answer(get("/shop/one")), "narrow");
    assert_eq!(answer(get("/shop/one/two")), "broad");
    assert_eq!(answer(get("/shop").header("Host", "a.tenant.test:8080")), "narrow");
    assert_eq!(answer(get("/shop").header("Host", "tenant.test")), "broad");

    let other_method = gateway.send(&delete("/shop/items"));
    assert_eq!((other_method.status, other_method.header("Allow")), (405, Some("GET, POST")));
    for path in ["/", "/shopping", "/SHOP"] {
        let nowhere = gateway.send(&get(path));
        assert_eq!((nowhere.status, nowhere.header("Content-Type")), (404, Some("application/problem+json")), "{path}");
    }
}

#[test]
fn a_request_of_http_1_0_is_for_the_host_that_it_names_wherever_it_does() {
    let (any, named) = (Upstream::named("any"), Upstream::named("named"));
    let gateway = Config::new()
        .upstream("any", &[any.address])
        .upstream("named", &[named.address])
        .route("any", "/", "auth = \"public\"\nupstream = \"any\"")
        .route("named", "/", "auth = \"public\"\nhosts = [\"a.test\"]\nupstream = \"named\"")
        .start_bare();
    let server = any.address.to_string();
    for (head, status, service, host) in [
        ("GET / HTTP/1.0", 200, "any", &*server),
        ("GET / HTTP/1.0\r\nHost: a.test", 200, "named", "a.test"),
        ("GET http://a.test:81/ HTTP/1.0", 200, "named", "a.test:81"),
        ("GET http://b.test/ HTTP/1.0", 200, "any", "b.test"),
        ("GET http://a.test/ HTTP/1.0\r\nHost: a.test", 200, "named", "a.test"),
        ("GET http://a.test/ HTTP/1.0\r\nHost: b.test", 400, "", ""),
        ("GET http://b@a.test/ HTTP/1.0", 400, "", ""),
        ("GET http://a.test/ HTTP/1.1", 400, "", ""),
    ] {
        let mut connection = Connection::open(gateway.front);
        connection.write(format!("{head}\r\n\r\n")).unwrap();
        let answer = String::from_utf8(connection.rest().unwrap()).unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(&*status.to_string()), "{head}: {answer}");
        if status == 200 {
            assert!(answer.ends_with(service), "{head}: {answer}");
            let received = if service == "any" { any.received() } else { named.received() };
            assert_eq!((&*received.target, received.header("host")), ("/", Some(host)), "{head}");
            let told = received.header("x-forwarded-host");
            assert_eq!(told, Some(host).filter(|_| head.contains("test")), "{head}");
        }
    }
    any.received_nothing();
    named.received_nothing();
}

#[test]
fn a_refusal_is_in_the_routes_dialect_and_keeps_the_connection() {
    let (gateway, upstream) = Gateway::with_upstream();
    let mut connection = Connection::open(gateway.front);
    for _ in 0..3 {
        let denied = connection.send(&get("/sws"));
        assert_eq!((denied.status, denied.text().as_str()), (401, r#"{"error":401,"message":"No autorizado"}"#));
        assert_eq!(connection.send(&post("/become", r#"{"small":"body"}"#)).status, 401);
        assert_eq!(connection.send(&Request::new("HEAD", "/nowhere")).status, 404);
        upstream.received_nothing();
        assert_eq!(connection.send(&get("/public")).text(), "upstream");
        upstream.received();
    }
}
