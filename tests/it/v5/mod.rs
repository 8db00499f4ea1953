//! MQTT 5.0 as its specification says it, statement by statement.
//!
//! Citations `[v5:MQTT-…]` name the normative statement that a test proves.

mod connect;
mod session;
mod keep_alive;
mod will;
mod qos;
mod resume;
mod flow;
mod retained;
mod subscribe;
mod shared;
mod alias;
mod message;
mod order;
mod malformed;
