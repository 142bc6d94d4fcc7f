//! `portero migration tokens`: a table of the old system's tokens, as JSON Lines.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    cli::output::{CliError, Output},
    decision::AdminService,
    domain::{AccountName, Timestamp},
    rules::realm::Realm,
    state::takeover::old_tokens::{self, HASH_BYTES, NewOldToken},
};

/// Rows of one transaction.
const BATCH_ROWS: usize = 1_000;

/// Octets of a line, at most.
const LINE_BYTES_MAX: u64 = 16 << 10;

/// Rows that are named, at most, of those that were left out.
const NAMED_MAX: usize = 20;

/// A line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// The token, or …
    token: Option<String>,
    /// … SHA-256 of it in hexadecimal.
    hash: Option<String>,
    name: String,
    business: Option<String>,
    /// RFC 3339, or Unix seconds; absent or null for never.
    expires_at: Option<End>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum End {
    Seconds(i64),
    Text(String),
}

/// What was imported, and what was left out.
#[derive(Default)]
struct Done {
    imported: u64,
    unknown: Vec<u64>,
}

pub(super) async fn import(admin: &AdminService, realm: &Realm, file: &Path) -> Result<Output, CliError> {
    let unreadable = |error: io::Error| CliError::Trouble(format!("{}: {error}", file.display()));
    let input: Box<dyn Read> =
        if file == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(file).map_err(unreadable)?) };
    let mut input = BufReader::new(input);
    let (mut done, mut batch, mut number) = (Done::default(), vec![], 0u64);
    loop {
        // It may hold a token.
        let mut text = Zeroizing::new(String::new());
        let read = input.by_ref().take(LINE_BYTES_MAX).read_line(&mut text).map_err(unreadable)?;
        number += 1;
        let too_long = read as u64 == LINE_BYTES_MAX;
        let parsed = if too_long {
            Err("the line is longer than 16 KiB")
        } else if text.trim().is_empty() {
            Ok(None)
        } else {
            parse(&text, realm).map(Some)
        };
        match parsed {
            Ok(token) => batch.extend(token.map(|token| (number, token))),
            Err(why) => {
                write(admin, realm, &mut batch, &mut done).await?;
                return Err(wrong(file, number, why));
            }
        }
        if batch.len() == BATCH_ROWS || read == 0 {
            write(admin, realm, &mut batch, &mut done).await?;
        }
        if read == 0 {
            return Ok(report(&done));
        }
    }
}

async fn write(
    admin: &AdminService,
    realm: &Realm,
    batch: &mut Vec<(u64, NewOldToken)>,
    done: &mut Done,
) -> Result<(), CliError> {
    if batch.is_empty() {
        return Ok(());
    }
    let (numbers, tokens): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
    let strangers = admin.import_old_tokens(&realm.name, &tokens).await?;
    done.imported += (tokens.len() - strangers.len()) as u64;
    done.unknown.extend(strangers.into_iter().filter_map(|at| numbers.get(at)));
    Ok(())
}

/// What is wrong with a line. It is not shown: a token may stand in it.
fn wrong(file: &Path, line: u64, why: &str) -> CliError {
    CliError::Refused(format!("{}:{line}: {why}; the lines before it are imported", file.display()))
}

fn parse(text: &str, realm: &Realm) -> Result<NewOldToken, &'static str> {
    let line: Line = serde_json::from_str(text)
        .map_err(|_| "no JSON object with token or hash, name, and maybe business and expires_at")?;
    let token = line.token.map(Zeroizing::new);
    let hash = match (&token, &line.hash) {
        (Some(token), None) if !token.is_empty() => old_tokens::hash(token),
        (None, Some(hash)) => parse_hash(hash).ok_or("hash is not SHA-256 in 64 hexadecimal digits")?,
        _ => return Err("it needs one of token and hash"),
    };
    if realm.dialect.facts().accounts.has_business != line.business.is_some() {
        return Err("business is a part of the name where the realm's accounts have one, and nowhere else");
    }
    let expires_at = match line.expires_at {
        None => None,
        Some(End::Seconds(seconds)) => Some(Timestamp::from_secs(seconds)),
        Some(End::Text(text)) => {
            let at = text.parse::<jiff::Timestamp>().map_err(|_| "expires_at is neither RFC 3339 nor Unix seconds")?;
            Some(Timestamp::from_millis(at.as_millisecond()))
        }
    };
    let name = AccountName { business: line.business.unwrap_or_default(), name: line.name };
    Ok(NewOldToken { hash, name, expires_at })
}

fn parse_hash(text: &str) -> Option<[u8; HASH_BYTES]> {
    let mut hash = [0; HASH_BYTES];
    if text.len() != 2 * HASH_BYTES || !text.is_ascii() {
        return None;
    }
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(hash)
}

fn report(done: &Done) -> Output {
    let mut text = format!("{} tokens were imported", done.imported);
    if !done.unknown.is_empty() {
        let lines: Vec<_> = done.unknown.iter().take(NAMED_MAX).map(u64::to_string).collect();
        text = format!("{text}; {} have no account, at lines {}", done.unknown.len(), lines.join(", "));
    }
    Output { text, json: json!({ "imported": done.imported, "without_account": done.unknown }) }
}
