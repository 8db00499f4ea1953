//! What to do: sessions, routing, access, retained messages and wills as a function from `Input` to `Effect`.
//!
//! Pure: no I/O, clock, randomness, threads or logging. Time, seeds and answers come in as arguments.

mod time;
mod address;
mod reason;
mod access;
mod message;
mod event;

pub use access::{
    InvalidName, InvalidPattern, Permission, Policy, PolicyUser, Principal, Rights, RoleName, Rule, RuleEffect, RuleId,
    Subject, TopicPattern, UserName, Verdict,
};
pub use address::Address;
pub use event::{Action, AuditEvent, EventKind, Who};
pub use message::{Message, MessageProperties, Origin, SessionKey};
pub use reason::Reason;
pub use time::Timestamp;
