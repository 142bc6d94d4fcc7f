//! What is handed on is the same, however the bytes of a connection are cut.

use std::future::poll_fn;

use http::header;
use tokio::{
    io::{AsyncWriteExt, DuplexStream, duplex},
    task::yield_now,
};

use super::{super::deadline::ClientTimeouts, *};

/// Room for all that a test sends, and for more than the first bytes that are read.
const ROOM: usize = 8 << 10;

const DAY: std::time::Duration = std::time::Duration::from_hours(24);

fn armour(stream: DuplexStream) -> Armour<DuplexStream> {
    let timeouts: Timeouts = Arc::new(|| ClientTimeouts { head: DAY, keepalive: DAY, write: DAY });
    let respelt: Arc<[HeaderName]> = Arc::new([header::AUTHORIZATION]);
    Armour::new(stream, &Arc::default(), &timeouts, (Instant::now(), LazyTimeout::default()), Some(respelt))
}

/// What is handed on of `pieces`, and the kind of error that ends it, if one does. Each request is answered when
/// nothing more is handed on.
async fn handed_on(pieces: &[&[u8]]) -> (Vec<u8>, Option<io::ErrorKind>) {
    let (mut client, stream) = duplex(ROOM);
    let mut armour = armour(stream);
    let mut handed_on = vec![];
    let mut pieces = pieces.iter();
    loop {
        let mut bytes = [0; ROOM];
        let mut buffer = ReadBuf::new(&mut bytes);
        let read = poll_fn(|cx| Poll::Ready(Pin::new(&mut armour).poll_read(cx, &mut buffer))).await;
        match read {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => return (handed_on, None),
            Poll::Ready(Ok(())) => handed_on.extend_from_slice(buffer.filled()),
            Poll::Ready(Err(error)) => return (handed_on, Some(error.kind())),
            Poll::Pending if armour.state.is_answering() && matches!(armour.reading, Reading::Head) => {
                armour.state.response_ends(Instant::now());
            }
            Poll::Pending => {
                // A task that never yields is told that nothing is ready.
                yield_now().await;
                match pieces.next() {
                    Some(piece) => client.write_all(piece).await.unwrap(),
                    None => client.shutdown().await.unwrap(),
                }
            }
        }
    }
}

#[tokio::test]
async fn the_next_request_waits_and_hides_no_end() {
    for behind in ["", "GET /b HTTP/1.1\r\n\r\n", "\n", "GARBAGE\r\n\r\n"] {
        let (mut client, stream) = duplex(ROOM);
        let mut armour = armour(stream);
        client.write_all(format!("GET /a HTTP/1.1\r\n\r\n{behind}").as_bytes()).await.unwrap();
        let mut bytes = [0; ROOM];
        let mut buffer = ReadBuf::new(&mut bytes);
        poll_fn(|cx| Pin::new(&mut armour).poll_read(cx, &mut buffer)).await.unwrap();
        assert_eq!(buffer.filled(), b"GET /a HTTP/1.1\r\n\r\n", "{behind:?}");
        buffer.clear();
        let next = poll_fn(|cx| Poll::Ready(Pin::new(&mut armour).poll_read(cx, &mut buffer))).await;
        assert!(next.is_pending(), "{behind:?}");
        drop(client);
        poll_fn(|cx| Pin::new(&mut armour).poll_read(cx, &mut buffer)).await.unwrap();
        assert!(buffer.filled().is_empty() && armour.has_ended(), "{behind:?}");
    }
}

#[tokio::test]
async fn what_is_handed_on_is_the_same_however_it_is_cut() {
    let broken = Some(io::ErrorKind::InvalidData);
    for (sent, expected, end) in [
        ("GET /a HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", None),
        ("\r\nGET /a?\"b HTTP/1.1\r\nHost: a\r\n\r\n", "\r\nGET /a?%22b HTTP/1.1\r\nHost: a\r\n\r\n", None),
        ("GET / HTTP/1.2\r\nX-AUTH-SUBJECT: x\r\n\r\n", "GET / HTTP/1.1\r\nX-Auth-Subject: x\r\n\r\n", None),
        (
            "POST / HTTP/1.2\r\nX-AUTH-SUBJECT: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
            "POST / HTTP/1.1\r\nX-Auth-Subject: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            broken,
        ),
        (
            "PUT / HTTP/1.3\r\nAUTHORIZATION: x\r\nContent-Length: 2\r\n\r\nabGET /b HTTP/1.1\r\n\r\n",
            "PUT / HTTP/1.1\r\nAuthorization: x\r\nContent-Length: 2\r\n\r\nabGET /b HTTP/1.1\r\n\r\n",
            None,
        ),
    ] {
        let whole = handed_on(&[sent.as_bytes()]).await;
        assert_eq!((str::from_utf8(&whole.0).unwrap(), whole.1), (expected, end), "{sent:?}");
        for cut in 1..sent.len() {
            let (first, second) = sent.as_bytes().split_at(cut);
            assert_eq!(handed_on(&[first, second]).await, whole, "{sent:?} cut at {cut}");
        }
    }
}
