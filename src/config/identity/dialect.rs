//! `realms.X.dialect`, `extend`, `language` and `accept_language`: the contract that a realm speaks, one that ships or
//! a file's, what the realm changes in it, and in which language it speaks.

use crate::{
    config::reader::{Item, Section},
    rules::contract::{Dialect, FILE_BYTES_MAX, Fault, Layer, builtin_text, load_layers},
};

/// What a contract's file is called: every other value is the name of one that ships.
const FILE_SUFFIX: &str = ".toml";

/// How problems call what a realm changes: it stands in the config file itself.
const EXTENSION: &str = "";

/// The keys that say in which language it speaks.
pub(super) const LANGUAGE_KEYS: [&str; 2] = ["language", "accept_language"];

/// Reads the contract, and in which language the realm speaks it.
pub(super) fn read(section: &mut Section<'_>) -> Option<Dialect> {
    let dialect = contract(section)?;
    let speaks = dialect.languages().join(", ");
    let in_language = |item: &Item<'_>| {
        let language = item.text()?;
        dialect.clone().in_language(&language).or_else(|| item.no(&format!("a language of the dialect: {speaks}")))
    };
    let dialect = section.optional("language", in_language).unwrap_or_else(|| dialect.clone());
    let negotiates = section.or("accept_language", false, |item| match item.boolean()? {
        true if dialect.languages().len() < 2 => {
            item.wrong(&format!("there is nothing to choose from: '{dialect}' speaks {speaks} alone"))
        }
        negotiates => Some(negotiates),
    });
    Some(if negotiates { dialect.negotiating() } else { dialect })
}

fn contract(section: &mut Section<'_>) -> Option<Dialect> {
    let extend = section.optional("extend", |item| item.table().map(|_| item.clone()));
    let example = Dialect::shipped().next().map_or_else(String::new, |dialect| format!("\"{dialect}\""));
    section.required("dialect", &example, |item| {
        if item.raw().ends_with(FILE_SUFFIX) {
            let (_, bytes) = item.file()?;
            let text = String::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= FILE_BYTES_MAX);
            let text = text.or_else(|| item.no(&format!("a contract in UTF-8 of at most {FILE_BYTES_MAX} bytes")))?;
            return from_texts(item, &text, extend.as_ref());
        }
        let dialects: Vec<_> = Dialect::shipped().collect();
        let choices: Vec<_> = dialects.iter().enumerate().map(|(at, dialect)| (dialect.name(), at)).collect();
        let dialect = dialects.get(item.one_of(&choices)?)?.clone();
        match (&extend, builtin_text(dialect.name())) {
            (None, _) => Some(dialect),
            (Some(_), Some(text)) => from_texts(item, text, extend.as_ref()),
            (Some(extend), None) => {
                extend.wrong(&format!("'{dialect}' is no contract from a file: it cannot be extended"))
            }
        }
    })
}

/// The contract of a text and of what the realm changes in it.
fn from_texts(item: &Item<'_>, text: &str, extend: Option<&Item<'_>>) -> Option<Dialect> {
    let file = item.raw();
    let table = match Layer::parsed(file, text) {
        Ok(layer) => layer,
        Err(faults) => return report(item, extend, &faults),
    };
    let over = extend.and_then(Item::table).map(|(table, text)| Layer { file: EXTENSION, text, table: table.clone() });
    match load_layers([table].into_iter().chain(over).collect()) {
        Ok(loaded) => Some(loaded.contract.into()),
        Err(faults) => report(item, extend, &faults),
    }
}

fn report<T>(item: &Item<'_>, extend: Option<&Item<'_>>, faults: &[Fault]) -> Option<T> {
    for fault in faults {
        match extend {
            Some(extend) if fault.file == EXTENSION => extend.wrong_at(fault.offset, &fault.message),
            _ => item.wrong::<()>(&fault.to_string()).unwrap_or_default(),
        }
    }
    None
}
