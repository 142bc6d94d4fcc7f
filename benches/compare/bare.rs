//! The yardstick: pingora's own server with nothing added but what every proxy of the comparison sends to the upstream.
//!
//! `bare LISTEN UPSTREAM THREADS`: each request gets the forwarding and identity headers that Portero adds, all of them
//! constants. Built like Portero: the same profile, the same allocator.

use std::{env, process::exit, sync::Arc};

use async_trait::async_trait;
use http::{HeaderName, HeaderValue};
use pingora::{
    Result,
    http::RequestHeader,
    proxy::{ProxyHttp, Session, http_proxy_service},
    server::{Server, configuration::ServerConf},
    upstreams::peer::HttpPeer,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What Portero tells an upstream of a request with the token of the comparison.
const HEADERS: [(&str, &str); 10] = [
    ("x-auth-issuer", "https://gw"),
    ("x-auth-subject", "acct_64b1f0c2a7d9e83b52"),
    ("x-auth-role", "ADMIN"),
    ("x-auth-scopes", "read write"),
    ("x-request-id", "0b6a4a1ad4e94c1b8d6a0a7e1f0b2c3d"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
    ("x-forwarded-for", "127.0.0.1"),
    ("x-forwarded-proto", "http"),
    ("x-forwarded-host", "127.0.0.1"),
    ("forwarded", "for=127.0.0.1;proto=http;host=\"127.0.0.1\""),
];

struct Bare {
    upstream: String,
    headers: [(HeaderName, HeaderValue); HEADERS.len()],
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(&*self.upstream, false, String::new())))
    }

    async fn upstream_request_filter(&self, _: &mut Session, request: &mut RequestHeader, (): &mut ()) -> Result<()> {
        for (name, value) in &self.headers {
            request.insert_header(name.clone(), value.clone())?;
        }
        Ok(())
    }
}

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let [listen, upstream, threads] = &*words else { usage() };
    let Ok(threads) = threads.parse() else { usage() };
    let conf = ServerConf { threads, upstream_keepalive_pool_size: 1024, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let headers = HEADERS.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let bare = Bare { upstream: upstream.clone(), headers };
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), bare);
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever();
}

fn usage() -> ! {
    eprintln!("usage: bare LISTEN UPSTREAM THREADS");
    exit(2)
}
