//! Frames and heads as bytes.

use super::super::h2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE,
    frame,
};

/// The flag of SETTINGS and PING.
pub(in crate::listeners) const ACK: u8 = 1;
/// The flag of DATA and HEADERS whose payload begins with the length of their padding.
pub(in crate::listeners) const PADDED: u8 = 8;
/// The flag of HEADERS whose payload begins with a priority.
pub(in crate::listeners) const PRIORITISED: u8 = 0x20;
/// The flags of a head without a body, in one frame.
pub(in crate::listeners) const WHOLE: u8 = END_STREAM | END_HEADERS;

/// The frame that a client never sends (section 8.4).
pub(in crate::listeners) const PUSH_PROMISE: u8 = 5;
/// A type that no document defines.
pub(in crate::listeners) const UNKNOWN: u8 = 0x16;

pub(in crate::listeners) const NO_ERROR: u32 = 0;
pub(in crate::listeners) const PROTOCOL_ERROR: u32 = 1;
pub(in crate::listeners) const FLOW_CONTROL_ERROR: u32 = 3;
pub(in crate::listeners) const STREAM_CLOSED: u32 = 5;
pub(in crate::listeners) const FRAME_SIZE_ERROR: u32 = 6;
pub(in crate::listeners) const REFUSED_STREAM: u32 = 7;
pub(in crate::listeners) const CANCEL: u32 = 8;
pub(in crate::listeners) const COMPRESSION_ERROR: u32 = 9;

pub(in crate::listeners) const HEADER_TABLE_SIZE: u16 = 1;
pub(in crate::listeners) const ENABLE_PUSH: u16 = 2;
pub(in crate::listeners) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(in crate::listeners) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(in crate::listeners) const MAX_FRAME_SIZE: u16 = 5;
pub(in crate::listeners) const MAX_HEADER_LIST_SIZE: u16 = 6;

/// A frame that came.
#[derive(Clone, Debug)]
pub(in crate::listeners) struct Frame {
    pub(in crate::listeners) kind: u8,
    pub(in crate::listeners) flags: u8,
    pub(in crate::listeners) stream: u32,
    pub(in crate::listeners) payload: Vec<u8>,
}

impl Frame {
    /// Takes the first frame off the bytes that came, once it is whole.
    pub(in crate::listeners) fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let [a, b, c, kind, flags, stream @ ..] = *bytes.first_chunk::<9>()?;
        let end = 9 + usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
        let payload = bytes.get(9..end)?.to_owned();
        bytes.drain(..end);
        Some(Self { kind, flags, stream: u32::from_be_bytes(stream) & 0x7fff_ffff, payload })
    }

    /// Whether it is the last of its stream.
    pub(in crate::listeners) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// The code in a GOAWAY or a `RST_STREAM`.
    pub(in crate::listeners) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        self.payload.get(at..).and_then(|rest| rest.first_chunk()).map_or(u32::MAX, |code| u32::from_be_bytes(*code))
    }

    /// The `:status` of a head. The answer comes without a dynamic table: we allow none.
    pub(in crate::listeners) fn status(&self) -> u16 {
        let block = if self.flags & PADDED == 0 { &self.payload[..] } else { &self.payload[1..] };
        // Updates of the table's size come first.
        let rest = block.iter().position(|byte| byte & 0xe0 != 0x20).map_or(&[][..], |at| &block[at..]);
        match rest {
            [indexed @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
            [0x08 | 0x18 | 0x48, 3, digits @ ..] => {
                digits.iter().take(3).fold(0, |status, digit| status * 10 + u16::from(digit.wrapping_sub(b'0')))
            }
            [0x08 | 0x18 | 0x48, length @ 0x80..=0xff, coded @ ..] => {
                huffman_number(&coded[..usize::from(length & 0x7f).min(coded.len())])
            }
            _ => 0,
        }
    }
}

