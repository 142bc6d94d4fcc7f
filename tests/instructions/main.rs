//! How many instructions a decision and a proxied request take, counted by valgrind's callgrind and held to
//! `budget.toml` beside this file. A count says the same on a busy machine as on a quiet one, which a time does not:
//! runs of one binary agree within 0.5%. For that, a decision is counted inside one function and nowhere else, and a
//! request while client, gateway and upstream take turns.
//!
//! What is counted is this crate at `profile.toml`'s settings on dependencies of the dev profile, which the other tests
//! have built already, and not the release. `make instructions` runs it; `make budget` writes what it counts as the
//! budget.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod budget;
mod callgrind;
mod client;
mod decisions;
#[path = "../decision/fixture.rs"]
mod fixture;
#[path = "../it/support/memory.rs"]
#[expect(dead_code, reason = "the harness of the integration tests does more")]
mod memory;
#[path = "../it/support/port.rs"]
mod port;
#[path = "../it/support/postgres/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the harness of the integration tests does more")]
mod postgres;
#[path = "../it/support/process.rs"]
#[expect(dead_code, reason = "the harness of the integration tests does more")]
mod process;
mod requests;
#[path = "../it/support/small_disk.rs"]
#[expect(dead_code, reason = "the harness of the integration tests does more")]
mod small_disk;
mod turns;
mod upstream;
#[path = "../it/support/wait.rs"]
#[expect(dead_code, reason = "the harness of the integration tests does more")]
mod wait;

use std::path::Path;

use wait::{PATIENCE, wait_until};

/// The binary of this build's profile.
const BINARY: &str = env!("CARGO_BIN_EXE_portero");

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[test]
#[cfg_attr(
    any(debug_assertions, not(target_arch = "x86_64")),
    ignore = "the budget is for optimised code of x86-64: make instructions"
)]
fn instructions_are_within_the_budget() {
    let counts = [decisions::count(), requests::count(Path::new(BINARY))].concat();
    println!("\n{}", budget::table(&counts));
    if !budget::is_to_be_written() {
        budget::hold(&counts);
        return;
    }
    budget::write(&counts);
    let release = Path::new(BINARY).parent().unwrap().join("../release/portero");
    if release.exists() {
        println!("of the release that is built, held to nothing:\n{}", budget::table(&requests::count(&release)));
    }
}

/// The signature's verification is next to what draws randomness by the processor's jitter, which must not be counted.
#[test]
#[cfg_attr(any(debug_assertions, not(target_arch = "x86_64")), ignore = "as above")]
fn a_decision_is_counted_the_same_twice() {
    let [first, second] = [(); 2].map(|()| decisions::count_one("decide_miss_hs256").instructions);
    assert!(first.abs_diff(second) * 200 <= first, "more than 0.5% apart: {first} and {second}");
}

#[test]
#[ignore = "the tests above run it under callgrind"]
fn decide_again_and_again() {
    decisions::run();
}
