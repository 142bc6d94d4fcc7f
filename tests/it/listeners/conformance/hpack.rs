//! RFC 7541. The coded strings are those of its appendix C.4.3.

use super::{
    super::h2::END_HEADERS,
    case::{Case, Verdict},
    peer::Peer,
    wire::{COMPRESSION_ERROR, HEADER_TABLE_SIZE, WHOLE, data, headers, integer},
};

/// `custom-key: custom-value`, both with their lengths.
const PLAIN: &[u8] = b"\x0acustom-key\x0ccustom-value";
/// The same in the code of appendix B.
const CODED: &[u8] = b"\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf";
/// `custom-value` alone.
const PLAIN_VALUE: &[u8] = b"\x0ccustom-value";
const CODED_VALUE: &[u8] = b"\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf";

/// The place of `user-agent` in the static table.
const USER_AGENT: u32 = 58;
/// The first place of the dynamic table.
const NEWEST: u32 = 62;
/// `SETTINGS_HEADER_TABLE_SIZE` before a server changes it.
const TABLE_BYTES: u32 = 4096;

pub(super) const CASES: &[Case] = &[
    Case::new("RFC 7541 2.3.3", "an index beyond both tables is an error", |peer| {
        is_refused(peer, &[integer(0x80, 7, 126)])
    }),
    Case::new("RFC 7541 2.3.3, 6.2.1", "a field that was indexed is known in the next block", |peer| {
        peer.send(&[headers(1, WHOLE, &[peer.get(), b"\x40".to_vec(), PLAIN.to_owned()].concat())]);
        peer.is_answered(1)?;
        peer.send(&[headers(3, WHOLE, &[peer.get(), integer(0x80, 7, NEWEST)].concat())]);
        peer.is_answered(3)
    })
    .beyond_h2spec(),
    Case::new("RFC 7541 4.2, 6.3", "the table's size changes at the beginning of a block", |peer| {
        peer.send(&[headers(1, WHOLE, &[integer(0x20, 5, 0), peer.get()].concat())]);
        peer.is_answered(1)
    }),
    Case::new("RFC 7541 4.2", "the table's size changes twice at the beginning of a block", |peer| {
        let sizes = [integer(0x20, 5, 0), integer(0x20, 5, TABLE_BYTES)].concat();
        peer.send(&[headers(1, WHOLE, &[sizes, peer.get()].concat())]);
        peer.is_answered(1)
    }),
    Case::new("RFC 7541 4.2", "a change of the table's size at the end of a block is an error", |peer| {
        is_refused(peer, &[integer(0x20, 5, 1)])
    }),
    Case::new("RFC 7541 4.4", "a table that became empty has no entry", |peer| {
        peer.send(&[headers(1, WHOLE, &[peer.get(), b"\x40".to_vec(), PLAIN.to_owned()].concat())]);
        peer.is_answered(1)?;
        let block = [integer(0x20, 5, 0), peer.get(), integer(0x80, 7, NEWEST)].concat();
        peer.send(&[headers(3, WHOLE, &block)]);
        peer.is_refused(&[COMPRESSION_ERROR])
    })
    .beyond_h2spec(),
    Case::new("RFC 7541 5.1", "an integer without end is an error", |peer| is_refused(peer, &[vec![0xff; 16]]))
        .beyond_h2spec(),
    Case::new("RFC 7541 5.2", "a string that is longer than its block is an error", |peer| {
        is_refused(peer, &[b"\x00\x0acustom".to_vec()])
    })
    .beyond_h2spec(),
    Case::new("RFC 7541 5.2", "padding of more than 7 bits is an error", |peer| {
        // Another byte of ones behind the coded value.
        let padded = [b"\x8a", &CODED_VALUE[1..], b"\xff"].concat();
        is_refused(peer, &[integer(0, 4, USER_AGENT), padded])
    }),
    Case::new("RFC 7541 5.2", "padding with zeros is an error", |peer| {
        // An `a`, and three bits.
        is_refused(peer, &[integer(0, 4, USER_AGENT), b"\x81\x18".to_vec()])
    }),
    Case::new("RFC 7541 5.2", "a coded string with EOS is an error", |peer| {
        // 30 ones, an `a`, and padding.
        is_refused(peer, &[integer(0, 4, USER_AGENT), b"\x85\xff\xff\xff\xfc\x7f".to_vec()])
    }),
    Case::new("RFC 7541 6.1", "an indexed field is taken", |peer| is_taken(peer, &[integer(0x80, 7, USER_AGENT)])),
    Case::new("RFC 7541 6.1", "index 0 is an error", |peer| is_refused(peer, &[integer(0x80, 7, 0)])),
    Case::new("RFC 7541 6.2.1", "a literal with indexing and an indexed name is taken", |peer| {
        is_taken(peer, &[integer(0x40, 6, USER_AGENT), PLAIN_VALUE.to_owned()])
    }),
    Case::new("RFC 7541 6.2.1", "a literal with indexing and an indexed name is taken, coded", |peer| {
        is_taken(peer, &[integer(0x40, 6, USER_AGENT), CODED_VALUE.to_owned()])
    }),
    Case::new("RFC 7541 6.2.1", "a literal with indexing and a new name is taken", |peer| {
        is_taken(peer, &[b"\x40".to_vec(), PLAIN.to_owned()])
    }),
    Case::new("RFC 7541 6.2.1", "a literal with indexing and a new name is taken, coded", |peer| {
        is_taken(peer, &[b"\x40".to_vec(), CODED.to_owned()])
    }),
    Case::new("RFC 7541 6.2.2", "a literal without indexing and an indexed name is taken", |peer| {
        is_taken(peer, &[integer(0, 4, USER_AGENT), PLAIN_VALUE.to_owned()])
    }),
    Case::new("RFC 7541 6.2.2", "a literal without indexing and an indexed name is taken, coded", |peer| {
        is_taken(peer, &[integer(0, 4, USER_AGENT), CODED_VALUE.to_owned()])
    }),
    Case::new("RFC 7541 6.2.2", "a literal without indexing and a new name is taken", |peer| {
        is_taken(peer, &[b"\0".to_vec(), PLAIN.to_owned()])
    }),
    Case::new("RFC 7541 6.2.2", "a literal without indexing and a new name is taken, coded", |peer| {
        is_taken(peer, &[b"\0".to_vec(), CODED.to_owned()])
    }),
    Case::new("RFC 7541 6.2.3", "a literal that is never indexed and an indexed name is taken", |peer| {
        is_taken(peer, &[integer(0x10, 4, USER_AGENT), PLAIN_VALUE.to_owned()])
    }),
    Case::new("RFC 7541 6.2.3", "a literal that is never indexed and an indexed name is taken, coded", |peer| {
        is_taken(peer, &[integer(0x10, 4, USER_AGENT), CODED_VALUE.to_owned()])
    }),
    Case::new("RFC 7541 6.2.3", "a literal that is never indexed and a new name is taken", |peer| {
        is_taken(peer, &[b"\x10".to_vec(), PLAIN.to_owned()])
    }),
    Case::new("RFC 7541 6.2.3", "a literal that is never indexed and a new name is taken, coded", |peer| {
        is_taken(peer, &[b"\x10".to_vec(), CODED.to_owned()])
    }),
    Case::new("RFC 7541 6.3", "a table larger than SETTINGS_HEADER_TABLE_SIZE is an error", |peer| {
        let size = peer.setting(HEADER_TABLE_SIZE).unwrap_or(TABLE_BYTES) + 1;
        peer.send(&[headers(1, WHOLE, &[integer(0x20, 5, size), peer.get()].concat())]);
        peer.is_refused(&[COMPRESSION_ERROR])
    }),
    Case::new("RFC 7541 2.2, RFC 9113 4.3", "an error in trailers is a connection error too", |peer| {
        peer.send(&[headers(1, END_HEADERS, &peer.post()), data(1, 0, b"body"), headers(1, WHOLE, b"\x80")]);
        peer.is_refused(&[COMPRESSION_ERROR])
    })
    .beyond_h2spec(),
];

/// Sends a GET with these bytes at the end of its block, which are a field.
fn is_taken(peer: &mut Peer, field: &[Vec<u8>]) -> Verdict {
    peer.send(&[headers(1, WHOLE, &[peer.get(), field.concat()].concat())]);
    peer.is_answered(1)
}

/// The same with bytes that cannot be decoded: a connection error (RFC 9113 section 4.3).
fn is_refused(peer: &mut Peer, rest: &[Vec<u8>]) -> Verdict {
    peer.send(&[headers(1, WHOLE, &[peer.get(), rest.concat()].concat())]);
    peer.is_refused(&[COMPRESSION_ERROR])
}
