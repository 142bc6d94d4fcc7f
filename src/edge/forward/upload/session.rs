//! The stream of an HTTP/2 client while it sends a body: pingora has no timeout for its next bytes, and no connection of
//! its own that could fail. So its session is wrapped.

use std::{io, pin::pin, sync::Arc, task::Poll, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;
use pingora::{
    Error, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    protocols::{
        Digest,
        http::{
            HttpTask, ServerSession,
            custom::{CustomMessageWrite, server::Session},
            v2::server::HttpSession,
        },
        l4::socket::SocketAddr,
    },
};
use tokio::time::Instant;

use super::progress::Progress;

type Messages = Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

struct Watched {
    session: HttpSession,
    progress: Arc<Progress>,
}

/// A client's stream of which `progress` is told.
pub(in crate::edge) fn watched_session(session: HttpSession, progress: &Arc<Progress>) -> ServerSession {
    ServerSession::new_custom(Box::new(Watched { session, progress: Arc::clone(progress) }))
}

/// As the connection of an HTTP/1 client would fail.
#[expect(clippy::unnecessary_box_returns, reason = "pingora takes its errors in boxes")]
fn over(error: io::Error) -> Box<Error> {
    Error::because(ErrorType::ReadError, "while waiting for the client", error).into_down()
}

/// What comes of reading from a client, unless somebody's time is over first.
async fn heard(
    progress: &Progress,
    reading: impl Future<Output = Result<Option<Bytes>>>,
    awaits_body: bool,
) -> Result<Option<Bytes>> {
    let mut reading = pin!(reading);
    std::future::poll_fn(|cx| {
        progress.verdict().map_err(over)?;
        let read = reading.as_mut().poll(cx);
        match &read {
            Poll::Ready(Ok(data)) => progress.came(Instant::now(), data.as_ref().map_or(0, Bytes::len)),
            Poll::Pending if awaits_body => progress.asked(Instant::now()),
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
        read
    })
    .await
}

/// What comes of writing to a client, who may hold it up.
async fn written<T>(progress: &Progress, writing: impl Future<Output = T>) -> T {
    let mut writing = pin!(writing);
    let written = std::future::poll_fn(|cx| {
        let written = writing.as_mut().poll(cx);
        progress.takes(Instant::now(), written.is_ready());
        written
    });
    written.await
}

#[async_trait]
impl Session for Watched {
    fn req_header(&self) -> &RequestHeader {
        self.session.req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.session.req_header_mut()
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        let Self { session, progress } = self;
        heard(progress, session.read_body_bytes(), true).await
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        let Self { session, progress } = self;
        heard(progress, session.read_body_or_idle(no_body_expected), !no_body_expected).await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.session.drain_request_body().await
    }

    async fn write_response_header(&mut self, response: Box<ResponseHeader>, end: bool) -> Result<()> {
        self.session.write_response_header(response, end)
    }

    async fn write_response_header_ref(&mut self, response: &ResponseHeader, end: bool) -> Result<()> {
        self.session.write_response_header_ref(response, end)
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        let Self { session, progress } = self;
        written(progress, session.write_body(data, end)).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.session.write_trailers(trailers)
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let Self { session, progress } = self;
        let ended = written(progress, session.response_duplex_vec(tasks)).await?;
        if ended {
            progress.answered();
        }
        Ok(ended)
    }

    /// HTTP/2 has none: [`Progress`] says how long the client is waited for.
    fn set_read_timeout(&mut self, _: Option<Duration>) {}

    fn get_read_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.session.set_write_timeout(timeout);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.session.get_write_timeout()
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.session.set_total_drain_timeout(timeout);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.session.get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.session.request_summary()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.session.response_written()
    }

    async fn shutdown(&mut self, _: u32, _: &str) {
        self.session.shutdown();
    }

    fn is_body_done(&mut self) -> bool {
        self.session.is_body_done()
    }

    async fn finish(&mut self) -> Result<()> {
        self.session.finish()
    }

    fn is_body_empty(&mut self) -> bool {
        self.session.is_body_empty()
    }

    fn body_bytes_sent(&self) -> usize {
        self.session.body_bytes_sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.session.body_bytes_read()
    }

    fn digest(&self) -> Option<&Digest> {
        self.session.digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.session.digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.session.client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.session.server_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.session.pseudo_raw_h1_request_header()
    }

    fn enable_retry_buffering(&mut self) {
        self.session.enable_retry_buffering();
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.session.retry_buffer_truncated()
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        self.session.get_retry_buffer()
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(&mut self) -> Option<Messages> {
        None
    }

    fn restore_custom_message_reader(&mut self, _: Messages) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}
