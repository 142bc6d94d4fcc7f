//! Everybody whose tokens are read.

use std::sync::Arc;

use foldhash::HashMap;

use crate::{
    domain::RealmName,
    rules::{issuer::Issuer, realm::Realm},
};

/// The realms by name. Each request looks one up; the names are the config's, so the quick hash will do.
pub type Realms = HashMap<RealmName, Arc<Realm>>;

/// Everybody whose tokens are read, by name: realms and external issuers.
pub type Issuers = HashMap<RealmName, Issuer>;
