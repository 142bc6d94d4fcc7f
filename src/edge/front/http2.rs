//! One HTTP/2 connection, each of its streams in a task of its own.
//!
//! The bounds are pingora's own (the size of a head) and these; floods of resets, of CONTINUATION frames and of frames
//! without data end the connection in the `h2` crate, those of other frames in `h2_floods`.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Method, Uri, header, uri::PathAndQuery};
use pingora::{
    apps::HttpServerApp,
    http::RequestHeader,
    protocols::{
        Digest, Stream,
        http::{
            ServerSession,
            v2::server::{H2Accept, H2Options, HttpSession, default_h2_options, handshake},
        },
    },
    proxy::HttpProxy,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until, timeout, timeout_at},
};

use crate::{
    domain::Reason,
    edge::{
        armour::{
            h2_floods,
            head::{self, FIELDS_MAX},
        },
        forward::{
            pingora_loop::Doorman,
            services::Shared,
            stream::{STREAM, StreamContext},
            upload::{self, Progress, watched_session},
        },
        listen::{connection::Connection, limits::Refusal},
    },
    rules::route::has_lower_case,
};

/// Streams that the client reset and that are remembered for late frames.
const RESET_STREAMS_MAX: usize = 32;

/// Streams that the client reset before they were taken; one more ends the connection (CVE-2023-44487).
const PENDING_RESET_STREAMS_MAX: usize = 20;

/// Streams in work, as a multiple of those that may be open at once: some are still in work though the client has reset
/// them. One more ends the connection.
const STREAMS_IN_WORK: usize = 2;

/// Requests of one connection that no server could read; one more ends it.
const MALFORMED_REQUESTS_MAX: usize = 32;

/// What a client may send of one body before some of it was passed on.
const STREAM_WINDOW_BYTES: u32 = 128 << 10;

/// What a client may send of all bodies of one connection before some of it was passed on.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// What the frames of bodies that were not passed on yet may take beside their payload, by the `h2` crate's count: 256
/// bytes for each frame, less its payload; measured, a frame of one byte takes 650, so 43 MiB in all. An honest client sends small messages, and flow control alone must hold it up:
/// so a whole connection's window of frames of 16 bytes fits, and a whole stream's of 2 bytes. Windows full of smaller ones
/// would take more than 250 MiB, so they end the connection.
const FRAME_OVERHEAD_BYTES_MAX: usize = 16 << 20;

/// What one stream holds of an answer that the client does not take.
const SEND_BUFFER_BYTES_MAX: usize = 64 << 10;

/// How long a connection without streams is kept once it was told to end: for a request that crossed our word.
const STOPPING_IDLE: Duration = Duration::from_secs(1);

