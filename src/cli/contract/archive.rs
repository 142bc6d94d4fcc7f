//! Recorded exchanges in HAR (HTTP Archive 1.2), as browsers and proxies write it.

use base64::{DecodeError, Engine, engine::general_purpose::STANDARD};
use http::Uri;
use serde::Deserialize;

use super::example::Example;
use crate::rules::contract::{Endpoint, Recorded};

#[derive(Deserialize)]
struct Archive {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    request: Request,
    response: Response,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Header>,
    post_data: Option<PostData>,
    /// -1 where it is not known.
    #[serde(default)]
    body_size: i64,
}

#[derive(Deserialize)]
struct Response {
    /// 0 or less where no answer came.
    status: i64,
    #[serde(default)]
    headers: Vec<Header>,
    content: Option<Content>,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: String,
}

/// The body of a request: its text, or the pairs of a form.
#[derive(Deserialize)]
struct PostData {
    text: Option<String>,
    encoding: Option<String>,
    #[serde(default)]
    params: Vec<Parameter>,
}

#[derive(Deserialize)]
struct Parameter {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct Content {
    text: Option<String>,
    encoding: Option<String>,
    /// -1 where it is not known.
    #[serde(default)]
    size: i64,
}

/// The exchanges of an archive.
///
/// # Errors
/// What is wrong with it, and where.
pub(super) fn read(name: &str, text: &str) -> Result<Vec<Example>, String> {
    let archive: Archive = serde_json::from_str(text).map_err(|error| format!("{name}: no HAR: {error}"))?;
    let entries = archive.log.entries.into_iter().enumerate();
    entries.map(|(index, entry)| example(&format!("{name}:entry {}", index + 1), entry)).collect()
}

fn example(place: &str, entry: Entry) -> Result<Example, String> {
    let lacks = entry.lacks();
    let Entry { request, response } = entry;
    let uri: Uri = request.url.parse().map_err(|_| format!("{place}: '{}' is no URL", request.url))?;
    let header = |headers: &[Header], name: &str| {
        let found = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value.clone())
    };
    let undecoded = |error: DecodeError| format!("{place}: a body is no base64: {error}");
    let recorded = Recorded {
        method: request.method.parse().map_err(|_| format!("{place}: '{}' is no method", request.method))?,
        query: uri.query().map(str::to_owned),
        content_type: header(&request.headers, "content-type").map(String::into_bytes),
        authorization: header(&request.headers, "authorization"),
        request: request.post_data.map_or(Ok(vec![]), PostData::bytes).map_err(undecoded)?,
        to: Endpoint::Route,
        status: u16::try_from(response.status).unwrap_or_default(),
        answer_type: header(&response.headers, "content-type"),
        answer: response.content.map_or(Ok(vec![]), Content::bytes).map_err(undecoded)?,
    };
    Ok(Example { place: place.to_owned(), path: uri.path().to_owned(), recorded, lacks })
}

impl Entry {
    /// What was not recorded.
    fn lacks(&self) -> Option<&'static str> {
        let Self { request, response } = self;
        let answer = response.content.as_ref();
        if response.status <= 0 {
            Some("no answer came")
        } else if answer.is_some_and(|content| content.size > 0 && content.text.as_deref().is_none_or(str::is_empty)) {
            Some("the recording lacks the answer's body")
        } else if request.body_size > 0 && request.post_data.is_none() {
            Some("the recording lacks the request's body")
        } else {
            None
        }
    }
}

impl PostData {
    fn bytes(self) -> Result<Vec<u8>, DecodeError> {
        if self.text.is_none() {
            let pairs = self.params.iter().map(|pair| (&pair.name, &pair.value));
            return Ok(form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into_bytes());
        }
        decoded(self.text, self.encoding.as_deref())
    }
}

impl Content {
    fn bytes(self) -> Result<Vec<u8>, DecodeError> {
        decoded(self.text, self.encoding.as_deref())
    }
}

fn decoded(text: Option<String>, encoding: Option<&str>) -> Result<Vec<u8>, DecodeError> {
    match text {
        Some(text) if encoding == Some("base64") => STANDARD.decode(text),
        text => Ok(text.unwrap_or_default().into_bytes()),
    }
}
