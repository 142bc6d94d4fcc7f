//! One attempt: a connection to the server, the request on it, and the head of the response.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, client::conn::TrySendError};
use tokio::time::Instant;

use super::{
    retry::{Failed, Outbound},
    waiting::Waiting,
};
use crate::{
    aside::aside,
    decision::Route,
    edge::forward::{
        body::{
            error::BodyError,
            progress::Overdue,
            request::{RequestBody, Upload},
        },
        exchange::Exchange,
        failure::Failure,
    },
    upstream::Received,
};

impl Exchange {
    /// Asks the server that was `acquired` just now. An error says whether another attempt may be made.
    pub(in crate::edge::forward) async fn attempt(
        &mut self,
        outbound: &Outbound,
        route: &Route,
        mut acquired: std::time::Instant,
    ) -> Result<Response<Incoming>, Failed> {
        loop {
            let connections = &self.inbound.worker.connections;
            self.lease = self.server().and_then(|server| connections.take(server, Instant::from_std(acquired)));
            let (now, reused) = if self.lease.is_some() {
                (acquired, true)
            } else {
                let this = &mut *self;
                aside(move || this.connect_or_share(route)).await?
            };
            let failure = match self.send(outbound, route, now).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            self.lease = None;
            let failed = (failure != Failure::Unsent || !reused)
                .then(|| self.failed_on_the_way(failure, reused, outbound.is_repeatable()));
            if let Some(upload) = &self.upload {
                upload.attempt_failed();
            }
            if let Some(again) = failed {
                return Err(Failed { failure, again });
            }
            // It was closed while it waited, and nothing was sent: the next one, or a new one.
            acquired = self.shared().services.clock.instant();
        }
    }

    /// Sends the request `now` and waits for the head of its response.
    async fn send(
        &mut self,
        outbound: &Outbound,
        route: &Route,
        now: std::time::Instant,
    ) -> Result<Response<Incoming>, Failure> {
        let (before, sending) = {
            let mut request = Request::new(outbound.upload.as_ref().map(Upload::body).unwrap_or_default());
            self.hand_over(&mut request, route, now)?;
            self.frame_request(&mut request, outbound, route)?;
            self.listen(&mut request);
            let Some(lease) = &mut self.lease else { return Err(Failure::Internal) };
            self.timeout = lease.take_timeout();
            (lease.received().map_or(0, Received::bytes), lease.send(request))
        };
        let mut waiting = Waiting::new(route, self.ends_at(route, now), before);
        self.timeout.set(waiting.end(Instant::from_std(now)));
        if let Some((upload, received)) = self.upload.as_ref().zip(self.received()) {
            upload.follow(received.clone());
        }
        let sent = self.response(pin!(sending), &mut waiting).await;
        let began = self.received().map_or(0, Received::bytes) != before;
        self.is_answering |= began || self.is_informed();
        if matches!(sent, Err(Failure::ReadTimeout | Failure::Unsent))
            && let Some((server, lease)) = self.server().zip(self.lease.as_ref())
        {
            // The server may be silent on all of its streams, or take no more of them.
            self.inbound.worker.connections.forget(server, lease);
        }
        let response = sent?;
        self.stop_listening();
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked to switch here: what follows would be no HTTP.
            return Err(Failure::Invalid);
        }
        self.is_answering = true;
        self.note_response(response.status());
        Ok(response)
    }

    /// Waits for the head of a response, no longer than each side has.
    async fn response(
        &mut self,
        mut sending: Pin<&mut impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>>>,
        waiting: &mut Waiting,
    ) -> Result<Response<Incoming>, Failure> {
        poll_fn(|cx| {
            if let Poll::Ready(sent) = sending.as_mut().poll(cx) {
                return Poll::Ready(sent.map_err(|mut error| self.unsent_or_failed(&mut error)));
            }
            if self.is_informed_too_often() {
                return Poll::Ready(Err(Failure::Invalid));
            }
            match &self.upload {
                Some(upload) => match upload.overdue() {
                    None => Poll::Pending,
                    Some(Overdue::Client) => Poll::Ready(Err(Failure::Body(BodyError::Late))),
                    Some(Overdue::Server | Overdue::Exchange) => Poll::Ready(Err(Failure::ReadTimeout)),
                },
                None => self.poll_over(waiting, cx).map(|()| Err(Failure::ReadTimeout)),
            }
        })
        .await
    }

    /// Ready when the server has sent nothing in its time.
    fn poll_over(&mut self, waiting: &mut Waiting, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timeout.poll_over(cx));
            match waiting.begins_anew(self.received().map_or(0, Received::bytes), Instant::now()) {
                Some(end) => self.timeout.set(end),
                None => return Poll::Ready(()),
            }
        }
    }

    #[cold]
    fn unsent_or_failed(&self, error: &mut TrySendError<Request<RequestBody>>) -> Failure {
        if error.take_message().is_some() {
            return Failure::Unsent;
        }
        match self.upload.as_ref().and_then(|upload| upload.error()) {
            Some(error) => Failure::Body(error),
            None => Failure::of(error.error()),
        }
    }

    /// Notes the head of an upstream's response.
    pub(in crate::edge::forward) fn note_response(&mut self, status: StatusCode) {
        let now = self.shared().services.clock.instant();
        let wait = self.handed_over.map(|handed| now.saturating_duration_since(handed)).unwrap_or_default();
        self.upstream_wait = Some(wait);
        if let Some(server_lease) = &mut self.server_lease {
            server_lease.answered(now);
        }
        if let Some(route) = self.route() {
            route.upstream_waits.observe(wait);
        }
        self.status = status.as_u16();
        if let Some(upload) = &self.upload {
            upload.answering(Instant::from_std(now));
        }
    }
}
