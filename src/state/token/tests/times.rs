//! `exp` and `nbf` at the edges of the leeway.

use std::time::Duration;

use super::fixture::*;
use crate::{
    domain::{Claims, Reason},
    state::token::check_times,
};

const LEEWAY: Duration = Duration::from_secs(30);
const INSTANT: Duration = Duration::from_millis(1);

fn claims() -> Claims {
    Ground::hs256().open(&signed(text(&good_header()), text(&good_claims()))).unwrap()
}

#[test]
fn a_token_ends_when_its_leeway_does() {
    let (ground, claims) = (Ground::hs256(), claims());
    let end = claims.expires_at.unwrap();
    let at = |now| check_times(&claims, ground.realm("sws").leeway, now);
    assert_eq!(at(end), Ok(()));
    assert_eq!(at(end.plus(LEEWAY).minus(INSTANT)), Ok(()));
    assert_eq!(at(end.plus(LEEWAY)), Err(Reason::Expired));
    assert_eq!(at(end.plus(Duration::MAX)), Err(Reason::Expired));
}

#[test]
fn a_token_begins_a_leeway_early() {
    let (ground, claims) = (Ground::hs256(), claims());
    let at = |now| check_times(&claims, ground.realm("sws").leeway, now);
    assert_eq!(at(NOW.minus(LEEWAY)), Ok(()));
    assert_eq!(at(NOW.minus(LEEWAY).minus(INSTANT)), Err(Reason::NotYetValid));
    assert_eq!(at(NOW.minus(Duration::MAX)), Err(Reason::NotYetValid));
}

#[test]
fn a_token_without_expiry_does_not_end() {
    let ground = Ground::hs256();
    let claims = Claims { expires_at: None, ..claims() };
    assert_eq!(check_times(&claims, ground.realm("sws").leeway, NOW.plus(Duration::MAX)), Ok(()));
}
