//! What the tests share: a broker to start, clients to talk to it, and the bytes they speak.
//!
//! Helpers unwrap: a test that can't go on has failed, and the message says where. Nothing here sleeps for a fixed
//! time: whatever waits, waits for an event, and gives up after [`PATIENCE`].

#![allow(dead_code, reason = "helpers of one test binary, not every one in use at every commit")]

#[macro_use]
pub mod wire;
pub mod raw;
pub mod tls;
pub mod mosquitto;
pub mod broker;
pub mod strace;
pub mod power;
pub mod clients;
pub mod described;
pub mod pages;

use std::time::Duration;

/// How long a test waits for something that should happen at once; long, because the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A number from the environment, for whoever wants more of a test than usual.
pub fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
