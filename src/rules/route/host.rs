//! Host names: of requests, and of routes.

use std::{borrow::Cow, fmt, net::Ipv6Addr, str::FromStr};

use http::HeaderMap;
use thiserror::Error;

/// Octets of a host name (RFC 1035 section 2.3.4), with a port and brackets around an IPv6 address.
const HOST_BYTES_MAX: usize = 255;

/// A `Host` that cannot be one, or several of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the Host header is missing, repeated or malformed")]
pub struct InvalidHost;

/// A request's host name without port and final dot, spelt as received. What compares it, compares
/// it without regard to case.
#[derive(Clone, Copy)]
pub struct Host<'h>(&'h str);

impl<'h> Host<'h> {
    /// From the `Host` header, which must be there exactly once (RFC 9112 section 3.2), or from the
    /// authority of an absolute target, which must then be the same.
    ///
    /// # Errors
    /// Fails when the header is missing, repeated or malformed, or differs from the authority.
    #[inline]
    pub fn of(headers: &'h HeaderMap, authority: Option<&str>) -> Result<Self, InvalidHost> {
        let mut values = headers.get_all(http::header::HOST).iter();
        let host = match (values.next(), values.next()) {
            (Some(value), None) => Self::parse(std::str::from_utf8(value.as_bytes()).map_err(|_| InvalidHost)?)?,
            _ => return Err(InvalidHost),
        };
        match authority {
            Some(authority) if !Host::parse(authority)?.is(host.0) => Err(InvalidHost),
            _ => Ok(host),
        }
    }

    /// No host: what a request of HTTP/1.0 may be for. It is no name's.
    pub const NONE: Self = Self("");

    /// From `name[:port]` or `[v6][:port]`.
    ///
    /// # Errors
    /// Fails when the text is no host name or address, or its port is no number.
    #[inline]
    pub fn parse(value: &'h str) -> Result<Self, InvalidHost> {
        let (name, port) = if value.starts_with('[') {
            let end = value.find(']').ok_or(InvalidHost)?;
            value.split_at(end + 1)
        } else {
            value.split_at(value.bytes().position(|octet| octet == b':').unwrap_or(value.len()))
        };
        let port = port.strip_prefix(':').unwrap_or(port);
        if !port.bytes().all(|b| b.is_ascii_digit()) || port.len() > 5 {
            return Err(InvalidHost);
        }
        if let Some(address) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            return if address.parse::<Ipv6Addr>().is_ok() { Ok(Self(name)) } else { Err(InvalidHost) };
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        let shaped = !name.is_empty() && name.len() <= HOST_BYTES_MAX && name.bytes().all(is_host_octet);
        // What is left of a name with two final dots would be compared with none.
        if !shaped || name.starts_with('.') || name.ends_with('.') {
            return Err(InvalidHost);
        }
        Ok(Self(name))
    }

    /// Whether it is `name`.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.0.eq_ignore_ascii_case(name)
    }

    /// The name in lower case, which is how it is received as a rule.
    #[must_use]
    pub fn in_lower_case(&self) -> Cow<'h, str> {
        if self.0.bytes().any(|octet| octet.is_ascii_uppercase()) {
            return Cow::Owned(self.0.to_ascii_lowercase());
        }
        Cow::Borrowed(self.0)
    }

    /// The name in lower case, as patterns have it.
    #[must_use]
    pub fn to_lower_case(&self) -> LowerCaseHost {
        let mut octets = [0; HOST_BYTES_MAX];
        octets[..self.0.len()].copy_from_slice(self.0.as_bytes());
        octets[..self.0.len()].make_ascii_lowercase();
        LowerCaseHost { octets, len: self.0.len() }
    }
}

impl fmt::Debug for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

/// A host name in lower case. It lives on the stack, and is made only where names are looked up: it
/// is too large to be handed around.
#[derive(Clone, Copy)]
pub struct LowerCaseHost {
    octets: [u8; HOST_BYTES_MAX],
    len: usize,
}

