//! An upstream that answers whatever comes, when it is its turn.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use crate::turns::Turns;

/// An answer of 57 bytes.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 57\r\n\r\n\
    {\"id\":42,\"cliente\":\"Ana Rey\",\"estado\":\"alta\",\"pedidos\":3}";

/// Starts one. Its threads end with the test's process.
pub(crate) fn start(turns: &Arc<Turns>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let turns = Arc::clone(turns);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let turns = Arc::clone(&turns);
            thread::spawn(move || serve(stream, &turns));
        }
    });
    address
}

/// Answers each request once all of it is there.
fn serve(mut stream: TcpStream, turns: &Turns) {
    while read_request(&mut stream).is_some() {
        turns.wait();
        if stream.write_all(ANSWER).is_err() {
            return;
        }
    }
}

/// Reads a head, and the body whose length it says; `None` when the other end has closed.
fn read_request(stream: &mut TcpStream) -> Option<()> {
    let mut read = vec![];
    let head = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        read_more(stream, &mut read)?;
    };
    let text = str::from_utf8(&read[..head]).unwrap().to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    while read.len() < head + length {
        read_more(stream, &mut read)?;
    }
    assert_eq!(read.len(), head + length, "more than one request");
    Some(())
}

/// Reads until what was read ends with this; `None` when the other end has closed.
pub(crate) fn read_to(stream: &mut impl Read, end: &[u8]) -> Option<Vec<u8>> {
    let mut read = vec![];
    while !read.ends_with(end) {
        read_more(stream, &mut read)?;
    }
    Some(read)
}

fn read_more(stream: &mut impl Read, read: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 4096];
    let bytes = stream.read(&mut chunk).ok().filter(|&bytes| bytes > 0)?;
    read.extend_from_slice(&chunk[..bytes]);
    Some(())
}
