//! Integration tests: a real broker, real bytes, real clients.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a helper that can't go on ends its test"
)]

mod cli_config;
mod cli_store;
mod cli_cert;
