//! The system that accounts are taken over from: a small service of its own with its users in SQLite, by bcrypt
//! hashes, which speaks `sws-get-token.md` and has a check of its tokens.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use aws_lc_rs::digest;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    HeaderMap, Request, Response,
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sqlx::{
    ConnectOptions, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteRow},
};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::{Builder, Runtime},
};

use super::{Port, memory};

/// What it does with the logins of one name, instead of looking at the secret.
#[derive(Clone, Debug)]
pub(crate) enum Odd {
    /// This status, media type and body.
    Answers(u16, &'static str, String),
    /// A body that is cut off.
    CutOff,
    /// Another place to go to.
    Redirects(String),
    /// Nothing at all.
    Hangs,
}

/// A request that it received.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) body: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) target: String,
    pub(crate) at: Instant,
}

/// What its hashes cost: as little as may be, since its own speed is nobody's concern.
const COST: u32 = 4;

/// The name under which its check of tokens is made odd.
pub(crate) const CHECK: &str = "the check of tokens";

/// The service. It is out of reach while it is stopped, and keeps its users.
pub(crate) struct OldSystem {
    pub(crate) address: SocketAddr,
    /// Of its address, also while it is stopped.
    _port: Port,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
    folder: TempDir,
}

#[derive(Default)]
struct Shared {
    odd: Mutex<HashMap<String, Odd>>,
    asked: Mutex<Vec<Asked>>,
    /// Whose tokens it gave out, and how many in all.
    tokens: Mutex<HashMap<String, String>>,
    made: AtomicU64,
    /// Tokens that it was asked about.
    checked: Mutex<Vec<(Instant, String)>>,
}

impl Shared {
    /// The token that a user has until it is revoked.
    fn token_of(&self, name: &str) -> String {
        let mut tokens = self.tokens.lock().unwrap();
        if let Some((token, _)) = tokens.iter().find(|(_, holder)| *holder == name) {
            return token.clone();
        }
        let token = format!("687f8b1325da9d0d{:08x}", self.made.fetch_add(1, Ordering::Relaxed));
        tokens.insert(token.clone(), name.to_owned());
        token
    }
}

impl OldSystem {
    /// One with these users and passwords, numbered from 1.
    pub(crate) fn start(users: &[(String, String)]) -> Self {
        let (folder, port) = (memory::new_folder(), Port::hold());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number));
        let mut system = Self { address, _port: port, shared: Arc::default(), runtime: None, folder };
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut users_file = open(system.file()).await;
            let table = "CREATE TABLE users (number INTEGER PRIMARY KEY, name TEXT UNIQUE, hash TEXT NOT NULL)";
            sqlx::query(table).execute(&mut users_file).await.unwrap();
            sqlx::query("BEGIN").execute(&mut users_file).await.unwrap();
            for (name, password) in users {
                let insert = "INSERT INTO users (name, hash) VALUES ($1, $2)";
                sqlx::query(insert).bind(name).bind(hash(password)).execute(&mut users_file).await.unwrap();
            }
            sqlx::query("COMMIT").execute(&mut users_file).await.unwrap();
        });
        system.resume();
        system
    }

    /// Where it answers logins.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/api/Session/GetToken", self.address)
    }

    /// Where it answers questions about its tokens.
    pub(crate) fn check_url(&self) -> String {
        format!("http://{}{CHECK_PATH}", self.address)
    }

    /// The token that it gives to this name.
    pub(crate) fn token_of(&self, name: &str) -> String {
        self.shared.token_of(name)
    }

    /// Ends a token.
    pub(crate) fn revoke(&self, token: &str) {
        self.shared.tokens.lock().unwrap().remove(token).unwrap();
    }

    /// Tokens that it was asked about until now, and when.
    pub(crate) fn checked(&self) -> Vec<(Instant, String)> {
        self.shared.checked.lock().unwrap().clone()
    }

    /// Ends it at once.
    pub(crate) fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(super::PATIENCE);
        }
    }

    /// Starts it again where it was.
    pub(crate) fn resume(&mut self) {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind(self.address).unwrap();
            socket.listen(1024).unwrap()
        });
        let (shared, file) = (Arc::clone(&self.shared), self.file());
        runtime.spawn(serve(listener, shared, file));
        self.runtime = Some(runtime);
    }

    /// Gives a user another password, whether it is stopped or not; `None` removes the user.
    pub(crate) fn set_password(&self, name: &str, password: Option<&str>) {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut users = open(self.file()).await;
            let statement = match password {
                Some(password) => {
                    sqlx::query("UPDATE users SET hash = $2 WHERE name = $1").bind(name).bind(hash(password))
                }
                None => sqlx::query("DELETE FROM users WHERE name = $1").bind(name),
            };
            statement.execute(&mut users).await.unwrap();
        });
    }

    /// What it does with logins of this name from now on.
    pub(crate) fn set_odd(&self, name: &str, odd: Odd) {
        self.shared.odd.lock().unwrap().insert(name.to_owned(), odd);
    }

    /// What it was asked until now.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("users.db")
    }
}