/// A number in the code of RFC 7541 appendix B: the digits 0 to 2 have five bits, the others six.
fn huffman_number(coded: &[u8]) -> u16 {
    let bits: Vec<u16> = coded.iter().flat_map(|byte| (0..8).rev().map(move |at| u16::from(byte >> at & 1))).collect();
    let (mut number, mut rest) = (0, &bits[..]);
    let value = |bits: &[u16]| bits.iter().fold(0, |value, bit| value << 1 | bit);
    while rest.len() >= 5 {
        let (digit, length) = match value(&rest[..5]) {
            short @ 0..=2 => (short, 5),
            _ if rest.len() >= 6 && (0x19..=0x1f).contains(&value(&rest[..6])) => (value(&rest[..6]) - 0x19 + 3, 6),
            _ => break,
        };
        number = number * 10 + digit;
        rest = &rest[length..];
    }
    number
}

pub(in crate::listeners) fn data(stream: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, payload)
}

pub(in crate::listeners) fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, flags, stream, block)
}

pub(in crate::listeners) fn continuation(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(CONTINUATION, flags, stream, block)
}

/// A PRIORITY frame of RFC 7540 section 5.3, which RFC 9113 only parses.
pub(in crate::listeners) fn priority(stream: u32, depends_on: u32, weight: u8) -> Vec<u8> {
    frame(PRIORITY, 0, stream, &[&depends_on.to_be_bytes()[..], &[weight]].concat())
}

pub(in crate::listeners) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub(in crate::listeners) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let bytes = |(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &values.iter().flat_map(bytes).collect::<Vec<u8>>())
}

pub(in crate::listeners) fn ping(flags: u8, payload: [u8; 8]) -> Vec<u8> {
    frame(PING, flags, 0, &payload)
}

/// A GOAWAY that names no stream.
pub(in crate::listeners) fn goaway(code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[[0; 4], code.to_be_bytes()].concat())
}

pub(in crate::listeners) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

/// An integer with a prefix of so many bits (RFC 7541 section 5.1), below the pattern that its first byte has.
pub(in crate::listeners) fn integer(pattern: u8, prefix: u32, value: u32) -> Vec<u8> {
    let most = (1 << prefix) - 1;
    if value < most {
        return vec![pattern | u8::try_from(value).unwrap()];
    }
    let (mut bytes, mut rest) = (vec![pattern | u8::try_from(most).unwrap()], value - most);
    while rest >= 128 {
        bytes.push(0x80 | u8::try_from(rest % 128).unwrap());
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

/// A field as a literal without indexing, with a new name (RFC 7541 section 6.2.2).
pub(in crate::listeners) fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [integer(0, 7, text.len().try_into().unwrap()), text.as_bytes().to_owned()].concat();
    [vec![0], text(name), text(value)].concat()
}

/// A field with a value of four thousand bytes: a fifth one does not fit into the smallest frame size.
pub(in crate::listeners) fn large_field() -> Vec<u8> {
    field("x-large", &"l".repeat(4000))
}

/// The fields of a request.
#[derive(Clone, Debug)]
pub(in crate::listeners) struct Head(pub(in crate::listeners) Vec<(&'static str, &'static str)>);

impl Head {
    /// With another field at the end.
    pub(in crate::listeners) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.0.push((name, value));
        self
    }

    /// With another field before all others.
    pub(in crate::listeners) fn first(mut self, name: &'static str, value: &'static str) -> Self {
        self.0.insert(0, (name, value));
        self
    }

    pub(in crate::listeners) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(given, _)| *given != name);
        self
    }

    /// With another value of the field.
    pub(in crate::listeners) fn set(mut self, name: &str, value: &'static str) -> Self {
        for field in self.0.iter_mut().filter(|(given, _)| *given == name) {
            field.1 = value;
        }
        self
    }

    /// The target that a server of HTTP/1 is asked for.
    pub(in crate::listeners) fn target(&self) -> String {
        let path = self.0.iter().find(|(name, _)| *name == ":path").map_or("", |(_, path)| path);
        path.split('#').next().unwrap_or_default().to_owned()
    }

    /// The block that it is in HPACK.
    pub(in crate::listeners) fn block(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(name, value)| field(name, value)).collect()
    }
}
