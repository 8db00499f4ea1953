//! Talking to other brokers as their client.
//!
//! [`Client`] is MQTT from the client's side as a pure state machine: packets and the time go in, packets and events
//! come out. [`Connection`] drives it over a socket, for `securemq pub` and `sub` and for bridges.

mod client_settings;
mod outbound;
mod client;
mod error;
mod trust;
mod dial;
mod connection;

pub use client::{Client, Event, ServerSilent};
pub use client_settings::{ClientSettings, ServerLimits, Unsendable};
pub use connection::{Connection, Step};
pub use dial::{Stream, dial};
pub use error::{ForeignServer, LinkError, TlsFailure};
pub use trust::{Trust, TrustFiles};
