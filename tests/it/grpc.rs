//! gRPC through the gateway: HTTP/2 on both sides, with a real client and a real server (tonic).

use std::{convert::Infallible, net::SocketAddr, task::Poll, time::Duration};

use futures_util::{Stream, StreamExt};
use serde_json::json;
use tokio::{net::TcpListener, runtime::Runtime, sync::mpsc, time::timeout};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    codegen::{BoxFuture, Service, http},
    metadata::MetadataValue,
    server::{Grpc, NamedService, StreamingService, UnaryService},
    transport::{Channel, Server},
};
use tonic_prost::ProstCodec;

use crate::support::{Config, Contract, Gateway};

/// The only message of the service.
#[derive(Clone, PartialEq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

/// `test.Echo`, as generated code would have it.
#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<Text, Text>::default());
            Ok(match request.uri().path() {
                "/test.Echo/Say" => grpc.unary(Echo, request).await,
                "/test.Echo/Repeat" => grpc.streaming(Echo, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

impl UnaryService<Text> for Echo {
    type Response = Text;
    type Future = BoxFuture<Response<Text>, Status>;

    /// Says who asked; refuses by itself when told to.
    fn call(&mut self, request: Request<Text>) -> Self::Future {
        Box::pin(async move {
            let name = request.metadata().get("x-auth-name").and_then(|name| name.to_str().ok()).unwrap_or("-");
            match request.get_ref().text.as_str() {
                "fail" => Err(Status::data_loss("the service's own words")),
                text => Ok(Response::new(Text { text: format!("{name}: {text}") })),
            }
        })
    }
}

impl StreamingService<Text> for Echo {
    type Response = Text;
    type ResponseStream = std::pin::Pin<Box<dyn Stream<Item = Result<Text, Status>> + Send>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<Text>>) -> Self::Future {
        Box::pin(async move { Ok(Response::new(request.into_inner().boxed() as Self::ResponseStream)) })
    }
}

struct Peers {
    runtime: Runtime,
    gateway: Gateway,
    channel: Channel,
}

/// A gateway with HTTP/2 on both sides, before the service.
fn start() -> Peers {
    start_with("", "")
}

/// The same with these lines of `[server]` and of the upstream.
fn start_with(server: &str, more: &str) -> Peers {
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    runtime.spawn(Server::builder().add_service(Echo).serve_with_incoming(TcpListenerStream::new(listener)));
    let gateway = Config::new()
        .server(server)
        .text(&format!("[upstreams.service]\nservers = [\"{address}\"]\nhttp = \"2\"\n{more}"))
        .route("echo", "/test.Echo", "accept = [\"become\"]")
        .route("roles", "/test.Roles", "accept = [\"become\"]\nrequire = { roles = [\"ADMIN\"] }")
        .start();
    let channel = Channel::from_shared(format!("http://{}", gateway.front)).unwrap();
    let channel = runtime.block_on(channel.connect()).unwrap();
    Peers { runtime, gateway, channel }
}

impl Peers {
    fn request<T>(message: T, token: Option<&str>) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = token {
            let value = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        request
    }

    fn say(&self, path: &'static str, text: &str, token: Option<&str>) -> Result<String, Status> {
        self.runtime.block_on(async {
            let mut client = tonic::client::Grpc::new(self.channel.clone());
            client.ready().await.unwrap();
            let request = Self::request(Text { text: text.to_owned() }, token);
            let path = http::uri::PathAndQuery::from_static(path);
            let answer = client.unary(request, path, ProstCodec::<Text, Text>::default()).await?;
            Ok(answer.into_inner().text)
        })
    }

    /// Opens a stream both ways.
    fn repeat(&self, token: &str) -> (mpsc::Sender<Text>, Streaming<Text>) {
        let (sender, receiver) = mpsc::channel(4);
        let streaming = self.runtime.block_on(async {
            let mut client = tonic::client::Grpc::new(self.channel.clone());
            client.ready().await.unwrap();
            let path = http::uri::PathAndQuery::from_static("/test.Echo/Repeat");
            let request = Self::request(ReceiverStream::new(receiver), Some(token));
            client.streaming(request, path, ProstCodec::<Text, Text>::default()).await.unwrap().into_inner()
        });
        (sender, streaming)
    }

    fn exchange(&self, stream: &mut (mpsc::Sender<Text>, Streaming<Text>), text: &str) -> Result<Option<Text>, Status> {
        self.runtime.block_on(async {
            // A stream that was ended takes no more: what came of it is said by its other side.
            let _ = stream.0.send(Text { text: text.to_owned() }).await;
            stream.1.message().await
        })
    }
}

#[test]
fn calls_and_streams_pass_with_identity_and_trailers() {
    let peers = start();
    let token = peers.gateway.login(Contract::Become);
    assert_eq!(peers.say("/test.Echo/Say", "hello", Some(&token)).unwrap(), "demo_client_123: hello");
    let refused = peers.say("/test.Echo/Say", "fail", Some(&token)).unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::DataLoss, "the service's own words"));
    let mut stream = peers.repeat(&token);
    for text in ["one", "two", "three"] {
        assert_eq!(peers.exchange(&mut stream, text).unwrap().unwrap().text, text);
    }
    drop(stream.0);
    assert!(peers.runtime.block_on(stream.1.message()).unwrap().is_none());
}

#[test]
fn an_idle_stream_outlives_the_waits_of_requests() {
    const READ: Duration = Duration::from_secs(2);
    let timeouts = "timeouts.read = \"2s\"\n";
    let peers = start_with("body_timeout = \"2s\"\nbody_rate_grace = \"2s\"", timeouts);
    let token = peers.gateway.login(Contract::Become);
    let mut stream = peers.repeat(&token);
    assert_eq!(peers.exchange(&mut stream, "before").unwrap().unwrap().text, "before");
    let silence = peers.runtime.block_on(async { timeout(2 * READ, stream.1.message()).await });
    assert!(silence.is_err(), "it ended: {silence:?}");
    assert_eq!(peers.exchange(&mut stream, "after").unwrap().unwrap().text, "after");
}

#[test]
fn denials_are_statuses_of_grpc() {
    let peers = start();
    let token = peers.gateway.login(Contract::Become);
    let code = |path, token: Option<&str>| peers.say(path, "hello", token).unwrap_err().code();
    assert_eq!(code("/test.Echo/Say", None), Code::Unauthenticated);
    assert_eq!(code("/test.Echo/Say", Some("garbage")), Code::Unauthenticated);
    assert_eq!(code("/test.Roles/Say", Some(&token)), Code::PermissionDenied);
    assert_eq!(code("/test.Unknown/Say", Some(&token)), Code::Unimplemented);
}

#[test]
fn a_revoked_token_ends_its_stream_and_not_the_connection() {
    let peers = start();
    let (one, other) = (peers.gateway.login(Contract::Become), peers.gateway.login(Contract::Become));
    let (mut ended, mut living) = (peers.repeat(&one), peers.repeat(&other));
    for stream in [&mut ended, &mut living] {
        assert_eq!(peers.exchange(stream, "before").unwrap().unwrap().text, "before");
    }
    peers.gateway.api("/revocations/token", &json!({ "token": one }));
    // Nothing is sent on it: an idle stream ends too, and not as if it were complete.
    assert!(peers.runtime.block_on(ended.1.message()).is_err());
    assert_eq!(peers.exchange(&mut living, "after").unwrap().unwrap().text, "after");
}
