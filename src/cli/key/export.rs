//! `portero key export-public`.

use clap::ValueEnum;
use serde_json::json;

use super::named::key_id;
use crate::{
    cli::output::{CliError, Output},
    decision::AdminService,
    domain::RealmName,
    state::keys::{Key, spki},
};

/// The form of a public key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Form {
    /// `SubjectPublicKeyInfo` in PEM, each under a line that names it
    #[default]
    Pem,
    /// A JWK Set (RFC 7517)
    Jwk,
}

/// Which keys are asked for; without either, those of every realm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Which<'a> {
    pub(super) realm: Option<&'a RealmName>,
    pub(super) kid: Option<&'a str>,
}

impl Which<'_> {
    /// The keys of internal tokens are a set of their own: they are meant only when they are named.
    fn names(self, id: &str, realm: &RealmName) -> bool {
        match (self.kid, self.realm) {
            (Some(kid), _) => kid == id,
            (None, Some(named)) => named == realm,
            (None, None) => !realm.is_internal(),
        }
    }
}

pub(super) async fn export(admin: &AdminService, which: Which<'_>, form: Form) -> Result<Output, CliError> {
    let keys = admin.public_keys().await?;
    let keys: Vec<_> = keys.iter().filter(|key| which.names(key.id.as_str(), &key.realm)).collect();
    if keys.is_empty() {
        return Err(CliError::Refused(none(admin, which).await?));
    }
    let jwks: Vec<_> = keys.iter().filter_map(|key| key.jwk()).collect();
    let set = json!({ "keys": jwks });
    let text = match form {
        Form::Jwk => format!("{set:#}"),
        Form::Pem => keys.iter().filter_map(|key| pem(key)).collect::<Vec<_>>().join("\n").trim_end().to_owned(),
    };
    Ok(Output { text, json: set })
}

/// RFC 7468 section 2: text before a block explains it.
fn pem(key: &Key) -> Option<String> {
    let (id, realm, algorithm, state) = (&key.id, &key.realm, key.algorithm, key.state.name());
    Some(format!("{id} {realm} {algorithm} {state}\n{}", spki::pem(&key.public_der()?)))
}

/// Why there is no such key to print.
async fn none(admin: &AdminService, which: Which<'_>) -> Result<String, CliError> {
    let records = admin.keys().await?;
    let named = records.iter().rfind(|key| which.names(key.id.as_str(), &key.realm) && key.state.verifies());
    Ok(match (named, which.kid.map(key_id)) {
        (Some(key), _) => format!(
            "{} of realm '{}' is a {} key: it has no public half, and everyone who has it can sign. For tokens that others \
             check, give the realm an asymmetric algorithm, such as algorithm = \"ES256\"",
            key.id, key.realm, key.algorithm
        ),
        (None, Some(kid)) => format!("there is no key '{kid}' in use"),
        (None, None) => "there is no such key in use; portero key list shows those there are".to_owned(),
    })
}
