//! A shard: some of the sessions of a broker, and everything that happens to them.
//!
//! `core` has the state and says which file handles which input; the files below it are the handling, by subject.

mod promises;
mod timers;
mod log_budget;
mod journal;
mod core;
mod policy;
mod durable;
mod queue;
mod recover;
mod deliver;
mod publish;
mod subscribe;
mod connect;
mod peers;
mod inspect;

pub use self::core::Shard;
pub use inspect::{
    ClientDetail, ClientQuery, ClientView, LiveView, Loss, Presence, RetainedQuery, ShardReport, WillView,
};

#[cfg(test)]
mod tests;
