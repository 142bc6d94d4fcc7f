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

use std::{iter, num::NonZero, path::Path, sync::Mutex, thread};

use budget::Count;
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
    let decisions = decisions::names().map(|name| Box::new(move || decisions::count(name)) as Job);
    let counts = in_parallel(decisions.chain(requests(Path::new(BINARY))).collect());
    println!("\n{}", budget::table(&counts));
    if !budget::is_to_be_written() {
        budget::hold(&counts);
        return;
    }
    budget::write(&counts);
    let release = Path::new(BINARY).parent().unwrap().join("../release/portero");
    if release.exists() {
        println!(
            "of the release that is built, held to nothing:\n{}",
            budget::table(&in_parallel(requests(&release).collect()))
        );
    }
}

/// Counts something that has a budget.
type Job<'j> = Box<dyn FnOnce() -> Count + Send + 'j>;

/// Counts every request that has a budget, through `binary`.
fn requests(binary: &Path) -> impl Iterator<Item = Job<'_>> {
    requests::PROBES.iter().map(move |probe| Box::new(move || requests::count(probe, binary)) as Job<'_>)
}

/// What `jobs` count, in their order. As many run at once as there are processors: what one counts, it counts in
/// processes of its own.
fn in_parallel(jobs: Vec<Job<'_>>) -> Vec<Count> {
    let lanes = thread::available_parallelism().map_or(1, NonZero::get);
    let jobs = Mutex::new(jobs.into_iter().enumerate());
    let take = || jobs.lock().unwrap().next();
    let run = || iter::from_fn(take).map(|(at, job)| (at, job())).collect::<Vec<_>>();
    let mut counts: Vec<_> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes).map(|_| scope.spawn(run)).collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    });
    counts.sort_by_key(|(at, _)| *at);
    counts.into_iter().map(|(_, count)| count).collect()
}

/// The signature's verification is next to what seeds generators of random numbers, which must not be counted.
#[test]
#[cfg_attr(any(debug_assertions, not(target_arch = "x86_64")), ignore = "as above")]
fn a_decision_is_counted_the_same_twice() {
    let [first, second] = [(); 2].map(|()| decisions::count("decide_miss_hs256").instructions);
    assert!(first.abs_diff(second) * 200 <= first, "more than 0.5% apart: {first} and {second}");
}

#[test]
#[ignore = "the tests above run it under callgrind"]
fn decide_again_and_again() {
    decisions::run();
}
