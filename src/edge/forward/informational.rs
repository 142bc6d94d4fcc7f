//! Informational responses: how many there may be, and where they go.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

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

/// Informational responses to one request.
pub(super) struct InformationalResponses {
    count: AtomicU32,
    /// Whose connection they go to, and who looks at the count.
    inbound: Arc<Inbound>,
    /// Whether the client can receive them.
    relays: bool,
    /// Where the request has a body: the server is there.
    upload: Option<Arc<Progress>>,
}

impl InformationalResponses {
    pub(super) fn of(exchange: &Exchange) -> Arc<Self> {
        Arc::new(Self {
            count: AtomicU32::new(0),
            inbound: Arc::clone(&exchange.inbound),
            relays: exchange.version == Version::HTTP_11,
            upload: exchange.upload.clone(),
        })
    }

    pub(super) fn listen(self: &Arc<Self>, request: &mut Request<RequestBody>) {
        let informed = Arc::clone(self);
        on_informational(request, move |response| informed.receive(response.status(), response.headers()));
    }

    fn receive(&self, status: StatusCode, headers: &HeaderMap) {
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        if let Some(upload) = &self.upload {
            upload.received(Instant::now());
        }
        if before >= INFORMATIONAL_RESPONSES_MAX {
            return self.inbound.guard.wake();
        }
        // We say ourselves that a body may come.
        if status == StatusCode::CONTINUE {
            return;
        }
        if let Some(http1) = self.inbound.http1.as_ref().filter(|_| self.relays) {
            http1.inform(&client_response::informational(status, headers));
            self.inbound.guard.wake();
        }
    }

    pub(super) fn any_received(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    pub(super) fn exceeds_limit(&self) -> bool {
        self.count.load(Ordering::Relaxed) > INFORMATIONAL_RESPONSES_MAX
    }
}
