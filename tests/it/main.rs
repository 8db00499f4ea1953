//! Integration tests: a real broker, real bytes, real clients.
//!
//! Helpers unwrap; see `support`. Every broker lives in a folder of its own on ports that the system chose, so the
//! tests run in any order and at the same time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a helper that can't go on ends its test"
)]

#[macro_use]
mod support;
mod cli_config;
mod cli_pubsub;
mod cli_retained;
mod cli_store;
mod cli_bench;
mod v5;
mod v311;
mod v31;
mod access;
mod certificates;
mod workers;
mod transport;
mod lifecycle;
mod durability;
mod power_cut;
mod faults;
mod time;
mod backlog;
mod interop;
mod journey;
mod log;
mod sealed;
mod stress;
mod cli_cert;
mod backup;
mod cli_key;
mod cli_transfer;
mod damage;
mod admin;
mod fuzz_corpus;
