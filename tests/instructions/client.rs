//! Clients that send one request after another, each in the form that is counted.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use crate::upstream::read_to;

/// The fields that a browser's request has besides the token.
const FIELDS: [(&str, &str); 8] = [
    ("host", "crm.example.com"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "application/json, text/plain, */*"),
    ("accept-language", "es-AR,es;q=0.8,en-US;q=0.5,en;q=0.3"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://crm.example.com/clientes"),
    ("cookie", "theme=dark; lang=es"),
    ("x-requested-with", "XMLHttpRequest"),
];

const PATH: &str = "/api/Clientes/42/pedidos";

/// What a POST sends.
const BODY: [u8; 1024] = [b'x'; 1024];

/// The files of the listener's certificate.
pub(crate) const CERTIFICATE: &str = "listener.crt";
pub(crate) const KEY: &str = "listener.key";

/// What a request comes as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Get,
    /// With a body of 1 KiB.
    Post,
    /// A GET through TLS.
    Tls,
    /// A GET over HTTP/2 in the clear.
    Http2,
}

/// A connection.
pub(crate) enum Client {
    Plain(TcpStream, Vec<u8>),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>, Vec<u8>),
    Http2(Http2),
}

impl Client {
    /// Connects, and prepares its requests with this token. The certificate is in `folder`.
    pub(crate) fn connect(form: Form, front: SocketAddr, token: &str, folder: &Path) -> Self {
        let stream = TcpStream::connect(front).unwrap();
        match form {
            Form::Get => Self::Plain(stream, request(token, "GET", b"")),
            Form::Post => Self::Plain(stream, request(token, "POST", &BODY)),
            Form::Tls => Self::Tls(Box::new(encrypted(stream, folder)), request(token, "GET", b"")),
            Form::Http2 => Self::Http2(Http2::over(stream, token)),
        }
    }

    /// Sends a request and reads its answer.
    pub(crate) fn exchange(&mut self) {
        match self {
            Self::Plain(stream, request) => exchange(stream, request),
            Self::Tls(stream, request) => exchange(stream, request),
            Self::Http2(connection) => connection.exchange(),
        }
    }
}

/// Writes a certificate for the listener into `folder`.
pub(crate) fn certify(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(folder.join(CERTIFICATE), made.cert.pem()).unwrap();
    fs::write(folder.join(KEY), made.signing_key.serialize_pem()).unwrap();
}

fn encrypted(stream: TcpStream, folder: &Path) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join(CERTIFICATE)).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}

/// A request of HTTP/1.1.
fn request(token: &str, method: &str, body: &[u8]) -> Vec<u8> {
    let mut lines = vec![format!("{method} {PATH} HTTP/1.1")];
    lines.extend(FIELDS.map(|(name, value)| format!("{name}: {value}")));
    lines.push(format!("authorization: Bearer {token}"));
    if !body.is_empty() {
        lines.extend(["content-type: application/json".to_owned(), format!("content-length: {}", body.len())]);
    }
    [lines.join("\r\n").as_bytes(), b"\r\n\r\n", body].concat()
}

fn exchange(stream: &mut (impl Read + Write), request: &[u8]) {
    stream.write_all(request).unwrap();
    let answer = read_to(stream, b"}").expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
}

/// A connection of HTTP/2 (RFC 9113), as bytes: a library would write when it likes.
pub(crate) struct Http2 {
    stream: TcpStream,
    /// The fields of each request, none of them in a table (RFC 7541 section 6.2.2).
    fields: Vec<u8>,
    next: u32,
}

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// `:method: GET` and `:scheme: http` of the static table.
const GET_HTTP: [u8; 2] = [0x82, 0x86];
/// `:path` of the static table, with a value of its own; and `:authority`.
const PATH_NAME: u8 = 0x04;
const AUTHORITY_NAME: u8 = 0x01;
/// `:status: 200` of the static table.
const STATUS_200: u8 = 0x88;

/// What the answers of all rounds fit in.
const WINDOW_BYTES: u32 = 1 << 30;

impl Http2 {
    fn over(mut stream: TcpStream, token: &str) -> Self {
        let mut fields = GET_HTTP.to_vec();
        fields.push(PATH_NAME);
        put_text(&mut fields, PATH);
        for (name, value) in FIELDS.into_iter().chain([("authorization", &*format!("Bearer {token}"))]) {
            if name == "host" {
                fields.push(AUTHORITY_NAME);
            } else {
                fields.push(0);
                put_text(&mut fields, name);
            }
            put_text(&mut fields, value);
        }
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        let mut connection = Self { stream, fields, next: 1 };
        connection.write(SETTINGS, 0, 0, b"");
        connection.write(WINDOW_UPDATE, 0, 0, &WINDOW_BYTES.to_be_bytes());
        connection.write(SETTINGS, ACK, 0, b"");
        connection
    }

    fn exchange(&mut self) {
        let id = self.next;
        self.next += 2;
        let fields = self.fields.clone();
        self.write(HEADERS, END_STREAM | END_HEADERS, id, &fields);
        loop {
            let (kind, flags, of, payload) = self.read();
            assert!(kind != HEADERS || payload.first() == Some(&STATUS_200), "{payload:?}");
            if of == id && flags & END_STREAM != 0 {
                return;
            }
        }
    }

    /// Writes a frame.
    fn write(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let frame = [&length[1..], &[kind, flags], &id.to_be_bytes(), payload].concat();
        self.stream.write_all(&frame).unwrap();
    }

    /// Reads a frame: its type, flags, stream and payload.
    fn read(&mut self) -> (u8, u8, u32, Vec<u8>) {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).unwrap();
        let [a, b, c, kind, flags, id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).unwrap();
        (kind, flags, u32::from_be_bytes(id), payload)
    }
}

/// A text without Huffman's code (RFC 7541 section 5.2), its length in front (section 5.1).
fn put_text(block: &mut Vec<u8>, text: &str) {
    const PREFIX_MAX: usize = 127;
    let mut rest = text.len();
    if rest < PREFIX_MAX {
        block.push(u8::try_from(rest).unwrap());
    } else {
        block.push(127);
        rest -= PREFIX_MAX;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128 + 128).unwrap());
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap());
    }
    block.extend_from_slice(text.as_bytes());
}
