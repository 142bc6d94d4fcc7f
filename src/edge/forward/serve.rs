//! One request's life: its head, the decision, attempts, the response, the record. This is the service that hyper
//! calls, for HTTP/1 and HTTP/2 alike.

use std::{
    sync::Arc,
    task::{Context, Waker},
};

use http::{Request, Response, Version};
use hyper::body::{Body as _, Incoming};

use super::{
    admit::Admitted,
    body::received::ReceivedBody,
    endpoint,
    exchange::{Exchange, Inbound, Verdict},
    give_up::{Unanswered, give_up},
    head::{http2, http10},
    local_response,
    response_body::ResponseBody,
    upgrade,
};
use crate::{aside::aside, domain::Reason};

/// Serves a request. What is known of it is counted and logged when its response is over, or dropped.
pub(in crate::edge) fn serve(
    inbound: Arc<Inbound>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<ResponseBody>, Unanswered>> + Send {
    let stands = inbound.connection.stands(&*inbound.worker.shared.services.clock);
    let (head, incoming) = request.into_parts();
    let body = ReceivedBody::new(incoming, head.version);
    let body = (!body.is_end_stream()).then_some(body).and_then(unless_complete);
    let exchange = Exchange::new(inbound, head);
    async move { if stands { live(exchange, body).await } else { Err(end_of_certificate(exchange)) } }
}

/// The client's certificate is over: it connects again, with the one that it has now.
#[cold]
fn end_of_certificate(mut exchange: Box<Exchange>) -> Unanswered {
    exchange.failure = Some(Reason::Expired);
    Unanswered::Refused(h2::Reason::REFUSED_STREAM.into())
}

/// A body of which something is still to come, but for its end.
#[inline(never)]
fn unless_complete(mut body: ReceivedBody) -> Option<ReceivedBody> {
    if !body.is_complete() {
        return Some(body);
    }
    body.finish((), &mut Context::from_waker(Waker::noop()));
    None
}

/// A request's life.
async fn live(mut exchange: Box<Exchange>, body: Option<ReceivedBody>) -> Result<Response<ResponseBody>, Unanswered> {
    let refused = match exchange.head.version {
        Version::HTTP_2 => http2::take(&mut exchange.head).err(),
        Version::HTTP_10 => {
            http10::take(&mut exchange.head);
            None
        }
        _ => None,
    };
    match exchange.admit(refused).await {
        Admitted::Forward => forward(exchange, body).await,
        Admitted::Respond(response) => match body {
            None => Ok(local_response::send(exchange, response)),
            Some(body) => Ok(aside(|| local_response::respond(exchange, body, response)).await),
        },
        Admitted::RespondEarly(response) => Ok(local_response::respond_early(exchange, response)),
        Admitted::Endpoint(endpoint) => Ok(aside(|| endpoint::answer(exchange, endpoint, body)).await),
    }
}

/// Forwards a request that was let through: it tries one server after the other, as long as one may be asked.
async fn forward(
    mut exchange: Box<Exchange>,
    body: Option<ReceivedBody>,
) -> Result<Response<ResponseBody>, Unanswered> {
    let Verdict::Forward(permitted) = &exchange.verdict else { return Err(Unanswered::Gone) };
    let route = permitted.route.clone();
    if let Some(protocols) = upgrade::asked(&exchange.head, body.is_some(), &route) {
        return aside(|| upgrade::open(exchange, &protocols, &route)).await;
    }
    let outbound = exchange.outbound(body, &route);
    exchange.watch(Some(route.pool.settings.timeouts.total));
    loop {
        let acquired = match exchange.acquire_server().await {
            Ok(acquired) => acquired,
            Err(failure) => return give_up(exchange, failure),
        };
        match exchange.attempt(&outbound, &route, acquired).await {
            Ok(response) => return exchange.hand_back(response, &route),
            Err(failed) if failed.again => {}
            Err(failed) => return give_up(exchange, failed.failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of a function's future.
    fn size<A, B, F>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// It is moved several times for each request.
    #[test]
    fn a_requests_future_is_small() {
        assert!(size(serve) <= 2048, "{}", size(serve));
    }
}
