//! Which of two policies lets more through.

use super::authorise::{Auth, Policy};

/// In what a policy asks for less than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looser {
    /// It looks at no token.
    Public,
    /// It takes requests without a token.
    Anonymous,
    /// It takes tokens of realms or issuers that the other refuses.
    Accept,
    /// It takes tokens of another kind.
    Kind,
    /// It takes roles that the other refuses.
    Roles,
    /// It does not ask for all of the other's scopes.
    Scopes,
    /// It does not ask for all of the other's claims.
    Claims,
}

impl Looser {
    /// As a part of a sentence: «a route, which …».
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "is public",
            Self::Anonymous => "asks for no token",
            Self::Accept => "accepts tokens of other realms or issuers",
            Self::Kind => "takes tokens of another kind",
            Self::Roles => "lets other roles in",
            Self::Scopes => "asks for fewer scopes",
            Self::Claims => "asks for fewer claims",
        }
    }
}

impl Policy {
    /// In what this policy lets somebody through whom `other` refuses. `None` where `other` refuses nobody for want of
    /// a token: then everybody can come without one.
    #[must_use]
    pub fn looser_than(&self, other: &Self) -> Option<Looser> {
        if other.auth != Auth::Required {
            return None;
        }
        let lets_roles = !other.roles.is_empty() && (self.roles.is_empty() || !is_part(&self.roles, &other.roles));
        [
            (self.auth == Auth::Public, Looser::Public),
            (self.auth == Auth::Optional, Looser::Anonymous),
            (!is_part(&self.accept, &other.accept), Looser::Accept),
            (self.token != other.token, Looser::Kind),
            (lets_roles, Looser::Roles),
            (!is_part(&other.scopes, &self.scopes), Looser::Scopes),
            (!is_part(&other.claims, &self.claims), Looser::Claims),
        ]
        .into_iter()
        .find_map(|(is_so, looser)| is_so.then_some(looser))
    }
}

fn is_part<T: PartialEq>(part: &[T], whole: &[T]) -> bool {
    part.iter().all(|one| whole.contains(one))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::TokenKind;

    fn policy() -> Policy {
        Policy {
            auth: Auth::Required,
            accept: vec!["a".parse().unwrap(), "b".parse().unwrap()],
            token: TokenKind::Access,
            roles: vec!["ADMIN".into(), "OPS".into()],
            scopes: vec!["read".into()],
            claims: vec![("tenant".parse().unwrap(), json!("x"))],
        }
    }

    #[test]
    fn a_policy_that_lets_more_through_is_looser() {
        let looser = |change: fn(&mut Policy)| {
            let mut changed = policy();
            change(&mut changed);
            (changed.looser_than(&policy()), policy().looser_than(&changed))
        };
        assert_eq!(looser(|_| {}), (None, None));
        assert_eq!(looser(|policy| policy.auth = Auth::Public), (Some(Looser::Public), None));
        assert_eq!(looser(|policy| policy.auth = Auth::Optional), (Some(Looser::Anonymous), None));
        assert_eq!(looser(|policy| policy.accept.truncate(1)), (None, Some(Looser::Accept)));
        assert_eq!(looser(|policy| policy.token = TokenKind::Content), (Some(Looser::Kind), Some(Looser::Kind)));
        assert_eq!(looser(|policy| policy.roles.clear()), (Some(Looser::Roles), None));
        assert_eq!(looser(|policy| policy.roles.truncate(1)), (None, Some(Looser::Roles)));
        assert_eq!(looser(|policy| policy.roles = vec!["USER".into()]), (Some(Looser::Roles), Some(Looser::Roles)));
        assert_eq!(looser(|policy| policy.scopes.clear()), (Some(Looser::Scopes), None));
        assert_eq!(looser(|policy| policy.scopes.push("write".into())), (None, Some(Looser::Scopes)));
        assert_eq!(looser(|policy| policy.claims.clear()), (Some(Looser::Claims), None));
    }
}
