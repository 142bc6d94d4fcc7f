//! The body of an answer: from its upstream to the client, and not a byte more.

use std::{io, time::Duration};

use bytes::BytesMut;
use http::{HeaderValue, Method, StatusCode, header};
use pingora::{Result, http::ResponseHeader};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::Instant,
};

use super::client::{Client, Gone};
use crate::edge::{
    armour::{chunks::Chunks, head::is_length},
    lazy_timeout::Patience,
};

/// What is read at once of a body that goes on.
const BUFFER_BYTES: usize = 64 << 10;

/// The end of a chunked body that has no trailers: an upstream's are not handed on, as no route says anything of them.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Where a body ends (RFC 9112 section 6.3).
#[derive(Debug)]
pub(super) enum Framing {
    /// After this many bytes.
    Length(u64),
    /// After its last chunk.
    Chunked(Chunks),
    /// With the connection.
    Close,
}

impl Framing {
    /// As the head says of an answer to such a request; `None` when it says two things.
    pub(in crate::edge) fn of(method: &Method, head: &ResponseHeader) -> Option<Self> {
        if *method == Method::HEAD || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Some(Self::Length(0));
        }
        let mut lengths = head.headers.get_all(header::CONTENT_LENGTH).iter();
        let (length, another) = (lengths.next(), lengths.next());
        if head.headers.contains_key(header::TRANSFER_ENCODING) {
            // Some servers say it twice, and mean it once.
            let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
            let chunked = codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
            return (chunked && length.is_none()).then(|| Self::Chunked(Chunks::of_server()));
        }
        match (length, another) {
            (None, _) => Some(Self::Close),
            (Some(length), None) => {
                let text = length.to_str().ok().filter(|text| is_length(text.as_bytes()))?;
                text.parse().ok().map(Self::Length)
            }
            _ => None,
        }
    }

    /// Says in the head how the client finds the end: what has no length comes in chunks of ours.
    pub(super) fn announce(&self, head: &mut ResponseHeader) -> Result<()> {
        match self {
            Self::Length(_) => Ok(()),
            Self::Chunked(_) | Self::Close => {
                head.insert_header(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))
            }
        }
    }
}

/// Why a body did not reach the client whole.
#[derive(Debug)]
pub(in crate::edge) enum Broken {
    /// The upstream broke off, was silent for too long, took too much time in all, or its framing is none.
    Upstream(io::Error),
    /// The client went away, or took nothing for too long.
    Client,
}

impl From<Gone> for Broken {
    fn from(_: Gone) -> Self {
        Self::Client
    }
}

/// An upstream whose answer is read, and how long its next bytes are waited for.
#[derive(Debug)]
pub(in crate::edge) struct Source<'u, R> {
    pub(in crate::edge) stream: &'u mut R,
    pub(in crate::edge) patience: &'u mut Patience,
    pub(super) read_timeout: Duration,
}

impl<R: AsyncRead + Unpin> Source<'_, R> {
    /// Reads on; nothing where the upstream ended the connection.
    async fn read<C>(&mut self, buffer: &mut BytesMut, client: &mut Client<'_, C>) -> Result<usize, Broken>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        self.patience.set(Instant::now() + self.read_timeout);
        let read = client.unless_gone(self.patience.bound(self.stream.read_buf(buffer))).await?;
        read.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())).map_err(Broken::Upstream)
    }
}

/// Hands a body on of which `first` was read already, and has each piece counted. Whether nothing came behind it, and the
/// upstream may be asked something else.
pub(super) async fn relay<R, C>(
    first: BytesMut,
    upstream: &mut Source<'_, R>,
    client: &mut Client<'_, C>,
    mut framing: Framing,
    mut count: impl FnMut(usize) -> Result<(), Broken>,
) -> Result<bool, Broken>
where
    R: AsyncRead + Unpin,
    C: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = first;
    loop {
        let mut rest = &buffer[..];
        let ended = match &mut framing {
            Framing::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                let (body, behind) = rest.split_at(length);
                client.write(body).await?;
                count(length)?;
                rest = behind;
                *left -= length as u64;
                *left == 0
            }
            Framing::Chunked(chunks) => {
                while let Some(data) = chunks.next_data(&mut rest).map_err(Broken::Upstream)? {
                    write_chunk(client, data).await?;
                    count(data.len())?;
                }
                chunks.has_ended()
            }
            Framing::Close => {
                write_chunk(client, rest).await?;
                count(rest.len())?;
                false
            }
        };
        if ended {
            if matches!(framing, Framing::Chunked(_)) {
                client.write(LAST_CHUNK).await?;
            }
            client.flush().await?;
            return Ok(rest.is_empty());
        }
        buffer.clear();
        if buffer.capacity() < BUFFER_BYTES {
            buffer = BytesMut::with_capacity(BUFFER_BYTES);
        }
        if upstream.read(&mut buffer, client).await? == 0 {
            if !matches!(framing, Framing::Close) {
                return Err(Broken::Upstream(io::ErrorKind::UnexpectedEof.into()));
            }
            client.write(LAST_CHUNK).await?;
            client.flush().await?;
            return Ok(false);
        }
    }
}

