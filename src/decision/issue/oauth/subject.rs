//! Which token is asked about, whatever its form, and whose it is.

use std::{net::IpAddr, sync::Arc};

use super::{Client, exchange::away};
use crate::{
    decision::issue::login::{RETRY_UNAVAILABLE, TokenService},
    domain::{Reason, Secret, TokenSubject},
    rules::contract::oauth::OAuthError,
    state::{
        refresh::{self, Successor},
        token::Verified,
    },
};

/// A token of ours.
pub(super) enum PresentedToken {
    /// One that carries its claims: an access token, or any that a contract gave.
    Carrying(Arc<Verified>),
    /// One that an exchange gave.
    Rotating(Successor),
}

/// A token of ours and whose it is.
pub(super) struct Presented {
    pub(super) subject: PresentedToken,
    /// Whether it was issued to the client that asks, or belongs to a session bound to it.
    pub(super) own: bool,
}

impl TokenService {
    /// The token that `text` is, which came from the address `from`; `None` when no known key signed it, no exchange
    /// gave it, and no old system that is asked vouches for it.
    pub(super) async fn presented(
        &self,
        client: &Client,
        token: &Secret,
        from: Option<IpAddr>,
    ) -> Result<Option<Presented>, OAuthError> {
        if refresh::is_rotating(token.expose()) {
            let found = refresh::find(&self.store, token).await.map_err(|error| away(&error))?;
            return Ok(found.map(|token| Presented {
                own: token.client == client.0.id,
                subject: PresentedToken::Rotating(token),
            }));
        }
        let opened = self.live_state.view().open(token.expose(), None, self.clock.now());
        let found = match opened {
            Ok(verified) => Ok(Arc::new(verified)),
            Err(refused) => self.asker.find_anywhere(token.expose(), refused, from).await,
        };
        let verified = match found {
            Ok(verified) => verified,
            Err(Reason::Unavailable) => return Err(OAuthError::Unavailable { retry_after: RETRY_UNAVAILABLE }),
            Err(_) => return Ok(None),
        };
        let claims = &verified.claims;
        let bound = match claims.session {
            Some(session) => refresh::client_of(&self.store, session).await.map_err(|error| away(&error))?,
            None => None,
        };
        let own = claims.subject == TokenSubject::Account(client.0.id) || bound == Some(client.0.id);
        Ok(Some(Presented { own, subject: PresentedToken::Carrying(verified) }))
    }
}
