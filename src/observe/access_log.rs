//! The access log: one JSON line a request, on standard output. Its fields are a contract, see
//! `docs/observability.md`. It holds no query, no header value, no token and no body.

use std::{cell::RefCell, net::IpAddr, time::Duration};

use super::{
    json::{Json, Word, three_digits},
    lines::Lines,
};
use crate::domain::Timestamp;

/// Bytes of a path or method that are logged: a stranger may send as much as a head holds.
const TEXT_BYTES_MAX: usize = 2048;

/// One request. Its fields are written under their names and in this order.
#[derive(Debug)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct Entry<'a> {
    /// When it ended, RFC 3339.
    pub timestamp: Time,
    /// Always `access`: tells these lines from events.
    pub kind: &'static str,
    /// The id that the upstream got too.
    pub request_id: &'a str,
    /// The client that sent it.
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
    pub reason: &'static str,
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

impl Entry<'_> {
    /// Appends the line that tells of it.
    pub fn put(&self, line: &mut Vec<u8>) {
        member(line, r#"{"timestamp":"#, &self.timestamp);
        member(line, r#","kind":"#, &Word(self.kind));
        member(line, r#","request_id":"#, &self.request_id);
        member(line, r#","client":"#, &self.client);
        member(line, r#","method":"#, &self.method);
        member(line, r#","host":"#, &self.host);
        member(line, r#","path":"#, &self.path);
        member(line, r#","route":"#, &self.route);
        member(line, r#","status":"#, &u64::from(self.status));
        member(line, r#","decision":"#, &Word(self.decision));
        member(line, r#","reason":"#, &Word(self.reason));
        member(line, r#","principal":"#, &self.principal);
        member(line, r#","bytes_in":"#, &self.bytes_in);
        member(line, r#","bytes_out":"#, &self.bytes_out);
        member(line, r#","duration_ms":"#, &self.duration_ms);
        member(line, r#","upstream_ms":"#, &self.upstream_ms);
        member(line, r#","upstream":"#, &self.upstream);
        line.extend_from_slice(b"}\n");
    }
}

/// Whom a token spoke for.
#[derive(Debug)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct Principal<'a> {
    /// Its realm.
    pub realm: &'a str,
    /// Its uuid.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    pub subject: Option<&'a str>,
}

impl Json for Principal<'_> {
    fn put(&self, line: &mut Vec<u8>) {
        member(line, r#"{"realm":"#, &self.realm);
        if let Some(subject) = &self.subject {
            member(line, r#","subject":"#, subject);
        }
        line.push(b'}');
    }
}

/// A point in time, printed as RFC 3339 with milliseconds.
#[derive(Debug)]
pub struct Time(pub Timestamp);

impl Json for Time {
    fn put(&self, line: &mut Vec<u8>) {
        let second = self.0.as_secs();
        let millis = self.0.since(Timestamp::from_secs(second)).subsec_millis();
        SECOND.with_borrow_mut(|(last, text)| {
            if *last != second || text.is_empty() {
                let Ok(time) = jiff::Timestamp::from_second(second) else { return line.extend_from_slice(b"null") };
                (*last, *text) = (second, format!("\"{time:.0}").replace('Z', "."));
            }
            line.extend_from_slice(text.as_bytes());
            line.extend_from_slice(&three_digits(millis));
            line.extend_from_slice(b"Z\"");
        });
    }
}

/// A key with the punctuation around it, and its value.
fn member(line: &mut Vec<u8>, key: &str, value: &impl Json) {
    line.extend_from_slice(key.as_bytes());
    value.put(line);
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
    /// The second that was printed last, as it is printed up to its fraction: one has many requests.
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
            entry.put(line);
            self.0.push(line);
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
    use std::ops::Range;

    use proptest::{
        array::{uniform3, uniform5},
        collection::vec,
        option,
        prelude::*,
    };

    use super::*;

    /// Bytes of every kind, those that JSON escapes more often than others.
    const TEXT: &str = r#"[ -~]{0,40}|[\x00-\x7f]{0,20}|(?s:.){0,20}|[a"\\\n\x1f\x7f]{0,8}"#;

    /// Milliseconds that have a date.
    const YEARS: Range<i64> = -377_705_023_201_000..253_402_207_200_000;

    impl serde::Serialize for Time {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let time = jiff::Timestamp::from_millisecond(self.0.as_millis()).ok();
            time.map(|time| format!("{time:.3}")).serialize(serializer)
        }
    }

    fn line(entry: &Entry<'_>) -> String {
        let mut line = vec![];
        entry.put(&mut line);
        String::from_utf8(line).unwrap()
    }

    fn durations() -> impl Strategy<Value = Duration> {
        let short = (0..20_000_000_000_u64).prop_map(Duration::from_nanos);
        prop_oneof![short, (0..10_000_u64).prop_map(Duration::from_millis), any::<Duration>()]
    }

    proptest! {
        #[test]
        fn a_line_is_what_serde_json_writes(
            [request_id, method, realm] in uniform3(TEXT),
            [host, path, route, subject, upstream] in uniform5(option::of(TEXT)),
            is_known in any::<bool>(),
            client in any::<Option<IpAddr>>(),
            (status, bytes_in, bytes_out) in any::<(u16, u64, u64)>(),
            times in vec(prop_oneof![-5_000..5_000_i64, YEARS, any::<i64>()], 1..4),
            (duration, wait) in (durations(), option::of(durations())),
        ) {
            // Several, because the second that was printed last is remembered.
            for time in times {
                let entry = Entry {
                    timestamp: Time(Timestamp::from_millis(time)),
                    kind: "access",
                    request_id: &request_id,
                    client,
                    method: &method,
                    host: host.as_deref(),
                    path: path.as_deref(),
                    route: route.as_deref(),
                    status,
                    decision: "forward",
                    reason: "no_route",
                    principal: is_known.then_some(Principal { realm: &realm, subject: subject.as_deref() }),
                    bytes_in,
                    bytes_out,
                    duration_ms: millis(duration),
                    upstream_ms: wait.map(millis),
                    upstream: upstream.as_deref(),
                };
                prop_assert_eq!(line(&entry), serde_json::to_string(&entry).unwrap() + "\n");
            }
        }
    }

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
        let line = line(&entry);
        assert!(line.starts_with(r#"{"timestamp":"2023-11-14T22:13:20.123Z","kind":"access""#), "{line}");
        assert!(line.contains(r#""host":"a\"\n""#) && line.contains(r#""duration_ms":1.234"#), "{line}");
    }

    #[test]
    fn a_time_has_its_milliseconds_on_both_sides_of_the_epoch() {
        for (millis, text) in [(1_700_000_000_009, "20.009Z"), (1_700_000_001_000, "21.000Z"), (-1, "59.999Z")] {
            let mut printed = vec![];
            Time(Timestamp::from_millis(millis)).put(&mut printed);
            assert!(printed.ends_with(format!("{text}\"").as_bytes()), "{}", printed.escape_ascii());
        }
    }
}