/// Writes a chunk of ours (RFC 9112 section 7.1). An empty one would be the last.
async fn write_chunk<C>(client: &mut Client<'_, C>, data: &[u8]) -> Result<(), Gone>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    if data.is_empty() {
        return Ok(());
    }
    client.write(format!("{:x}\r\n", data.len()).as_bytes()).await?;
    client.write(data).await?;
    client.write(b"\r\n").await
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(3);

    /// What a client receives, and whether the upstream may be asked again.
    async fn relayed(first: &str, rest: &str, framing: Framing) -> Result<(String, bool), Broken> {
        let (mut near, mut far) = tokio::io::duplex(1024);
        let mut patience = Patience::until(Instant::now());
        let mut stream = rest.as_bytes();
        let mut upstream = Source { stream: &mut stream, patience: &mut patience, read_timeout: WAIT };
        let mut counted = 0;
        let count = |bytes| {
            counted += bytes;
            Ok(())
        };
        let mut client = Client::new(&mut near, WAIT);
        let clean = relay(first.as_bytes().into(), &mut upstream, &mut client, framing, count).await?;
        drop(near);
        let mut out = String::new();
        far.read_to_string(&mut out).await.unwrap();
        assert_eq!(counted, out.bytes().filter(u8::is_ascii_lowercase).count(), "letters are data here, and all of it");
        Ok((out, clean))
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_without_end() {
        let (mut stream, _silent) = tokio::io::duplex(16);
        let (mut near, far) = tokio::io::duplex(16);
        let mut patience = Patience::until(Instant::now());
        let mut upstream = Source { stream: &mut stream, patience: &mut patience, read_timeout: WAIT };
        let mut client = Client::new(&mut near, WAIT);
        let count = |_| Ok(());
        let silent = relay("a".as_bytes().into(), &mut upstream, &mut client, Framing::Length(9), count).await;
        assert!(matches!(silent, Err(Broken::Upstream(error)) if error.kind() == io::ErrorKind::TimedOut));
        let long = [0; 64];
        let slow = relay(long[..].into(), &mut upstream, &mut client, Framing::Length(64), count).await;
        assert!(matches!(slow, Err(Broken::Client)), "it takes nothing");
        drop(far);
        let gone = relay(BytesMut::new(), &mut upstream, &mut client, Framing::Length(9), count).await;
        assert!(matches!(gone, Err(Broken::Client)), "it went away");
    }

    #[tokio::test]
    async fn a_body_ends_where_its_framing_says() {
        assert_eq!(relayed("ab", "cd", Framing::Length(4)).await.unwrap(), ("abcd".to_owned(), true));
        assert_eq!(relayed("ab", "cdEXTRA", Framing::Length(4)).await.unwrap(), ("abcd".to_owned(), false));
        let closed = ("2\r\nxy\r\n2\r\nzz\r\n0\r\n\r\n".to_owned(), false);
        assert_eq!(relayed("xy", "zz", Framing::Close).await.unwrap(), closed);
        let chunked = || Framing::Chunked(Chunks::of_server());
        for (first, rest, body, clean) in [
            ("3\r\nxyz\r\n0\r\n\r\nEXTRA", "", "3\r\nxyz\r\n0\r\n\r\n", false),
            ("1 \t\r\nx\r\n2 ;x=y\r\n", "yz\r\n0 \r\n\r\n", "1\r\nx\r\n2\r\nyz\r\n0\r\n\r\n", true),
            ("3;x=y\r\nx", "yz\r\n0\r\nT: 1\r\n\r\n", "1\r\nx\r\n2\r\nyz\r\n0\r\n\r\n", true),
        ] {
            assert_eq!(relayed(first, rest, chunked()).await.unwrap(), (body.to_owned(), clean));
        }
        for bad in
            ["3\nabc", "x\r\n", "3 5\r\nabc", "3\r\nabcd", "\r\n", "ffffffffffffffff\r\n", "3\r\nabc\r\n", "3;a\nb\r\n"]
        {
            assert!(relayed(bad, "", chunked()).await.is_err(), "{bad:?}");
        }
        assert!(relayed("a", "", Framing::Length(4)).await.is_err());
    }
}
