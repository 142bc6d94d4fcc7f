//! The forms of requests, responses and faults.

mod bodies;
mod http2;
mod refused;
mod responses;
mod routes;

use super::Form;

/// What pages of another origin may do on routes and endpoints that have it.
pub(super) const CORS: &str =
    "cors = { origins = [\"https://app.test\"], expose = [\"X-Total\"], credentials = true, max_age = \"5m\" }";
/// The text of a GET of the form's route.
const GET: &str = "GET {path} HTTP/1.1\nHost: portero.test\n\n";
const POST: &str = "POST {path} HTTP/1.1\nHost: portero.test\nContent-Length: 2\n\nhi";
const UPGRADE: &str = "GET {path} HTTP/1.1\nHost: portero.test\nConnection: Upgrade\nUpgrade: websocket\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\n\n";

pub(super) fn all() -> Vec<Form> {
    let rooms = [bodies::forms, routes::forms, refused::forms, responses::forms, http2::forms];
    rooms.into_iter().flat_map(|forms| forms()).collect()
}

/// A head of these lines, and what follows it.
fn message(head: &[&str], rest: &str) -> String {
    format!("{}\n\n{rest}", head.join("\n"))
}
