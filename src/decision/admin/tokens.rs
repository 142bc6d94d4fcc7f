//! Making, listing and revoking admin tokens.

use std::time::Duration;

use super::service::{AdminError, AdminService};
use crate::{
    domain::Secret,
    state::admin_token::{self, AdminRole, AdminToken, Made},
};

impl AdminService {
    /// Makes an admin token; answers what is kept of it, and the token, which is shown once.
    ///
    /// # Errors
    /// [`AdminError::AdminToken`] where its name cannot be one, or is taken; or that the store is out of reach or
    /// damaged.
    pub async fn add_admin_token(
        &self,
        name: &str,
        role: AdminRole,
        lifetime: Option<Duration>,
    ) -> Result<(AdminToken, Secret), AdminError> {
        let Made { secret, digest } = admin_token::make();
        let now = self.clock.now();
        let token = AdminToken {
            name: name.to_owned(),
            digest,
            role,
            created_at: now,
            expires_at: lifetime.map(|lifetime| now.plus(lifetime)),
            revoked_at: None,
        };
        admin_token::insert(&self.store, &token).await?;
        Ok((token, secret))
    }

    /// All admin tokens, revoked ones too.
    ///
    /// # Errors
    /// Fails when the store is out of reach or damaged.
    pub async fn tokens(&self) -> Result<Vec<AdminToken>, AdminError> {
        Ok(admin_token::list(&self.store).await?)
    }

    /// Revokes an admin token.
    ///
    /// # Errors
    /// [`AdminError::AdminToken`] where no token has that name; or that the store is out of reach or damaged.
    pub async fn revoke_admin_token(&self, name: &str) -> Result<(), AdminError> {
        Ok(admin_token::revoke(&self.store, name, self.clock.now()).await?)
    }
}
