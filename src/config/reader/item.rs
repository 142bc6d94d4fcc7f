//! One value of the file, read as what it should be.

use std::{
    fmt::Display,
    fs::{self, File},
    io::Read,
    ops::RangeInclusive,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use toml::de::{DeTable, DeValue};

use super::{
    expand::{self, Piece},
    section::{Context, Scope, Section, Spot, suggestion},
    size,
};
use crate::{domain::duration, upstream::request_slot::Share};

/// Characters of a value that a problem shows, at most.
const SHOWN_CHARS_MAX: usize = 80;

/// Octets of a file that a value names, at most: certificates and authorities are far smaller.
const REFERRED_FILE_BYTES_MAX: u64 = 4 << 20;

/// The permission that lets everybody read a file.
const READABLE_BY_ALL: u32 = 0o004;

/// A value and where it stands. Its readers report what is wrong, and are `None` then.
#[derive(Clone)]
pub(in crate::config) struct Item<'a> {
    context: &'a Context<'a>,
    spot: Spot,
    value: &'a DeValue<'a>,
}

impl<'a> Item<'a> {
    pub(in crate::config) const fn new(context: &'a Context<'a>, spot: Spot, value: &'a DeValue<'a>) -> Self {
        Self { context, spot, value }
    }

    /// A string, with the environment's variables put in.
    pub(in crate::config) fn text(&self) -> Option<String> {
        let DeValue::String(raw) = self.value else { return self.expected("a string") };
        let mut text = Some(String::with_capacity(raw.len()));
        for piece in expand::pieces(raw) {
            let part = match piece {
                Piece::Text(part) => Some(part.to_owned()),
                Piece::Variable(name) => (self.context.env)(name)
                    .or_else(|| self.wrong(&format!("the environment variable '{name}' is not set"))),
                Piece::Broken => {
                    self.wrong("'${' must be followed by a variable's name and '}'; write '$${' for the text '${'")
                }
            };
            text = text.zip(part).map(|(text, part)| text + &part);
        }
        text
    }

    /// A string that is not empty.
    pub(in crate::config) fn word(&self) -> Option<String> {
        let text = self.text()?;
        if text.is_empty() { self.wrong("must not be empty") } else { Some(text) }
    }

    /// A string that is `expected`, which stands in the problem when `T` cannot be read from it.
    pub(in crate::config) fn parse<T: FromStr>(&self, expected: &str) -> Option<T> {
        let text = self.text()?;
        text.parse().ok().or_else(|| self.no(expected))
    }

