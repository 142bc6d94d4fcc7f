//! A server that says what a test wants, byte by byte, and remembers what it was asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::Notify,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

/// What it answers.
#[derive(Clone)]
pub(super) enum Reply {
    /// These bytes, then it hangs up.
    Bytes(Vec<u8>),
    /// These bytes, when it is told to.
    Held(Vec<u8>, Arc<Notify>),
    /// Nothing, on an open connection.
    Silence,
    /// These bytes, then spaces for as long as the client takes them.
    Endless(Vec<u8>),
}

/// It ends when it is dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    reply: Mutex<Reply>,
    heads: Mutex<Vec<String>>,
    /// Endless answers that the client cut off.
    cut_off: Mutex<u32>,
}

impl Reply {
    /// An answer with a body.
    pub(super) fn of(status: &str, headers: &[&str], body: &str) -> Self {
        let length = format!("content-length: {}", body.len());
        let lines = [&[status], headers, &[&length, "", body]].concat();
        Self::Bytes(format!("HTTP/1.1 {}", lines.join("\r\n")).into())
    }

    /// 200 with a body.
    pub(super) fn ok(body: &str) -> Self {
        Self::of("200 OK", &["content-type: application/json"], body)
    }
}

impl Server {
    /// One on a free port of 127.0.0.1.
    pub(super) async fn start(reply: Reply) -> Self {
        Self::bind("127.0.0.1:0".parse().unwrap(), reply, None).await
    }

    /// One at `address`, over TLS if there is an acceptor.
    pub(super) async fn bind(address: SocketAddr, reply: Reply, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { reply: Mutex::new(reply), heads: Mutex::default(), cut_off: Mutex::default() });
        let served = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                let (shared, tls) = (Arc::clone(&served), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => shared.serve(connection).await,
                        // A client that does not trust the certificate hangs up.
                        Some(tls) => match tls.accept(connection).await {
                            Ok(connection) => shared.serve(connection).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { address, shared, task }
    }

    /// What it answers from now on.
    pub(super) fn reply(&self, reply: Reply) {
        *self.shared.reply.lock().unwrap() = reply;
    }

    /// The heads of all requests, in lower case.
    pub(super) fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap().clone()
    }

    /// How many requests there were.
    pub(super) fn requests(&self) -> usize {
        self.shared.heads.lock().unwrap().len()
    }

    /// How many endless answers the client cut off.
    pub(super) fn cut_off(&self) -> u32 {
        *self.shared.cut_off.lock().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    /// Answers one request; `None` when the client had gone.
    async fn serve(&self, mut connection: impl AsyncRead + AsyncWrite + Unpin) -> Option<()> {
        let mut head = vec![];
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.ok()?);
        }
        self.heads.lock().unwrap().push(String::from_utf8(head).unwrap().to_lowercase());
        let reply = self.reply.lock().unwrap().clone();
        match reply {
            Reply::Bytes(bytes) => connection.write_all(&bytes).await.ok()?,
            Reply::Held(bytes, told) => {
                told.notified().await;
                connection.write_all(&bytes).await.ok()?;
            }
            Reply::Silence => {
                // The client goes first.
                let _ = connection.read_u8().await;
            }
            Reply::Endless(bytes) => {
                connection.write_all(&bytes).await.ok()?;
                while connection.write_all(&[b' '; 4096]).await.is_ok() {}
                *self.cut_off.lock().unwrap() += 1;
            }
        }
        connection.shutdown().await.ok()
    }
}
