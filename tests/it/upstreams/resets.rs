//! Streams of HTTP/2, frame by frame, that end without their end, or have more than they may: what comes of it on the
//! other side of the gateway.

use std::net::SocketAddr;

use h2::Reason;

use super::{pool, start};
use crate::{
    listeners::h2::{DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame},
    support::{Connection, PATIENCE, RawUpstream, Request, get, send_http2, wait_until},
};

const HTTP_2: &str = "http = \"2\"\nretries = 0";

/// Fields as HPACK has them in its static table, or with its names.
const STATUS_200: &[u8] = b"\x88";
const STATUS_204: &[u8] = b"\x89";
const STATUS_304: &[u8] = b"\x8b";
const LENGTH_5: &[u8] = b"\x0f\x0d\x015";
const LENGTH_2: &[u8] = b"\x0f\x0d\x012";

/// A server that sends these frames on each stream, as soon as a request is there.
fn sending(frames: &[Vec<u8>]) -> RawUpstream {
    let frames = frames.to_vec();
    RawUpstream::start(move |stream| {
        stream.write_bytes(&frame(SETTINGS, 0, 0, b""));
        let mut served = 0;
        while stream.read() {
            let begun = streams(stream.own());
            for id in &begun[served..] {
                for frame in &frames {
                    stream.write_bytes(&[&frame[..5], id, &frame[9..]].concat());
                }
            }
            served = begun.len();
        }
    })
}

/// The streams that a client's connection has begun, as frames name them.
fn streams(bytes: &[u8]) -> Vec<[u8; 4]> {
    let (mut begun, mut rest) = (vec![], bytes.get(PREFACE.len()..).unwrap_or_default());
    while let [a, b, c, kind, _, id @ ..] = rest
        && let Some((id, payload)) = id.split_first_chunk()
    {
        if *kind == HEADERS {
            begun.push(*id);
        }
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap();
        rest = payload.get(length..).unwrap_or_default();
    }
    begun
}

fn head(fields: &[&[u8]]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, &fields.concat())
}

fn data(flags: u8, text: &str) -> Vec<u8> {
    frame(DATA, flags, 1, text.as_bytes())
}

fn reset(reason: Reason) -> Vec<u8> {
    frame(RST_STREAM, 0, 1, &u32::from(reason).to_be_bytes())
}

/// What a client of HTTP/1.0 reads, up to the end of the connection; `None` where that was a reset.
fn read_by_http10(front: SocketAddr) -> Option<String> {
    let mut connection = Connection::open(front);
    connection.write("GET / HTTP/1.0\r\n\r\n").unwrap();
    connection.rest().ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn a_response_whose_stream_is_reset_never_looks_whole() {
    for reason in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
        for frames in [
            vec![head(&[STATUS_200]), data(0, "{\"a\":1"), reset(reason)],
            vec![head(&[STATUS_200, LENGTH_5]), data(0, "{\""), reset(reason)],
        ] {
            let server = sending(&frames);
            let gateway = start(&pool(&[server.address], HTTP_2));
            let over_http1 = Connection::open(gateway.front).try_send(&get("/"));
            assert!(over_http1.is_err(), "{reason:?}: {over_http1:?}");
            let over_http2 = send_http2(gateway.front, &get("/"));
            assert!(over_http2.as_ref().is_err_and(h2::Error::is_reset), "{reason:?}: {over_http2:?}");
            let over_http10 = read_by_http10(gateway.front);
            // With a length, the missing bytes show.
            let is_cut = over_http10.as_ref().is_none_or(|text| text.contains("Content-Length: 5\r\n"));
            assert!(is_cut, "{reason:?}: {over_http10:?}");
            gateway.process.access_line("its end", |line| line["reason"] == "upstream_failed" && line["status"] == 200);
        }
    }
}

#[test]
fn a_response_that_ended_before_its_stream_was_reset_is_whole() {
    let server = sending(&[head(&[STATUS_200]), data(END_STREAM, "whole"), reset(Reason::NO_ERROR)]);
    let gateway = start(&pool(&[server.address], HTTP_2));
    assert_eq!(Connection::open(gateway.front).send(&get("/")).text(), "whole");
    assert_eq!(send_http2(gateway.front, &get("/")).unwrap().text(), "whole");
}

#[test]
fn a_response_without_content_has_none_whatever_the_server_sends() {
    for (method, status, frames) in [
        ("GET", 204, [head(&[STATUS_204, LENGTH_2]), data(END_STREAM, "ab")]),
        ("GET", 304, [head(&[STATUS_304]), data(END_STREAM, "ab")]),
        ("HEAD", 200, [head(&[STATUS_200, LENGTH_2]), data(END_STREAM, "ab")]),
    ] {
        let server = sending(&frames);
        let gateway = start(&pool(&[server.address], HTTP_2));
        let request = Request::new(method, "/");
        let mut connection = Connection::open(gateway.front);
        // What stood behind the head would be taken for the next one.
        for answer in [connection.send(&request), connection.send(&request)] {
            assert_eq!((answer.status, answer.text().as_str()), (status, ""), "{method} {status}");
        }
        let answer = send_http2(gateway.front, &request).unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (status, ""), "{method} {status}");
        assert_eq!(answer.header("content-length"), (method == "HEAD").then_some("2"), "{method} {status}");
        if method == "GET" {
            let mut old = Connection::open(gateway.front);
            old.write("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n").unwrap();
            let all = String::from_utf8(old.rest().unwrap()).unwrap();
            assert_eq!(all.matches(&format!("HTTP/1.0 {status}")).count(), 2, "{all}");
            assert!(!all.contains("ab\r\n") && !all.ends_with("ab"), "{all}");
        }
    }
}

#[test]
fn an_upload_whose_stream_is_reset_never_looks_whole() {
    for reason in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
        let service = RawUpstream::start(|stream| while stream.read() {});
        let gateway = start(&pool(&[service.address], "retries = 0"));
        let mut client = Connection::open(gateway.front);
        // `:method PUT, :scheme http, :path /, :authority a`
        let put = frame(HEADERS, END_HEADERS, 1, b"\x02\x03PUT\x86\x84\x01\x01a");
        client.write([PREFACE, &frame(SETTINGS, 0, 0, b""), &put, &data(0, "{\"items\":[1,")].concat()).unwrap();
        wait_until("it is on its way", PATIENCE, || service.bytes().contains("items"));
        client.write([data(0, "2,"), reset(reason)].concat()).unwrap();
        let [received] = &service.by_connection()[..] else { panic!("several connections") };
        assert!(received.contains("{\"items\":[1,") && !received.contains("0\r\n\r\n"), "{reason:?}: {received}");
        gateway.process.access_line("its end", |line| line["reason"] == "client_left");
    }
}
