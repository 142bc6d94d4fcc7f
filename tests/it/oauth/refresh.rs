//! Refresh tokens: exchange, rotation, reuse.

use std::{collections::HashSet, thread};

use serde_json::json;

use super::*;
use crate::support::{Connection, PATIENCE, wait_until};

#[test]
fn a_sessions_refresh_token_is_exchanged_and_rotates() {
    let (gateway, _upstream) = start("refresh_grace = \"5m\"");
    let login = gateway.login_apis();
    assert!(gateway.is_active(&login.refresh));
    let answer = gateway.exchange(ONE, &login.refresh).json();
    assert_eq!((&answer["token_type"], &answer["scope"]), (&json!("Bearer"), &json!("read write")));
    let (access, second) = (text(&answer, "access_token"), text(&answer, "refresh_token"));
    assert_eq!((gateway.status("/apis", &access), gateway.status("/apis", &login.access)), (200, 200));
    assert!(second.len() > 40 && second != login.refresh);
    // The contract's own endpoint takes it no more, and never took the others.
    for token in [&login.refresh, &second] {
        let answer = gateway.refresh(token);
        assert_eq!((answer.status, &answer.json()["detail"]), (401, &json!("Token de refresco inválido")));
    }
    assert!(!gateway.is_active(&login.refresh));

    // 31: bound to the client and to the scope; what is refused spends nothing.
    refused(&gateway.exchange(TWO, &second), 400, "invalid_grant");
    refused(&gateway.exchange(TWO, &login.refresh), 400, "invalid_grant");
    let with = |scope: &str| format!("grant_type=refresh_token&refresh_token={second}&scope={scope}");
    refused(&gateway.ask_oauth(TOKEN, ONE, &with("read+admin")), 400, "invalid_scope");
    for none in [&access, &login.content, &gateway.client_token(ONE), "prt_x", "x"] {
        refused(&gateway.exchange(ONE, none), 400, "invalid_grant");
    }
    let narrow = gateway.ask_oauth(TOKEN, ONE, &with("write")).json();
    assert_eq!(narrow["scope"], "write");
    let third = text(&narrow, "refresh_token");
    let gateway = gateway.kill_and_restart();
    // 33: the answer that was lost comes again, the same.
    assert_eq!(gateway.exchanged(ONE, &second), third);
    let whole = gateway.exchange(ONE, &third).json();
    assert_eq!(whole["scope"], "read write", "less for one token is not less for the line");
    let fourth = text(&whole, "refresh_token");
    refused(&gateway.exchange(ONE, &second), 400, "invalid_grant");
    assert!(gateway.is_active(&fourth), "within the grace nothing is killed");

    // 42
    gateway.command("user set-password --realm apis --username admin --password-stdin", "another secret").succeeded();
    refused(&gateway.exchange(ONE, &fourth), 400, "invalid_grant");
    assert!(!gateway.is_active(&fourth));
}

#[test]
fn sixty_four_at_once_are_one_line_of_descent() {
    let (config, _upstream) = config("refresh_grace = \"5m\"");
    // Each of them costs a hash, and none may be turned away for that here.
    let gateway = Gateway::run(with_accounts(&config.text("[passwords]\nhash_queue = 256")));
    let mut token = gateway.login_apis().refresh;
    for _ in 0..2 {
        let body = format!("grant_type=refresh_token&refresh_token={token}");
        let clients: Vec<_> = (0..64)
            .map(|_| {
                let (mut connection, request) = (Connection::open(gateway.front), form(TOKEN, &body).client(ONE));
                thread::spawn(move || connection.send_until_available(&request))
            })
            .collect();
        let answers: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
        let granted: Vec<_> = answers.iter().map(Response::json).collect();
        let successors: HashSet<_> = granted.iter().map(|answer| text(answer, "refresh_token")).collect();
        assert_eq!(successors.len(), 1);
        for answer in &granted {
            assert_eq!(gateway.status("/apis", &text(answer, "access_token")), 200);
        }
        token = successors.into_iter().next().unwrap();
    }
    let gateway = gateway.kill_and_restart();
    gateway.exchanged(ONE, &token);
}

#[test]
fn a_copy_that_is_used_late_ends_the_session() {
    let (gateway, _upstream) = start("refresh_grace = \"0s\"");
    let login = gateway.login_apis();
    let answer = gateway.exchange(ONE, &login.refresh).json();
    let (access, second) = (text(&answer, "access_token"), text(&answer, "refresh_token"));
    let third = gateway.exchanged(ONE, &second);
    // Nobody else can end it: a stranger who has the copy is no client of the line.
    refused(&gateway.exchange(TWO, &second), 400, "invalid_grant");
    assert_eq!(gateway.status("/apis", &access), 200);

    refused(&gateway.exchange(ONE, &second), 400, "invalid_grant");
    assert_eq!((gateway.status("/apis", &access), gateway.status("/apis", &login.access)), (401, 401));
    gateway.process.event("a refresh token was used again; its session is revoked");
    assert!(!gateway.process.written().contains(&second), "no token in the log");
    refused(&gateway.exchange(ONE, &third), 400, "invalid_grant");
    let gateway = gateway.kill_and_restart();
    assert_eq!(gateway.status("/apis", &login.access), 401);
    refused(&gateway.exchange(ONE, &third), 400, "invalid_grant");

    // The contract's own endpoint is a door as well.
    let login = gateway.login_apis();
    let second = gateway.exchanged(ONE, &login.refresh);
    assert_eq!(gateway.status("/apis", &login.access), 200);
    assert_eq!(gateway.refresh(&login.refresh).status, 401);
    assert_eq!(gateway.status("/apis", &login.access), 401);
    refused(&gateway.exchange(ONE, &second), 400, "invalid_grant");
}

#[test]
fn a_line_ends_with_its_first_token() {
    let (config, _upstream) = config("");
    let config = config
        .replace("[tokens]", "[tokens]\nleeway = \"0s\"")
        .replace("[realms.apis]", "[realms.apis]\nrefresh_lifetime = \"15s\"");
    let gateway = Gateway::run(with_accounts(&config));
    let login = gateway.login_apis();
    let second = gateway.exchanged(ONE, &login.refresh);
    let ends = |token: &str| gateway.introspect(AUDITOR, token).json()["exp"].clone();
    let end = ends(&second);
    let third = gateway.exchanged(ONE, &second);
    assert_eq!((ends(&third), end.is_i64()), (end, true), "34");
    wait_until("the line ends", PATIENCE, || !gateway.is_active(&third));
    refused(&gateway.exchange(ONE, &third), 400, "invalid_grant");
}
