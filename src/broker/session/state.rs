//! A session and the connection it may have.

use super::aliases::{InboundAliases, OutboundAliases};
use super::drops::Drops;
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::waiting::Waiting;
use super::will::Will;
use crate::broker::access::Rights;
use crate::broker::address::Address;
use crate::broker::carrier::Carrier;
use crate::broker::durability::Durability;
use crate::broker::effect::{CommitId, ConnectionId, Delivery, SessionRef};
use crate::broker::frame::{DurableId, Once};
use crate::broker::message::SessionKey;
use crate::broker::routing::Routes;
use crate::broker::subscription::SubscriptionOptions;
use crate::broker::time::Timestamp;
use crate::protocol::{ProtocolVersion, SharedFilter};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Everything the broker keeps for one client of one principal.
#[derive(Debug)]
pub struct Session {
    /// Whose it is.
    pub key: Arc<SessionKey>,
    /// Where it is.
    pub at: SessionRef,
    /// Its number in the store, if it outlives the broker's process.
    pub durable: Option<DurableId>,
    /// What the listener of its last connection says about acknowledgements, if it says anything.
    pub listener: Option<Durability>,
    /// The first change that its checkpoint does not have.
    pub dirty_since: Option<CommitId>,
    /// What its owner may do, as of the policy of the moment.
    pub rights: Rights,
    /// Its connection.
    pub live: Option<Live>,
    /// Where its last connection came from.
    pub address: Address,
    /// How long it outlives a connection; `None` is not at all.
    pub expiry: Option<Duration>,
    /// Ends the session, or is counted from when its connection ended.
    pub gone_since: Option<Timestamp>,
    /// Its subscriptions by filter. A node of the map has room for eleven, so they lie outside of it: most clients have
    /// one.
    pub subscriptions: BTreeMap<Box<str>, Box<Subscription>>,
    /// What its client sent.
    pub inbound: Inbound,
    /// What its client is sent.
    pub outbound: Outbound,
    /// QoS 2 messages that it has taken and that their publishers have not released.
    pub once: BTreeSet<Once>,
    /// What is published if it vanishes. Most clients have none.
    pub will: Option<Box<Will>>,
    /// What waited when it was last counted.
    pub counted: Waiting,
    /// What it was not sent, until that is said.
    pub drops: Drops,
    /// Whether messages in flight and queued must be asked about again because the rights may have changed since.
    pub recheck_queue: bool,
}

/// One subscription.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// What is subscribed to.
    pub filter: SharedFilter,
    /// How it is served.
    pub options: SubscriptionOptions,
}

/// A session's connection.
#[derive(Debug)]
pub struct Live {
    /// Its number.
    pub connection: ConnectionId,
    /// What it speaks.
    pub version: ProtocolVersion,
    /// Silence longer than this ends it; one and a half times the keep alive. [v5:MQTT-3.1.2-22]
    pub silence_allowed: Option<Duration>,
    /// When the last packet came.
    pub last_seen: Timestamp,
    /// Messages it takes unacknowledged.
    pub send_quota: usize,
    /// The largest packet it takes. [v5:MQTT-3.1.2-24]
    pub max_packet_size: u32,
    /// Whether it wants reason strings. [v5:MQTT-3.1.2-29]
    pub wants_reasons: bool,
    /// What is known of the topics that it published to last.
    pub routes: Routes,
    /// Aliases it introduced.
    pub inbound_aliases: InboundAliases,
    /// Aliases introduced to it.
    pub outbound_aliases: OutboundAliases,
    /// Whether its CONNACK was sent: nothing else is before.
    pub is_welcome: bool,
    /// Messages that wait for the disk; later ones wait behind them, so that their order is kept.
    pub waiting: usize,
    /// Bytes handed to the driver and not reported as written.
    pub unwritten: usize,
    /// When it began.
    pub since: Timestamp,
    /// What carries its packets.
    pub carrier: Carrier,
    /// Messages that it published.
    pub received: u64,
    /// Messages that it was sent.
    pub sent: u64,
}

impl Session {
    /// Who it is, for events.
    pub fn who(&self) -> crate::broker::event::Who {
        crate::broker::event::Who::client(self.key.principal.user(), &self.key.client_id, self.address)
    }
}

impl Live {
    /// Gives a delivery that is sent now an alias, where that keeps it small enough. One that waits gets none before:
    /// if it were withdrawn, the receiver would not know what the alias stands for.
    pub fn give_alias(&mut self, delivery: &mut Delivery) {
        /// The property, and a byte more in each of the two lengths that count it.
        const ALIAS: usize = 5;
        if self.outbound_aliases.is_unwanted() {
            return;
        }
        let maximum = usize::try_from(self.max_packet_size).unwrap_or(usize::MAX);
        if delivery.encoded_len(self.version).saturating_add(ALIAS) <= maximum {
            delivery.alias = self.outbound_aliases.assign(&delivery.message.topic);
        }
    }
}
