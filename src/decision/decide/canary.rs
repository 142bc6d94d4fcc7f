//! Whether a revocation has arrived where requests are decided, asked with a token that nobody has.

use std::sync::Arc;

use super::live_state::LiveState;
use crate::{
    domain::{Claims, PrincipalId, Reason, RevocationId, Roles, Timestamp, TokenKind, TokenSubject},
    rules::issuer::Issuer,
    state::token::Verified,
};

impl LiveState {
    /// Brings a canary's revocation into force, and answers whether a request with the canary's token is refused for it
    /// from then on. That is asked as for every token that was verified before: it stood until the revocation came.
    #[must_use]
    pub fn refuses_canary(&self, canary: RevocationId, now: Timestamp) -> bool {
        let token = self.canary_token(canary, now);
        let verdict = |token: &Verified| self.view().check_account_status(token, now);
        let before = token.as_ref().map(verdict);
        self.revocations().apply_canary(canary, now);
        match token.as_ref().zip(before) {
            Some((token, Ok(()))) => verdict(token) == Err(Reason::TokenRevoked),
            // Where no token stands at all, none can show that.
            Some((_, Err(_))) | None => self.revocations().is_token_revoked(canary),
        }
    }

    /// A token with this id, by a realm that signs: as if it had just been opened.
    fn canary_token(&self, id: RevocationId, now: Timestamp) -> Option<Verified> {
        let snapshot = self.snapshot();
        let (issuer, key) = snapshot.issuers.values().find_map(|issuer| match issuer {
            Issuer::Realm(realm) => Some((issuer.clone(), Arc::clone(snapshot.keys.active(&realm.name)?))),
            Issuer::External(_) => None,
        })?;
        let claims = Claims {
            realm: key.realm.clone(),
            kind: TokenKind::Access,
            subject: TokenSubject::Account(PrincipalId::generate()),
            principal: None,
            session: None,
            revocation_id: id,
            epoch: 0,
            issued_at: now,
            not_before: now,
            expires_at: None,
            name: "".into(),
            legacy_id: None,
            roles: Roles::none(),
            scopes: vec![],
            organization: None,
            extra: serde_json::Map::new(),
        };
        Some(Verified::new(claims, key, issuer))
    }
}
