//! Introspection says of a token what the front and the refresh endpoint do with it.

use serde_json::json;

use super::*;
use crate::support::{PATIENCE, Tokens, wait_until};

/// What becomes of an account's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AccountStatus {
    /// Routes take its access token.
    access: bool,
    /// Its refresh token gives others.
    refresh: bool,
}

const LIVES: AccountStatus = AccountStatus { access: true, refresh: true };
const LOCKED: AccountStatus = AccountStatus { access: true, refresh: false };
const ENDED: AccountStatus = AccountStatus { access: false, refresh: false };

/// How an account comes into a state, its tokens having been given before; and what they are worth then.
const STATES: [(&str, &str, &str, AccountStatus); 8] = [
    ("active", "", "", LIVES),
    ("locked", "user lock", "", LOCKED),
    ("unlocked", "user unlock", "", LIVES),
    ("of a new role", "user set-role --role USER", "", ENDED),
    ("of a new password", "user set-password --password-stdin", "abcd1234", ENDED),
    ("revoked", "revoke principal", "", ENDED),
    ("disabled", "user disable", "", ENDED),
    ("deleted", "user delete", "", ENDED),
];

/// The tokens of a login, and those of another that was exchanged at the OAuth token endpoint.
struct Given {
    login: Tokens,
    exchanged: Tokens,
}

impl Gateway {
    fn given(&self) -> Given {
        let login = self.login_apis();
        let answer = self.exchange(ONE, &self.login_apis().refresh);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let json = answer.json();
        let (access, refresh) = (text(&json, "access_token"), text(&json, "refresh_token"));
        Given { login, exchanged: Tokens { access, refresh, content: String::new() } }
    }

    /// What routes say of the access tokens.
    fn fronts(&self, given: &Given) -> [bool; 2] {
        [&given.login, &given.exchanged].map(|tokens| match self.status("/apis", &tokens.access) {
            200 => true,
            401 => false,
            status => panic!("{status}"),
        })
    }

    fn introspected(&self, given: &Given) -> [AccountStatus; 2] {
        [&given.login, &given.exchanged].map(|tokens| AccountStatus {
            access: self.is_active(&tokens.access),
            refresh: self.is_active(&tokens.refresh),
        })
    }

    /// What the refresh endpoint of the contract says of the one, and OAuth's of the other.
    fn refreshes(&self, given: &Given) -> [bool; 2] {
        [self.refresh(&given.login.refresh).status == 200, self.exchange(ONE, &given.exchanged.refresh).status == 200]
    }
}

#[test]
fn introspection_agrees_with_the_front_in_every_state_of_an_account() {
    let (gateway, _upstream) = start("");
    for (state, words, stdin, status) in STATES {
        let given = gateway.given();
        if state == "unlocked" {
            gateway.command("user lock --realm apis --username admin", "").succeeded();
        }
        if !words.is_empty() {
            let (noun, rest) = words.split_once(' ').unwrap();
            let name = if noun == "revoke" { "--name" } else { "--username" };
            gateway.command(&format!("{noun} {rest} --realm apis {name} admin"), stdin).succeeded();
        }
        wait_until(state, PATIENCE, || gateway.fronts(&given) == [status.access; 2]);
        assert_eq!(gateway.introspected(&given), [status; 2], "{state}");
        assert_eq!(gateway.refreshes(&given), [status.refresh; 2], "{state}");
        // For the next login.
        let undone = [("locked", "unlock"), ("disabled", "enable")].into_iter().find(|(name, _)| *name == state);
        if let Some((_, undo)) = undone {
            gateway.command(&format!("user {undo} --realm apis --username admin"), "").succeeded();
        }
    }
}

/// How the client that exchanged a login's refresh token comes into a state; and what that line, and the client's own
/// access token, are worth then.
const CLIENT_STATES: [(&str, &str, AccountStatus, bool); 6] = [
    ("active", "", LIVES, true),
    ("locked", "client lock", LOCKED, true),
    ("unlocked", "client unlock", LIVES, true),
    ("revoked", "revoke principal", ENDED, false),
    ("disabled", "client disable", ENDED, false),
    ("deleted", "client delete", ENDED, false),
];

#[test]
fn introspection_agrees_with_the_front_in_every_state_of_a_client() {
    let (gateway, _upstream) = start("");
    for (state, words, line, own) in CLIENT_STATES {
        let Given { login, exchanged } = gateway.given();
        let token = gateway.client_token(ONE);
        if state == "unlocked" {
            gateway.command("client lock --realm oauth --id one", "").succeeded();
        }
        if !words.is_empty() {
            let name = if state == "revoked" { "--name" } else { "--id" };
            gateway.command(&format!("{words} --realm oauth {name} one"), "").succeeded();
        }
        wait_until(state, PATIENCE, || {
            let front = |path, token| gateway.status(path, token) == 200;
            (front("/apis", &exchanged.access), front("/oauth-api", &token)) == (line.access, own)
        });
        let introspected = AccountStatus {
            access: gateway.is_active(&exchanged.access),
            refresh: gateway.is_active(&exchanged.refresh),
        };
        assert_eq!((introspected, gateway.is_active(&token)), (line, own), "{state}");
        assert_eq!(gateway.exchange(ONE, &exchanged.refresh).status == 200, line.refresh, "{state}");
        assert_eq!(gateway.refresh(&login.refresh).status, 200, "a login that no client exchanged: {state}");
        // For the next login.
        let undone = [("locked", "unlock"), ("disabled", "enable")].into_iter().find(|(name, _)| *name == state);
        if let Some((_, undo)) = undone {
            gateway.command(&format!("client {undo} --realm oauth --id one"), "").succeeded();
        }
    }
}

#[test]
fn a_token_that_ended_by_itself_or_with_its_session_is_inactive() {
    let (gateway, _upstream) = start("");
    let given = gateway.given();
    gateway.api("/revocations/token", &json!({ "token": given.login.access }));
    assert_eq!(gateway.fronts(&given), [false, true]);
    let one = AccountStatus { access: false, refresh: true };
    assert_eq!(gateway.introspected(&given), [one, LIVES], "it ended alone");
    gateway.api("/revocations/token", &json!({ "token": given.login.refresh }));
    assert_eq!(gateway.introspected(&given), [ENDED, LIVES]);
    assert_eq!(gateway.refreshes(&given), [false, true]);
}
