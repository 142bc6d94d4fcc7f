//! `WebSocket`s as their users open them, and a service that speaks them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use super::wait::PATIENCE;

/// A service that echoes; to "flood" it answers with frames without end.
#[derive(Debug)]
pub(crate) struct WebSocketService {
    pub(crate) address: SocketAddr,
    runtime: Option<Runtime>,
}

/// A client's `WebSocket`.
#[derive(Debug)]
pub(crate) struct WebSocket {
    stream: WebSocketStream<TcpStream>,
    runtime: Runtime,
}

impl WebSocketService {
    pub(crate) fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream));
            }
        });
        Self { address, runtime: Some(runtime) }
    }
}

impl Drop for WebSocketService {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn echo(stream: TcpStream) -> Option<()> {
    let mut socket = tokio_tungstenite::accept_async(stream).await.ok()?;
    while let Some(Ok(message)) = socket.next().await {
        if message.to_text().is_ok_and(|text| text == "flood") {
            loop {
                socket.send(Message::binary(vec![7; 100_000])).await.ok()?;
            }
        }
        if message.is_text() {
            socket.send(message).await.ok()?;
        }
    }
    Some(())
}

impl WebSocket {
    /// Opens one; the status of the answer that refused it otherwise.
    pub(crate) fn open(to: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let mut request = format!("ws://portero.test{target}").into_client_request().unwrap();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let opening = async {
            let stream = TcpStream::connect(to).await.unwrap();
            timeout(PATIENCE, tokio_tungstenite::client_async(request, stream)).await.expect("an answer in time")
        };
        match runtime.block_on(opening) {
            Ok((stream, _)) => Ok(Self { stream, runtime }),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("neither a WebSocket nor an answer: {error}"),
        }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.runtime.block_on(self.stream.send(Message::text(text))).unwrap();
    }

    /// The next message; a broken frame fails the test.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> Message {
        let next = self.runtime.block_on(async { timeout(PATIENCE, self.stream.next()).await });
        next.expect("a message in time").expect("a message before the end").expect("a whole frame")
    }

    /// Reads until the other end closes, which it must `within` that; code and text.
    #[track_caller]
    pub(crate) fn closed(&mut self, within: Duration) -> (u16, String) {
        let stream = &mut self.stream;
        let closed = async {
            loop {
                match stream.next().await {
                    Some(Ok(Message::Close(Some(close)))) => return (close.code.into(), close.reason.to_string()),
                    Some(Ok(_)) => {}
                    end => panic!("ended without a close frame: {end:?}"),
                }
            }
        };
        self.runtime.block_on(async { timeout(within, closed).await }).expect("closed in time")
    }
}
