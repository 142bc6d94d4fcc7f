//! Holds the lines of gateways' files against each other, and against what the store has of them. Pure: lines in,
//! findings out.
//!
//! What is a finding was done by somebody: a line that was changed, removed, put in or moved; a chain that ends before
//! its anchor; an anchor that the store had and lost. What is a [`Gap`] the gateway itself could not write, and says so
//! in the numbers of the lines around it, which nobody else can make.

use std::{collections::HashMap, fmt, sync::Arc};

use super::{
    chain::{ChainId, ChainKey, Mac},
    line::{Place, ReadLine},
};
use crate::domain::Timestamp;

/// How far a chain had come by what the store says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The position of its last line then.
    pub line: i64,
    /// The code of that line.
    pub mac: Mac,
    /// Events until then.
    pub events: i64,
    /// Whether its lines must be here.
    pub is_needed: bool,
}

/// What somebody did to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where: a file and a line, or a chain.
    pub place: String,
    /// What.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Events that a gateway could not write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The chain.
    pub chain: ChainId,
    /// The line behind it; `None` at the end of a chain whose process was killed.
    pub before_line: Option<i64>,
    /// How many events.
    pub events: i64,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Chains.
    pub chains: usize,
    /// Lines whose codes are right.
    pub lines: u64,
    /// What somebody did.
    pub findings: Vec<Finding>,
    /// What could not be written.
    pub gaps: Vec<Gap>,
    /// The furthest row of the store's own chain that any file tells of.
    pub store: Option<(i64, Mac)>,
    /// How far each chain says that the store had it, and when it said so.
    pub anchored: Vec<(ChainId, i64, Option<Timestamp>)>,
}

/// The chains of some files, line by line.
pub struct Chains<'k> {
    keys: &'k dyn Fn(&str) -> Option<Arc<ChainKey>>,
    expected: HashMap<ChainId, Expected>,
    begun: HashMap<ChainId, Chain>,
    /// Files that end before this may be missing.
    since: Option<Timestamp>,
    /// Where chains ended when others began, as these say; each with the place that says so. Those whose lines were not
    /// read by then: a clock that was set back puts files into another order.
    ends: Vec<(String, Place)>,
    summary: Summary,
}

struct Chain {
    key: Arc<ChainKey>,
    line: i64,
    mac: Mac,
    count: i64,
    /// What it says of its last anchor.
    anchored: Option<(i64, Option<Timestamp>)>,
    /// Whether something in it was changed, so that nothing behind can be judged.
    is_broken: bool,
}

impl<'k> Chains<'k> {
    /// Before the first line. `keys` gives the key of an id; `expected` is what the store says of chains.
    #[must_use]
    pub fn new(
        keys: &'k dyn Fn(&str) -> Option<Arc<ChainKey>>,
        expected: impl IntoIterator<Item = (ChainId, Expected)>,
    ) -> Self {
        let expected = expected.into_iter().collect();
        Self { keys, expected, begun: HashMap::new(), since: None, ends: vec![], summary: Summary::default() }
    }

    /// The same, where files that end before `since` may be missing.
    #[must_use]
    pub fn since(self, since: Timestamp) -> Self {
        Self { since: Some(since), ..self }
    }

    /// Takes the next line of a file, without its newline.
    pub fn take(&mut self, place: &str, text: &[u8]) {
        let Some(line) = ReadLine::read(text) else {
            return self.find(place, "is no line of an audit log: it was changed or put in");
        };
        if !self.begun.contains_key(&line.chain) && !self.begin(place, &line) {
            return;
        }
        let expected = self.expected.get(&line.chain).cloned();
        let Some(chain) = self.begun.get_mut(&line.chain) else { return };
        if chain.is_broken {
            return;
        }
        let follows = line.line == chain.line + 1;
        let is_right = line.code(&chain.key, &chain.mac) == line.mac;
        if !follows || !is_right {
            chain.is_broken = true;
            let what = match (follows, line.line > chain.line) {
                (true, _) => "was changed, or the line before it was",
                (false, true) => "does not follow the line before it: lines are missing",
                (false, false) => "stands where it does not belong: it was moved or doubled",
            };
            let what = format!("{what} (chain {}, after line {})", line.chain, chain.line);
            return self.find(place, &what);
        }
        let gap = line.count - chain.count - line.events();
        (chain.line, chain.mac, chain.count) = (line.line, line.mac, line.count);
        if let Some(anchored) = line.members.get("anchored_line").and_then(serde_json::Value::as_i64) {
            chain.anchored = Some((anchored, line.time_in("time")));
        }
        self.summary.lines += 1;
        if gap > 0 {
            self.summary.gaps.push(Gap { chain: line.chain, before_line: Some(line.line), events: gap });
        }
        if let Some(expected) = expected.filter(|expected| expected.line == line.line && expected.mac != line.mac) {
            self.find(place, &format!("is not the line {} that the store has the code of", expected.line));
        }
        self.see(place, &line);
    }

