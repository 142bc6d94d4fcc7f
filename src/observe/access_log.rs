//! The access log: one JSON line a request, on standard output. Its fields are a contract, see
//! `docs/observability.md`. It holds no query, no header value, no token and no body.

use std::{cell::RefCell, net::IpAddr, time::Duration};

use serde::Serialize;

use super::lines::Lines;
use crate::domain::Timestamp;

/// Bytes of a path or method that are logged: a stranger may send as much as a head holds.
const TEXT_BYTES_MAX: usize = 2048;

/// One request.
#[derive(Debug, Serialize)]
pub struct Entry<'a> {
    /// When it ended, RFC 3339.
    pub timestamp: Time,
    /// Always `access`: tells these lines from events.
    pub kind: &'static str,
    /// The id that the upstream got too.
    pub request_id: &'a str,
    /// Who sent it.
    pub client: Option<IpAddr>,
    /// The method.
    pub method: &'a str,
    /// The host, in lower case.
    pub host: Option<&'a str>,
    /// The canonical path without query; absent when it has no single meaning.
    pub path: Option<&'a str>,
    /// The route's name, or the token endpoint's path.
    pub route: Option<&'a str>,
    /// The status that was answered; 0 when the client had gone.
    pub status: u16,
    /// `forward`, `shadow`, `deny`, `endpoint` or `error`.
    pub decision: &'static str,
    /// Why.
    pub reason: &'a str,
    /// The realm and uuid of whom the token spoke for.
    pub principal: Option<Principal<'a>>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// Milliseconds from the head to the end.
    pub duration_ms: f64,
    /// Milliseconds of them spent waiting for the upstream's head.
    pub upstream_ms: Option<f64>,
    /// The upstream server's address.
    pub upstream: Option<&'a str>,
}

/// Whom a token spoke for.
#[derive(Debug, Serialize)]
pub struct Principal<'a> {
    /// Its realm.
    pub realm: &'a str,
    /// Its uuid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// A point in time, printed as RFC 3339 with milliseconds.
#[derive(Debug)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = self.0.as_millis();
        let (second, rest) = (millis.div_euclid(1000), millis.rem_euclid(1000));
        SECOND.with_borrow_mut(|(last, text)| {
            if *last != second || text.is_empty() {
                let Ok(time) = jiff::Timestamp::from_second(second) else { return serializer.serialize_none() };
                (*last, *text) = (second, format!("{time:.3}"));
            }
            // It ends in `.000Z`.
            let at = text.len() - 4;
            text.replace_range(at..at + 3, &format!("{rest:03}"));
            serializer.serialize_str(text)
        })
    }
}

/// Milliseconds, for the log.
#[must_use]
pub fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// As much of a client's text as is logged.
#[must_use]
pub fn capped(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

thread_local! {
    /// The second that was printed last, as it is printed: one has many requests.
    static SECOND: RefCell<(i64, String)> = const { RefCell::new((0, String::new())) };

    /// Where a line is put together.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(vec![]) };
}

/// The access log.
#[derive(Clone, Debug)]
pub struct AccessLog(Lines);

impl AccessLog {
    /// An access log that is written to `lines`.
    #[must_use]
    pub const fn new(lines: Lines) -> Self {
        Self(lines)
    }

    /// Queues a line.
    pub fn write(&self, entry: &Entry<'_>) {
        LINE.with_borrow_mut(|line| {
            line.clear();
            if serde_json::to_writer(&mut *line, entry).is_ok() {
                line.push(b'\n');
                self.0.push(line);
            }
        });
    }

    /// Lines that were dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_json_object_and_escapes_what_clients_send() {
        let entry = Entry {
            timestamp: Time(Timestamp::from_millis(1_700_000_000_123)),
            kind: "access",
            request_id: "r",
            client: Some([127, 0, 0, 1].into()),
            method: "GET",
            host: Some("a\"\n"),
            path: None,
            route: None,
            status: 404,
            decision: "deny",
            reason: "no_route",
            principal: None,
            bytes_in: 0,
            bytes_out: 1,
            duration_ms: millis(Duration::from_micros(1234)),
            upstream_ms: None,
            upstream: None,
        };
        let line = serde_json::to_string(&entry).unwrap();
        assert!(line.starts_with(r#"{"timestamp":"2023-11-14T22:13:20.123Z","kind":"access""#), "{line}");
        for (millis, text) in [(1_700_000_000_009, "20.009Z"), (1_700_000_001_000, "21.000Z"), (-1, "59.999Z")] {
            let printed = serde_json::to_string(&Time(Timestamp::from_millis(millis))).unwrap();
            assert!(printed.ends_with(&format!("{text}\"")), "{printed}");
        }
        assert!(line.contains(r#""host":"a\"\n""#) && line.contains(r#""duration_ms":1.234"#), "{line}");
    }
}
