//! Asking the running gateway over its admin API.

use std::{convert::Infallible, fs, net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

use super::output::{CliError, Format};
use crate::app;

/// How long a config may take to be checked and taken over: names of servers may be looked up.
pub(super) const CHECK_PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of an answer, at most.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Which gateway, and in which form it is told what it answered.
#[derive(Debug, Args)]
pub(super) struct Asking {
    /// The gateway's config file, which says where it listens to operators and where its token is
    #[arg(long, default_value = "gateway.toml")]
    config: PathBuf,
    /// Where the gateway listens to operators, if not where the config says
    #[arg(long)]
    admin: Option<SocketAddr>,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t)]
    pub(super) output: Format,
}

impl Asking {
    /// Posts `body` with the admin token. What the gateway refuses is refused with its words.
    pub(super) async fn post(&self, path: &str, body: &Value, patience: Duration) -> Result<Value, CliError> {
        // A config that is not good would be refused by the gateway too, with the same report.
        let settings = app::load(&self.config).map_err(|error| CliError::Refused(error.to_string()))?;
        let mut address = self.admin.unwrap_or(settings.admin.listen);
        if address.ip().is_unspecified() {
            let loopback = if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
            address.set_ip(loopback);
        }
        let token_file = &settings.admin.token_file;
        let token = fs::read_to_string(token_file)
            .map_err(|error| CliError::Trouble(format!("{}: {error}", token_file.display())))?;
        let request = Request::post(path)
            .header(header::HOST, address.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {}", token.trim()))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|_| CliError::Trouble(format!("{}: no token", token_file.display())))?;
        let answered = timeout(patience, exchange(address, request)).await;
        let (status, answer) = match answered {
            Ok(Ok(answered)) => answered,
            Ok(Err(error)) => return Err(CliError::Trouble(format!("no gateway answers at {address}: {error}"))),
            Err(_) => return Err(CliError::Trouble(format!("the gateway did not answer within {patience:?}"))),
        };
        let said = || answer["error"].as_str().unwrap_or("the answer is not one of Portero's").to_owned();
        match status {
            StatusCode::OK => Ok(answer),
            StatusCode::CONFLICT | StatusCode::BAD_REQUEST => Err(CliError::Refused(said())),
            _ => Err(CliError::Trouble(format!("{status}: {}", said()))),
        }
    }
}

async fn exchange(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Value), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answering = async move {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let bytes = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        Ok((parts.status, serde_json::from_slice(&bytes).unwrap_or_default()))
    };
    // The connection moves the bytes; whatever ends it shows in the answer.
    let moving = async {
        let _ = connection.await;
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        answered = answering => answered,
        never = moving => match never {},
    }
}
