//! One question to a server: whether it is healthy.

use std::{io, pin::pin};

use http::{Request, StatusCode, Version, header, uri::PathAndQuery};
use http_body_util::Empty;
use hyper::{body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{
    connect::{Speak, Transport},
    pool::Pool,
    server::Server,
    settings::Probe,
};

/// The `User-Agent` of a health check.
const USER_AGENT: &str = "portero-health";

/// Asks; an error says why the server is not healthy. The caller has the deadline.
pub(super) async fn ask(pool: &Pool, server: &Server, probe: &Probe) -> Result<(), Unhealthy> {
    let Probe::Http { path, host, status: (least, most) } = probe else {
        drop(pool.connect(server, Speak::AsConfigured).await?);
        return Ok(());
    };
    let transport = pool.connect(server, Speak::AsConfigured).await?;
    let over_http2 = pool.speaks_http2(&transport);
    let authority = host.as_deref().unwrap_or(server.address());
    let scheme = if pool.settings.tls.is_some() { "https" } else { "http" };
    let status = if over_http2 {
        status_over_http2(transport, request(scheme, authority, path, Version::HTTP_2)?).await?
    } else {
        status_over_http1(pool, transport, request(scheme, authority, path, Version::HTTP_11)?).await?
    };
    if (*least..=*most).contains(&status) { Ok(()) } else { Err(Unhealthy::Status(status)) }
}

/// Why a server is not healthy.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unhealthy {
    #[error("{0}")]
    Connection(#[from] io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("the question cannot be asked: {0}")]
    Request(#[from] http::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
}

fn request(
    scheme: &str,
    authority: &str,
    path: &PathAndQuery,
    version: Version,
) -> Result<Request<Empty<Bytes>>, http::Error> {
    let request = Request::get(if version == Version::HTTP_2 {
        http::Uri::builder().scheme(scheme).authority(authority).path_and_query(path.clone()).build()?
    } else {
        http::Uri::from(path.clone())
    });
    let request = if version == Version::HTTP_2 { request } else { request.header(header::HOST, authority) };
    request.version(version).header(header::USER_AGENT, USER_AGENT).body(Empty::new())
}

async fn status_over_http1(
    pool: &Pool,
    transport: Transport,
    request: Request<Empty<Bytes>>,
) -> hyper::Result<StatusCode> {
    let (mut sender, connection) = pool.http1().handshake(TokioIo::new(transport)).await?;
    let mut response = pin!(sender.send_request(request));
    tokio::select! {
        biased;
        response = &mut response => Ok(response?.status()),
        // It may have ended with the response.
        _ = connection => Ok(response.await?.status()),
    }
}

async fn status_over_http2(transport: Transport, request: Request<Empty<Bytes>>) -> hyper::Result<StatusCode> {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(transport)).await?;
    let mut response = pin!(sender.send_request(request));
    tokio::select! {
        biased;
        response = &mut response => Ok(response?.status()),
        _ = connection => Ok(response.await?.status()),
    }
}
