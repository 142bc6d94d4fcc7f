//! Writing several pieces with one call.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncWrite, ReadBuf};

/// Pieces that are no larger together are copied into one. To gather pieces costs the system more than a copy of so few
/// bytes: 0.2 µs of 4.5 (`docs/performance.md`).
const JOINED_BYTES_MAX: usize = 4096;

/// Writes as much of `pieces` as `stream` takes.
pub(crate) fn poll_write(
    stream: Pin<&mut impl AsyncWrite>,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if let [one] = pieces {
        return stream.poll_write(cx, one);
    }
    if pieces.iter().map(|piece| piece.len()).sum::<usize>() > JOINED_BYTES_MAX {
        return stream.poll_write_vectored(cx, pieces);
    }
    let mut joined = [MaybeUninit::uninit(); JOINED_BYTES_MAX];
    let mut joined = ReadBuf::uninit(&mut joined);
    for piece in pieces {
        joined.put_slice(piece);
    }
    stream.poll_write(cx, joined.filled())
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn all_pieces_arrive_in_their_order() {
        for size in [0, 1, 100, JOINED_BYTES_MAX - 100, JOINED_BYTES_MAX] {
            let (mut one, mut other) = tokio::io::duplex(4 * JOINED_BYTES_MAX);
            let (first, second) = (vec![b'a'; 100], vec![b'b'; size]);
            let pieces = [IoSlice::new(&first), IoSlice::new(&second)];
            let mut written = 0;
            while written < first.len() + second.len() {
                let left = if written < 100 {
                    vec![IoSlice::new(&first[written..]), pieces[1]]
                } else {
                    vec![IoSlice::new(&second[written - 100..])]
                };
                written += poll_fn(|cx| poll_write(Pin::new(&mut one), cx, &left)).await.unwrap();
            }
            drop(one);
            let mut read = vec![];
            other.read_to_end(&mut read).await.unwrap();
            assert!(read == [first, second].concat(), "{size}");
        }
    }
}
