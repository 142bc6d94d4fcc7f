//! The documents' example credentials (`docs/contracts.md`, «Credentials of the documents»).

use crate::{
    cli::output::CliError,
    domain::{AccountName, Clock, PrincipalId, Secret},
    rules::contract::Dialect,
    state::{
        account::{self, AccountError, LegacyId, NewAccount, company, password},
        store::AuditedStore,
    },
};

/// The row of `meta` that says that the examples were made: one that was deleted does not come back.
const PROVISIONED: &str = "demo_provisioned";

const COMPANY: &str = "demo-company";

/// The company of `demo_orphan`, which is never made.
const MISSING_COMPANY: &str = "demo-missing";

struct Example {
    /// The realm, named as its dialect.
    realm: &'static str,
    business: &'static str,
    name: &'static str,
    secret: &'static str,
    id: Option<&'static str>,
    display_name: Option<&'static str>,
    legacy_id: LegacyId,
    role: Option<&'static str>,
    scopes: &'static [&'static str],
    company: Option<&'static str>,
    disabled: bool,
}

const EXAMPLE: Example = Example {
    realm: "sws",
    business: "",
    name: "",
    secret: "",
    id: None,
    display_name: None,
    legacy_id: LegacyId::None,
    role: None,
    scopes: &[],
    company: None,
    disabled: false,
};

const BECOME_CLIENT: Example = Example {
    realm: "become",
    secret: "demo_secret_456_ABCDEFGH",
    scopes: &["read", "write"],
    company: Some(COMPANY),
    ..EXAMPLE
};

const EXAMPLES: [Example; 8] = [
    Example {
        name: "admin",
        secret: "demo2024",
        display_name: Some("Administrador"),
        legacy_id: LegacyId::Given(1),
        role: Some("ADMIN"),
        ..EXAMPLE
    },
    Example {
        realm: "apis",
        name: "admin",
        secret: "abcd1234",
        id: Some("b331336a-46f4-4fe4-a850-3208bfc2c398"),
        role: Some("ADMIN"),
        ..EXAMPLE
    },
    Example { realm: "toc", business: "5a2ac49cbbbce212f885529c", name: "upconta", secret: "1234", ..EXAMPLE },
    Example {
        realm: "maxpoint",
        name: "f2ffebd1-77eb-49d2-a623-99824b1f485d",
        secret: "c0f2afed-edc3-4cec-8af0-ef58fcb50062",
        ..EXAMPLE
    },
    Example { name: "demo_client_123", ..BECOME_CLIENT },
    Example { name: "demo_inactive", disabled: true, ..BECOME_CLIENT },
    Example { name: "demo_orphan", company: Some(MISSING_COMPANY), ..BECOME_CLIENT },
    // No document's: OAuth has none here. Its permissions reach every token, so that they can be tried.
    Example {
        realm: "oauth",
        name: "demo_oauth_client",
        secret: "demo_secret_789_ABCDEFGH",
        scopes: &["read", "write", "introspect", "revoke"],
        ..EXAMPLE
    },
];

/// Makes the examples, once in a store's life.
pub(super) async fn provision(store: &AuditedStore, clock: &dyn Clock) -> Result<(), CliError> {
    if store.meta(PROVISIONED).await?.is_some() {
        return Ok(());
    }
    let become_realm = BECOME_CLIENT.realm.parse().map_err(refused)?;
    match company::insert(store, &become_realm, COMPANY, clock.now()).await {
        Ok(_) | Err(AccountError::Exists(_)) => {}
        Err(error) => return Err(error.into()),
    }
    for example in &EXAMPLES {
        make(store, clock, example).await?;
    }
    Ok(store.set_meta(PROVISIONED, b"1").await?)
}

async fn make(store: &AuditedStore, clock: &dyn Clock, example: &Example) -> Result<(), CliError> {
    let new = NewAccount {
        id: example.id.map_or_else(|| Ok(PrincipalId::generate()), str::parse).map_err(refused)?,
        realm: example.realm.parse().map_err(refused)?,
        kind: example.realm.parse::<Dialect>().map_err(refused)?.principal_kind(),
        name: AccountName { business: example.business.to_owned(), name: example.name.to_owned() },
        display_name: example.display_name.map(str::to_owned),
        legacy_id: example.legacy_id,
        role: example.role.map(str::to_owned),
        scopes: example.scopes.iter().map(|&scope| scope.to_owned()).collect(),
        company: example.company.map(str::to_owned),
        grants: None,
    };
    let hash = password::hash(&Secret::from(example.secret)).map_err(refused)?;
    match account::insert(store, &new, &hash, clock.now()).await {
        // What exists was made by an earlier demo, which was stopped in the middle of this.
        Ok(_) | Err(AccountError::Exists(_)) => {}
        Err(error) => return Err(error.into()),
    }
    if example.disabled {
        account::set_disabled(store, &new.realm, &new.name, true, clock.now()).await?;
    }
    Ok(())
}

fn refused(error: impl std::fmt::Display) -> CliError {
    CliError::Refused(error.to_string())
}
