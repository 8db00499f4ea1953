//! Talking to other brokers as their client.
//!
//! [`Client`] is MQTT from the client's side as a pure state machine: packets and the time go in, packets and events
//! come out. Whoever owns the socket drives it: `securemq publish` and `subscribe`, bridges, and tests.

mod client_settings;
mod outbound;
mod client;

pub use client::{Client, Event, ServerSilent};
pub use client_settings::{ClientSettings, ServerLimits, Unsendable};
