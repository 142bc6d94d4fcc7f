//! Which column of a file is which.

use std::{collections::BTreeMap, str::FromStr};

use crate::{cli::output::CliError, decision::admin::import::Column, state::account::import::ImportKind};

/// `--map OLD=NEW`; `OLD=-` leaves a column out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    old: String,
    new: Option<Column>,
}

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (old, new) = text.rsplit_once('=').ok_or("write OLD=NEW, or OLD=- for a column that is left out")?;
        let new = if new == "-" { None } else { Some(Column::named(new).ok_or_else(|| unknown(new))?) };
        Ok(Self { old: old.to_owned(), new })
    }
}

/// What each column of a heading is.
pub(super) type Heading = Vec<Option<Column>>;

/// The columns that a file may have.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    mapped: BTreeMap<String, Option<Column>>,
    kind: ImportKind,
}

impl Columns {
    pub(super) fn new(mappings: &[Mapping], kind: ImportKind) -> Self {
        Self { mapped: mappings.iter().map(|mapping| (mapping.old.clone(), mapping.new)).collect(), kind }
    }

    /// What a heading or a member of this name is; `None` for one that is left out.
    pub(super) fn of(&self, name: &str) -> Result<Option<Column>, String> {
        let column = match self.mapped.get(name) {
            Some(mapped) => *mapped,
            None => Some(Column::named(name).ok_or_else(|| {
                format!(
                    "{}; say what it is with --map {name}=COLUMN, or leave it out with --map {name}=-",
                    unknown(name)
                )
            })?),
        };
        match column {
            Some(column) if self.kind == ImportKind::Companies && !column.is_of_companies() => {
                Err(format!("a company has no {column}; leave it out with --map {name}=-"))
            }
            column => Ok(column),
        }
    }

    /// What the names of a heading are.
    pub(super) fn heading(&self, names: &[String], file: &str) -> Result<Heading, CliError> {
        let mut heading = Heading::new();
        for (at, name) in names.iter().enumerate() {
            let refuse = |why: String| CliError::Refused(format!("{file}:1:{}: {why}", at + 1));
            let column = self.of(name).map_err(refuse)?;
            if column.is_some() && heading.contains(&column) {
                return Err(refuse(format!("'{}' stands twice in the heading", name.escape_debug())));
            }
            heading.push(column);
        }
        if let Some(missing) = self.mapped.keys().find(|mapped| !names.contains(mapped)) {
            let missing = missing.escape_debug();
            return Err(CliError::Refused(format!("{file}:1: the heading has no '{missing}', which --map names")));
        }
        if !heading.contains(&Some(Column::Name)) {
            return Err(CliError::Refused(format!(
                "{file}:1: the heading has no 'name': say what it is with --map OLD=name"
            )));
        }
        Ok(heading)
    }
}

fn unknown(name: &str) -> String {
    let near = Column::ALL
        .into_iter()
        .map(|column| (strsim::damerau_levenshtein(name, column.name()), column))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, column)| *distance <= column.name().len() / 3 + 1);
    let hint = near.map(|(_, column)| format!(" (did you mean '{column}'?)")).unwrap_or_default();
    format!("there is no column '{}'{hint}", name.escape_debug())
}
