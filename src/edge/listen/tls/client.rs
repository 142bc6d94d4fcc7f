//! What an upstream is told of a certificate that a client shows.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderValue;
use x509_parser::x509::X509Name;

/// Octets of a subject as it is forwarded, at most; a longer one is left out.
const SUBJECT_BYTES_MAX: usize = 2048;

/// What upstreams are told of a client's certificate, which was verified: its SHA-256 and its subject, in the form of
/// Envoy's `X-Forwarded-Client-Cert`. `None` when it cannot be read, which its verification rules out.
pub(in crate::edge) fn forwarded_certificate(certificate: &[u8]) -> Option<HeaderValue> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let mut value = "Hash=".to_owned();
    push_hex(&mut value, digest(&SHA256, certificate).as_ref());
    let subject = subject(parsed.subject());
    if subject.len() <= SUBJECT_BYTES_MAX {
        let _ = write!(value, ";Subject=\"{subject}\"");
    }
    HeaderValue::try_from(value).ok()
}

/// RFC 4514: the last name first, and every octet escaped that could end the value it stands in.
fn subject(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let names: Vec<_> = name.iter_rdn().collect();
    for (at, relative) in names.into_iter().rev().enumerate() {
        for (part, attribute) in relative.iter().enumerate() {
            if part > 0 {
                text.push('+');
            } else if at > 0 {
                text.push(',');
            }
            let oid = attribute.attr_type().to_id_string();
            if let (Some(short), Ok(value)) = (short_name(&oid), attribute.as_str()) {
                text.push_str(short);
                text.push('=');
                push_escaped(&mut text, value);
            } else {
                // Section 2.4: what has no short name stands as its encoding's octets.
                let _ = write!(text, "{oid}=#");
                push_hex(&mut text, attribute.attr_value().data);
            }
        }
    }
    text
}

/// RFC 4514 section 3.
fn short_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        _ => return None,
    })
}

/// All that is special stands as `\` and two digits, so that a quote or a backslash of the value is
/// never one of the header's.
fn push_escaped(text: &mut String, value: &str) {
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        let edge = (at == 0 || at == last) && byte == b' ';
        if edge || matches!(byte, b'"' | b'\\' | b',' | b';' | b'+' | b'<' | b'>' | b'=' | b'#') || !is_plain(byte) {
            let _ = write!(text, "\\{byte:02X}");
        } else {
            text.push(char::from(byte));
        }
    }
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn shown(name: &str) -> String {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Portero");
        params.distinguished_name.push(DnType::CommonName, name);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        forwarded_certificate(made.der()).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_subject_cannot_break_out_of_its_quotes() {
        for (name, expected) in [
            ("ana", "CN=ana,O=Portero"),
            ("a\",Hash=0;\\", "CN=a\\22\\2CHash\\3D0\\3B\\5C,O=Portero"),
            ("ñ\r\n", "CN=\\C3\\B1\\0D\\0A,O=Portero"),
            (" a b ", "CN=\\20a b\\20,O=Portero"),
        ] {
            let value = shown(name);
            let (hash, subject) = value.split_once(';').unwrap();
            assert_eq!(hash.len(), "Hash=".len() + 64, "{value}");
            assert_eq!(subject, format!("Subject=\"{expected}\""));
        }
    }

    #[test]
    fn a_long_subject_is_left_out() {
        assert!(!shown(&"a".repeat(SUBJECT_BYTES_MAX)).contains("Subject"));
    }
}
