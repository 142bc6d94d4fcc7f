//! Replays every exchange of `tests/golden` against one demo, byte for byte. The format is described
//! in `tests/golden/README.md`.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use crate::support::{Connection, Gateway, Request, own_address};

#[test]
fn every_golden_exchange_is_answered_as_it_is_written() {
    replay(&Gateway::demo(), "tests/golden", 200);
}

/// Replays every exchange of the folders of `golden`, at least so many.
pub(crate) fn replay(gateway: &Gateway, golden: &str, at_least: usize) {
    let (mut exchanges, mut mismatches) = (0, String::new());
    for file in files(golden) {
        let mut captured = vec![];
        let address = own_address();
        for exchange in parse(&fs::read_to_string(&file).unwrap(), &file) {
            exchanges += 1;
            let request = exchange.request(&captured);
            let answer = Connection::open_from(address, gateway.front).send(&request);
            for difference in exchange.differences(&answer, &mut captured) {
                let place = format!("{}:{}", file.display(), exchange.line);
                writeln!(mismatches, "{place}: {}\n{difference}\n", exchange.target).unwrap();
            }
        }
    }
    assert!(mismatches.is_empty(), "\n{mismatches}");
    assert!(exchanges >= at_least, "only {exchanges} exchanges were found");
}

fn files(golden: &str) -> Vec<PathBuf> {
    // A folder with a contract's file has recordings of another server: `contract test` reads those.
    let ours = |path: &PathBuf| path.is_dir() && !path.join("contract.toml").exists();
    let folders = fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path()).filter(ours);
    let entries = folders.flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|kind| kind == "http")).collect();
    files.sort();
    files
}

/// One request with the answer to it.
#[derive(Debug, Default)]
struct Exchange {
    line: usize,
    method: String,
    target: String,
    request: Message,
    status: u16,
    answer: Message,
}

/// What stands below a `>>>` or `<<<` line.
#[derive(Debug, Default)]
struct Message {
    headers: Vec<(String, String)>,
    body: Option<String>,
}

fn parse(text: &str, file: &Path) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = vec![];
    let mut message: Option<&mut Message> = None;
    for (index, line) in text.lines().enumerate() {
        if let Some(start) = line.strip_prefix(">>> ") {
            let (method, target) = start.split_once(' ').unwrap();
            let (method, target) = (method.to_owned(), target.to_owned());
            exchanges.push(Exchange { line: index + 1, method, target, ..Exchange::default() });
            message = exchanges.last_mut().map(|exchange| &mut exchange.request);
        } else if let Some(status) = line.strip_prefix("<<< ") {
            let exchange = exchanges.last_mut().unwrap();
            exchange.status = status.parse().unwrap();
            message = Some(&mut exchange.answer);
        } else {
            match &mut message {
                None => assert!(line.starts_with('#'), "{}:{}: no comment", file.display(), index + 1),
                Some(message) => message.add(line),
            }
        }
    }
    exchanges
}

impl Message {
    fn add(&mut self, line: &str) {
        match &mut self.body {
            Some(body) => {
                body.push_str(line);
                body.push('\n');
            }
            None if line.is_empty() => self.body = Some(String::new()),
            None => {
                let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line}"));
                self.headers.push((name.to_owned(), value.strip_prefix(' ').unwrap_or(value).to_owned()));
            }
        }
    }

    /// Line feeds at the end belong to the format.
    fn body(&self) -> &str {
        self.body.as_deref().unwrap_or_default().trim_end_matches('\n')
    }
}

impl Exchange {
    fn request(&self, captured: &[String]) -> Request {
        let target = String::from_utf8(expand(&self.target, captured)).unwrap();
        let request = Request::new(&self.method, &target);
        let headers = self.request.headers.iter();
        let request = headers.fold(request, |request, (name, value)| request.header(name, expand(value, captured)));
        let body = expand(self.request.body(), captured);
        if body.is_empty() { request } else { request.body(body) }
    }

    /// What the answer has otherwise than it is written.
    fn differences(&self, answer: &crate::support::Response, captured: &mut Vec<String>) -> Vec<String> {
        let mut differences = vec![];
        if answer.status != self.status {
            differences.push(format!("- status {}\n+ status {}", self.status, answer.status));
        }
        for (name, value) in &self.answer.headers {
            if answer.header(name) != Some(value) {
                differences.push(format!("- {name}: {value}\n+ {name}: {:?}", answer.header(name)));
            }
        }
        let body = answer.text();
        if !matches(self.answer.body(), &body, captured) {
            differences.push(format!("- {}\n+ {body}", self.answer.body()));
        }
        differences
    }
}

/// The bytes that a text with placeholders stands for in a request.
fn expand(text: &str, captured: &[String]) -> Vec<u8> {
    let mut bytes = vec![];
    let mut rest = text;
    while let Some((before, name, after)) = next_placeholder(rest) {
        bytes.extend_from_slice(before.as_bytes());
        match name.split_once(':').unwrap_or((name, "1")) {
            ("token", number) => bytes.extend_from_slice(captured[number.parse::<usize>().unwrap() - 1].as_bytes()),
            ("bom", _) => bytes.extend_from_slice(b"\xef\xbb\xbf"),
            ("byte", hex) => bytes.push(u8::from_str_radix(hex, 16).unwrap()),
            ("fill", count) => bytes.resize(bytes.len() + count.parse::<usize>().unwrap(), b'a'),
            _ => panic!("no placeholder of requests: {name}"),
        }
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// Whether an answer's body is what the text with placeholders says; captures tokens.
fn matches(pattern: &str, body: &str, captured: &mut Vec<String>) -> bool {
    let Some((before, name, after)) = next_placeholder(pattern) else { return pattern == body };
    let Some(body) = body.strip_prefix(before) else { return false };
    if name == "any" {
        return after.is_empty();
    }
    // What stands behind a placeholder is never part of what it stands for.
    let end = after.chars().next().and_then(|next| body.find(next)).unwrap_or(body.len());
    let (value, rest) = body.split_at(end);
    let is_jwt = || {
        value.split('.').count() == 3 && value.split('.').all(|part| !part.is_empty() && part.bytes().all(is_base64url))
    };
    let fits = match name {
        "jwt" => is_jwt(),
        "sealed" => (60..=200).contains(&value.len()) && value.bytes().all(is_base58),
        "local-date" => has_shape(value, "0000-00-00 00:00:00"),
        "iso-ms" => has_shape(value, "0000-00-00T00:00:00.000Z"),
        "unix" => has_shape(value, "0000000000"),
        "uuid" => has_shape(value, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"),
        _ => panic!("no placeholder of answers: {name}"),
    };
    if matches!(name, "jwt" | "sealed") {
        captured.push(value.to_owned());
    }
    fits && matches(after, rest, captured)
}

fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (name, after) = rest.split_once("}}")?;
    Some((before, name, after))
}

/// `0` stands for a digit, `x` for a lower-case hexadecimal one, everything else for itself.
fn has_shape(value: &str, shape: &str) -> bool {
    let fits = |(byte, shape): (u8, u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        b'x' => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        other => byte == other,
    };
    value.len() == shape.len() && value.bytes().zip(shape.bytes()).all(fits)
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn is_base58(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() && !b"0OIl".contains(&byte)
}