/// Serves until the client or `shutdown` ends it, or a bound is passed. The preface must come before `deadline`.
pub(in crate::edge) async fn serve_connection(
    stream: Stream,
    connection: &Arc<Connection>,
    proxy: &Arc<HttpProxy<Doorman>>,
    shared: &Arc<Shared>,
    deadline: Instant,
    mut shutdown: watch::Receiver<bool>,
) {
    let streams_max = shared.tunables().requests_per_connection;
    let (stream, flood) = h2_floods::counted(stream, &shared.means.clock);
    let shaking_hands = timeout_at(deadline, handshake(stream, Some(options(streams_max))));
    let Ok(Ok(mut frames)) = shaking_hands.await else { return };
    let in_work_max = usize::try_from(streams_max).unwrap_or(usize::MAX).saturating_mul(STREAMS_IN_WORK);
    let digest = Arc::new(Digest::default());
    let (mut streams, mut malformed, mut stopping) = (JoinSet::new(), 0, false);
    // A fresh connection has no longer for its first request than one of HTTP/1.
    let mut idle_until = deadline;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop), if !stopping => {
                frames.graceful_shutdown();
                stopping = true;
                idle_until = Instant::now() + STOPPING_IDLE;
                continue;
            }
            () = flood.began() => break,
            // Before what comes next: a client that goes on asking keeps no connection that is over.
            () = sleep_until(idle_until), if streams.is_empty() => {
                if stopping {
                    break;
                }
                // A request may be on its way already: with the word that it is over none is lost.
                frames.graceful_shutdown();
                stopping = true;
                idle_until = Instant::now() + STOPPING_IDLE;
                continue;
            }
            Some(_) = streams.join_next() => {
                let idle = if stopping { STOPPING_IDLE } else { shared.tunables().keepalive_timeout };
                idle_until = Instant::now() + idle;
                continue;
            }
            accepted = HttpSession::from_h2_conn(&mut frames, Arc::clone(&digest)) => accepted,
        };
        match accepted {
            // Its certificate is over: the client connects again for what it asks now.
            Ok(Some(H2Accept::Session(mut session))) if !connection.stands(&*shared.means.clock) => {
                session.shutdown_with_reason(h2::Reason::REFUSED_STREAM);
                if !stopping {
                    frames.graceful_shutdown();
                    stopping = true;
                    idle_until = Instant::now() + STOPPING_IDLE;
                }
            }
            Ok(Some(H2Accept::Session(session))) if streams.len() < in_work_max => {
                let (connection, proxy) = (Arc::clone(connection), Arc::clone(proxy));
                let (shared, shutdown) = (Arc::clone(shared), shutdown.clone());
                streams.spawn(serve_stream(session, connection, proxy, shared, shutdown));
            }
            Ok(Some(H2Accept::Rejected)) if malformed < MALFORMED_REQUESTS_MAX => malformed += 1,
            _ => break,
        }
    }
    if flood.has_begun() {
        shared.connection_refused(Refusal::Flood);
        frames.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
        // Until our word is sent, unless the client does not take it.
        let _ = timeout(STOPPING_IDLE, HttpSession::from_h2_conn(&mut frames, digest)).await;
    }
    // Without the connection every stream in work finds that its client has gone.
    drop(frames);
    while streams.join_next().await.is_some() {}
}

fn options(streams_max: u32) -> H2Options {
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(streams_max)
        .max_concurrent_reset_streams(RESET_STREAMS_MAX)
        .max_pending_accept_reset_streams(PENDING_RESET_STREAMS_MAX)
        .max_send_buffer_size(SEND_BUFFER_BYTES_MAX)
        .data_frame_budget(FRAME_OVERHEAD_BYTES_MAX)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    options
}

async fn serve_stream(
    mut session: HttpSession,
    connection: Arc<Connection>,
    proxy: Arc<HttpProxy<Doorman>>,
    shared: Arc<Shared>,
    shutdown: watch::Receiver<bool>,
) {
    let _busy = shared.request_begun();
    let peer = connection.peer;
    let body_timeout = shared.tunables().body_timeout;
    let refused = take_head(session.req_header_mut()).err();
    let upload = (!session.is_body_done()).then(Arc::<Progress>::default);
    session.set_write_timeout(Some(body_timeout));
    session.set_total_drain_timeout(Some(body_timeout));
    let registered = shared.lifelines().register();
    let lifeline = &registered.lifeline;
    let context = StreamContext { connection, lifeline: Arc::clone(lifeline), refused, upload: upload.clone() };
    let session = match &upload {
        Some(upload) => watched_session(session, upload),
        None => ServerSession::new_http2(session),
    };
    let served = STREAM.scope(context, async { proxy.process_new_http(session, &shutdown).await });
    // With its session dropped the stream is reset, and nothing else on the connection.
    let served = lifeline.guard(upload::serve(upload.as_deref(), served)).await;
    let (reason, overdue) = match served {
        Ok(Ok(_)) => return,
        Ok(Err(overdue)) => (overdue.reason(), Some(overdue)),
        Err(reason) => (reason, None),
    };
    match (lifeline.take_left(), overdue) {
        (Some(mut left), Some(overdue)) if left.line.is_some() => {
            Doorman(Arc::clone(&shared)).cut_off(&mut left, overdue);
        }
        (Some(mut left), None) if left.line.is_some() => {
            left.failure = Some(reason);
            shared.record_left(&mut left);
        }
        _ => shared.head_refused(peer, reason),
    }
}