impl LowerCaseHost {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.octets[..self.len]).unwrap_or_default()
    }
}

impl fmt::Debug for LowerCaseHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Which octets a host name has, looked up once an octet of every request's.
const HOST_OCTETS: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet = 0_u8;
    while octet < 128 {
        table[octet as usize] = octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_');
        octet += 1;
    }
    table
};

fn is_host_octet(octet: u8) -> bool {
    HOST_OCTETS[usize::from(octet)]
}

/// A host that a route names: `crm.example.com`, or `*.example.com` for every name below it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This name.
    Exact(Box<str>),
    /// Every name that ends in this (`.example.com`).
    Below(Box<str>),
}

impl FromStr for HostPattern {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = |text: &str| {
            // A port or an empty label would match no request, or others than it says.
            let is_v6 = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).map(str::parse::<Ipv6Addr>);
            let shaped = match is_v6 {
                Some(address) => address.is_ok(),
                None => !text.contains([':', '[', ']']) && !text.contains(".."),
            };
            if shaped { Host::parse(text).map(|host| host.to_lower_case()) } else { Err(InvalidHost) }
        };
        match text.strip_prefix("*.") {
            Some(parent) if parent.starts_with('[') => Err(InvalidHost),
            Some(parent) => Ok(Self::Below(format!(".{}", name(parent)?.as_str()).into())),
            None => Ok(Self::Exact(name(text)?.as_str().into())),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(parent) => write!(f, "*{parent}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn port_case_and_final_dot_do_not_count() {
        for (value, name) in [
            ("Example.COM", "example.com"),
            ("example.com:8080", "example.com"),
            ("example.com.", "example.com"),
            ("example.com.:80", "example.com"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]:8080", "[::1]"),
        ] {
            assert_eq!(Host::parse(value).unwrap().to_lower_case().as_str(), name);
            assert_eq!(Host::parse(value).unwrap().in_lower_case(), name);
            assert!(Host::parse(value).unwrap().is(name));
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for value in
            ["", ":80", "a b", "a/b", "a@b", "a:b", "a:123456", ".a", "a..", "a..:80", "a...", "..", "a,b", "ñ"]
                .into_iter()
                .chain(["[::1", "a]b", "a[", "[a]", "[]", "[::1]x", "[::1].", "[127.0.0.1]", "[fe80::1%1]", "::1"])
        {
            assert!(Host::parse(value).is_err(), "{value}");
        }
        assert!(Host::parse(&"a".repeat(256)).is_err());
    }

    #[test]
    fn a_pattern_is_a_name_or_what_is_below_one() {
        for (text, shown) in [
            ("CRM.example.com", "crm.example.com"),
            ("crm.example.com.", "crm.example.com"),
            ("crm_1", "crm_1"),
            ("10.0.0.1", "10.0.0.1"),
            ("[::1]", "[::1]"),
            ("*.Example.com", "*.example.com"),
        ] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "*",
            "*.",
            "*.*.com",
            "*example.com",
            "api.*",
            "api[0-9].example.com",
            "[0-9]",
            "{tenant}.example.com",
            ".example.com",
            "a..example.com",
            "*.[::1]",
            "[::1]:8080",
            "a:80",
            "a:",
            "http://a",
            "~^a",
        ] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_request_has_one_host_and_an_absolute_target_names_the_same() {
        let mut headers = HeaderMap::new();
        assert!(Host::of(&headers, None).is_err());
        headers.append("host", HeaderValue::from_static("a.example"));
        assert!(Host::of(&headers, None).unwrap().is("a.example"));
        assert!(Host::of(&headers, Some("A.example:80")).is_ok());
        assert!(Host::of(&headers, Some("b.example")).is_err());
        headers.append("host", HeaderValue::from_static("a.example"));
        assert!(Host::of(&headers, None).is_err());
    }
}
