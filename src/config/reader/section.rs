//! Reads a table of the file key by key and remembers everything that is wrong on the way. Reading
//! never stops at a problem: what cannot be read is reported and left out, and the file is refused at the
//! end. The keys that are asked for *are* the known keys: [`Section::finish`] reports all others.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    item::Item,
    report::{Places, Problem},
};
use crate::domain::text::Position;
pub(in crate::config) use crate::domain::text::{near, suggestion};

/// Reads an environment variable.
pub(in crate::config) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What every reader of one file shares: the text, what its values refer to, and the problems so far.
pub(in crate::config) struct Context<'a> {
    pub(in crate::config) text: &'a str,
    /// What relative paths are relative to.
    pub(in crate::config) directory: &'a Path,
    pub(in crate::config) env: Environment<'a>,
    /// Whether the files that it refers to are looked at.
    pub(in crate::config) scope: Scope,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    places: RefCell<Places>,
    readable_secrets: RefCell<Vec<PathBuf>>,
    files: RefCell<Vec<PathBuf>>,
}

/// What a config is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Scope {
    /// The machine that it is for: the files that it refers to are read.
    Host,
    /// Nothing else: it may be for another machine.
    File,
}

/// Where something stands in the file.
#[derive(Clone, Debug)]
pub(in crate::config) struct Spot {
    /// Its dotted key.
    pub(in crate::config) key: String,
    /// Its first octet.
    pub(in crate::config) offset: usize,
}

/// A value and where it stands. Two are equal when their values are.
#[derive(Clone, Debug)]
pub(in crate::config) struct Placed<T> {
    pub(in crate::config) value: T,
    pub(in crate::config) spot: Spot,
}

/// A table of the file, or one that is left out and so has no keys.
pub(in crate::config) struct Section<'a> {
    context: &'a Context<'a>,
    spot: Spot,
    table: Option<&'a DeTable<'a>>,
    known: Vec<&'static str>,
    refused: Vec<&'static str>,
}

impl<'a> Context<'a> {
    pub(in crate::config) fn new(text: &'a str, directory: &'a Path, env: Environment<'a>, scope: Scope) -> Self {
        Self {
            text,
            directory,
            env,
            scope,
            problems: RefCell::default(),
            warnings: RefCell::default(),
            places: RefCell::default(),
            readable_secrets: RefCell::default(),
            files: RefCell::default(),
        }
    }

    /// Remembers a problem.
    pub(in crate::config) fn report(&self, spot: &Spot, message: &str) {
        let position = Some(Position::of(self.text, spot.offset));
        self.problems.borrow_mut().push(Problem::new(position, spot.key.clone(), message));
    }

    /// Remembers what is good, and hardly meant.
    pub(in crate::config) fn warn(&self, spot: &Spot, message: &str) {
        let position = Some(Position::of(self.text, spot.offset));
        self.warnings.borrow_mut().push(Problem::new(position, spot.key.clone(), message));
    }

    /// The warnings, in the order of the file.
    pub(in crate::config) fn warnings(&self) -> Vec<Problem> {
        let mut warnings = self.warnings.borrow().clone();
        warnings.sort_by_key(|warning| warning.position);
        warnings
    }

    /// Remembers where a value stands that only the machine can judge.
    pub(in crate::config) fn note_place(&self, spot: &Spot) {
        self.places.borrow_mut().note(spot.key.clone(), Position::of(self.text, spot.offset));
    }

    /// Those places.
    pub(in crate::config) fn places(&self) -> Places {
        self.places.borrow().clone()
    }

    /// Remembers a file with a secret that everybody can read.
    pub(in crate::config) fn note_readable_secret(&self, path: PathBuf) {
        self.readable_secrets.borrow_mut().push(path);
    }

    /// Those files.
    pub(in crate::config) fn readable_secrets(&self) -> Vec<PathBuf> {
        self.readable_secrets.borrow().clone()
    }

    /// Remembers a file that the settings were made of beside `gateway.toml`.
    pub(in crate::config) fn note_file(&self, path: PathBuf) {
        self.files.borrow_mut().push(path);
    }

    /// Those files.
    pub(in crate::config) fn files(&self) -> Vec<PathBuf> {
        self.files.borrow().clone()
    }

    /// The line on which `spot` stands.
    pub(in crate::config) fn line(&self, spot: &Spot) -> usize {
        Position::of(self.text, spot.offset).line
    }

    /// Ends the reading: every problem there was.
    pub(in crate::config) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

impl Spot {
    /// The spot of the key `name` of the table that stands here.
    fn at_key(&self, name: &str, offset: usize) -> Self {
        Self { key: key_in(&self.key, name), offset }
    }

    /// The spot of element `index` of the array that stands here.
    pub(in crate::config) fn at_index(&self, index: usize, offset: usize) -> Self {
        Self { key: format!("{}[{index}]", self.key), offset }
    }
}

/// The dotted key of `name` in the table at `path`.
pub(in crate::config) fn key_in(path: &str, name: &str) -> String {
    let bare = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    let name = if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { format!("{name:?}") };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

impl<T: PartialEq> PartialEq for Placed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<'a> Section<'a> {
    /// The file itself.
    pub(in crate::config) fn root(context: &'a Context<'a>, table: &'a DeTable<'a>) -> Self {
        Self::new(context, Spot { key: String::new(), offset: 0 }, Some(table))
    }

    /// The table that stands at `spot`.
    pub(in crate::config) fn new(context: &'a Context<'a>, spot: Spot, table: Option<&'a DeTable<'a>>) -> Self {
        Self { context, spot, table, known: vec![], refused: vec![] }
    }

    /// A key that may be left out. `None` too when its value is wrong; that is reported then.
    pub(in crate::config) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Item<'a>) -> Option<T>,
    ) -> Option<T> {
        self.known.push(key);
        read(&self.item(key)?)
    }

    /// A key that has a default.
    pub(in crate::config) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Item<'a>) -> Option<T>,
    ) -> T {
        self.optional(key, read).unwrap_or(default)
    }

