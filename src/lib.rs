//! securemq: the secure MQTT broker.
//!
//! The broker is a pure function, and everything else is a driver around it. A module imports only those listed
//! above it here; `tests/tidy.rs` checks that.

pub mod protocol;
pub mod broker;
pub mod config;
pub mod store;
pub mod auth;
pub mod audit;
pub mod server;
pub mod bridge;
pub mod bench;
pub mod admin;
pub mod cli;
