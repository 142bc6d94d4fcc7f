//! Scopes: what is asked for, out of what there is.

use super::error::OAuthError;

/// The scope with which a client may introspect tokens of others.
pub const INTROSPECT: &str = "introspect";

/// The scope with which a client may revoke tokens of others.
pub const REVOKE: &str = "revoke";

/// The scopes of an access token for a client itself: those it asks for, else all of its own but the
/// permissions about others' tokens, which nobody gets without asking.
///
/// # Errors
/// [`OAuthError::InvalidScope`] for one that the client does not have.
pub fn for_client(asked: Option<&str>, own: &[String]) -> Result<Vec<String>, OAuthError> {
    let by_default = |scope: &&String| ![INTROSPECT, REVOKE].contains(&scope.as_str());
    asked.map_or_else(|| Ok(own.iter().filter(by_default).cloned().collect()), |asked| among(asked, own))
}

/// The scopes of a refreshed access token: those asked for, else all that the line was granted; of
/// them those that the account still has (RFC 6749 section 6).
///
/// # Errors
/// [`OAuthError::InvalidScope`] for one that the line was not granted.
pub fn for_refresh(asked: Option<&str>, granted: &[String], present: &[String]) -> Result<Vec<String>, OAuthError> {
    let mut scopes = asked.map_or_else(|| Ok(granted.to_vec()), |asked| among(asked, granted))?;
    scopes.retain(|scope| present.contains(scope));
    Ok(scopes)
}

/// The scopes of the text `asked`, each once, if all of them stand in `among`.
fn among(asked: &str, among: &[String]) -> Result<Vec<String>, OAuthError> {
    let mut scopes: Vec<String> = vec![];
    for scope in asked.split(' ').filter(|scope| !scope.is_empty()) {
        if !among.iter().any(|own| own == scope) {
            return Err(OAuthError::InvalidScope);
        }
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    // `scope` was there and named none: the grammar has no such thing (RFC 6749 section 3.3).
    if scopes.is_empty() { Err(OAuthError::InvalidScope) } else { Ok(scopes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_client_gets_what_it_asks_for_and_has() {
        let own = scopes("read write introspect revoke");
        for (asked, expected) in [
            (None, Some("read write")),
            (Some("read"), Some("read")),
            (Some("write read  write"), Some("write read")),
            (Some("introspect"), Some("introspect")),
            (Some("read admin"), None),
            (Some("READ"), None),
            (Some("read,write"), None),
            (Some("read\twrite"), None),
            (Some(" "), None),
        ] {
            assert_eq!(for_client(asked, &own).ok(), expected.map(scopes), "{asked:?}");
        }
        assert_eq!(for_client(None, &[]), Ok(vec![]));
    }

    #[test]
    fn a_refresh_widens_nothing_and_follows_the_account() {
        let (granted, present) = (scopes("read write"), scopes("read admin"));
        for (asked, expected) in
            [(None, Some("read")), (Some("write"), Some("")), (Some("read write"), Some("read")), (Some("admin"), None)]
        {
            assert_eq!(for_refresh(asked, &granted, &present).ok(), expected.map(scopes), "{asked:?}");
        }
    }
}
