//! Informational responses: how many there may be, and where they go.

use std::sync::{Arc, atomic::Ordering};

use http::{HeaderMap, Request, StatusCode, Version};
use hyper::ext::on_informational;
use tokio::time::Instant;

use crate::{
    edge::forward::{
        body::{progress::Progress, request::RequestBody},
        exchange::{Exchange, Inbound},
        head::client_response,
    },
    upstream::RESPONSE_BUFFER_BYTES,
};

/// Informational responses to one request, at most, where they are listened for: some servers send one every few
/// seconds while they work.
const INFORMATIONAL_RESPONSES_MAX: u32 = 1000;

/// Bytes of all heads of the response to one request over HTTP/1, at most, with what is read at once behind them.
pub(in crate::edge::forward) const HEADS_BYTES_MAX: u64 = 256 << 10;

// A head that fills hyper's buffer, and what it reads ahead of the body, are no flood.
const _: () = assert!(4 * RESPONSE_BUFFER_BYTES as u64 <= HEADS_BYTES_MAX);

impl Exchange {
    /// Listens for the informational responses to a request that is sent to a server. Bytes that come say that the
    /// server is there, and their number bounds what it sends before its response. So it listens only where the client
    /// takes them: to listen costs four allocations. Over HTTP/2 hyper tells of none.
    pub(super) fn listen(&self, request: &mut Request<RequestBody>) {
        self.inbound.informational.store(0, Ordering::Relaxed);
        let Some(received) = self.received() else { return };
        received.let_come(Some(HEADS_BYTES_MAX));
        if self.head.version != Version::HTTP_11 {
            return;
        }
        let (inbound, upload) = (Arc::clone(&self.inbound), self.upload.clone());
        on_informational(request, move |response| {
            receive(&inbound, upload.as_deref(), response.status(), response.headers());
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

    /// The response has come: it may be of any length.
    pub(super) fn stop_listening(&self) {
        if let Some(received) = self.received() {
            received.let_come(None);
        }
    }
}

/// Takes one; the request has an `upload` where it has a body.
fn receive(inbound: &Inbound, upload: Option<&Progress>, status: StatusCode, headers: &HeaderMap) {
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
    if let Some(http1) = &inbound.http1 {
        http1.inform(&client_response::informational(status, headers));
        inbound.guard.wake();
    }
}
