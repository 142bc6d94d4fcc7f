//! pingora's own server: no limits, no decision, and constant header fields.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::{
    Result,
    http::RequestHeader,
    proxy::{ProxyHttp, Session, http_proxy_service},
    server::{Server, configuration::ServerConf},
    upstreams::peer::HttpPeer,
};

use crate::Fields;

struct Bare {
    upstream: String,
    fields: Fields,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(&*self.upstream, false, String::new())))
    }

    async fn upstream_request_filter(&self, _: &mut Session, request: &mut RequestHeader, (): &mut ()) -> Result<()> {
        for (name, value) in &self.fields {
            request.insert_header(name.clone(), value.clone())?;
        }
        Ok(())
    }
}

/// Serves until the process ends.
pub(crate) fn serve(listen: &str, upstream: &str, threads: usize) {
    let conf = ServerConf { threads, upstream_keepalive_pool_size: 1024, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let bare = Bare { upstream: upstream.to_owned(), fields: crate::fields() };
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), bare);
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever();
}
