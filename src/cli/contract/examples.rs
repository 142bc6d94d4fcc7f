//! Recorded exchanges in files: the golden format of `tests/golden`, and HAR.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use super::{archive, example::Example};
use crate::rules::contract::{Endpoint, Recorded};

/// Bytes of a file with recordings, at most.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Files of a folder, at most.
const FILES_MAX: usize = 10_000;

/// Reads files and folders.
///
/// # Errors
/// What cannot be read, and that there is nothing.
pub(super) fn read_all(paths: &[PathBuf]) -> Result<Vec<Example>, String> {
    let mut all = vec![];
    for path in paths {
        all.extend(read(path)?);
    }
    if all.is_empty() {
        return Err("there is no exchange in what was named: files end in .http or .har".to_owned());
    }
    Ok(all)
}

/// Reads a file, or every file of a folder that ends in `.http` or `.har`.
///
/// # Errors
/// What cannot be read, and where.
fn read(path: &Path) -> Result<Vec<Example>, String> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries = fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
        files = entries
            .take(FILES_MAX)
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|file| is_example(file.as_path()))
            .collect();
        files.sort();
    }
    let mut examples = vec![];
    for file in files {
        examples.extend(read_file(&file)?);
    }
    Ok(examples)
}

fn is_example(file: &Path) -> bool {
    file.extension().is_some_and(|kind| kind == "http" || kind == "har")
}

fn read_file(file: &Path) -> Result<Vec<Example>, String> {
    let name = file.display().to_string();
    let mut text = String::new();
    let opened = File::open(file).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    opened.map_err(|error| format!("{name}: {error}"))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{name}: it has more than {FILE_BYTES_MAX} bytes"));
    }
    if file.extension().is_some_and(|kind| kind == "har") { archive::read(&name, &text) } else { golden(&name, &text) }
}

/// One message of a golden exchange.
#[derive(Default)]
struct Message {
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Message {
    fn add(&mut self, line: &str) {
        match (&mut self.body, line.split_once(':')) {
            (Some(body), _) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, Some((name, value))) => self.headers.push((name.to_owned(), value.trim_start().to_owned())),
            (None, None) => self.body = Some(String::new()),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Line feeds at the end belong to the format.
    fn body(&self) -> Vec<u8> {
        placed(self.body.as_deref().unwrap_or_default().trim_end_matches('\n'))
    }
}

/// A golden exchange, as it is written.
struct Exchange {
    line: usize,
    /// Method and target.
    start: String,
    request: Message,
    /// Status and answer.
    answer: Option<(u16, Message)>,
}

fn golden(name: &str, text: &str) -> Result<Vec<Example>, String> {
    let mut exchanges: Vec<Exchange> = vec![];
    for (index, line) in text.lines().enumerate() {
        let wrong = |what: &str| format!("{name}:{}: {what}", index + 1);
        if let Some(start) = line.strip_prefix(">>> ") {
            exchanges.push(Exchange {
                line: index + 1,
                start: start.to_owned(),
                request: Message::default(),
                answer: None,
            });
        } else if let Some(status) = line.strip_prefix("<<< ") {
            let status = status.trim().parse().map_err(|_| wrong("a status is a number"))?;
            let Some(exchange) = exchanges.last_mut() else { return Err(wrong("an answer without a request")) };
            exchange.answer = Some((status, Message::default()));
        } else {
            match exchanges.last_mut() {
                None if line.is_empty() || line.starts_with('#') => {}
                None => return Err(wrong("before the first '>>>' stand comments with '#' alone")),
                Some(Exchange { answer: Some((_, answer)), .. }) => answer.add(line),
                Some(Exchange { request, .. }) => request.add(line),
            }
        }
    }
    exchanges.into_iter().map(|exchange| of_golden(name, exchange)).collect()
}

fn of_golden(name: &str, exchange: Exchange) -> Result<Example, String> {
    let Exchange { line, start, request, answer } = exchange;
    let place = format!("{name}:{line}");
    let (status, answer) = answer.ok_or_else(|| format!("{place}: a request without an answer"))?;
    let (method, target) = start.split_once(' ').ok_or_else(|| format!("{place}: a request is METHOD TARGET"))?;
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let recorded = Recorded {
        method: method.parse().map_err(|_| format!("{place}: '{method}' is no method"))?,
        query: query.map(str::to_owned),
        content_type: request.header("content-type").map(placed),
        authorization: request
            .header("authorization")
            .map(|value| String::from_utf8_lossy(&placed(value)).into_owned()),
        request: request.body(),
        to: Endpoint::Route,
        status,
        answer_type: answer.header("content-type").map(str::to_owned),
        answer: answer.body(),
    };
    Ok(Example { place, path: path.to_owned(), recorded, lacks: None })
}

/// What stands in the place of tokens: nobody signed or sealed them.
const PLACED_JWT: &[u8] = b"eyJhbGciOiJIUzI1NiJ9.e30.AAAAAAAAAAAAAAAAAAAAAA";
const PLACED_SEALED: &[u8] = b"1111111111111111111111AAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A text with something in the place of each placeholder: it differs from run to run.
fn placed(text: &str) -> Vec<u8> {
    let mut bytes = vec![];
    let mut rest = text;
    while let Some((before, (name, after))) =
        rest.split_once("{{").and_then(|(before, tail)| Some((before, tail.split_once("}}")?)))
    {
        bytes.extend_from_slice(before.as_bytes());
        match name.split_once(':').unwrap_or((name, "")) {
            ("bom", _) => bytes.extend_from_slice(b"\xef\xbb\xbf"),
            ("byte", hex) => bytes.push(u8::from_str_radix(hex, 16).unwrap_or_default()),
            ("fill", count) => {
                bytes.resize(bytes.len() + count.parse::<usize>().unwrap_or_default().min(1 << 20), b'a');
            }
            ("jwt" | "token", _) => bytes.extend_from_slice(PLACED_JWT),
            ("sealed", _) => bytes.extend_from_slice(PLACED_SEALED),
            ("unix", _) => bytes.extend_from_slice(b"1700000000"),
            ("local-date", _) => bytes.extend_from_slice(b"2026-01-16 23:59:59"),
            ("iso-ms", _) => bytes.extend_from_slice(b"2026-01-16T23:59:59.000Z"),
            _ => bytes.extend_from_slice(name.as_bytes()),
        }
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}
