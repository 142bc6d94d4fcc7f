//! Informational responses: how many there may be, and where they go.

use std::sync::{Arc, atomic::Ordering};

use http::{HeaderMap, Request, StatusCode, Version};
use hyper::ext::on_informational;
use tokio::time::Instant;

use super::{
    client_response,
    exchange::{Exchange, Inbound},
    progress::Progress,
    request_body::RequestBody,
};

/// Informational responses to one request, at most: some servers send one every few seconds while they work.
const INFORMATIONAL_RESPONSES_MAX: u32 = 1000;

impl Exchange {
    /// Listens for the informational responses to a request that is sent to a server.
    pub(super) fn listen(&self, request: &mut Request<RequestBody>) {
        let (inbound, upload) = (Arc::clone(&self.inbound), self.upload.clone());
        let relays = self.head.version == Version::HTTP_11;
        inbound.informational.store(0, Ordering::Relaxed);
        on_informational(request, move |response| {
            receive(&inbound, upload.as_deref(), relays, response.status(), response.headers());
        });
    }

    /// Whether any came since its request was sent.
    pub(super) fn is_informed(&self) -> bool {
        self.inbound.informational.load(Ordering::Relaxed) > 0
    }

    /// Whether more came than may.
    pub(super) fn is_informed_too_often(&self) -> bool {
        self.inbound.informational.load(Ordering::Relaxed) > INFORMATIONAL_RESPONSES_MAX
    }
}

/// Takes one; the request has an `upload` where it has a body, and the client takes them where it `relays`.
fn receive(inbound: &Inbound, upload: Option<&Progress>, relays: bool, status: StatusCode, headers: &HeaderMap) {
    let before = inbound.informational.fetch_add(1, Ordering::Relaxed);
    if let Some(upload) = upload {
        // The server is there.
        upload.received(Instant::now());
    }
    if before >= INFORMATIONAL_RESPONSES_MAX {
        return inbound.guard.wake();
    }
    // We say ourselves that a body may come.
    if status == StatusCode::CONTINUE {
        return;
    }
    if let Some(http1) = inbound.http1.as_ref().filter(|_| relays) {
        http1.inform(&client_response::informational(status, headers));
        inbound.guard.wake();
    }
}
