//! What to do: sessions, routing, access, retained messages and wills as a function from `Input` to `Effect`.
//!
//! Pure: no I/O, clock, randomness, threads or logging. Time, seeds and answers come in as arguments.

mod time;
mod numbers;
mod durability;
mod limits;
mod address;
mod carrier;
mod reason;
mod access;
mod message;
mod event;
mod subscription;
mod frame;
mod record;
mod record_bytes;
mod effect;
mod arena;
mod routing;
mod session;
mod input;
mod counters;
mod shard;

pub use access::{
    ClassName, Course, InvalidName, InvalidPattern, Permission, Policy, PolicyClass, PolicyUser, Principal, Rights,
    RoleName, Rule, RuleEffect, RuleId, Subject, TopicPattern, UserName, Verdict,
};
pub use address::Address;
pub use carrier::Carrier;
pub use counters::Counters;
pub use durability::{DecidedBy, Durabilities, Durability, QueueFull, TopicSettings};
pub use effect::{
    AliasUse, CommitId, CommitOutcome, ConnectionId, Delivery, Effect, Effects, GroupKey, PARTITIONS, PeerFrame,
    RetainedVersion, SessionRef, ShardId, StoreOp, Ticket, partition_of_session, shard_of_partition,
};
pub use event::{Action, AuditEvent, EventKind, Who};
pub use frame::{ChunkId, DurableId, Frame, FrameNumber, Once};
pub use input::{Connecting, Input};
pub use limits::{Limits, QueueParts};
pub use message::{Message, MessageProperties, Origin, SessionKey};
pub use numbers::NumberHasher;
pub use reason::Reason;
pub use record::{ClockReading, KeptStage, KeptWill, Receiver, Record, RecordProblem};
pub use session::Waiting;
pub use shard::{
    ClientDetail, ClientQuery, ClientView, LiveView, Loss, Presence, RetainedQuery, Shard, ShardReport, WillView,
};
pub use subscription::SubscriptionOptions;
pub use time::Timestamp;
