//! Hands a server's response back to the client.

use http::{Method, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};

use super::{
    body::received::ReceivedBody,
    context::connections::Lease,
    exchange::Exchange,
    give_up::{Unanswered, give_up},
    head::client_response,
    response_body::{Relay, ResponseBody},
};
use crate::decision::Route;

impl Exchange {
    /// Hands a response back to the client: its head now, its body as it comes.
    pub(super) fn hand_back(
        mut self: Box<Self>,
        response: Response<Incoming>,
        route: &Route,
    ) -> Result<Response<ResponseBody>, Unanswered> {
        let (mut head, incoming) = response.into_parts();
        let incoming = ReceivedBody::new(incoming, head.version);
        let is_without_content = self.is_without_content(head.status);
        let trailers = self.is_http2() && self.lease.as_ref().is_some_and(Lease::is_http2);
        let framing = match client_response::amend(&mut head, &self.asker(), route) {
            Ok(framing) => framing,
            Err(failure) => {
                self.note_failure(failure, false);
                self.lease = None;
                return give_up(self, failure);
            }
        };
        if framing.is_doubtful {
            self.lease = None;
        }
        if let Some(http1) = &self.inbound.http1 {
            let has_end = incoming.is_end_stream() || framing.has_length || is_without_content;
            let ends_with_connection = self.head.version == Version::HTTP_10 && !has_end;
            http1.set_ends_with_connection(ends_with_connection);
            self.keeps_connection &= !ends_with_connection;
        }
        // A response before the end of the request's body is the connection's last.
        self.keeps_connection &= self.upload.as_ref().is_none_or(|upload| upload.is_whole());
        self.conclude(&mut head);
        let relay = Relay { incoming, trailers, waiting: false, handed_on: None, is_cut_off: false, exchange: self };
        let has_too_much = is_without_content && !relay.incoming.is_end_stream();
        let body = if has_too_much { ResponseBody::without_content(relay) } else { ResponseBody::upstream(relay) };
        Ok(Response::from_parts(head, body))
    }

    /// Whether a response has no content, by its status or by what was asked for (RFC 9110 section 6.4.1). Over HTTP/1
    /// hyper reads none; over HTTP/2 a server may send some.
    fn is_without_content(&self, status: StatusCode) -> bool {
        matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) || self.head.method == Method::HEAD
    }
}
