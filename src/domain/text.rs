//! Places in texts that people write, what they meant by a word that is nearly right, and which words a header field
//! carries as they are.

/// A place in a text, counted as editors do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The character in it, from 1.
    pub column: usize,
}

impl Position {
    /// Where the octet at `offset` of `text` stands. A byte order mark takes no column.
    #[must_use]
    pub fn of(text: &str, offset: usize) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line_start = before.iter().rposition(|&octet| octet == b'\n').map_or(0, |newline| newline + 1);
        let line = before.split(|&octet| octet == b'\n').count();
        let starts_character = |octet: &&u8| (**octet & 0xc0) != 0x80;
        let in_line = &before[line_start..];
        let in_line = in_line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(in_line);
        Self { line, column: in_line.iter().filter(starts_character).count() + 1 }
    }
}

/// Whether a header field's value carries `word` unchanged: it loses white space at its ends, and cannot have control
/// characters. Two words that differ in these alone would look the same to a service.
#[must_use]
pub fn fits_a_field(word: &str) -> bool {
    word.trim() == word && !word.chars().any(char::is_control)
}

/// What to write instead of `word`: the nearest of the `known` words when one is near, all of them otherwise.
#[must_use]
pub fn suggestion<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let known: Vec<_> = known.into_iter().collect();
    match near(word, &known) {
        Some(nearest) => format!("did you mean '{nearest}'?"),
        None => format!("known: {}", known.join(", ")),
    }
}

/// The nearest of the `known` words, when `word` is near enough to be a slip of it.
#[must_use]
pub fn near<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let edits = |known: &&str| strsim::damerau_levenshtein(word, known);
    // A word with more than a third of its letters wrong was hardly meant.
    let near = |known: &&str| edits(known) <= known.len().max(3) / 3;
    known.iter().copied().filter(near).min_by_key(edits)
}
