//! Requests to token endpoints: a whole request in, a whole response out.

use std::sync::Arc;

use http::{Method, Response};

use super::{
    body::received::ReceivedBody,
    exchange::{Exchange, Verdict},
    local_response,
    response_body::ResponseBody,
};
use crate::{
    decision::{Caller, Endpoint},
    domain::secret::SecretBytes,
    edge::{
        respond,
        token_endpoints::{self, BODY_BYTES_MAX, TokenBody, TokenMessage},
    },
};

/// Has a token endpoint answer.
pub(super) async fn answer(
    mut exchange: Box<Exchange>,
    endpoint: Arc<Endpoint>,
    body: Option<ReceivedBody>,
) -> Response<ResponseBody> {
    // Until there is a response: where the client leaves, nothing else is known of it.
    exchange.verdict = Verdict::Endpoint(Arc::clone(&endpoint), token_endpoints::CLIENT_LEFT);
    let empty = TokenBody::Complete(SecretBytes::new(vec![]));
    let (body, unread) = match body {
        Some(body) if exchange.head.method == Method::POST => (read(&mut exchange, body).await, None),
        unread => (empty, unread),
    };
    let (client, presence) = exchange.client.map(Caller::new).unzip();
    let head = &exchange.head;
    let message = TokenMessage {
        method: head.method.clone(),
        query: head.uri.query().map(str::to_owned),
        headers: head.headers.clone(),
        body,
        client,
        request_id: exchange.request_id.as_str().to_owned(),
    };
    let (endpoints, asked) = (Arc::clone(&exchange.shared().services.endpoints), Arc::clone(&endpoint));
    let control = &exchange.shared().services.control;
    let answering = control.spawn(async move { Box::pin(endpoints.answer(&asked, message)).await });
    let answered = answering.await;
    // A client that leaves drops this before: what still waits on its behalf is not done any more, what began goes on.
    drop(presence);
    let (mut response, outcome) = answered.unwrap_or_else(|error| {
        tracing::error!(request_id = exchange.request_id.as_str(), %error, "a token endpoint failed");
        token_endpoints::failed(&endpoint, &exchange.head.headers)
    });
    if let Some(cors) = &endpoint.cors {
        respond::apply_cors(&mut response, cors, &exchange.asker());
    }
    exchange.verdict = Verdict::Endpoint(endpoint, outcome);
    match unread {
        Some(body) => local_response::respond(exchange, body, response).await,
        None => local_response::send(exchange, response),
    }
}

async fn read(exchange: &mut Exchange, body: ReceivedBody) -> TokenBody {
    let deadline = exchange.tunables.body_timeout;
    let body = local_response::read_body(&exchange.head, body, BODY_BYTES_MAX, deadline).await;
    if !matches!(body, local_response::Body::Complete(_)) {
        exchange.keeps_connection = false;
    }
    match body {
        local_response::Body::Complete(bytes) => {
            exchange.bytes_in = bytes.expose().len() as u64;
            TokenBody::Complete(bytes)
        }
        local_response::Body::TooLarge => TokenBody::TooLarge,
        local_response::Body::TimedOut => TokenBody::TimedOut,
        // What came of it is no JSON: the contract says what it answers then.
        local_response::Body::Broken => TokenBody::Complete(SecretBytes::new(vec![])),
    }
}