impl Drop for OldSystem {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn open(file: PathBuf) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::query("PRAGMA busy_timeout = 10000").execute(&mut connection).await.unwrap();
    connection
}

const CHECK_PATH: &str = "/api/Session/Check";

fn hash(password: &str) -> String {
    let digest = digest::digest(&digest::SHA256, format!("old salt {password}").as_bytes());
    let mut salt = [0; 16];
    salt.copy_from_slice(&digest.as_ref()[..16]);
    bcrypt::hash_with_salt(password, COST, salt).unwrap().to_string()
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, file: PathBuf) {
    while let Ok((stream, _)) = listener.accept().await {
        let (shared, file) = (Arc::clone(&shared), file.clone());
        tokio::spawn(async move {
            let users = Arc::new(tokio::sync::Mutex::new(open(file).await));
            let service = service_fn(move |request| answer(request, Arc::clone(&shared), Arc::clone(&users)));
            // A gateway that was killed has gone in the middle.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    users: Arc<tokio::sync::Mutex<SqliteConnection>>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    if head.uri.path() == CHECK_PATH {
        return Ok(check(&head.headers, &shared).await);
    }
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let read: Value = serde_json::from_slice(&body).unwrap_or_default();
    // As many systems do, it reads names of members in any case, and the last one counts.
    let member = |wanted: &str| {
        let mut members = read.as_object().into_iter().flatten();
        members.rfind(|(name, _)| name.eq_ignore_ascii_case(wanted)).and_then(|(_, value)| value.as_str())
    };
    let (name, password) = (member("username").unwrap_or_default(), member("password").unwrap_or_default());
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("").to_owned()));
    shared.asked.lock().unwrap().push(Asked {
        name: name.to_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
        headers: headers.collect(),
        target: head.uri.to_string(),
        at: now(),
    });
    let odd = shared.odd.lock().unwrap().get(name).cloned();
    if let Some(odd) = odd {
        return Ok(odd_answer(odd).await);
    }
    let query = "SELECT number, name, hash FROM users WHERE name = $1";
    let found = sqlx::query(query).bind(name).fetch_optional(&mut *users.lock().await).await;
    let right = |user: &SqliteRow| bcrypt::verify(password, user.get("hash")).unwrap();
    let body = match found.unwrap().filter(right) {
        None => json!({ "error": 1, "message": "Credenciales inválidas" }),
        Some(user) => {
            let (number, name): (i64, String) = (user.get("number"), user.get("name"));
            let token = shared.token_of(&name);
            json!({
                "tokenValido": token,
                "vencimiento": "2026-01-16 23:59:59",
                "usuario": { "id": number, "username": name, "nombre": "Ana" },
            })
        }
    };
    let response = Response::builder().header("Content-Type", "application/json; charset=utf-8").header("X-Old", "1");
    Ok(response.body(whole(body.to_string())).unwrap())
}

/// Says whose a token is.
async fn check(headers: &HeaderMap, shared: &Shared) -> Response<Body> {
    let token = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let token = token.unwrap_or_default();
    shared.checked.lock().unwrap().push((now(), token.to_owned()));
    let odd = shared.odd.lock().unwrap().get(CHECK).cloned();
    if let Some(odd) = odd {
        return odd_answer(odd).await;
    }
    let name = shared.tokens.lock().unwrap().get(token).cloned();
    let (status, body) = match name {
        Some(name) => (200, json!({ "active": true, "username": name })),
        None => (401, json!({ "active": false })),
    };
    let response = Response::builder().status(status).header("Content-Type", "application/json");
    response.body(whole(body.to_string())).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "how often it is asked is held against real time")]
fn now() -> Instant {
    Instant::now()
}

type Body = BoxBody<Bytes, io::Error>;

fn whole(text: String) -> Body {
    Full::from(text).map_err(|never| match never {}).boxed()
}

async fn odd_answer(odd: Odd) -> Response<Body> {
    match odd {
        Odd::Answers(status, media_type, body) => {
            let response = Response::builder().status(status).header("Content-Type", media_type);
            response.header("X-Odd", "a").header("X-Odd", "b").body(whole(body)).unwrap()
        }
        Odd::Redirects(to) => {
            Response::builder().status(302).header("Location", to).body(whole(String::new())).unwrap()
        }
        Odd::CutOff => {
            let begun = Frame::data(Bytes::from_static(br#"{"tokenValido":"687f8b1325da9d0d54c3f046","#));
            let parts = stream::iter([Ok(begun), Err(io::Error::other("cut off"))]);
            let response = Response::builder().header("Content-Type", "application/json");
            response.body(BodyExt::boxed(StreamBody::new(parts))).unwrap()
        }
        Odd::Hangs => std::future::pending().await,
    }
}
