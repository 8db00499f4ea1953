//! The one executable.

use std::process::ExitCode;

/// Forty per cent cheaper than glibc's for many small messages on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    securemq::cli::main()
}
