//! Which headers of a trusted proxy are believed. A proxy that does not set a header itself passes on what the client
//! sent under its name, so each header has to be named.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::forwarded;

pub(in crate::edge) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(in crate::edge) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(in crate::edge) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(in crate::edge) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(in crate::edge) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A header that a proxy may be believed about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedHeader {
    /// The client's address: `X-Forwarded-For`.
    For,
    /// How it spoke with the proxy: `X-Forwarded-Proto`.
    Proto,
    /// Which host it asked for: `X-Forwarded-Host`.
    Host,
    /// All of that: `Forwarded` (RFC 7239).
    Forwarded,
    /// The trace that the request is part of: `traceparent` (W3C Trace Context).
    Traceparent,
    /// What tracing systems add to it: `tracestate`.
    Tracestate,
}

impl TrustedHeader {
    /// All of them, as the config calls them.
    pub const NAMES: [(&str, Self); 6] = [
        ("X-Forwarded-For", Self::For),
        ("X-Forwarded-Proto", Self::Proto),
        ("X-Forwarded-Host", Self::Host),
        ("Forwarded", Self::Forwarded),
        ("traceparent", Self::Traceparent),
        ("tracestate", Self::Tracestate),
    ];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedHeaders(u8);

impl TrustedHeaders {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Those that proxies set by themselves as a rule.
    pub const DEFAULT: Self = Self(
        TrustedHeader::For.bit()
            | TrustedHeader::Proto.bit()
            | TrustedHeader::Traceparent.bit()
            | TrustedHeader::Tracestate.bit(),
    );

