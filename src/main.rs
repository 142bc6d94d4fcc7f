//! The entry: see `portero::cli`.

use std::process::ExitCode;

use rustix::thread::disable_transparent_huge_pages;

/// glibc's allocator keeps the memory of password hashes: 140 MB after a few logins.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // They double the memory that a gateway has resident, and no form of request costs less by them
    // (docs/decisions/small-pages.md). A kernel that has none refuses this, and nothing is to be done then.
    let _ = disable_transparent_huge_pages(true);
    portero::cli::main()
}
