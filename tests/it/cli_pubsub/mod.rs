//! `securemq pub` and `securemq sub` against a real broker: what arrives, what is said when it does not, and with which
//! exit code.

mod commands;
mod connect;
mod messages;
mod servers;