    /// A chain's first line here. One that goes on from another file says from which code.
    fn begin(&mut self, place: &str, line: &ReadLine<'_>) -> bool {
        let (before, mac) = match line.text("event") {
            Some("begin") if line.line == 1 => (0, Some(Mac::BEGINNING)),
            Some("continue") => (line.line - 1, line.mac_in("previous")),
            _ => (0, None),
        };
        let Some(mac) = mac else {
            // Once is enough.
            if self.summary.findings.iter().all(|finding| !finding.what.contains(&line.chain.to_string())) {
                self.find(place, &format!("is of the chain {}, whose beginning is missing", line.chain));
            }
            return false;
        };
        // A file that goes on does not say which key: any that is known may be it.
        let key = line.text("key").map_or_else(|| self.key_of(line, &mac), |id| (self.keys)(id));
        let Some(key) = key else {
            self.find(place, &format!("is of the chain {}, whose key nobody has", line.chain));
            return false;
        };
        // One that does not say when the file before it ended may have an old one before it.
        let may_be_missing = |since| line.time_in("previous_time").is_none_or(|ended| ended < since);
        if before > 0 && !self.since.is_some_and(may_be_missing) {
            let what = format!("the lines 1 to {before} of the chain {} are in a file that is not here", line.chain);
            self.find(place, &what);
        }
        let count = line.count - line.events();
        let chain = Chain { key, line: before, mac, count, anchored: None, is_broken: false };
        self.begun.insert(line.chain, chain);
        true
    }

    fn key_of(&self, line: &ReadLine<'_>, previous: &Mac) -> Option<Arc<ChainKey>> {
        // The empty id asks for the present key, and "*1", "*2", … for those before it.
        let ids = std::iter::once(String::new()).chain((1..).map(|n| format!("*{n}")));
        ids.map_while(|id| (self.keys)(&id)).find(|key| line.code(key, previous) == line.mac)
    }

    /// Notes what a line says of other chains.
    fn see(&mut self, place: &str, line: &ReadLine<'_>) {
        let number = line.members.get("store_number").and_then(serde_json::Value::as_i64);
        if let (Some(number), Some(mac)) = (number, line.mac_in("store_mac"))
            && self.summary.store.is_none_or(|(known, _)| known < number)
        {
            self.summary.store = Some((number, mac));
        }
        let Some(after) = line.after() else { return };
        match self.begun.get(&after.chain) {
            Some(before) if before.line == after.line && before.mac != after.mac => self.judge_end(place, &after),
            Some(before) if before.line >= after.line => {}
            _ => self.ends.push((place.to_owned(), after)),
        }
    }

    /// Holds a chain against where it had come when another one began.
    fn judge_end(&mut self, place: &str, after: &Place) {
        // What is not here at all is said once, by its anchor.
        let Some(before) = self.begun.get(&after.chain).filter(|chain| !chain.is_broken) else { return };
        if before.line < after.line || (before.line == after.line && before.mac != after.mac) {
            let (found, was) = (before.line, after.line);
            let what = format!(
                "when this process began, the chain {} had {was} lines; now it has {found}: its end was cut",
                after.chain
            );
            self.find(place, &what);
        }
    }

    fn find(&mut self, place: &str, what: &str) {
        self.summary.findings.push(Finding { place: place.to_owned(), what: what.to_owned() });
    }

    /// After the last line: chains that end before their anchors, and those that are not here.
    #[must_use]
    pub fn finish(mut self) -> Summary {
        for (place, after) in std::mem::take(&mut self.ends) {
            self.judge_end(&place, &after);
        }
        let mut expected: Vec<_> = std::mem::take(&mut self.expected).into_iter().collect();
        expected.sort_by_key(|(id, _)| *id);
        for (id, expected) in expected {
            let place = format!("chain {id}");
            match self.begun.get(&id) {
                Some(chain) if chain.is_broken => {}
                None if !expected.is_needed => {}
                None => {
                    let what = format!(
                        "the store has {} lines of it, and no file here has any: the file was removed or swapped",
                        expected.line
                    );
                    self.find(&place, &what);
                }
                Some(chain) if chain.line < expected.line => {
                    let what = format!("it ends after line {}, and had {}: its end was cut", chain.line, expected.line);
                    self.find(&place, &what);
                }
                Some(chain) if chain.count < expected.events => {
                    let events = expected.events - chain.count;
                    self.summary.gaps.push(Gap { chain: id, before_line: None, events });
                }
                Some(_) => {}
            }
        }
        self.summary.chains = self.begun.len();
        let anchored = self.begun.iter().filter_map(|(id, chain)| chain.anchored.map(|(line, at)| (*id, line, at)));
        self.summary.anchored = anchored.collect();
        self.summary.anchored.sort_unstable();
        self.summary
    }
}

#[cfg(test)]
mod tests;
