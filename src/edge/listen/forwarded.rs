//! `Forwarded` (RFC 7239) and `X-Forwarded-For`, as far as a chain is passed on: what stands in front of the gateway's
//! own element must not change how that is read.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    edge::armour::head::is_token_octet,
    rules::{list::elements, route::Host},
};

/// Whether a value is a list of elements of `name=value` pairs, with a good host and scheme where they stand there
/// (section 4). Escapes in quoted strings are refused: no proxy needs one.
pub(super) fn is_well_formed(value: &[u8]) -> bool {
    let mut rest = value;
    let mut names: Vec<Vec<u8>> = vec![];
    loop {
        let Some((name, value, behind)) = pair(trimmed(rest)) else { return false };
        let name = name.to_ascii_lowercase();
        let good = match &*name {
            b"host" => is_host(value),
            b"proto" => scheme(value).is_some(),
            _ => true,
        };
        if !good || names.contains(&name) {
            return false;
        }
        match trimmed(behind) {
            [] => return true,
            [b';', behind @ ..] => {
                names.push(name);
                rest = behind;
            }
            [b',', behind @ ..] => {
                names.clear();
                rest = behind;
            }
            _ => return false,
        }
    }
}

/// The address that a proxy writes into `X-Forwarded-For`. Some add the port, or write IPv6 in brackets, as RFC 7239
/// section 6 has it.
pub(in crate::edge) fn hop_address(hop: &str) -> Option<IpAddr> {
    let bare = || hop.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || hop.parse::<SocketAddr>().ok().map(|hop| hop.ip());
    hop.parse().ok().or_else(with_port).or_else(bare)
}

/// The fields of `X-Forwarded-For`, as far as the chain is one of addresses. What is no address ends it, and what is
/// further out is hearsay: a service must not find another client in it than the gateway has.
pub(super) fn chain(headers: &HeaderMap, name: &HeaderName) -> Vec<HeaderValue> {
    let hops = || elements(headers, name).rev();
    let known = hops().take_while(|hop| hop_address(hop).is_some()).count();
    if known == hops().count() {
        return headers.get_all(name).iter().cloned().collect();
    }
    let mut known: Vec<_> = hops().take(known).collect();
    known.reverse();
    let joined = (!known.is_empty()).then(|| HeaderValue::try_from(known.join(", ")).ok());
    joined.flatten().into_iter().collect()
}

/// `http` or `https`, whatever its letter case.
pub(in crate::edge) fn scheme(value: &[u8]) -> Option<&'static str> {
    ["http", "https"].into_iter().find(|known| value.eq_ignore_ascii_case(known.as_bytes()))
}

/// Whether a value is a host as `Host` has it.
pub(super) fn is_host(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_ok_and(|host| Host::parse(host).is_ok())
}

/// A pair's name, its value without quotes, and what stands behind it.
fn pair(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = token(text)?;
    let rest = rest.strip_prefix(b"=")?;
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        let (value, rest) = token(rest)?;
        return Some((name, value, rest));
    };
    let end = quoted.iter().position(|&octet| octet == b'"')?;
    let (value, rest) = (&quoted[..end], &quoted[end + 1..]);
    let shaped = |octet: &u8| matches!(octet, b' ' | b'!'..=b'~') && *octet != b'\\';
    value.iter().all(shaped).then_some((name, value, rest))
}

fn token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&octet| !is_token_octet(octet)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn trimmed(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|octet| !matches!(octet, b' ' | b'\t')).unwrap_or(text.len());
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_addresses_ends_at_what_is_none() {
        let name = HeaderName::from_static("x-forwarded-for");
        let chain = |values: &[&'static str]| {
            let fields = values.iter().map(|value| (name.clone(), HeaderValue::from_static(value)));
            super::chain(&fields.collect(), &name)
        };
        let nothing: [&str; 0] = [];
        assert_eq!(chain(&["192.0.2.1, 192.0.2.2:80", "[2001:db8::1]"]), ["192.0.2.1, 192.0.2.2:80", "[2001:db8::1]"]);
        assert_eq!(chain(&["192.0.2.1", "unknown, 192.0.2.2", "192.0.2.3"]), ["192.0.2.2, 192.0.2.3"]);
        for none in [&[][..], &[""], &["192.0.2.1, evil"], &["192.0.2.1", ""]] {
            assert_eq!(chain(none), nothing, "{none:?}");
        }
    }

    #[test]
    fn a_chain_is_well_formed_or_it_is_none() {
        for good in [
            "for=192.0.2.43",
            "For=\"[2001:db8:cafe::17]:4711\"",
            "for=192.0.2.60;proto=http;by=203.0.113.43",
            "for=192.0.2.43, for=198.51.100.17;host=\"a.test:8080\";proto=HTTPS",
            "for=_hidden ; x=\"a, b; c\"\t,\tfor=unknown",
        ] {
            assert!(is_well_formed(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ",",
            "for=a,",
            "for=a;",
            "for",
            "for=",
            "=a",
            "for=[::1]",
            "for=\"a",
            "for=\"a\\\"\"",
            "for=a b=c",
            "for=a;for=b",
            "host=\"a b\"",
            "host=\"a, b\"",
            "proto=ftp",
            "for=a;proto=\"javascript:\"",
            "for=\"a\u{7f}\"",
            "for=ñ",
        ] {
            assert!(!is_well_formed(bad.as_bytes()), "{bad}");
        }
    }
}