    /// A key that has a default; `None` when its value is wrong: where to go on with the default would
    /// lead to false problems.
    pub(in crate::config) fn checked<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Item<'a>) -> Option<T>,
    ) -> Option<T> {
        if self.has(key) { self.optional(key, read) } else { self.or(key, default, read).into() }
    }

    /// A key that must be there. `example` is a value that could stand there, as the file would spell it.
    pub(in crate::config) fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&Item<'a>) -> Option<T>,
    ) -> Option<T> {
        if !self.has(key) {
            self.report(key, &format!("missing; add it, for example {key} = {example}"));
        }
        self.optional(key, read)
    }

    /// A key that is known elsewhere, but must not stand here: `why` says so.
    pub(in crate::config) fn refuse(&mut self, key: &'static str, why: &str) {
        self.refused.push(key);
        if let Some((name, _)) = self.entry(key) {
            self.context.report(&self.spot.at_key(key, name.span().start), why);
        }
    }

    /// Keys whose meaning cannot be told, because of another problem: they are let pass.
    pub(in crate::config) fn skip(&mut self, keys: impl IntoIterator<Item = &'static str>) {
        self.refused.extend(keys);
    }

    /// The table below `key`; an empty one when it is left out.
    pub(in crate::config) fn section(&mut self, key: &'static str) -> Section<'a> {
        let absent = Section::new(self.context, self.spot.at_key(key, self.spot.offset), None);
        self.optional(key, Item::section).unwrap_or(absent)
    }

    /// The tables of the array below `key` (`[[key]]`).
    pub(in crate::config) fn sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        self.optional(key, |item| Some(item.items()?.iter().filter_map(Item::section).collect())).unwrap_or_default()
    }

    /// The tables below `key` with their names (`[key.NAME]`), in the order of the file.
    pub(in crate::config) fn named_sections(&mut self, key: &'static str) -> Vec<(&'a str, Section<'a>)> {
        let tables = self.section(key);
        tables.into_entries().into_iter().filter_map(|(name, item)| Some((name, item.section()?))).collect()
    }

    /// Every key of this table with its value, in the order of the file: for tables whose keys are free.
    pub(in crate::config) fn into_entries(self) -> Vec<(&'a str, Item<'a>)> {
        let entries = self.table.into_iter().flat_map(DeTable::iter);
        let item = |(name, value): (&'a Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let name: &'a std::borrow::Cow<'a, str> = name.get_ref();
            (&**name, Item::new(self.context, self.spot.at_key(name, value.span().start), value.get_ref()))
        };
        entries.map(item).collect()
    }

    /// Whether `key` stands in the file.
    pub(in crate::config) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Where the value of `key` stands, or the table when it is left out.
    pub(in crate::config) fn spot_of(&self, key: &str) -> Spot {
        self.spot.at_key(key, self.entry(key).map_or(self.spot.offset, |(_, value)| value.span().start))
    }

    /// The line on which `spot` stands.
    pub(in crate::config) fn line(&self, spot: &Spot) -> usize {
        self.context.line(spot)
    }

    /// Where the table stands.
    pub(in crate::config) const fn spot(&self) -> &Spot {
        &self.spot
    }

    /// Reports that something is wrong with the table as a whole.
    pub(in crate::config) fn report_here(&self, message: &str) {
        self.context.report(&self.spot, message);
    }

    /// Reports that something is wrong with the value of `key`.
    pub(in crate::config) fn report(&self, key: &str, message: &str) {
        self.context.report(&self.spot_of(key), message);
    }

    /// Warns of the value of `key`, which is good.
    pub(in crate::config) fn warn(&self, key: &str, message: &str) {
        self.context.warn(&self.spot_of(key), message);
    }

    /// Warns about the table itself.
    pub(in crate::config) fn warn_here(&self, message: &str) {
        self.context.warn(&self.spot, message);
    }

    /// Reports the keys that nobody asked for.
    pub(in crate::config) fn finish(self) {
        for (name, _) in self.table.into_iter().flat_map(DeTable::iter) {
            let key: &str = name.get_ref();
            if !self.known.contains(&key) && !self.refused.contains(&key) {
                let message = format!("unknown key; {}", suggestion(key, self.known.iter().copied()));
                self.context.report(&self.spot.at_key(key, name.span().start), &message);
            }
        }
    }

    fn item(&self, key: &str) -> Option<Item<'a>> {
        let (_, value) = self.entry(key)?;
        Some(Item::new(self.context, self.spot_of(key), value.get_ref()))
    }

    fn entry(&self, key: &str) -> Option<(&'a Spanned<toml::de::DeString<'a>>, &'a Spanned<DeValue<'a>>)> {
        self.table?.get_key_value(key)
    }
}
