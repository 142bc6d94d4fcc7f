//! The PROXY protocol, versions 1 and 2 (haproxy's `doc/proxy-protocol.txt`): what a load balancer says
//! about the connection that it passes on. Only the header is taken from the stream, to its last byte.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::{io::AsyncReadExt, net::TcpStream};

/// A line of version 1 with its end, at most (section 2.1).
const LINE_BYTES_MAX: usize = 107;

/// What version 2 begins with (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The fixed part of version 2.
const FIXED_BYTES: usize = 16;

/// What may follow it: addresses and extensions. The protocol would allow 64 KiB.
const REST_BYTES_MAX: usize = 2048;

/// A client's address where the header has one; without one the peer is the client (health checks of the balancer's).
type Client = Option<SocketAddr>;

/// There is no such header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) struct NoHeader;

impl From<io::Error> for NoHeader {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// Takes the header. There is no deadline here: the caller has one.
pub(in crate::edge) async fn read(stream: &mut TcpStream) -> Result<Client, NoHeader> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(NoHeader);
    }
    if first[0] == SIGNATURE[0] { read_binary(stream).await } else { read_line(stream).await }
}

async fn read_line(stream: &mut TcpStream) -> Result<Client, NoHeader> {
    let mut line = [0; LINE_BYTES_MAX];
    let mut length = 0;
    while !line[..length].ends_with(b"\n") {
        // What comes behind the line is not ours to take.
        let seen = stream.peek(&mut line[length..]).await?;
        let taken = line[length..length + seen].iter().position(|&byte| byte == b'\n').map_or(seen, |at| at + 1);
        if taken == 0 || !begins_as_line(&line[..length + taken]) {
            return Err(NoHeader);
        }
        stream.read_exact(&mut line[length..length + taken]).await?;
        length += taken;
    }
    parse_line(&line[..length])
}

fn begins_as_line(bytes: &[u8]) -> bool {
    bytes.iter().zip(b"PROXY ").all(|(byte, expected)| byte == expected)
}

async fn read_binary(stream: &mut TcpStream) -> Result<Client, NoHeader> {
    let mut fixed = [0; FIXED_BYTES];
    stream.read_exact(&mut fixed).await?;
    let mut rest = [0; REST_BYTES_MAX];
    let rest = rest.get_mut(..announced(&fixed)?).ok_or(NoHeader)?;
    stream.read_exact(rest).await?;
    parse_binary(fixed, rest)
}

/// How many bytes follow the fixed part.
fn announced(fixed: &[u8; FIXED_BYTES]) -> Result<usize, NoHeader> {
    let [.., high, low] = *fixed;
    if fixed.starts_with(SIGNATURE) { Ok(usize::from(u16::from_be_bytes([high, low]))) } else { Err(NoHeader) }
}

/// Section 2.1: `PROXY TCP4 source destination port port`, or `PROXY UNKNOWN` and anything.
fn parse_line(line: &[u8]) -> Result<Client, NoHeader> {
    let line = line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok()).ok_or(NoHeader)?;
    let words: Vec<_> = line.split(' ').collect();
    match words[..] {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), source, destination, from, to] => {
            let address = |text: &str| match family {
                "TCP4" => text.parse().map(IpAddr::V4),
                _ => text.parse().map(IpAddr::V6),
            };
            let (source, _) =
                address(source).and_then(|source| Ok((source, address(destination)?))).map_err(|_| NoHeader)?;
            Ok(Some(SocketAddr::new(source, port(from).and_then(|from| port(to).map(|_| from))?)))
        }
        _ => Err(NoHeader),
    }
}

/// A port without sign or leading zeros.
fn port(text: &str) -> Result<u16, NoHeader> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    text.parse().ok().filter(|_| canonical).ok_or(NoHeader)
}