/// Brings a head into the form that one of HTTP/1 has when it was read, or says why it is refused.
fn take_head(head: &mut RequestHeader) -> Result<(), Reason> {
    if head.method == Method::CONNECT {
        return Err(Reason::MethodNotAllowed);
    }
    if head.headers.len() > FIELDS_MAX {
        return Err(Reason::HeadTooLarge);
    }
    if head.uri.path().bytes().any(|byte| !byte.is_ascii_graphic())
        || !head::is_framed_once(&head.headers)
        || has_lower_case(head.method.as_str().as_bytes())
    {
        return Err(Reason::MalformedRequest);
    }
    if head.headers.get_all(header::EXPECT).iter().any(|value| !head::is_known_expectation(value.as_bytes())) {
        return Err(Reason::ExpectationFailed);
    }
    join_cookies(head)?;
    if let Some(query) = head.uri.query().and_then(escaped) {
        let target = PathAndQuery::try_from(format!("{}?{query}", head.uri.path()));
        let mut parts = head.uri.clone().into_parts();
        parts.path_and_query = Some(target.map_err(|_| Reason::MalformedRequest)?);
        head.set_uri(Uri::from_parts(parts).map_err(|_| Reason::MalformedRequest)?);
    }
    if !head.headers.contains_key(header::HOST) {
        // RFC 9113 section 8.3.1; that the two agree where both stand was seen to already.
        let authority = head.uri.authority().ok_or(Reason::MalformedRequest)?.as_str().to_owned();
        head.insert_header(header::HOST, authority).map_err(|_| Reason::MalformedRequest)?;
    }
    Ok(())
}

/// RFC 9113 section 8.2.3: clients send each cookie by itself, and whoever speaks HTTP/1 reads one line of them.
fn join_cookies(head: &mut RequestHeader) -> Result<(), Reason> {
    let crumbs: Vec<_> = head.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() < 2 {
        return Ok(());
    }
    let cookies = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).map_err(|_| Reason::MalformedRequest)?;
    head.insert_header(header::COOKIE, cookies).map_err(|_| Reason::MalformedRequest)
}

/// A query in the form of a URI, when it is not: see `head::escape_query`.
fn escaped(query: &str) -> Option<String> {
    let foreign = |byte: u8| !byte.is_ascii_graphic() || matches!(byte, b'<' | b'>' | b'"' | b'`');
    if !query.bytes().any(foreign) {
        return None;
    }
    let escape = |byte: u8| if foreign(byte) { format!("%{byte:02X}") } else { char::from(byte).to_string() };
    Some(query.bytes().map(escape).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, uri: &str) -> RequestHeader {
        let request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
        RequestHeader::from(request.into_parts().0)
    }

    #[test]
    fn a_head_is_read_as_one_of_http_1() {
        for (method, uri, verdict) in [
            ("GET", "http://a.test/x?y=1", Ok(())),
            ("CONNECT", "a.test:443", Err(Reason::MethodNotAllowed)),
            ("PURGE", "http://a.test/", Ok(())),
            ("get", "http://a.test/", Err(Reason::MalformedRequest)),
            ("PURGe", "http://a.test/", Err(Reason::MalformedRequest)),
            ("GET", "http://a.test/ñ", Err(Reason::MalformedRequest)),
            ("GET", "/no-host", Err(Reason::MalformedRequest)),
        ] {
            assert_eq!(take_head(&mut head(method, uri)), verdict, "{method} {uri}");
        }
        let mut taken = head("GET", "http://a.test:1/x?y=ñ");
        take_head(&mut taken).unwrap();
        assert_eq!((taken.uri.query(), &taken.headers["host"]), (Some("y=%C3%B1"), &"a.test:1".parse().unwrap()));
        let mut many = head("GET", "http://a.test/");
        for at in 0..=FIELDS_MAX {
            many.append_header(format!("x-{at}"), "").unwrap();
        }
        assert_eq!(take_head(&mut many), Err(Reason::HeadTooLarge));
    }
}
