//! A line of a gateway's chain: one JSON object, whose last member is its code. `docs/audit.md` is its reference.

use serde_json::{Map, Value, json};

use super::{
    chain::{ChainId, ChainKey, Mac, Purpose},
    event::{Account, Event},
    sums::Sum,
};
use crate::domain::Timestamp;

/// What stands before the code, and behind it.
const BEFORE_CODE: &[u8] = b",\"mac\":\"";
const BEHIND_CODE: &[u8] = b"\"}";

/// Characters of a code.
const CODE_CHARS: usize = 64;

/// The end of a chain, where another process found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The chain.
    pub chain: ChainId,
    /// The position of its last line.
    pub line: i64,
    /// The code of that line.
    pub mac: Mac,
}

/// What a line says.
#[derive(Clone, Debug)]
pub(super) enum Record {
    /// A process begins to write.
    Begin {
        gateway: String,
        /// Which key the codes are made with.
        key: String,
        /// The last line that stood in the file.
        after: Option<Place>,
        /// Bytes of an unfinished line that were removed.
        torn: u64,
    },
    /// Another file goes on from this code, of a line that was written then.
    Continue(Mac, Timestamp),
    Event(Event),
    Sum(Sum),
    /// What was not written could not be, and now it can.
    Resume,
    /// The store has how far this chain has come.
    Anchor {
        line: i64,
        /// The last row of the store's own chain.
        store: Option<(i64, Mac)>,
    },
    /// The process ends in order.
    End,
}

/// A line in the making.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) at: Timestamp,
    pub(super) line: i64,
    /// Events until here, this one too, written or not.
    pub(super) count: i64,
    pub(super) record: Record,
}

/// Writes a line that follows one with the code `previous`; answers its own code.
pub(super) fn write(out: &mut Vec<u8>, key: &ChainKey, chain: ChainId, previous: &Mac, draft: &Draft) -> Mac {
    let mut text = Value::Object(members(chain, draft)).to_string().into_bytes();
    // The code comes before the brace that ends it.
    text.pop();
    let mac = key.code(Purpose::Line, chain, previous, &text);
    out.extend_from_slice(&text);
    out.extend_from_slice(BEFORE_CODE);
    out.extend_from_slice(mac.to_string().as_bytes());
    out.extend_from_slice(BEHIND_CODE);
    out.push(b'\n');
    mac
}

fn members(chain: ChainId, draft: &Draft) -> Map<String, Value> {
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| {
        members.insert(name.to_owned(), value);
    };
    put("kind", "audit".into());
    put("chain", chain.to_string().into());
    put("line", draft.line.into());
    put("count", draft.count.into());
    put("time", time(draft.at).into());
    match &draft.record {
        Record::Begin { gateway, key, after, torn } => {
            put("event", "begin".into());
            put("gateway", gateway.as_str().into());
            put("pid", std::process::id().into());
            put("version", env!("CARGO_PKG_VERSION").into());
            put("key", key.as_str().into());
            let place = |place: &Place| json!({ "chain": place.chain.to_string(), "line": place.line, "mac": place.mac.to_string() });
            put("after", after.as_ref().map_or(Value::Null, place));
            put("torn_bytes", (*torn).into());
        }
        Record::Continue(mac, at) => {
            put("event", "continue".into());
            put("previous", mac.to_string().into());
            put("previous_time", time(*at).into());
        }
        Record::Event(event) => {
            put("event", event.act.name().into());
            let outcome = match (event.observed, event.refused) {
                (true, _) => "observed",
                (false, Some(_)) => "refused",
                (false, None) => "done",
            };
            put("outcome", outcome.into());
            put("reason", event.refused.into());
            put("realm", event.realm.as_str().into());
            match &event.account {
                Account::Known(id) => put("account", id.to_string().into()),
                Account::Unknown(code) => {
                    put("account", "unknown".into());
                    put("name_code", code.as_deref().into());
                }
                Account::NotLookedUp => put("account", Value::Null),
            }
            put("client", event.client.to_string().into());
            put("request", event.request.as_str().into());
        }
        Record::Sum(sum) => {
            put("event", "refusals".into());
            put("reason", sum.reason.into());
            put("client", sum.client.map_or(Value::Null, |client| client.to_string().into()));
            put("events", sum.events.into());
        }
        Record::Resume => put("event", "resume".into()),
        Record::Anchor { line, store } => {
            put("event", "anchor".into());
            put("anchored_line", (*line).into());
            put("store_number", store.map(|(number, _)| number).into());
            put("store_mac", store.map(|(_, mac)| mac.to_string()).into());
        }
        Record::End => put("event", "end".into()),
    }
    members
}

/// A line as it was read. An attacker who changed the file may have written anything into it.
#[derive(Debug)]
pub struct ReadLine<'t> {
    /// What the code is about.
    signed: &'t [u8],
    /// Its members, the code left out.
    pub members: Map<String, Value>,
    /// Whose chain it says it is of.
    pub chain: ChainId,
    /// Its position.
    pub line: i64,
    /// Events until here.
    pub count: i64,
    /// The code that it has.
    pub mac: Mac,
}

impl<'t> ReadLine<'t> {
    /// Reads a line, without its newline. `None` for what is not a line.
    #[must_use]
    pub fn read(text: &'t [u8]) -> Option<Self> {
        let rest = text.strip_suffix(BEHIND_CODE)?;
        let (rest, code) = rest.split_at_checked(rest.len().checked_sub(CODE_CHARS)?)?;
        let signed = rest.strip_suffix(BEFORE_CODE)?;
        let mac = Mac::parse(std::str::from_utf8(code).ok()?)?;
        let members: Map<String, Value> = serde_json::from_slice(&[signed, b"}"].concat()).ok()?;
        let number = |name| members.get(name)?.as_i64();
        let (line, count) = (number("line")?, number("count")?);
        let chain = ChainId::parse(members.get("chain")?.as_str()?)?;
        Some(Self { signed, members, chain, line, count, mac })
    }

    /// The code that it should have behind a line with the code `previous`.
    #[must_use]
    pub fn code(&self, key: &ChainKey, previous: &Mac) -> Mac {
        key.code(Purpose::Line, self.chain, previous, self.signed)
    }

    /// A member that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    /// A member that is a time.
    #[must_use]
    pub fn time_in(&self, name: &str) -> Option<Timestamp> {
        let at: jiff::Timestamp = self.text(name)?.parse().ok()?;
        Some(Timestamp::from_millis(at.as_millisecond()))
    }

    /// A member that is a code.
    #[must_use]
    pub fn mac_in(&self, name: &str) -> Option<Mac> {
        Mac::parse(self.text(name)?)
    }

    /// Where it says that the file ended before its process began.
    #[must_use]
    pub fn after(&self) -> Option<Place> {
        let after = self.members.get("after")?.as_object()?;
        let text = |name| after.get(name)?.as_str();
        let line = after.get("line")?.as_i64()?;
        Some(Place { chain: ChainId::parse(text("chain")?)?, line, mac: Mac::parse(text("mac")?)? })
    }

    /// How many events it stands for.
    #[must_use]
    pub fn events(&self) -> i64 {
        match self.text("event") {
            Some("refusals") => self.members.get("events").and_then(Value::as_i64).unwrap_or(0),
            Some("login" | "refresh" | "revoke" | "introspect") => 1,
            _ => 0,
        }
    }
}

/// RFC 3339, in UTC, with milliseconds.
fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or_else(|_| at.as_millis().to_string(), |at| format!("{at:.3}"))
}