/// Section 2.2. Extensions behind the addresses are passed over.
fn parse_binary(fixed: [u8; FIXED_BYTES], rest: &[u8]) -> Result<Client, NoHeader> {
    let [.., command, family, _, _] = fixed;
    if announced(&fixed)? != rest.len() {
        return Err(NoHeader);
    }
    match (command, family) {
        (0x21, 0x11) => {
            let (&[a, b, c, d, _, _, _, _, high, low, _, _], _) = rest.split_first_chunk().ok_or(NoHeader)?;
            Ok(Some(SocketAddr::from((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])))))
        }
        (0x21, 0x21) => {
            let (source, after) = rest.split_first_chunk::<16>().ok_or(NoHeader)?;
            let (_, after) = after.split_first_chunk::<16>().ok_or(NoHeader)?;
            let (&[high, low, _, _], _) = after.split_first_chunk().ok_or(NoHeader)?;
            Ok(Some(SocketAddr::from((Ipv6Addr::from(*source), u16::from_be_bytes([high, low])))))
        }
        // The balancer speaks for itself, or of what has no such address: the peer is the client.
        (0x20, _) | (0x21, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => Ok(None),
        _ => Err(NoHeader),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn binary(command: u8, family: u8, rest: &[u8]) -> Result<Client, NoHeader> {
        let mut fixed = [0; FIXED_BYTES];
        fixed[..12].copy_from_slice(SIGNATURE);
        fixed[12..14].copy_from_slice(&[command, family]);
        fixed[14..].copy_from_slice(&u16::try_from(rest.len()).unwrap().to_be_bytes());
        parse_binary(fixed, rest)
    }

    #[test]
    fn lines_say_who_the_client_is() {
        for (line, client) in [
            ("PROXY TCP4 192.0.2.1 192.0.2.2 5000 443\r\n", Ok(Some("192.0.2.1:5000"))),
            ("PROXY TCP6 2001:db8::1 ::1 5000 443\r\n", Ok(Some("[2001:db8::1]:5000"))),
            ("PROXY UNKNOWN\r\n", Ok(None)),
            ("PROXY UNKNOWN a b c d\r\n", Ok(None)),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 5000 443\n", Err(NoHeader)),
            ("PROXY TCP4 ::1 ::1 1 2\r\n", Err(NoHeader)),
            ("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", Err(NoHeader)),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 70000 443\r\n", Err(NoHeader)),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 +1 443\r\n", Err(NoHeader)),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 01 443\r\n", Err(NoHeader)),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", Err(NoHeader)),
            ("PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Err(NoHeader)),
            ("GET / HTTP/1.1\r\n", Err(NoHeader)),
        ] {
            let expected = client.map(|client| client.map(|client| client.parse().unwrap()));
            assert_eq!(parse_line(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn version_two_keeps_the_peer_where_it_has_no_address() {
        let addresses = [192, 0, 2, 1, 192, 0, 2, 2, 0x13, 0x88, 1, 187];
        let client = Ok(Some("192.0.2.1:5000".parse().unwrap()));
        assert_eq!(binary(0x21, 0x11, &addresses), client);
        assert_eq!(binary(0x21, 0x11, &[&addresses[..], b"\x04\0\x01x"].concat()), client);
        assert_eq!(binary(0x21, 0x11, &addresses[..11]), Err(NoHeader));
        assert_eq!(binary(0x20, 0x11, &addresses), Ok(None));
        assert_eq!(binary(0x21, 0x00, b""), Ok(None));
        assert_eq!(binary(0x22, 0x11, &addresses), Err(NoHeader));
        assert_eq!(binary(0x11, 0x11, &addresses), Err(NoHeader));
        assert_eq!(binary(0x21, 0x21, &[0; 35]), Err(NoHeader));
        assert_eq!(binary(0x21, 0x21, &[0; 36]), Ok(Some("[::]:0".parse().unwrap())));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(address: IpAddr, port: u16) {
            let family = if address.is_ipv4() { "TCP4" } else { "TCP6" };
            let line = format!("PROXY {family} {address} {address} {port} 443\r\n");
            prop_assert!(line.len() <= LINE_BYTES_MAX);
            prop_assert_eq!(parse_line(line.as_bytes()), Ok(Some(SocketAddr::new(address, port))));
        }

        #[test]
        fn no_bytes_make_it_panic(fixed: [u8; FIXED_BYTES], bytes: Vec<u8>, command: u8, family: u8) {
            let _ = parse_line(&bytes);
            let _ = parse_binary(fixed, &bytes);
            let _ = binary(command, family, &bytes);
        }
    }
}
