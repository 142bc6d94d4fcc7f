//! The ways that a request takes to the gateway.

use super::{Gateway, Request, Response, send_http2};

/// Over both versions of HTTP, with a body and without.
pub(crate) const WAYS: [Way; 4] = [
    Way { name: "http1", http2: false, body: false },
    Way { name: "http1-body", http2: false, body: true },
    Way { name: "http2", http2: true, body: false },
    Way { name: "http2-body", http2: true, body: true },
];

#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) http2: bool,
    pub(crate) body: bool,
}

impl Way {
    /// The request, with a body where this way has one.
    pub(crate) fn request(self, request: &Request) -> Request {
        let request = request.clone();
        if self.body { request.body("{}") } else { request }
    }

    /// Sends the request as it is, on a connection of its own.
    #[track_caller]
    pub(crate) fn send(self, gateway: &Gateway, request: &Request) -> Response {
        if self.http2 { send_http2(gateway.front, request).unwrap() } else { gateway.send(request) }
    }
}
