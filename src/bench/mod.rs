//! Measuring a broker, ours or another, from the outside: the clients of `securemq bench`.
//!
//! A closed loop sends when there is room in its window, and finds out how much a broker can do and what a message
//! costs it. An open loop sends when a message is due, and finds out how long messages take: latencies count from when
//! a message was due, so that a broker that stalls, or a generator that falls behind, hides nothing.
//!
//! Everything is counted: what is lost, comes twice or comes in the wrong order. The generator must cost less than what
//! it measures, so hot packets are glanced at and not decoded, and written from a template; the report says what it
//! used itself.

mod histogram;
mod stamp;
mod sequence;
mod glance;
mod tickets;
mod template;
mod error;
mod usage;
mod calls;
mod pacer;
mod progress;
mod wire;
mod plan;
mod publisher;
mod receiver;
mod report;
mod crowd;
mod traffic;
mod offline;
mod retained;
mod storm;
mod run;

pub use error::BenchError;
pub use plan::{CallCounting, Pace, Plan, Shape};
pub use report::{CallRates, Cost, Percentiles, Report};
pub use run::run;
pub use wire::{SessionLife, Target};
