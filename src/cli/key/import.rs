//! `portero key import`: an old secret or PEM, from a file or standard input and never from an argument.

mod material;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use self::material::{Encoding, Material};
use super::named::owner;
use crate::{
    cli::{
        output::{CliError, Output, time},
        revoke::{Common, find_realm, instant},
    },
    config::GatewaySettings,
    decision::AdminService,
    domain::{Algorithm, KeyId, RealmName, Timestamp},
    rules::{
        contract::{Dialect, names_with},
        profile::{ClaimProfile, Optional},
        realm::Realm,
    },
    state::keys::{Import, Use},
};

/// Bytes of what holds a key, at most.
const MATERIAL_BYTES_MAX: u64 = 64 << 10;

/// Bytes of a profile's file, at most.
const PROFILE_BYTES_MAX: u64 = 64 << 10;

/// Characters of a key's id, at most: it stands in every token that it signs.
const KID_CHARS_MAX: usize = 255;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    pub(super) common: Common,
    /// The realm whose tokens it signed
    #[arg(long)]
    realm: RealmName,
    /// The algorithm of its tokens, as their header says it: HS256, RS256, ES256 and so on
    #[arg(long)]
    algorithm: Algorithm,
    /// The kid that its tokens name; without it they name none
    #[arg(long, value_parser = kid)]
    kid: Option<String>,
    /// How its tokens are read: a contract whose file says how those look that its API gave before, or a TOML file.
    /// Without it they are read like Portero's own, with every claim that those have
    #[arg(long, value_name = "CONTRACT|FILE")]
    profile: Option<PathBuf>,
    /// Sign with it too: services behind check tokens with it. No schedule takes its place
    #[arg(long, conflicts_with = "until")]
    sign: bool,
    /// When its last token has ended, RFC 3339 or Unix seconds; without it the key retires only when it is told to
    #[arg(long, value_parser = instant)]
    until: Option<Timestamp>,
    /// Where the secret or PEM is; without it standard input
    #[arg(long)]
    file: Option<PathBuf>,
    /// How a secret is written; a raw one loses one newline at its end
    #[arg(long, value_enum, default_value_t)]
    encoding: Encoding,
}

pub(super) async fn import(
    settings: &GatewaySettings,
    admin: &AdminService,
    asked: &Arguments,
) -> Result<Output, CliError> {
    let realm = find_realm(&settings.site.realms, &asked.realm)?;
    check(realm, asked, admin.now())?;
    let profile = profile(realm, asked)?;
    let bytes = read(asked.file.as_deref())?;
    let source = asked.file.as_ref().map_or_else(|| "OLD.pem".to_owned(), |file| file.display().to_string());
    let material = Material::read(&bytes, asked.algorithm, asked.encoding, &source).map_err(CliError::Refused)?;
    // What only verifies needs no private half, so none is kept.
    let material = if asked.sign { material } else { material.verifying(asked.algorithm) };
    material.check(asked.algorithm, asked.sign).map_err(CliError::Refused)?;
    let purpose = if asked.sign {
        let owner = owner(settings, &asked.realm)?;
        Use::Sign { retires_at: admin.retirement(&owner, &settings.keys).await? }
    } else {
        Use::Verify { until: asked.until }
    };
    let import = Import {
        id: asked.kid.as_deref().map_or_else(KeyId::generate, KeyId::from_text),
        realm: asked.realm.clone(),
        algorithm: asked.algorithm,
        material: material.bytes(),
        profile,
        purpose,
    };
    admin.import_key(&import).await?;
    Ok(said(&import, realm, asked.kid.is_some()))
}

fn said(import: &Import<'_>, owner: &Realm, named: bool) -> Output {
    let Import { id, realm, purpose, profile, .. } = import;
    let life = match purpose {
        Use::Sign { .. } => format!("key {id} signs for realm '{realm}' and is left where it is by the schedule"),
        Use::Verify { until: None } => {
            format!("key {id} verifies tokens of realm '{realm}' until it is retired (portero key retire {id} --force)")
        }
        Use::Verify { until: Some(end) } => {
            format!("key {id} verifies tokens of realm '{realm}' until {}", time(*end))
        }
    };
    let text = format!("{life}\n{}", taken(profile.as_ref(), owner, named));
    let signs = matches!(purpose, Use::Sign { .. });
    Output { text, json: json!({ "imported": id.as_str(), "realm": realm.as_str(), "signs": signs }) }
}

/// Which tokens an imported key opens doors to.
fn taken(profile: Option<&ClaimProfile>, realm: &Realm, named: bool) -> String {
    let (issuer, audience) = (&realm.issuer, &realm.audience);
    let Some(profile) = profile else {
        return format!(
            "it takes tokens as Portero writes them: iss {issuer}, aud {audience}, sub (the account's id), jti, iat, nbf, exp, \
             sid, epoch, token_use and name; for tokens with other claims, give a --profile"
        );
    };
    let (issuer, audience) = (profile.issuer.as_ref().unwrap_or(issuer), profile.audience.as_ref().unwrap_or(audience));
    let present = |claim: &'static str, optional| (!profile.lets_absent(optional)).then(|| claim.to_owned());
    let registered = [
        (!profile.lets_absent(Optional::Iss)).then(|| format!("iss {issuer}")),
        (!profile.lets_absent(Optional::Aud)).then(|| format!("aud {audience}")),
        present("sub", Optional::Sub),
        present("jti", Optional::Jti),
        present("iat", Optional::Iat),
        present("nbf", Optional::Nbf),
        (!profile.lets_absent(Optional::Exp)).then(|| profile.expiry.clone()),
    ];
    let claims = [Some(profile.name.to_string()), profile.business.as_ref().map(ToString::to_string)]
        .into_iter()
        .chain(registered)
        .flatten();
    let kid = match (named, profile.unnamed) {
        (true, true) => "name it as their key, or name none,",
        (true, false) => "name it as their key",
        (false, _) => "name no key",
    };
    let accounts = if profile.unknown_accounts { "any account, known or not" } else { "accounts that the store has" };
    format!(
        "it takes tokens of {accounts} that {kid} and carry {}\n\
         they carry no epoch and have the one that their account has now: the first change that ends an account's tokens ends \
         all of these, those that are minted later included",
        claims.collect::<Vec<_>>().join(", ")
    )
}

