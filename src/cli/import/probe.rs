//! `portero import --probe`: whether hashes are understood, before a night is lost.

use serde_json::{Value, json};

use crate::{
    cli::output::{CliError, Output},
    decision::admin::import::{Column, Rows, Says},
    domain::{Clock, Secret, SystemClock},
    rules::realm::Realm,
    state::account::{
        import::ImportKind,
        password::{Foreign, Reading},
    },
};

/// Rows that are tried, at most.
const ROWS_MAX: usize = 100;

/// Tries every row: each has a hash, and the password that it is of.
pub(super) fn run(
    rows: &mut dyn Rows,
    realm: &Realm,
    kind: ImportKind,
    reading: &Reading,
    file: &str,
) -> Result<Output, CliError> {
    let (mut lines, mut tried): (Vec<String>, Vec<Value>) = (vec![], vec![]);
    let mut all_match = true;
    while let Some((_, raw)) = rows.next_row().map_err(|error| CliError::Trouble(format!("{file}: {error}")))? {
        if tried.len() == ROWS_MAX {
            return Err(CliError::Refused(format!("--probe takes at most {ROWS_MAX} rows")));
        }
        let refuse = |bad: crate::decision::admin::import::BadRow| CliError::Refused(format!("{file}:{bad}"));
        let mut raw = raw.map_err(refuse)?;
        let line = raw.line;
        let missing = |of: Column| {
            let why = format!("--probe takes a {of} in every row");
            refuse(crate::decision::admin::import::BadRow { line, column: None, of: Some(of), why })
        };
        let password = raw.value(Column::Password).map(Secret::from).ok_or_else(|| missing(Column::Password))?;
        raw.values.retain(|(of, ..)| *of != Column::Password);
        let row = raw.judge(realm, kind, reading, SystemClock.now()).map_err(refuse)?;
        let Says::Account(account) = row.says else { return Err(missing(Column::Hash)) };
        let Some(hash) = account.secret else { return Err(missing(Column::Hash)) };
        let began = SystemClock.instant();
        let matches = hash.verify(&password);
        let millis = SystemClock.instant().saturating_duration_since(began).as_millis();
        let kept = kept(&hash);
        let name = account.new.name.name.escape_debug().to_string();
        let said = if matches { "the password matches" } else { "the password does NOT match" };
        lines.push(format!("'{name}': {}, {said} ({millis} ms); {kept}", hash.name()));
        tried.push(json!({ "name": name, "format": hash.name(), "matches": matches, "millis": u64::try_from(millis).ok(), "kept": kept }));
        all_match &= matches;
    }
    let text = lines.join("\n");
    if tried.is_empty() {
        return Err(CliError::Refused(format!("{file} has no row: give one of name, hash and password")));
    }
    if !all_match {
        return Err(CliError::Refused(format!(
            "{text}\nThe format is understood, and the password is not of the hash: it may be another password, or the old \
             system makes its hashes in another way (--rule, --salt-encoding, --pepper-file)"
        )));
    }
    Ok(Output { text, json: Value::Array(tried) })
}

/// What the store would have.
const fn kept(hash: &Foreign) -> &'static str {
    match hash {
        Foreign::Slow(_) => "kept as it is until the next login",
        Foreign::Fast(_) => "kept sealed, then wrapped in argon2id",
    }
}
