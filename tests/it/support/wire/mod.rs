//! MQTT bytes, written and read for the tests alone, straight from the specifications.
//!
//! Not the broker's codec on purpose: a mistake there can't hide behind the same mistake here. Reading is strict,
//! so that every packet that any test receives is also a test of its form.

#[macro_use]
mod property;
mod sent;
mod received;

pub use property::{Property, put_binary, put_text, put_varint, user_properties};
pub use received::{Ack, Codes, ConnAck, Packet};
pub use sent::*;
