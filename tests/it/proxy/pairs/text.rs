//! Bytes as text that people read: escaped, and without what differs from run to run.

use std::{fmt::Write as _, sync::LazyLock};

use regex::{Captures, Regex};

/// A byte that stands this often in a row is counted.
const RUN_MIN: usize = 64;

/// The bytes of a form's text: a line's end is CRLF, `␊`, `␍` and `␀` are bare, and other characters are Latin-1.
pub(super) fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = vec![];
    for character in text.chars() {
        match character {
            '\n' => bytes.extend_from_slice(b"\r\n"),
            '␊' => bytes.push(b'\n'),
            '␍' => bytes.push(b'\r'),
            '␀' => bytes.push(0),
            other => bytes.push(u8::try_from(u32::from(other)).unwrap()),
        }
    }
    bytes
}

/// One line a line, each with its end written out.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = bytes;
    while let Some(&first) = rest.first() {
        let run = rest.iter().take_while(|&&byte| byte == first).count();
        if run >= RUN_MIN {
            write!(text, "{{{}*{run}}}", first.escape_ascii()).unwrap();
            rest = &rest[run..];
            continue;
        }
        match rest {
            [b'\r', b'\n', ..] => {
                text.push_str("\\r\\n\n");
                rest = &rest[1..];
            }
            [b'\n', ..] => text.push_str("\\n\n"),
            [b'"' | b'\'', ..] => text.push(char::from(first)),
            _ => write!(text, "{}", first.escape_ascii()).unwrap(),
        }
        rest = &rest[1..];
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// A part of a file.
pub(super) fn section(title: &str, text: &str) -> String {
    format!("=== {title}\n{text}")
}

/// The text with a word in the place of each value that no two runs share.
pub(super) fn masked(text: &str) -> String {
    static MASKS: LazyLock<[(Regex, &str); 10]> = LazyLock::new(|| {
        [
            (r"(?mi)^(date: )[^\\\n]*\d GMT", "${1}{date}"),
            (r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", "{traceparent}"),
            (r"\b[0-9a-f]{32}\b", "{id}"),
            (r"127\.0\.0\.1:\d+", "127.0.0.1:{port}"),
            (r"[0-9A-Za-z_-]{20,}\.[0-9A-Za-z_-]{20,}\.[0-9A-Za-z_-]{20,}", "{jwt}"),
            (r"[1-9A-HJ-NP-Za-km-z]{60,}", "{sealed}"),
            (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "{uuid}"),
            (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{3}Z)?", "{time}"),
            (r"\b1[789]\d{8}\b", "{seconds}"),
            // A sealed token's length differs by a character.
            (r"(?mi)^(content-length: )\d+((?:\\r\\n)?\n(?:[^=\n][^\n]*\n)*[^\n]*\{sealed\})", "${1}{length}${2}"),
        ]
        .map(|(pattern, word)| (Regex::new(pattern).unwrap(), word))
    });
    // Those that the forms themselves send stay.
    let kept = ["4bf92f3577b34da6", "06 Nov 1994"];
    MASKS.iter().fold(text.to_owned(), |text, (pattern, word)| {
        let mask = |found: &Captures<'_>| {
            let mut masked = String::new();
            found.expand(word, &mut masked);
            if kept.iter().any(|kept| found[0].contains(kept)) { found[0].to_owned() } else { masked }
        };
        pattern.replace_all(&text, mask).into_owned()
    })
}

/// Lines that one text has and the other has not, without those at both ends that are the same.
pub(super) fn difference(known: &str, now: &str) -> String {
    let (known, now): (Vec<_>, Vec<_>) = (known.lines().collect(), now.lines().collect());
    let same = known.iter().zip(&now).take_while(|(known, now)| known == now).count();
    let (known, now) = (&known[same..], &now[same..]);
    let end = known.iter().rev().zip(now.iter().rev()).take_while(|(known, now)| known == now).count();
    let known = known[..known.len() - end].iter().map(|line| format!("- {line}\n"));
    known.chain(now[..now.len() - end].iter().map(|line| format!("+ {line}\n"))).collect::<Vec<_>>().concat()
}
