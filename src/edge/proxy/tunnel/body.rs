//! The body of an answer that refuses an upgrade: handed on as it is framed, and not a byte more.

use std::{io, time::Duration};

use http::{StatusCode, header};
use pingora::http::ResponseHeader;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::super::chunks::Chunks;

/// What is read at once.
const BUFFER_BYTES: usize = 8 << 10;

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
    /// As the head says; `None` when it says two things.
    pub(super) fn of(head: &ResponseHeader) -> Option<Self> {
        let codings: Vec<_> = head.headers.get_all(header::TRANSFER_ENCODING).iter().collect();
        let lengths: Vec<_> = head.headers.get_all(header::CONTENT_LENGTH).iter().collect();
        match (&codings[..], &lengths[..]) {
            ([], _) if matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => {
                Some(Self::Length(0))
            }
            ([], []) => Some(Self::Close),
            ([], [length]) => {
                let text = length.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
                text.parse().ok().map(Self::Length)
            }
            ([coding], []) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
                Some(Self::Chunked(Chunks::default()))
            }
            _ => None,
        }
    }

    /// How many of the bytes belong to the body, and whether it ends with them.
    fn take(&mut self, bytes: &[u8]) -> io::Result<(usize, bool)> {
        match self {
            Self::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                Ok((taken, *left == 0))
            }
            Self::Chunked(chunks) => chunks.take(bytes),
            Self::Close => Ok((bytes.len(), false)),
        }
    }
}

/// How long both sides are waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// For the upstream's next bytes.
    pub(super) read: Duration,
    /// For the client to take some.
    pub(super) write: Duration,
}

/// Why a body did not reach the client whole.
#[derive(Debug)]
pub(super) enum Broken {
    /// The upstream broke off, was silent for too long, or its framing is none.
    Upstream(io::Error),
    /// The client went away, or took nothing for too long.
    Client,
}

/// Hands a body on, of which `first` was read already, and counts its bytes. What the client sends meanwhile goes
/// nowhere; that it went away ends it.
pub(super) async fn relay<R, C>(
    first: &[u8],
    upstream: &mut R,
    client: &mut C,
    framing: Framing,
    waits: Waits,
    moved: &mut u64,
) -> Result<(), Broken>
where
    R: AsyncRead + Unpin,
    C: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(client);
    tokio::select! {
        biased;
        handed_on = hand_on(first, upstream, &mut writer, framing, waits, moved) => handed_on,
        () = gone(&mut reader) => Err(Broken::Client),
    }
}

async fn hand_on<R, W>(
    first: &[u8],
    upstream: &mut R,
    client: &mut W,
    mut framing: Framing,
    waits: Waits,
    moved: &mut u64,
) -> Result<(), Broken>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = first.to_vec();
    loop {
        let (taken, ended) = framing.take(&buffer).map_err(Broken::Upstream)?;
        let mut left = &buffer[..taken];
        while !left.is_empty() {
            let Ok(Ok(written @ 1..)) = timeout(waits.write, client.write(left)).await else {
                return Err(Broken::Client);
            };
            left = &left[written..];
            *moved += written as u64;
        }
        if !matches!(timeout(waits.write, client.flush()).await, Ok(Ok(()))) {
            return Err(Broken::Client);
        }
        if ended {
            return Ok(());
        }
        buffer.resize(BUFFER_BYTES, 0);
        let read = timeout(waits.read, upstream.read(&mut buffer)).await.map_err(io::Error::from).flatten();
        let read = read.map_err(Broken::Upstream)?;
        buffer.truncate(read);
        if read == 0 {
            let whole = matches!(framing, Framing::Close);
            return if whole { Ok(()) } else { Err(Broken::Upstream(io::ErrorKind::UnexpectedEof.into())) };
        }
    }
}

/// Waits until the client closes its side.
async fn gone<R: AsyncRead + Unpin>(client: &mut R) {
    let mut discarded = [0; 1024];
    while matches!(client.read(&mut discarded).await, Ok(1..)) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Waits = Waits { read: Duration::from_secs(3), write: Duration::from_secs(3) };

    async fn relayed(first: &str, rest: &str, framing: Framing) -> Result<String, Broken> {
        let (mut client, mut far) = tokio::io::duplex(1024);
        let mut moved = 0;
        relay(first.as_bytes(), &mut rest.as_bytes(), &mut client, framing, WAITS, &mut moved).await?;
        drop(client);
        let mut out = String::new();
        far.read_to_string(&mut out).await.unwrap();
        assert_eq!(moved, out.len() as u64);
        Ok(out)
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_without_end() {
        let (mut upstream, _silent) = tokio::io::duplex(16);
        let (mut client, far) = tokio::io::duplex(16);
        let mut moved = 0;
        let silent = relay(b"a", &mut upstream, &mut client, Framing::Length(9), WAITS, &mut moved).await;
        assert!(matches!(silent, Err(Broken::Upstream(error)) if error.kind() == io::ErrorKind::TimedOut));
        let long = [0; 64];
        let slow = relay(&long, &mut upstream, &mut client, Framing::Length(64), WAITS, &mut moved).await;
        assert!(matches!(slow, Err(Broken::Client)), "it takes nothing");
        drop(far);
        let gone = relay(b"", &mut upstream, &mut client, Framing::Length(9), WAITS, &mut moved).await;
        assert!(matches!(gone, Err(Broken::Client)), "it went away");
    }

    #[tokio::test]
    async fn a_body_ends_where_its_framing_says() {
        assert_eq!(relayed("ab", "cdEXTRA", Framing::Length(4)).await.unwrap(), "abcd");
        assert_eq!(relayed("ab", "cd", Framing::Close).await.unwrap(), "abcd");
        let chunked = || Framing::Chunked(Chunks::default());
        for (first, rest, body) in [
            ("3\r\nabc\r\n0\r\n\r\nEXTRA", "", "3\r\nabc\r\n0\r\n\r\n"),
            ("3;x=y\r\na", "bc\r\n0\r\nT: 1\r\n\r\nEXTRA", "3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n"),
        ] {
            assert_eq!(relayed(first, rest, chunked()).await.unwrap(), body);
        }
        for bad in ["3\nabc", "x\r\n", "3\r\nabcd", "\r\n", "ffffffffffffffff\r\n", "3\r\nabc\r\n", "3;a\nb\r\n"] {
            assert!(relayed(bad, "", chunked()).await.is_err(), "{bad:?}");
        }
        assert!(relayed("a", "", Framing::Length(4)).await.is_err());
    }
}
