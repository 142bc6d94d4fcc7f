//! A client of HTTP/2 in the clear, with prior knowledge.

use std::{future::poll_fn, net::SocketAddr};

use bytes::Bytes;
use tokio::{net::TcpStream, runtime::Runtime, time::timeout};

use super::{Request, Response, wait::PATIENCE};

pub(crate) type Sender = h2::client::SendRequest<Bytes>;

/// Runs `work` on a connection of the `h2` crate's.
pub(crate) fn with_client<T>(to: SocketAddr, work: impl AsyncFnOnce(Sender) -> T) -> T {
    Runtime::new().unwrap().block_on(async {
        let stream = TcpStream::connect(to).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        let driving = tokio::spawn(connection);
        let done = timeout(PATIENCE, work(sender)).await.unwrap();
        driving.abort();
        done
    })
}

/// Sends on a connection of its own; an error when the stream ends before its answer is whole.
pub(crate) fn send_http2(to: SocketAddr, request: &Request) -> Result<Response, h2::Error> {
    with_client(to, async |mut sender| exchange(&mut sender, request).await)
}

/// The same on a stream of this connection.
pub(crate) async fn exchange(sender: &mut Sender, request: &Request) -> Result<Response, h2::Error> {
    poll_fn(|cx| sender.poll_ready(cx)).await?;
    let (head, body) = request.http2();
    let (response, mut out) = sender.send_request(head, body.is_none())?;
    if let Some(body) = body {
        // A stream that the other end closed takes none; its answer says why.
        let _ = out.send_data(body, true);
    }
    let (head, mut incoming) = response.await?.into_parts();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let mut body = vec![];
    while let Some(data) = incoming.data().await {
        let data = data?;
        incoming.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok(Response { status: head.status.as_u16(), headers, body })
}