    /// One of the words of `choices`.
    pub(in crate::config) fn one_of<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let choice = choices.iter().find(|(word, _)| *word == text);
        choice.map(|(_, value)| *value).or_else(|| {
            let instead = suggestion(self.raw(), choices.iter().map(|(word, _)| *word));
            self.wrong(&format!("{} is not known here; {instead}", self.shown()))
        })
    }

    /// A path; a relative one is relative to the file's folder.
    pub(in crate::config) fn path(&self) -> Option<PathBuf> {
        self.context.note_place(&self.spot);
        self.word().map(|path| self.context.directory.join(path))
    }

    /// Remembers where this value stands: only the machine can judge it.
    pub(in crate::config) fn note_place(&self) {
        self.context.note_place(&self.spot);
    }

    /// Whether the files that values name are looked at.
    pub(in crate::config) fn looks_at_files(&self) -> bool {
        self.context.scope == Scope::Host
    }

    /// The file that the value names, and what is in it: a reload reads it again. `None` where files are not looked at.
    pub(in crate::config) fn file(&self) -> Option<(PathBuf, Vec<u8>)> {
        let path = self.path()?;
        if !self.looks_at_files() {
            return None;
        }
        self.context.note_file(path.clone());
        // A pipe has no end while somebody holds it open: reading one would hold everything up.
        if fs::metadata(&path).is_ok_and(|entry| !entry.is_file()) {
            return self.wrong(&format!("{} is no regular file", self.shown()));
        }
        let mut bytes = vec![];
        let read = File::open(&path).and_then(|file| file.take(REFERRED_FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
        match read {
            Err(error) => self.wrong(&format!("{} cannot be read: {error}", self.shown())),
            Ok(_) if bytes.len() as u64 > REFERRED_FILE_BYTES_MAX => {
                self.wrong(&format!("{} has more than {REFERRED_FILE_BYTES_MAX} octets", self.shown()))
            }
            Ok(_) => Some((path, bytes)),
        }
    }

    /// Notes a file with a secret that everybody can read. Whose file it is and who reads it is the operator's to say,
    /// so that is no error.
    pub(in crate::config) fn note_if_readable(&self, path: PathBuf) {
        let mode = path.metadata().map_or(0, |metadata| metadata.permissions().mode());
        if mode & READABLE_BY_ALL != 0 {
            self.context.note_readable_secret(path);
        }
    }

    /// `true` or `false`.
    pub(in crate::config) fn boolean(&self) -> Option<bool> {
        if let DeValue::Boolean(value) = self.value { Some(*value) } else { self.expected("true or false") }
    }

    /// An integer within `range`.
    pub(in crate::config) fn integer<N>(&self, range: &RangeInclusive<N>) -> Option<N>
    where
        N: TryFrom<i64> + PartialOrd + Display,
    {
        let expected = || format!("an integer from {} to {}", range.start(), range.end());
        let DeValue::Integer(integer) = self.value else { return self.expected(&expected()) };
        let value =
            i64::from_str_radix(integer.as_str(), integer.radix()).ok().and_then(|value| N::try_from(value).ok());
        value.filter(|value| range.contains(value)).or_else(|| self.expected(&expected()))
    }

    /// A fraction of a whole: above 0, up to 1.
    pub(in crate::config) fn share(&self) -> Option<Share> {
        let number = match self.value {
            DeValue::Float(float) => float.as_str().parse().ok(),
            DeValue::Integer(integer) if integer.as_str() == "1" => Some(1.0),
            _ => None,
        };
        number.and_then(Share::of).or_else(|| self.expected("a number above 0.0, up to 1.0"))
    }

    /// A duration within `range`.
    pub(in crate::config) fn duration(&self, range: &RangeInclusive<Duration>) -> Option<Duration> {
        let meant =
            |text: &str| duration::parse(text).is_some_and(|value| range.contains(&value)).then(|| text.to_owned());
        if let Some(seconds) = self.bare_number().and_then(|number| meant(&format!("{number}s"))) {
            return self.wrong(&format!("a duration has a unit: write \"{seconds}\" for {}", self.shown()));
        }
        let value = duration::parse(&self.text()?);
        value.filter(|value| range.contains(value)).or_else(|| {
            let [least, most] = [range.start(), range.end()].map(|&bound| duration::shown(bound));
            self.no(&format!("a duration from {least} to {most}, such as \"500ms\", \"30s\", \"12h\" or \"1d\""))
        })
    }

    /// A size in bytes, within `range`.
    pub(in crate::config) fn size(&self, range: &RangeInclusive<u64>) -> Option<u64> {
        let meant = |text: &str| size::parse(text).is_some_and(|value| range.contains(&value)).then(|| text.to_owned());
        if let Some(bytes) = self.bare_number().and_then(|number| meant(&format!("{number}B"))) {
            return self.wrong(&format!("a size has a unit: write \"{bytes}\" for {}", self.shown()));
        }
        if let Some(binary) = size::in_binary_unit(self.raw()).and_then(|text| meant(&text)) {
            return self.wrong(&format!("sizes are in units of 1024: write \"{binary}\" for {}", self.shown()));
        }
        let value = size::parse(&self.text()?);
        value.filter(|value| range.contains(value)).or_else(|| {
            let [least, most] = [range.start(), range.end()].map(|&bound| size::shown(bound));
            self.no(&format!("a size from {least} to {most}, such as \"64KiB\" or \"128MiB\""))
        })
    }

    /// An array, each element read by `read`. The same value twice is a problem.
    pub(in crate::config) fn list<T: PartialEq>(&self, read: impl Fn(&Item<'a>) -> Option<T>) -> Option<Vec<T>> {
        let items = self.items()?;
        let values = Self::each(&items, read);
        (values.len() == items.len()).then_some(values)
    }

    /// Such an array with at least one element.
    pub(in crate::config) fn some<T: PartialEq>(&self, read: impl Fn(&Item<'a>) -> Option<T>) -> Option<Vec<T>> {
        if self.items()?.is_empty() {
            return self.wrong("must not be empty");
        }
        self.list(read)
    }

    /// Those of `items` that `read` can read, the others and repeated ones reported.
    pub(in crate::config) fn each<T: PartialEq>(items: &[Item<'a>], read: impl Fn(&Item<'a>) -> Option<T>) -> Vec<T> {
        let mut values = vec![];
        for item in items {
            match read(item) {
                Some(value) if values.contains(&value) => {
                    item.wrong::<()>(&format!("{} stands here twice", item.shown()));
                }
                Some(value) => values.push(value),
                None => {}
            }
        }
        values
    }

    /// The elements of an array.
    pub(in crate::config) fn items(&self) -> Option<Vec<Item<'a>>> {
        let DeValue::Array(values) = self.value else { return self.expected("an array") };
        let element = |(index, value): (usize, &'a toml::Spanned<DeValue<'a>>)| {
            Item::new(self.context, self.spot.at_index(index, value.span().start), value.get_ref())
        };
        Some(values.iter().enumerate().map(element).collect())
    }

    /// A table.
    pub(in crate::config) fn section(&self) -> Option<Section<'a>> {
        let DeValue::Table(table) = self.value else { return self.expected("a table") };
        Some(Section::new(self.context, self.spot.clone(), Some(table)))
    }

    /// A table as it is written, and the text that it stands in.
    pub(in crate::config) fn table(&self) -> Option<(&'a DeTable<'a>, &'a str)> {
        let DeValue::Table(table) = self.value else { return self.expected("a table") };
        Some((table, self.context.text))
    }

    /// Reports that something is wrong at an octet inside of this value.
    pub(in crate::config) fn wrong_at(&self, offset: usize, message: &str) {
        self.context.report(&Spot { key: self.spot.key.clone(), offset }, message);
    }

    /// The bare value.
    pub(in crate::config) const fn value(&self) -> &'a DeValue<'a> {
        self.value
    }

    /// A string as the file has it; empty for every other value.
    pub(in crate::config) fn raw(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    /// Where it stands.
    pub(in crate::config) const fn spot(&self) -> &Spot {
        &self.spot
    }

    /// Reports that this value is wrong.
    pub(in crate::config) fn wrong<T>(&self, message: &str) -> Option<T> {
        self.context.report(&self.spot, message);
        None
    }

    /// Reports that this string is not `expected`.
    pub(in crate::config) fn no<T>(&self, expected: &str) -> Option<T> {
        self.wrong(&format!("{} is not {expected}", self.shown()))
    }

    /// The value as a problem may show it: as the file has it, never what a variable stands for.
    pub(in crate::config) fn shown(&self) -> String {
        match self.value {
            DeValue::String(text) if text.chars().count() > SHOWN_CHARS_MAX => {
                format!("'{}…'", text.chars().take(SHOWN_CHARS_MAX).collect::<String>())
            }
            DeValue::String(text) => format!("'{text}'"),
            DeValue::Integer(integer) => integer.to_string(),
            DeValue::Boolean(value) => value.to_string(),
            other => format!("this {}", other.type_str()),
        }
    }

    /// A whole number without a unit, as an integer or as a string of digits.
    fn bare_number(&self) -> Option<&'a str> {
        let digits = |text: &&str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
        match self.value {
            DeValue::Integer(integer) if integer.radix() == 10 => Some(integer.as_str()).filter(digits),
            _ => Some(self.raw()).filter(digits),
        }
    }

    /// Whether the environment has a part in this string.
    pub(in crate::config) fn has_variables(&self) -> bool {
        expand::pieces(self.raw()).into_iter().any(|piece| matches!(piece, Piece::Variable(_)))
    }

    /// Reports that another type or an integer outside the range stands here.
    fn expected<T>(&self, expected: &str) -> Option<T> {
        let found = match self.value {
            DeValue::Integer(integer) => integer.to_string(),
            other => format!("a value of type {}", other.type_str()),
        };
        self.wrong(&format!("expected {expected}, found {found}"))
    }
}
