//! Giving accounts other passwords and secrets, and letting two secrets of a client overlap.

use std::time::Duration;

use super::{
    changed::Changed,
    service::{AdminError, AdminService},
};
use crate::{
    domain::{PrincipalKind, Secret, Timestamp, made_secret},
    rules::{limit::ClientKey, realm::Realm},
    state::{
        account::{self, Account, HasherError, OVERLAP_MAX, OldTokens, PasswordHash, Raised, SecretHash, password},
        takeover::confirmation,
    },
};

/// The secret that an account gets.
#[derive(Debug)]
pub enum NewSecret {
    /// The one that the operator has.
    Given(Secret),
    /// One that is made here, and shown once.
    Generated,
}

/// Why an account gets a new secret: that says what becomes of the tokens which the old one gave, and of the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretChange {
    /// A new password: the tokens end.
    Password,
    /// A secret makes way for another. A user's tokens end; those of a client or a project live on until they expire,
    /// as the `maxpoint` contract promises its clients, unless they are to be revoked.
    Rotation {
        /// Whether they are.
        revoke: bool,
    },
    /// A client or a project gets another secret and keeps the one that it has for a while. Its tokens live on.
    Overlap(Overlap),
}

/// How long two secrets are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap(Duration);

impl Overlap {
    /// Of this length; `None` for none and for more than [`OVERLAP_MAX`].
    #[must_use]
    pub fn of(duration: Duration) -> Option<Self> {
        (!duration.is_zero() && duration <= OVERLAP_MAX).then_some(Self(duration))
    }
}

/// A secret's hash; and the secret, if it was made here.
pub(super) struct Hashed {
    hash: PasswordHash,
    pub(super) shown: Option<Secret>,
}

impl Hashed {
    pub(super) const fn as_hash(&self) -> SecretHash<'_> {
        SecretHash { hash: &self.hash, made: self.shown.is_some() }
    }
}

impl AdminService {
    /// Gives an account that exists a new secret.
    ///
    /// # Errors
    /// Fails when the secret cannot be set, or not now; when a user is to have two, or the civil clock is in doubt by
    /// which the older one would end; when there is no such account; or when the store is out of reach or damaged.
    pub async fn set_secret(
        &self,
        realm: &Realm,
        account: &Account,
        secret: NewSecret,
        change: SecretChange,
    ) -> Result<Changed, AdminError> {
        let (store, name) = (&self.store, &account.name);
        if let SecretChange::Overlap(overlap) = change {
            let ends_at = self.overlap_end(account, overlap)?;
            let hashed = self.hash(secret, Some(&account.password_hash)).await?;
            account::overlap_secrets(store, &realm.name, name, hashed.as_hash(), ends_at).await?;
            return self.changed(realm, name, &Raised::new(), hashed.shown).await;
        }
        let (hashed, old_tokens) = (self.hash(secret, None).await?, change.old_tokens(account.kind));
        let now = self.clock.now();
        let raised = account::set_password_hash(store, &realm.name, name, hashed.as_hash(), old_tokens, now).await?;
        // An old system knows another one. What it confirmed was of that hash alone: only the status needs this.
        confirmation::forget(store, account.id).await?;
        self.changed(realm, name, &raised, hashed.shown).await
    }

    /// Ends the secret before the present one at once; the tokens live on. Answers false where there was none.
    ///
    /// # Errors
    /// Fails when there is no such account, or when the store is out of reach or damaged.
    pub async fn end_overlap(&self, realm: &Realm, account: &Account) -> Result<(Changed, bool), AdminError> {
        let ended = account::end_overlap(&self.store, &realm.name, &account.name).await?;
        Ok((self.changed(realm, &account.name, &Raised::new(), None).await?, ended))
    }

    /// When the secret that an account has ends.
    fn overlap_end(&self, account: &Account, Overlap(overlap): Overlap) -> Result<Timestamp, AdminError> {
        if account.kind == PrincipalKind::User {
            let text = "only clients and projects have two secrets for a while; a user's old password ends at once";
            return Err(AdminError::Refused(text.to_owned()));
        }
        let now = self.trusted.now().map_err(|suspended| {
            AdminError::Refused(format!(
                "{suspended}: nobody knows when the old secret would end. Look at it with portero clock show, say that it \
                 is right with portero clock confirm, and try again; or rotate without an overlap"
            ))
        })?;
        Ok(now.civil().plus(overlap))
    }

    /// The hash of a secret that may be set, to be taken `beside` another one or alone.
    pub(super) async fn hash(&self, secret: NewSecret, beside: Option<&PasswordHash>) -> Result<Hashed, AdminError> {
        let (secret, shown) = match secret {
            NewSecret::Given(secret) => {
                self.password_rules.check(&secret).map_err(HasherError::from)?;
                (secret, None)
            }
            NewSecret::Generated => {
                let made = made_secret::make();
                (made.clone(), Some(made))
            }
        };
        let hash = match (&self.hasher, beside) {
            (Some(hasher), beside) => hasher.hash(ClientKey::OPERATOR, secret, beside.cloned()).await?,
            (None, Some(beside)) => password::hash_beside(&secret, beside).map_err(HasherError::from)?,
            (None, None) => password::hash(&secret).map_err(HasherError::from)?,
        };
        Ok(Hashed { hash, shown })
    }
}

impl SecretChange {
    const fn old_tokens(self, kind: PrincipalKind) -> OldTokens {
        match (self, kind) {
            (Self::Password | Self::Rotation { revoke: true }, _) | (_, PrincipalKind::User) => OldTokens::End,
            (Self::Rotation { revoke: false } | Self::Overlap(_), _) => OldTokens::Keep,
        }
    }
}
