//! A login's body and its password do not stay in memory: this process looks for them in its own.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the whole crate is a test: a failed unwrap is a failed test")]

use std::{
    fs::{self, File},
    ops::Range,
    os::unix::fs::FileExt,
};

use portero::{
    domain::json::SecretObject,
    rules::contract::oauth::{FORM, form::Form},
};

/// Bytes of the secret: far more than an allocator writes into what was given back.
const SECRET_BYTES: usize = 600;

/// The secret's letters, which stand nowhere in the program: each is computed, and no two pieces are the same.
fn letter(at: usize) -> u8 {
    let mixed = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    b'a' + u8::try_from((mixed >> 33) % 26).unwrap()
}

fn secret() -> Vec<u8> {
    (0..SECRET_BYTES).map(letter).collect()
}

/// Where the secret is looked for, of all its letters.
const MIDDLE: Range<usize> = 300..340;

/// How often the middle of the secret stands in writable memory, but for the buffer that this is looked for with.
fn found() -> usize {
    let mut buffer = vec![0; 64 << 10];
    let own = buffer.as_ptr().addr() as u64..buffer.as_ptr().addr() as u64 + buffer.len() as u64;
    let memory = File::open("/proc/self/mem").unwrap();
    let mut found = 0;
    for line in fs::read_to_string("/proc/self/maps").unwrap().lines() {
        let (range, rights) = line.split_once(' ').unwrap();
        if !rights.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        for (mut at, end) in [(start, end.min(own.start)), (start.max(own.end), end)] {
            while at < end {
                let length = buffer.len().min(usize::try_from(end - at).unwrap());
                let piece = &mut buffer[..length];
                if memory.read_exact_at(piece, at).is_err() {
                    break;
                }
                let is_middle = |window: &&[u8]| MIDDLE.zip(*window).all(|(at, &byte)| byte == letter(at));
                found += piece.windows(MIDDLE.len()).filter(is_middle).count();
                // What is cut in two stands in the next piece as a whole.
                let step = if length == buffer.len() { length - MIDDLE.len() + 1 } else { length };
                at += step as u64;
            }
        }
    }
    buffer.fill(0);
    found
}

/// A text in one piece of memory: one that grows leaves copies behind.
fn text(parts: &[&str]) -> String {
    let mut text = String::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        text.push_str(part);
    }
    text
}

#[test]
fn nothing_is_left_of_a_password() {
    let secret = &*String::from_utf8(secret()).unwrap();
    let body = text(&[r#"{"username":"ana","password":""#, secret, r#"","more":{"again":[""#, secret, r#""]}}"#]);
    let twice = text(&[r#"{"password":""#, secret, r#"","password":""}"#]);
    let form = text(&["client_id=ana&client_secret=", secret]);
    assert_eq!(found(), 5, "the secret, and four times in what is read");
    let object = SecretObject::parse(body.as_bytes());
    assert!(object.members().is_ok());
    assert_eq!(found(), 7);
    drop(object);
    assert_eq!(found(), 5, "after an object");
    assert!(SecretObject::parse(twice.as_bytes()).members().is_err());
    assert_eq!(found(), 5, "after what is no object");
    let read = Form::read(Some(FORM.as_bytes()), form.as_bytes()).ok().unwrap();
    assert_eq!(read.get("client_secret"), Some(secret));
    assert_eq!(found(), 6);
    drop(read);
    assert_eq!(found(), 5, "after a form");
}
