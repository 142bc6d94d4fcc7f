//! Asking the running gateway over its admin API.

use std::{
    convert::Infallible,
    fs::File,
    io::{self, Read},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use clap::Args;
use http::{Request, StatusCode, header, request::Builder};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use zeroize::Zeroizing;

use crate::{
    app::{self, StartError},
    cli::{
        config_file::ConfigFile,
        output::{CliError, Format},
    },
};

/// How long a config may take to be checked and taken over: names of servers may be looked up.
pub(super) const CHECK_PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of an answer, at most.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Bytes of an admin token's file, at most.
const TOKEN_FILE_BYTES_MAX: u64 = 4096;

/// Which gateway, and in which form it is told what it answered.
#[derive(Debug, Args)]
pub(in crate::cli) struct Asking {
    // It says where the gateway listens to operators and where its token is.
    #[command(flatten)]
    pub(in crate::cli) config: ConfigFile,
    /// The admin listener of the gateway, `ADDRESS:PORT`, instead of the config's
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// The file with its token, instead of the config's
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t)]
    pub(in crate::cli) output: Format,
}

/// Where a gateway is asked, and who may.
struct Operator {
    address: String,
    token_file: PathBuf,
}

impl Asking {
    /// Gets what is at `path` with the admin token. What the gateway refuses is refused with its words.
    pub(super) async fn get(&self, path: &str, patience: Duration) -> Result<Value, CliError> {
        self.ask(Request::get(path), "", patience).await
    }

    /// Posts `body` with the admin token. What the gateway refuses is refused with its words.
    pub(super) async fn post(&self, path: &str, body: &str, patience: Duration) -> Result<Value, CliError> {
        self.ask(Request::post(path), body, patience).await
    }

    async fn ask(&self, request: Builder, body: &str, patience: Duration) -> Result<Value, CliError> {
        let Operator { address, token_file } = self.operator()?;
        let token = admin_token(&token_file)?;
        let request = request
            .header(header::HOST, &address)
            .header(header::AUTHORIZATION, format!("Bearer {}", token.as_str()))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .map_err(|_| trouble(format!("{address} is no address, or {} holds no token", token_file.display())))?;
        let answered = timeout(patience, exchange(&address, request)).await;
        let late = |_| Err(trouble(format!("the gateway at {address} did not answer within {patience:?}")));
        let (status, answer) = answered.unwrap_or_else(late)?;
        let said = answer["error"].as_str().unwrap_or("the answer is not one of Portero's");
        match status {
            StatusCode::OK => Ok(answer),
            StatusCode::CONFLICT | StatusCode::BAD_REQUEST => Err(CliError::Refused(said.to_owned())),
            StatusCode::UNAUTHORIZED => Err(trouble(format!(
                "the gateway at {address} does not take the token of {}; name the file of its admin.token_file with \
                 --admin-token-file",
                token_file.display()
            ))),
            StatusCode::MISDIRECTED_REQUEST => Err(trouble(format!("{said}, or name the listener by its address"))),
            _ => Err(trouble(format!("the gateway at {address} answers {status}: {said}"))),
        }
    }

    /// What the arguments name, and the config where they do not.
    fn operator(&self) -> Result<Operator, CliError> {
        let named = self.admin.as_deref().map(listener).transpose()?;
        if let (Some(address), Some(token_file)) = (&named, &self.admin_token_file) {
            return Ok(Operator { address: address.clone(), token_file: token_file.clone() });
        }
        // A config that is not good would be refused by the gateway too, with the same report.
        let settings = app::load(&self.config.path()).map_err(|error| match error {
            StartError::Config(report) => CliError::Config { report, refused: true },
            error => CliError::Refused(error.to_string()),
        })?;
        let settings = settings.admin;
        Ok(Operator {
            address: named.unwrap_or_else(|| reachable(settings.listen).to_string()),
            token_file: self.admin_token_file.clone().unwrap_or(settings.token_file),
        })
    }
}

/// `HOST:PORT` of an argument, which may be spelled as a URL.
fn listener(argument: &str) -> Result<String, CliError> {
    let address = argument.strip_prefix("http://").unwrap_or(argument).trim_end_matches('/');
    if address.contains('/') {
        return Err(trouble(format!("--admin {argument}: write http://ADDRESS:PORT; the listener speaks no TLS")));
    }
    Ok(address.parse().map_or_else(|_| address.to_owned(), |address| reachable(address).to_string()))
}

/// Where a listener at `address` is reached from this machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        std::net::IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        std::net::IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

async fn exchange(address: &str, request: Request<Full<Bytes>>) -> Result<(StatusCode, Value), CliError> {
    let nobody = |error: io::Error| {
        trouble(format!(
            "no gateway answers at {address} ({error}): start it with portero run, or name its admin listener with --admin"
        ))
    };
    let stream = TcpStream::connect(address).await.map_err(nobody)?;
    let answering = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // The connection moves the bytes; whatever ends it shows in the answer.
        let moving = async {
            let _ = connection.await;
            std::future::pending::<Infallible>().await
        };
        let answering = async move {
            let (parts, body) = sender.send_request(request).await?.into_parts();
            let bytes = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
            Ok((parts.status, serde_json::from_slice(&bytes).unwrap_or_default()))
        };
        tokio::select! {
            answered = answering => answered,
            never = moving => match never {},
        }
    };
    answering.await.map_err(|error: Box<dyn std::error::Error + Send + Sync>| {
        trouble(format!("what answers at {address} is no admin listener of a gateway: {error}"))
    })
}

fn admin_token(file: &Path) -> Result<Zeroizing<String>, CliError> {
    let unreadable = |error: io::Error| {
        trouble(format!("the admin token's file {}: {error}; a gateway makes it when it first starts", file.display()))
    };
    let mut text = Zeroizing::new(String::new());
    let opened = File::open(file).map_err(unreadable)?;
    opened.take(TOKEN_FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

const fn trouble(text: String) -> CliError {
    CliError::Trouble(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_named_as_an_address_or_as_a_url() {
        for (argument, address) in [
            ("127.0.0.1:9901", "127.0.0.1:9901"),
            ("http://127.0.0.1:9901/", "127.0.0.1:9901"),
            ("http://0.0.0.0:9901", "127.0.0.1:9901"),
            ("[::]:9901", "[::1]:9901"),
            ("gateway.internal:9901", "gateway.internal:9901"),
        ] {
            assert_eq!(listener(argument).unwrap(), address);
        }
        assert!(listener("https://127.0.0.1:9901").is_err());
    }
}
