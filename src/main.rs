//! The entry: see `portero::cli`.

use std::process::ExitCode;

/// glibc's allocator keeps the memory of password hashes: 140 MB after a few logins, against 45 to 60.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    portero::cli::main()
}
