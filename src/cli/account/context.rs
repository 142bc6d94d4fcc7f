//! What the commands work with.

use std::sync::Arc;

use crate::{cli::secret::Input, decision::AdminService, rules::realm::Realm};

/// What the commands work with.
pub struct Context<'a> {
    /// What does it.
    pub admin: &'a AdminService,
    /// The realms of the config.
    pub realms: &'a [Arc<Realm>],
    /// Where secrets are asked for.
    pub input: &'a mut dyn Input,
}
