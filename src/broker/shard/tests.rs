//! Stories about one shard, and about two or three that talk to each other.
//!
//! `stage` has the broker that the stories are told with: what a client hears is written as short lines, so that a
//! whole exchange can be compared at once.

mod packets;
mod stage;

mod sessions;
mod wills;
mod qos;
mod releases;
mod durability;
mod queues;
mod subscriptions;
mod retained;
mod shards;
mod limits;
mod rights;
mod inspect;
