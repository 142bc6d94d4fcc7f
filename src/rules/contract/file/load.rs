//! Reads a contract: lays its layers one over the other, and checks what that is.

use aws_lc_rs::digest::{SHA256, digest};
use serde::Deserialize;
use toml::{Spanned, de::DeTable};

use super::{
    builtin,
    checker::Checker,
    layers::{Fault, Layer, Sources},
    loaded::{FellBack, Loaded},
    raw::RawContract,
    shape,
};
use crate::rules::contract::engine::{FileContract, Fingerprint, Translations};

/// Bytes of a contract's file, at most.
pub const FILE_BYTES_MAX: u64 = 256 << 10;

/// Characters of a contract's name, at most.
const NAME_CHARS_MAX: usize = 64;

/// Reads the contract in `text`, which problems call `file`.
///
/// # Errors
/// Everything that is wrong with it, in the order of the text; where it is no TOML, that alone.
pub fn load(file: &str, text: &str) -> Result<Loaded, Vec<Fault>> {
    load_layers(vec![Layer::parsed(file, text)?])
}

/// Reads the contract that these layers make, the later over the earlier. The first one may extend a contract that
/// ships.
///
/// # Errors
/// Everything that is wrong with it, layer by layer.
pub fn load_layers(mut layers: Vec<Layer<'_>>) -> Result<Loaded, Vec<Fault>> {
    let base = layers.first_mut().and_then(|layer| layer.table.remove("extends"));
    let extends = base.map(|base| (base.span().start, base.get_ref().as_str().unwrap_or_default().to_owned()));
    let mut below = None;
    if let Some((at, name)) = &extends {
        let Some((file, text)) = builtin::named(name) else {
            let message = format!("only contracts that ship can be extended; {}", builtin::suggestion(name));
            return Err(vec![Sources::merged(layers).0.fault(*at, &message)]);
        };
        below = Some(Layer::parsed(file, text)?);
    }
    // A base has a base of its own at most where it ships so; those are one deep.
    if let Some(layer) = &mut below {
        layer.table.remove("extends");
    }
    let layers = below.into_iter().chain(layers).collect();
    let (sources, table) = Sources::merged(layers);
    let declared = DeTable::clone(&table);
    let raw = RawContract::deserialize(toml::Deserializer::from(Spanned::new(0..0, table)));
    let raw = raw.map_err(|error| misshapen(&sources, &declared, &error))?;
    let plain = toml::Table::deserialize(toml::Deserializer::from(Spanned::new(0..0, declared.clone())));
    let declared = plain.map_err(|error| misshapen(&sources, &declared, &error))?;
    let fingerprint = fingerprint(&declared);
    checked(&sources, &raw, extends.map(|(_, name)| name), fingerprint)
}

/// Makes a contract of what is written.
fn checked(
    sources: &Sources<'_>,
    raw: &RawContract,
    extends: Option<String>,
    fingerprint: Fingerprint,
) -> Result<Loaded, Vec<Fault>> {
    let mut checker = Checker::new(sources);
    let name = raw.name.get_ref();
    let is_name = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || matches!(octet, b'-' | b'_');
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.bytes().all(is_name) {
        checker.wrong(&raw.name.span(), "a name is 1 to 64 of a-z, 0-9, '-' and '_'");
    }
    let facts = checker.facts(raw, extends);
    let (mut translations, mut fell_back) = (vec![], FellBack::default());
    for language in checker.languages(raw) {
        let requests = checker.requests(raw, &facts, &language);
        let claims = checker.claims(raw, &facts);
        // Where a response falls back is the same in every language.
        if let Some((replies, others)) = checker.replies(raw, &facts, &language) {
            fell_back = others;
            let contract = FileContract::new(facts.clone(), requests, claims, replies, fingerprint);
            translations.push((language.tag, contract));
        }
    }
    match Translations::of(translations) {
        Some(contract) if checker.is_good() => Ok(Loaded { contract, fell_back }),
        _ => Err(checker.finish()),
    }
}

fn fingerprint(declared: &toml::Table) -> Fingerprint {
    let digest = digest(&SHA256, declared.to_string().as_bytes());
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(digest.as_ref());
    fingerprint
}

/// Keys and types that a contract does not have, with the nearest ones that it has.
fn misshapen(sources: &Sources<'_>, table: &DeTable<'_>, error: &toml::de::Error) -> Vec<Fault> {
    let mut faults = shape::faults(sources, table);
    let message = error.message();
    let span = error.span().unwrap_or_default();
    let words: Vec<_> = message.split('`').skip(1).step_by(2).collect();
    let of_key = match &words[..] {
        [word, known @ ..] if message.starts_with("unknown field") => Some(shape::unknown(word, known)),
        [word, ..] if message.starts_with("missing field") => {
            let path = if span.is_empty() { String::new() } else { shape::path_at(table, span.start) };
            Some(shape::missing(&path, word))
        }
        _ => None,
    };
    let fault = sources.fault(span.start, of_key.as_deref().unwrap_or(message));
    let same = faults.iter().position(|known| (&known.file, known.offset) == (&fault.file, fault.offset));
    match (of_key, same) {
        (Some(_), Some(same)) => faults[same] = fault,
        (None, _) if !faults.is_empty() => {}
        _ => faults.push(fault),
    }
    faults
}
