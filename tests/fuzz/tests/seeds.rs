//! Every seed holds: what `make fuzz` begins with is no finding.

use std::{fs, path::Path};

use portero_fuzz::{contract, jwks, opaque, token};

fn check_all(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let seeds = fs::read_dir(&folder).expect("a folder of seeds");
    let checked = seeds.map(|seed| check(&fs::read(seed.expect("a seed").path()).expect("a seed's bytes"))).count();
    assert!(checked > 0, "{} is empty", folder.display());
}

#[test]
fn the_seeds_of_contract_hold() {
    check_all("contract", contract::check);
}

#[test]
fn the_seeds_of_jwks_hold() {
    check_all("jwks", jwks::check);
}

#[test]
fn the_seeds_of_opaque_hold() {
    check_all("opaque", opaque::check);
}

#[test]
fn the_seeds_of_token_hold() {
    check_all("token", token::check);
}
