//! What developers want to know of a program that goes on for long.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// It goes to standard error; `SECUREMQ_TRACE=debug` asks for more.
pub fn start() {
    let filter = EnvFilter::try_from_env("SECUREMQ_TRACE").unwrap_or_else(|_| EnvFilter::new("warn"));
    // A second start in one process, as in tests, keeps the first.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}