    /// Whether `header` is one of them.
    #[must_use]
    pub const fn contains(self, header: TrustedHeader) -> bool {
        self.0 & header.bit() != 0
    }
}

impl FromIterator<TrustedHeader> for TrustedHeaders {
    fn from_iter<I: IntoIterator<Item = TrustedHeader>>(headers: I) -> Self {
        headers.into_iter().fold(Self::NONE, |set, header| Self(set.0 | header.bit()))
    }
}

/// What a trusted proxy said, as far as it is believed. What is not well formed is not.
#[derive(Default)]
pub(in crate::edge) struct Believed {
    pub(in crate::edge) forwarded_for: Vec<HeaderValue>,
    pub(in crate::edge) proto: Option<HeaderValue>,
    pub(in crate::edge) host: Option<HeaderValue>,
    pub(in crate::edge) traceparent: Option<HeaderValue>,
    pub(in crate::edge) tracestate: Vec<HeaderValue>,
    pub(in crate::edge) forwarded: Vec<HeaderValue>,
}

impl Believed {
    pub(in crate::edge) fn of(headers: &HeaderMap, trusted: TrustedHeaders) -> Self {
        if trusted == TrustedHeaders::NONE {
            return Self::default();
        }
        let all = |header, name: &HeaderName| {
            let values = trusted.contains(header).then(|| headers.get_all(name).iter().cloned());
            values.into_iter().flatten().collect::<Vec<_>>()
        };
        let one = |header, name: &HeaderName| {
            let mut values = headers.get_all(name).iter();
            // Of several, nobody knows which is the proxy's own.
            let only = values.next().filter(|_| trusted.contains(header));
            only.filter(|_| values.next().is_none())
        };
        let traceparent = one(TrustedHeader::Traceparent, &TRACEPARENT).filter(|value| is_traceparent(value)).cloned();
        let mut tracestate = all(TrustedHeader::Tracestate, &TRACESTATE);
        // It says nothing without the trace that it is about (Trace Context section 3.3.1).
        tracestate.retain(|value| traceparent.is_some() && value.to_str().is_ok());
        let mut forwarded = all(TrustedHeader::Forwarded, &header::FORWARDED);
        if !forwarded.iter().all(|value| forwarded::is_well_formed(value.as_bytes())) {
            forwarded.clear();
        }
        Self {
            forwarded_for: if trusted.contains(TrustedHeader::For) {
                forwarded::chain(headers, &X_FORWARDED_FOR)
            } else {
                vec![]
            },
            proto: one(TrustedHeader::Proto, &X_FORWARDED_PROTO)
                .and_then(|value| forwarded::scheme(value.as_bytes()))
                .map(HeaderValue::from_static),
            host: one(TrustedHeader::Host, &X_FORWARDED_HOST)
                .filter(|value| forwarded::is_host(value.as_bytes()))
                .cloned(),
            traceparent,
            tracestate,
            forwarded,
        }
    }
}

pub(in crate::edge) fn is_traceparent(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let hex = |range: std::ops::Range<usize>| bytes[range].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    bytes.len() == 55
        && bytes.starts_with(b"00-")
        && bytes[35] == b'-'
        && bytes[52] == b'-'
        && hex(3..35)
        && hex(36..52)
        && hex(53..55)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn believed(trusted: &[TrustedHeader], fields: &[(&'static str, &'static str)]) -> Believed {
        let fields = fields.iter();
        let headers =
            fields.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
        Believed::of(&headers, trusted.iter().copied().collect())
    }

    #[test]
    fn only_what_is_named_is_believed() {
        let fields = [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "a.test"),
            ("forwarded", "for=192.0.2.1"),
            ("traceparent", TRACE),
            ("tracestate", "a=b"),
        ];
        let seen = |trusted: &[TrustedHeader]| {
            let said = believed(trusted, &fields);
            [
                !said.forwarded_for.is_empty(),
                said.proto.is_some(),
                said.host.is_some(),
                !said.forwarded.is_empty(),
                said.traceparent.is_some(),
                !said.tracestate.is_empty(),
            ]
        };
        assert_eq!(seen(&TrustedHeader::NAMES.map(|(_, header)| header)), [true; 6]);
        assert_eq!(seen(&[]), [false; 6]);
        for (at, (name, header)) in TrustedHeader::NAMES.into_iter().enumerate() {
            let mut expected = [false; 6];
            // Without the trace, what is added to it says nothing.
            expected[at] = header != TrustedHeader::Tracestate;
            assert_eq!(seen(&[header]), expected, "{name}");
        }
        let default = TrustedHeader::NAMES.map(|(_, header)| TrustedHeaders::DEFAULT.contains(header));
        assert_eq!(default, [true, true, false, false, true, true]);
    }

    #[test]
    fn what_is_not_well_formed_is_not_believed() {
        for value in ["https", "HTTP"] {
            let said = believed(&[TrustedHeader::Proto], &[("x-forwarded-proto", value)]);
            assert_eq!(said.proto.unwrap().as_bytes(), value.to_ascii_lowercase().as_bytes());
        }
        for value in ["", "ftp", "https, http", "https ", "javascript:"] {
            assert!(believed(&[TrustedHeader::Proto], &[("x-forwarded-proto", value)]).proto.is_none(), "{value}");
        }
        for value in ["", "a b", "a.test, b.test", "a.test/x", "u@a.test", "\"a.test\""] {
            assert!(believed(&[TrustedHeader::Host], &[("x-forwarded-host", value)]).host.is_none(), "{value}");
        }
        assert!(believed(&[TrustedHeader::Host], &[("x-forwarded-host", "A.test:8443")]).host.is_some());
        for (header, name) in [(TrustedHeader::Proto, "x-forwarded-proto"), (TrustedHeader::Host, "x-forwarded-host")] {
            let said = believed(&[header], &[(name, "http"), (name, "http")]);
            assert!(said.proto.is_none() && said.host.is_none(), "two of {name}");
        }
        let forwarded = [("forwarded", "for=1.2.3.4"), ("forwarded", "host=\"a")];
        assert!(believed(&[TrustedHeader::Forwarded], &forwarded).forwarded.is_empty(), "none of them then");
    }
}
