//! hyper's server and client: HTTP/1 and HTTP/2 towards clients, HTTP/1 towards the upstream, a current-thread runtime
//! a core, and one pool of upstream connections for each. No limits, no deadlines, no decision.

use std::{cell::RefCell, error::Error, io, net::SocketAddr, rc::Rc, sync::Arc, thread};

use http::{HeaderValue, Request, Response, Version, header};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
    rt::{Executor, Read, Write},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::{Ticketer, default_provider},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use socket2::{Domain, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Builder,
    task::{LocalSet, spawn_local},
};
use tokio_rustls::TlsAcceptor;

use crate::Fields;

const BACKLOG: i32 = 4096;

type Failure = Box<dyn Error + Send + Sync>;

/// What the connections of one thread share.
#[derive(Clone)]
struct Worker {
    upstream: SocketAddr,
    /// Connections that wait for a request. Nothing bounds them.
    idle: Rc<RefCell<Vec<SendRequest<Incoming>>>>,
    fields: Rc<Fields>,
}

/// Runs the tasks of an HTTP/2 connection on its own thread.
#[derive(Clone)]
struct SameThread;

impl<F: Future<Output = ()> + 'static> Executor<F> for SameThread {
    fn execute(&self, task: F) {
        spawn_local(task);
    }
}

/// What clients are shown: TLS 1.2 and 1.3, tickets to resume sessions, `h2` and `http/1.1`.
pub(crate) fn tls(certificate: &str, key: &str) -> Result<TlsAcceptor, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = Ticketer::new()?;
    Ok(Arc::new(config).into())
}

/// Serves until the process ends.
pub(crate) fn serve(
    listen: SocketAddr,
    listen_tls: SocketAddr,
    upstream: SocketAddr,
    tls: &TlsAcceptor,
    threads: usize,
) -> io::Result<()> {
    let start = |_| {
        let tls = tls.clone();
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            LocalSet::new().block_on(&runtime, async {
                let worker = Worker { upstream, idle: Rc::default(), fields: Rc::new(crate::fields()) };
                let (clear, secured) = (bound(listen)?, bound(listen_tls)?);
                tokio::try_join!(worker.accept(clear), worker.accept_tls(secured, tls)).map(|_| ())
            })
        })
    };
    let workers: Vec<_> = (0..threads).map(start).collect();
    workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())))
}

/// A listener that shares its port with those of the other threads.
fn bound(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

impl Worker {
    async fn accept(&self, listener: TcpListener) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let worker = self.clone();
            spawn_local(async move { worker.serve_http1(TokioIo::new(stream)).await });
        }
    }

    async fn accept_tls(&self, listener: TcpListener, tls: TlsAcceptor) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (worker, handshake) = (self.clone(), tls.accept(stream));
            spawn_local(async move {
                let Ok(stream) = handshake.await else { return };
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    let service = service_fn(move |request| {
                        let worker = worker.clone();
                        async move { worker.forward(request).await }
                    });
                    // A connection that breaks shows in the load generator's figures.
                    let _ = http2::Builder::new(SameThread).serve_connection(TokioIo::new(stream), service).await;
                } else {
                    worker.serve_http1(TokioIo::new(stream)).await;
                }
            });
        }
    }

    async fn serve_http1(&self, stream: impl Read + Write + Unpin) {
        let service = service_fn(|request| self.forward(request));
        let _ = http1::Builder::new().pipeline_flush(true).serve_connection(stream, service).await;
    }

    async fn forward(&self, mut request: Request<Incoming>) -> Result<Response<Incoming>, Failure> {
        if request.version() == Version::HTTP_2 {
            to_http1(&mut request)?;
        }
        request.headers_mut().remove(header::CONNECTION);
        for (name, value) in self.fields.iter() {
            request.headers_mut().insert(name, value.clone());
        }
        let mut connection = self.connection().await?;
        let mut response = connection.send_request(request).await?;
        response.headers_mut().remove(header::CONNECTION);
        let idle = Rc::clone(&self.idle);
        // It is idle again when the response's body has been read.
        spawn_local(async move {
            if connection.ready().await.is_ok() {
                idle.borrow_mut().push(connection);
            }
        });
        Ok(response)
    }

    /// An idle connection, or a new one.
    async fn connection(&self) -> Result<SendRequest<Incoming>, Failure> {
        loop {
            let idle = self.idle.borrow_mut().pop();
            let Some(mut connection) = idle else { break };
            if connection.ready().await.is_ok() {
                return Ok(connection);
            }
        }
        let stream = TcpStream::connect(self.upstream).await?;
        stream.set_nodelay(true)?;
        let (connection, driving) = handshake(TokioIo::new(stream)).await?;
        spawn_local(driving);
        Ok(connection)
    }
}

/// `Host` and the request target, as HTTP/1.1 has them.
fn to_http1(request: &mut Request<Incoming>) -> Result<(), Failure> {
    let authority = request.uri().authority().map_or("", |authority| authority.as_str());
    let host = HeaderValue::from_str(authority)?;
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).parse()?;
    request.headers_mut().insert(header::HOST, host);
    *request.uri_mut() = target;
    *request.version_mut() = Version::HTTP_11;
    Ok(())
}
