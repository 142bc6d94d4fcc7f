//! One request's life: its head, the decision, attempts, the response, the record. This is the service that hyper
//! calls, for HTTP/1 and HTTP/2 alike.

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;

use super::{
    admit::Admitted,
    attempt::Outbound,
    endpoint,
    exchange::{Exchange, Inbound, Verdict},
    failure::Failure,
    give_up::{Unanswered, give_up},
    http2_head, local_response,
    response_body::ResponseBody,
    upgrade,
};
use crate::edge::listen::connection::Protocol;

/// Serves a request. What is known of it is counted and logged when its response is over, or dropped.
pub(in crate::edge) fn serve(
    inbound: Arc<Inbound>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<ResponseBody>, Unanswered>> + Send {
    // Boxed, because hyper moves the future about several times.
    let outbound = Box::new(Outbound::of(request));
    async move {
        if !inbound.connection.stands(&*inbound.worker.shared.services.clock) {
            // As if it had waited for too long: the client connects again, with the certificate that it has now.
            return Err(Unanswered::Refused(h2::Reason::REFUSED_STREAM.into()));
        }
        live(inbound, outbound).await
    }
}

/// A request's life.
async fn live(inbound: Arc<Inbound>, mut outbound: Box<Outbound>) -> Result<Response<ResponseBody>, Unanswered> {
    let refused = match inbound.connection.protocol {
        Protocol::Http1 => None,
        Protocol::Http2 => http2_head::take(&mut outbound.head).err(),
    };
    let mut exchange = Exchange::new(inbound, &outbound.head);
    match exchange.admit(&outbound.head, refused).await {
        Admitted::Forward => forward(exchange, outbound).await,
        // What few requests need is boxed: each request's future has room for all that it may become.
        Admitted::Respond(response) => match outbound.body.take() {
            None => Ok(local_response::send(exchange, &outbound.head.method, response)),
            Some(body) => Ok(Box::pin(local_response::respond(exchange, &outbound.head, body, response)).await),
        },
        Admitted::RespondEarly(response) => Ok(local_response::respond_early(exchange, &outbound.head, response)),
        Admitted::Endpoint(endpoint) => {
            let Outbound { head, body, .. } = *outbound;
            Ok(Box::pin(endpoint::answer(exchange, endpoint, head, body)).await)
        }
    }
}

/// Forwards a request that was let through: it tries one server after the other, as long as one may be asked.
async fn forward(
    mut exchange: Box<Exchange>,
    mut outbound: Box<Outbound>,
) -> Result<Response<ResponseBody>, Unanswered> {
    let Verdict::Forward(permitted) = &exchange.verdict else { return Err(Unanswered::Gone) };
    let route = Arc::clone(&permitted.route);
    if let Some(protocols) = upgrade::asked(&outbound.head, outbound.body.is_some(), &route) {
        return Box::pin(upgrade::open(exchange, outbound, &protocols, &route)).await;
    }
    outbound.prepare(&mut exchange, &route);
    exchange.watch(Some(route.pool.settings.timeouts.total));
    loop {
        let acquired = match exchange.acquire_server(&outbound.head).await {
            Ok(acquired) => acquired,
            Err(reason) => {
                exchange.failure = Some(reason);
                return give_up(exchange, &outbound.head, Failure::Internal, &route);
            }
        };
        match exchange.attempt(&mut outbound, &route, acquired).await {
            Ok(response) => return exchange.hand_back(response, &outbound, &route),
            Err(failed) if failed.again => {}
            Err(failed) => return give_up(exchange, &outbound.head, failed.failure, &route),
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
