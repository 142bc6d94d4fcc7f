//! The demo's upstream: it answers every request with what it received, as JSON.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};

use crate::{app::StartError, cli::output::CliError};

/// Bytes of a body that are echoed; the rest is read and left out.
const ECHOED_BYTES_MAX: usize = 1 << 20;

/// The upstream, bound.
#[derive(Debug)]
pub(super) struct Echo {
    listener: std::net::TcpListener,
    address: SocketAddr,
}

impl Echo {
    pub(super) fn bind(address: SocketAddr) -> Result<Self, CliError> {
        let listen = |source| StartError::Listen { key: "upstreams.echo.servers", address, source };
        let listener = std::net::TcpListener::bind(address).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, address })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves on a thread of its own until what this returns is dropped.
    pub(super) fn serve(self) -> Result<Runtime, CliError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("echo").enable_all().build();
        let runtime = runtime.map_err(StartError::from)?;
        runtime.spawn(async move {
            let Ok(listener) = TcpListener::from_std(self.listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(echo));
                tokio::spawn(connection);
            }
        });
        Ok(runtime)
    }
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, mut body) = request.into_parts();
    let mut received = vec![];
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            let room = ECHOED_BYTES_MAX.saturating_sub(received.len());
            received.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    let mut headers = Map::new();
    for name in head.headers.keys() {
        let values =
            head.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        headers.insert(name.as_str().to_owned(), values.collect::<Vec<_>>().join(", ").into());
    }
    let answer = json!({
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query().unwrap_or_default(),
        "headers": Value::Object(headers),
        "body": String::from_utf8_lossy(&received),
    });
    let mut response = Response::new(Full::new(Bytes::from(format!("{answer}\n"))));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
