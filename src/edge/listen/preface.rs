//! What a client begins to speak in the clear: HTTP/1, or HTTP/2 with prior knowledge (RFC 9113 section 3.3).

use bytes::BytesMut;
use pingora::protocols::Stream;
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::connection::Protocol;
use crate::edge::armour::{watch::Watch, wire};

/// RFC 9113 section 3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Waits for a client's first bytes, which stay in the stream; `None` when it went away without any. While it
/// waits, nothing is allocated. There is no deadline here: whoever waits has one.
pub(in crate::edge) async fn listen(mut stream: TcpStream, watch: Watch) -> Option<(Stream, Protocol)> {
    let mut bytes = [0; PREFACE.len()];
    stream.readable().await.ok()?;
    let seen = stream.peek(&mut bytes).await.ok()?;
    match &bytes[..seen] {
        [] => None,
        seen if seen == PREFACE => Some((wire::plain(stream, watch), Protocol::Http2)),
        seen if !PREFACE.starts_with(seen) => Some((wire::plain(stream, watch), Protocol::Http1)),
        _ => {
            // Cut in the midst of it, or in the first letters of another method: read on until it shows.
            let mut read = BytesMut::with_capacity(PREFACE.len());
            while read.len() < PREFACE.len() && PREFACE.starts_with(&read) {
                let left = PREFACE.len() - read.len();
                let byte = (&mut stream).take(left as u64).read_buf(&mut read).await.ok()?;
                if byte == 0 {
                    return None;
                }
            }
            let protocol = if read == PREFACE[..] { Protocol::Http2 } else { Protocol::Http1 };
            Some((wire::with_bytes_put_back(stream, read, watch), protocol))
        }
    }
}
