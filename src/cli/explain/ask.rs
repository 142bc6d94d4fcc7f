//! Asking the running gateway, over its admin API.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use crate::{
    cli::{block_on, output::CliError},
    decision::explain::Inquiry,
    domain::Secret,
};

/// Bytes of an answer, at most.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Bytes of an admin token's file, at most.
const TOKEN_FILE_BYTES_MAX: u64 = 4096;

/// For the whole of asking.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where the API explains.
const PATH: &str = "/api/v1/explain";

/// What the gateway at `listener` says. It is asked with the token in `token_file`.
pub(super) fn gateway(listener: &str, token_file: &Path, inquiry: &Inquiry<'_>) -> Result<Value, CliError> {
    let trouble = |text: String| CliError::Trouble(text);
    let address = listener.strip_prefix("http://").unwrap_or(listener).trim_end_matches('/');
    if address.contains('/') {
        return Err(trouble(format!("--admin {listener}: write http://ADDRESS:PORT; the listener speaks no TLS")));
    }
    let admin_token = admin_token(token_file)?;
    // It holds the token that is asked about; wiped when it was sent, as far as that is ours.
    let body = Zeroizing::new(
        json!({
            "method": inquiry.method,
            "url": inquiry.url,
            "headers": inquiry.headers,
            "token": inquiry.token.map(Secret::expose),
            "client": inquiry.client,
        })
        .to_string(),
    );
    let request = Request::post(PATH)
        .header(header::HOST, address)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {}", admin_token.as_str()))
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .map_err(|_| trouble(format!("--admin {listener}: no address, or a token file that holds no token")))?;
    let answered = block_on(async {
        let asked = tokio::time::timeout(TIMEOUT, ask(address, request)).await;
        asked.unwrap_or_else(|_| Err(CliError::Trouble(format!("the gateway at {address} did not answer within 10 s"))))
    });
    let (status, answer) = answered?;
    if status == StatusCode::OK {
        return Ok(answer);
    }
    let said = answer["error"].as_str().unwrap_or("nothing more");
    Err(trouble(match status {
        StatusCode::UNAUTHORIZED => format!(
            "the gateway at {address} does not take the token of {}; name the file of its admin.token_file with --admin-token-file",
            token_file.display()
        ),
        StatusCode::MISDIRECTED_REQUEST => format!("{said}, or name the listener by its address"),
        _ => format!("the gateway at {address} answers {status}: {said}"),
    }))
}

async fn ask(address: &str, request: Request<Full<Bytes>>) -> Result<(StatusCode, Value), CliError> {
    let nobody = |error: std::io::Error| {
        CliError::Trouble(format!(
            "no gateway answers at {address} ({error}): start it with portero run, name its admin listener with --admin, \
             or explain from the config alone with --offline"
        ))
    };
    let broken = |error: &dyn std::fmt::Display| {
        CliError::Trouble(format!("what answers at {address} is no admin listener of a gateway: {error}"))
    };
    let stream = TcpStream::connect(address).await.map_err(nobody)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    // It ends with the answer, or with this process.
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|error| broken(&error))?;
    let answer = serde_json::from_slice(&body.to_bytes()).map_err(|error| broken(&error))?;
    Ok((status, answer))
}

fn admin_token(file: &Path) -> Result<Zeroizing<String>, CliError> {
    use std::io::Read;
    let unreadable = |error: std::io::Error| {
        CliError::Trouble(format!(
            "the admin token's file {}: {error}; a gateway makes it when it first starts",
            file.display()
        ))
    };
    let mut text = Zeroizing::new(String::new());
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    opened.take(TOKEN_FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}