/// What can be refused before anything is read.
fn check(realm: &Realm, asked: &Arguments, now: Timestamp) -> Result<(), CliError> {
    let refused = |text: String| Err(CliError::Refused(text));
    let name = &realm.name;
    if !realm.algorithm.is_jwt() {
        return refused(format!(
            "the tokens of realm '{name}' are sealed: no key of another program opens such tokens"
        ));
    }
    if !asked.algorithm.is_jwt() {
        return refused("only keys of JWTs can be imported".to_owned());
    }
    if asked.sign && asked.algorithm != realm.algorithm && !realm.keeps_algorithm {
        return refused(format!(
            "realm '{name}' signs with {}: to sign with this key, say algorithm = \"{}\" in [realms.{name}] first",
            realm.algorithm, asked.algorithm
        ));
    }
    if asked.until.is_some_and(|until| until <= now) {
        return refused("--until is past: the key's last token has ended".to_owned());
    }
    Ok(())
}

/// The profile that is asked for, checked against the realm.
fn profile(realm: &Realm, asked: &Arguments) -> Result<Option<ClaimProfile>, CliError> {
    let profile = match asked.profile.as_deref() {
        None if asked.kid.is_some() => return Ok(None),
        None => ClaimProfile { unnamed: true, ..ClaimProfile::default() },
        Some(path) => match named(realm, path) {
            Some(dialect) => declared(&dialect)?,
            None => from_file(path)?,
        },
    };
    let name = &realm.name;
    if asked.kid.is_none() && !profile.unnamed {
        return Err(CliError::Refused(
            "tokens that name their key need --kid; where they name none, say unnamed = true in the profile".to_owned(),
        ));
    }
    if profile.lets_absent(Optional::Exp) && !realm.allows_non_expiring() {
        let dialect = names_with(|facts| facts.settings.allow_non_expiring.is_some());
        return Err(CliError::Refused(format!(
            "the profile lets tokens be without an expiry, and realm '{name}' allows none such: that takes dialect = \
             \"{dialect}\" and allow_non_expiring = true"
        )));
    }
    if profile.business.is_some() && !realm.dialect.facts().accounts.has_business {
        let dialect = names_with(|facts| facts.accounts.has_business);
        return Err(CliError::Refused(format!(
            "the profile reads a business, and accounts of realm '{name}' have none: that takes dialect = \"{dialect}\""
        )));
    }
    Ok(Some(profile))
}

/// The contract of this name: the realm's own, or one that ships.
fn named(realm: &Realm, word: &Path) -> Option<Dialect> {
    let word = word.to_str()?;
    if realm.dialect.name() == word { Some(realm.dialect.clone()) } else { word.parse().ok() }
}

/// The profile that a contract declares.
fn declared(dialect: &Dialect) -> Result<ClaimProfile, CliError> {
    let declared = dialect.facts().earlier_tokens.clone();
    declared.ok_or_else(|| {
        let such = names_with(|facts| facts.earlier_tokens.is_some());
        let message = format!(
            "contract '{dialect}' does not say how the tokens look that its API gave before Portero ([earlier_tokens]), \
             which these do: {such}; name a TOML file instead"
        );
        CliError::Refused(message)
    })
}

fn from_file(path: &Path) -> Result<ClaimProfile, CliError> {
    let refused = |why: String| CliError::Refused(format!("profile {}: {why}", path.display()));
    let mut text = String::new();
    let opened = File::open(path).and_then(|file| file.take(PROFILE_BYTES_MAX).read_to_string(&mut text));
    opened.map_err(|error| refused(error.to_string()))?;
    toml::from_str(&text).map_err(|error| refused(error.to_string()))
}

fn read(file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>, CliError> {
    // With room for all of it, so that growing leaves no copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(MATERIAL_BYTES_MAX).unwrap_or(0) + 1));
    let (from, read) = match file {
        Some(path) => {
            let read = File::open(path).and_then(|file| file.take(MATERIAL_BYTES_MAX + 1).read_to_end(&mut bytes));
            (path.display().to_string(), read)
        }
        None => ("standard input".to_owned(), io::stdin().lock().take(MATERIAL_BYTES_MAX + 1).read_to_end(&mut bytes)),
    };
    match read {
        Err(error) => Err(CliError::Refused(format!("{from} cannot be read: {error}"))),
        Ok(_) if bytes.len() as u64 > MATERIAL_BYTES_MAX => {
            Err(CliError::Refused(format!("{from} has more than {MATERIAL_BYTES_MAX} bytes: that is no key")))
        }
        Ok(_) => Ok(bytes),
    }
}

/// What may be the id of a key from outside.
fn kid(text: &str) -> Result<String, String> {
    let shaped = !text.is_empty() && text.chars().count() <= KID_CHARS_MAX && !text.chars().any(char::is_control);
    shaped.then(|| text.to_owned()).ok_or_else(|| format!("1 to {KID_CHARS_MAX} characters, none of them a control"))
}
