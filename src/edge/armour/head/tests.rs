//! Heads that every server reads alike, and those that it does not.

use proptest::prelude::*;

use super::*;

fn scan(head: &[u8]) -> Result<Option<usize>, HeadError> {
    Scanner::default().scan(head)
}

#[test]
fn ordinary_heads_are_complete_at_their_empty_line() {
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nGET / HTTP/1.0\r\n\r\nbody\nwith\rbytes",
        "GET /?nombre=José HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost:a\r\nContent-Length: 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked \r\n\r\n",
        "GET HTTP://A.test:80?b HTTP/1.1\r\nHost: a.TEST:80\r\n\r\n",
        "PURGE-2 / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    ] {
        assert!(matches!(scan(head.as_bytes()), Ok(Some(_))), "{head:?}");
    }
    assert!(matches!(scan(b"GET / HTTP/1.1\r\nHost: a\r\n"), Ok(None)));
}

#[test]
fn ambiguous_framing_is_refused() {
    for head in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n",
        "GET / HTTP/1.1\r\nA : b\r\n\r\n",
        "GET / HTTP/1.1\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nA\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n folded: c\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length:\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 18446744073709551621\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a:80?x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: identity, chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET /\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET /a b HTTP/1.1\r\n\r\n",
        "GET /a#b HTTP/1.1\r\n\r\n",
        "GET /ñ HTTP/1.1\r\n\r\n",
        "G(T / HTTP/1.1\r\n\r\n",
        "post / HTTP/1.1\r\n\r\n",
        "GeT / HTTP/1.1\r\n\r\n",
        "connect a:443 HTTP/1.1\r\n\r\n",
        "PURGe / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nA\u{1}: b\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\u{1}\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: \u{c}1\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\u{c}\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
    ] {
        assert!(matches!(scan(head.as_bytes()), Err(HeadError::Malformed(_))), "{head:?}");
    }
}

#[test]
fn a_query_is_brought_into_the_form_of_a_uri() {
    for (head, expected) in [
        ("GET /a?b=%20&c=1 HTTP/1.1\r\n\r\n\u{e9}?\u{e9}", "GET /a?b=%20&c=1 HTTP/1.1\r\n\r\n\u{e9}?\u{e9}"),
        ("\r\nGET /a?b=é<\"x\"> HTTP/1.1\r\nA: é\r\n\r\n", "\r\nGET /a?b=%C3%A9%3C%22x%22%3E HTTP/1.1\r\nA: é\r\n\r\n"),
        ("GET /a HTTP/1.1\r\nA: ?é\r\n\r\n", "GET /a HTTP/1.1\r\nA: ?é\r\n\r\n"),
    ] {
        let mut bytes = BytesMut::from(head);
        escape_query(&mut bytes).unwrap();
        assert_eq!(bytes, expected.as_bytes(), "{head}");
    }
}

#[test]
fn our_names_are_spelt_by_us() {
    let mut head = *b"\r\nGET /X-REQUEST-ID: HTTP/1.1\r\nX-REQUEST-id: X-REQUEST-ID\r\nx-oLd: a\r\nx-ENV: b\r\n\r\n";
    respell(&mut head, &[HeaderName::from_static("x-env")]);
    let expected = b"\r\nGET /X-REQUEST-ID: HTTP/1.1\r\nX-Request-Id: X-REQUEST-ID\r\nx-oLd: a\r\nX-Env: b\r\n\r\n";
    assert_eq!(&head, expected);
}

#[test]
fn fields_are_counted() {
    let head = |fields| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(fields));
    assert!(matches!(scan(head(FIELDS_MAX).as_bytes()), Ok(Some(_))));
    assert!(matches!(scan(head(FIELDS_MAX + 1).as_bytes()), Err(HeadError::TooLarge)));
}

#[test]
fn no_byte_is_looked_at_twice() {
    let mut scanner = Scanner::default();
    let head = b"GET / HTTP/1.1\r\nA: bcd";
    for end in 0..head.len() {
        assert!(matches!(scanner.scan(&head[..end]), Ok(None)));
        assert_eq!(scanner.searched, end);
    }
}

proptest! {
    /// However the bytes are cut, the verdict is the same.
    #[test]
    fn the_cut_does_not_matter(text in "(GET / HTTP/1\\.[01]\r\n)?([a:b \r\n]{0,8}\r\n){0,4}\r\n", cut in 0_usize..80) {
        let bytes = text.as_bytes();
        let whole = format!("{:?}", scan(bytes));
        let mut scanner = Scanner::default();
        let first = scanner.scan(&bytes[..cut.min(bytes.len())]);
        let verdict = match first {
            Ok(None) => scanner.scan(bytes),
            verdict => verdict,
        };
        prop_assert_eq!(whole, format!("{:?}", verdict));
    }
}
