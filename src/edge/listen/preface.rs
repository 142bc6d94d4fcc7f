//! What a client begins to speak in the clear: HTTP/1, or HTTP/2 with prior knowledge (RFC 9113 section 3.3).

use bytes::BytesMut;
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::{connection::Protocol, stream::ClientStream};

/// RFC 9113 section 3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Room for the first bytes of a connection: most heads need no more.
const FIRST_BYTES: usize = 4096;

/// Reads a client's first bytes, which stay in the stream; `None` when it went away without any. While it
/// waits, nothing is allocated. There is no deadline here: the caller has one.
pub(in crate::edge) async fn listen(mut stream: TcpStream) -> Option<(ClientStream, Protocol)> {
    stream.readable().await.ok()?;
    let mut read = BytesMut::with_capacity(FIRST_BYTES);
    // Cut in the midst of the preface, or in the first letters of another method: read on until it shows.
    loop {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
        if read.starts_with(PREFACE) {
            return Some((ClientStream::plain(stream, read), Protocol::Http2));
        }
        if !PREFACE.starts_with(&read) {
            return Some((ClientStream::plain(stream, read), Protocol::Http1));
        }
    }
}
