//! Where heads and bodies of HTTP/1 end.

pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Where the first request ends, once it is whole.
pub(crate) fn request_end(bytes: &[u8]) -> Option<usize> {
    let end = head_end(bytes)?;
    let (head, rest) = bytes.split_at(end);
    Some(end + body_end(head, rest, Some(0))?)
}

/// Where a body ends; `unframed` where its head says nothing about it.
pub(crate) fn body_end(head: &[u8], rest: &[u8], unframed: Option<usize>) -> Option<usize> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim));
    if field("transfer-encoding").is_some() {
        return chunked_end(rest);
    }
    match field("content-length") {
        None => unframed,
        Some(length) => length.parse().ok().filter(|length| rest.len() >= *length),
    }
}

fn chunked_end(bytes: &[u8]) -> Option<usize> {
    let line = |at: usize| bytes[at..].windows(2).position(|window| window == b"\r\n").map(|end| at + end);
    let mut at = 0;
    loop {
        let end = line(at)?;
        let size = String::from_utf8_lossy(&bytes[at..end]);
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).ok()?;
        at = end + 2;
        if size == 0 {
            break;
        }
        at += size + 2;
        bytes.get(at..)?;
    }
    // Trailers, and the empty line.
    loop {
        let end = line(at)?;
        if end == at {
            return Some(end + 2);
        }
        at = end + 2;
    }
}

/// The heads of the requests in these bytes, by the strictest reading of their framing. The last body may be cut.
pub(crate) fn requests(mut bytes: &str) -> Vec<&str> {
    let mut heads = vec![];
    while !bytes.is_empty() {
        let (head, mut rest) = bytes.split_once("\r\n\r\n").unwrap_or((bytes, ""));
        heads.push(head);
        let field = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(':'));
            lines
                .filter(|(given, _)| given.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim())
                .collect::<Vec<_>>()
        };
        match (&field("transfer-encoding")[..], &field("content-length")[..]) {
            ([], []) => {}
            ([], [length]) => rest = rest.get(length.parse().unwrap()..).unwrap_or_default(),
            (["chunked"], []) => {
                while let Some((size, data)) = rest.split_once("\r\n") {
                    let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("no chunk size: {size:?}"));
                    let Some(after) = data.get(size..) else {
                        rest = "";
                        break;
                    };
                    assert!(after.is_empty() || after.starts_with("\r\n"), "no end of a chunk or a trailer: {after:?}");
                    rest = after.get(2..).unwrap_or_default();
                    if size == 0 {
                        break;
                    }
                }
            }
            framing => panic!("framed in two ways: {framing:?}"),
        }
        bytes = rest;
    }
    heads
}
