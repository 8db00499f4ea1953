//! MQTT 3.1.1 where its specification says something of its own, or what both versions promise in older words.
//!
//! Citations `[v311:MQTT-…]` name the normative statement that a test proves.

mod connect;
mod session;
mod will;
mod qos;
mod retained;
mod subscribe;
mod malformed;
