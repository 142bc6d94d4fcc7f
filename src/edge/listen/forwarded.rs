//! `Forwarded` (RFC 7239), as far as a chain is passed on: what stands in front of the gateway's own element must not
//! change how that is read.

use crate::{edge::armour::head::is_token_octet, rules::route::Host};

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
