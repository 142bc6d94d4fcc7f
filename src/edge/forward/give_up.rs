//! What becomes of a request that could not be proxied: a response of ours, or none.

use std::fmt;

use http::Response;

use super::{exchange::Exchange, failure::Failure, local_response, response_body::ResponseBody};
use crate::{decision::Denial, domain::Reason, edge::respond};

/// A request gets no response: the connection or the stream ends.
#[derive(Debug)]
pub(in crate::edge) enum Unanswered {
    /// There is nobody to answer.
    Gone,
    /// The client's certificate is over. It may send the request again on a new connection.
    Refused(h2::Error),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request is not answered")
    }
}

impl std::error::Error for Unanswered {
    /// What a stream of HTTP/2 is reset with.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Gone => None,
            Self::Refused(reason) => Some(reason),
        }
    }
}

/// Answers a request that could not be proxied, where there is still somebody to answer.
#[cold]
pub(super) fn give_up(mut exchange: Box<Exchange>, failure: Failure) -> Result<Response<ResponseBody>, Unanswered> {
    let reason = exchange.came_to_nothing(failure).ok_or(Unanswered::Gone)?;
    let denial = Denial { route: exchange.route().cloned(), ..Denial::of(reason) };
    let response = respond::denial(&denial, &exchange.asker());
    // What is missing of its body is not waited for.
    if exchange.upload.is_some() || reason == Reason::RequestTimeout {
        exchange.keeps_connection = false;
    }
    Ok(local_response::send(exchange, response))
}
