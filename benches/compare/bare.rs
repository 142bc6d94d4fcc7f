//! The yardstick: what a request costs at least in the library. It checks nothing, and adds constant header fields in
//! place of what Portero tells an upstream. Built like Portero: the same profile, the same allocator.
//!
//! `bare hyper LISTEN LISTEN_TLS UPSTREAM CERTIFICATE KEY THREADS`

use std::{error::Error, process::exit};

use http::{HeaderName, HeaderValue};

#[path = "bare/hyper.rs"]
mod on_hyper;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What Portero tells an upstream of a request with the token of the comparison.
const HEADERS: [(&str, &str); 10] = [
    ("x-auth-issuer", "https://gw"),
    ("x-auth-subject", "acct_64b1f0c2a7d9e83b52"),
    ("x-auth-role", "ADMIN"),
    ("x-auth-scopes", "read write"),
    ("x-request-id", "0b6a4a1ad4e94c1b8d6a0a7e1f0b2c3d"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
    ("x-forwarded-for", "127.0.0.1"),
    ("x-forwarded-proto", "http"),
    ("x-forwarded-host", "127.0.0.1"),
    ("forwarded", "for=127.0.0.1;proto=http;host=\"127.0.0.1\""),
];

type Fields = [(HeaderName, HeaderValue); HEADERS.len()];

/// The header fields, parsed once.
fn fields() -> Fields {
    HEADERS.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ["hyper", listen, listen_tls, upstream, certificate, key, threads] = *words else {
        eprintln!("usage: bare hyper LISTEN LISTEN_TLS UPSTREAM CERTIFICATE KEY THREADS");
        exit(2)
    };
    let tls = on_hyper::tls(certificate, key)?;
    on_hyper::serve(listen.parse()?, listen_tls.parse()?, upstream.parse()?, &tls, threads.parse()?)?;
    Ok(())
}
