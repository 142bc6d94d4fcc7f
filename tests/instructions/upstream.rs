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

/// Answers each head; there are no bodies.
fn serve(mut stream: TcpStream, turns: &Turns) {
    while read_to(&mut stream, b"\r\n\r\n").is_some() {
        turns.wait();
        if stream.write_all(ANSWER).is_err() {
            return;
        }
    }
}

/// Reads until what was read ends with this; `None` when the other end has closed.
pub(crate) fn read_to(stream: &mut TcpStream, end: &[u8]) -> Option<Vec<u8>> {
    let mut read = vec![];
    while !read.ends_with(end) {
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk) {
            Ok(bytes @ 1..) => read.extend_from_slice(&chunk[..bytes]),
            _ => return None,
        }
    }
    Some(read)
}
