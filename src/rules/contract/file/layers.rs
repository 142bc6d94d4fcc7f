//! The texts that a contract is made of: a file, what the file extends, and what a realm changes in it. They are laid
//! one over the other key by key, and every value still knows which text it stands in.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::domain::text::Position;

/// One text, or a table of it, that is laid over those before it.
pub struct Layer<'a> {
    /// How problems call the text.
    pub file: &'a str,
    /// The whole text: what spans count in.
    pub text: &'a str,
    /// The part of it that is a contract's.
    pub table: DeTable<'a>,
}

impl<'a> Layer<'a> {
    /// The layer that is a whole text.
    ///
    /// # Errors
    /// Where the text is no TOML.
    pub fn parsed(file: &'a str, text: &'a str) -> Result<Self, Vec<Fault>> {
        match DeTable::parse(text) {
            Ok(table) => Ok(Self { file, text, table: table.into_inner() }),
            Err(error) => {
                let (sources, _) = Sources::merged(vec![Self { file, text, table: DeTable::new() }]);
                let at = error.span().map_or(0, |span| span.start);
                Err(vec![sources.fault(at, &format!("no TOML: {}", error.message()))])
            }
        }
    }
}

/// What is wrong with a contract, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// How the text is called that it stands in.
    pub file: String,
    /// The octet of the text.
    pub offset: usize,
    /// The place in the text.
    pub position: Position,
    /// What is wrong, and what to write instead; one line.
    pub message: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Position { line, column } = self.position;
        write!(f, "{}:{line}:{column}: {}", self.file, self.message)
    }
}

/// The texts one behind the other, so that one number says text and place.
pub(super) struct Sources<'a>(Vec<(&'a str, &'a str, usize)>);

impl<'a> Sources<'a> {
    /// Lays the layers over each other, the later over the earlier.
    pub(super) fn merged(layers: Vec<Layer<'a>>) -> (Self, DeTable<'a>) {
        let mut sources = Self(vec![]);
        let mut merged = DeTable::new();
        let mut start = 0;
        for Layer { file, text, table } in layers {
            overlay(&mut merged, shifted_table(table, start));
            sources.0.push((file, text, start));
            start += text.len() + 1;
        }
        (sources, merged)
    }

    /// What is wrong at a place.
    pub(super) fn fault(&self, at: usize, message: &str) -> Fault {
        let (file, text, start) = self.0.iter().rfind(|(.., start)| *start <= at).copied().unwrap_or_default();
        let offset = (at - start).min(text.len());
        let message = message.split(['\n', '\r']).collect::<Vec<_>>().join(" ");
        Fault { file: file.to_owned(), offset, position: Position::of(text, offset), message }
    }

    /// The octets of a value, as they are written.
    pub(super) fn written(&self, span: &Range<usize>) -> &'a str {
        let source = self.0.iter().rfind(|(.., start)| *start <= span.start);
        source.and_then(|(_, text, start)| text.get(span.start - start..span.end - start)).unwrap_or_default()
    }
}

fn overlay<'a>(base: &mut DeTable<'a>, over: DeTable<'a>) {
    for (key, value) in over {
        let both = base.get_mut::<str>(key.get_ref()).map(Spanned::get_mut);
        match (both, value) {
            (Some(DeValue::Table(below)), value) if value.get_ref().is_table() => {
                if let DeValue::Table(above) = value.into_inner() {
                    overlay(below, above);
                }
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn shifted_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    table.into_iter().map(|(key, value)| (shifted(key, by), shifted_value(value, by))).collect()
}

fn shifted_value(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = value.span();
    let inner = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shifted_table(table, by)),
        DeValue::Array(array) => DeValue::Array(array.into_iter().map(|element| shifted_value(element, by)).collect()),
        plain => plain,
    };
    shifted(Spanned::new(span, inner), by)
}

fn shifted<T>(value: Spanned<T>, by: usize) -> Spanned<T> {
    let span = value.span();
    Spanned::new(span.start + by..span.end + by, value.into_inner())
}
