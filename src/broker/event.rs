//! What happened, for people: the events of the log.

use super::access::{RuleId, UserName};
use super::address::Address;
use super::durability::Durability;
use super::reason::Reason;
use crate::protocol::{ClientId, ProtocolVersion, QoS, Text};

/// Something that happened, and to whom. The time is added where it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// Whose doing it was.
    pub who: Who,
    /// What happened.
    pub kind: EventKind,
}

impl AuditEvent {
    /// The longest name, topic or detail that an event keeps, in bytes. Peers choose them, and a log whose lines are as
    /// long as they like is theirs.
    pub const LONGEST: usize = 512;

    /// The same with every text that is longer cut off, which an ellipsis says.
    #[must_use]
    pub fn cut(mut self) -> Self {
        let texts = match &mut self.kind {
            EventKind::Subscribed { filter: text, .. }
            | EventKind::SubscribeRefused { filter: text, .. }
            | EventKind::Unsubscribed { filter: text }
            | EventKind::Published { topic: text, .. }
            | EventKind::PublishRefused { topic: text, .. }
            | EventKind::Dropped { topic: text, .. } => Some(text),
            EventKind::ConnectRefused { detail, .. } | EventKind::Disconnected { detail, .. } => {
                if let Some(detail) = detail
                    && let Some(short) = shortened(detail)
                {
                    *detail = short;
                }
                None
            }
            // What administrators and the broker itself say is bounded where it is said.
            EventKind::Connected { .. }
            | EventKind::SessionEnded { .. }
            | EventKind::Administered { .. }
            | EventKind::Started { .. }
            | EventKind::Stopped
            | EventKind::Notice { .. }
            | EventKind::LeftOut { .. } => None,
        };
        for text in texts.into_iter().chain(&mut self.who.user).chain(&mut self.who.client_id) {
            if let Some(short) = shortened(text.as_str()).and_then(|short| Text::try_from(short.as_str()).ok()) {
                *text = short;
            }
        }
        self
    }
}

/// The beginning of a text that is too long.
fn shortened(text: &str) -> Option<String> {
    if text.len() <= AuditEvent::LONGEST {
        return None;
    }
    let end = (0..=AuditEvent::LONGEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    Some(format!("{}…", text.get(..end).unwrap_or_default()))
}

/// Whose doing: as much as is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Who {
    /// The account, or the name that was tried.
    pub user: Option<Text>,
    /// The client identifier.
    pub client_id: Option<Text>,
    /// Where the connection came from.
    pub address: Option<Address>,
}

impl Who {
    /// A client of the broker.
    pub fn client(user: Option<&UserName>, client_id: &ClientId, address: Address) -> Self {
        Self {
            user: user.and_then(|name| Text::try_from(name.as_str()).ok()),
            client_id: Some(client_id.text().clone()),
            address: Some(address),
        }
    }
}

/// What happened. `EventKind::number` is stored and never changes its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// 1: a client was let in.
    Connected {
        /// What it speaks.
        version: ProtocolVersion,
        /// Whether it goes on with a session.
        session_present: bool,
        /// Whether the connection is encrypted.
        encrypted: bool,
    },
    /// 2: a client was not let in.
    ConnectRefused {
        /// Why.
        reason: Reason,
        /// More for people, in our words: what the peer spoke, which check failed.
        detail: Option<String>,
    },
    /// 3: a connection ended.
    Disconnected {
        /// Why.
        reason: Reason,
        /// More for people.
        detail: Option<String>,
    },
    /// 4: a subscription was made.
    Subscribed {
        /// The filter as asked for, `$share/…` included.
        filter: Text,
        /// The most that it is served with.
        qos: QoS,
    },
    /// 5: a subscription was refused.
    SubscribeRefused {
        /// The filter as asked for.
        filter: Text,
        /// Why.
        reason: Reason,
        /// The rule that denied it, if one did.
        rule: Option<RuleId>,
    },
    /// 6: a subscription ended.
    Unsubscribed {
        /// The filter as asked for.
        filter: Text,
    },
    /// 7: a message was routed. Never its payload.
    Published {
        /// Where.
        topic: Text,
        /// Of the payload, in bytes.
        size: u32,
        /// As published.
        qos: QoS,
        /// As published.
        retain: bool,
        /// How many sessions of this worker it was sent to or queued for, and how many workers it was passed on to.
        delivered: u32,
        /// What its acknowledgement promises, where that is not what holds in general.
        durability: Option<Durability>,
    },
    /// 8: a message was refused.
    PublishRefused {
        /// Where.
        topic: Text,
        /// Of the payload, in bytes.
        size: u32,
        /// Why.
        reason: Reason,
        /// The rule that denied it, if one did.
        rule: Option<RuleId>,
    },
    /// 9: a message was not delivered to a session that was subscribed to it.
    Dropped {
        /// Where it was published; of several, the last of them, or where the message was that took their place.
        topic: Text,
        /// Why.
        reason: Reason,
        /// How many such messages since the last such event.
        count: u32,
    },
    /// 10: a session ended.
    SessionEnded {
        /// Why.
        reason: Reason,
    },
    /// 20: somebody changed users, rules, keys or certificates.
    Administered {
        /// What was done, as the command says it: `user add`.
        action: String,
        /// To whom or what.
        target: String,
    },
    /// 30: the broker started.
    Started {
        /// Its version.
        version: String,
    },
    /// 31: the broker stopped.
    Stopped,
    /// 32: something that an operator should know.
    Notice {
        /// In our words.
        text: String,
    },
    /// 33: more happened than could be kept.
    LeftOut {
        /// How many events are missing here.
        count: u64,
    },
}

/// What `logs --action` selects by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Let in or not.
    Connect,
    /// Connections and sessions that ended.
    Disconnect,
    /// Made or refused.
    Subscribe,
    /// Ended by the client.
    Unsubscribe,
    /// Routed, refused, or dropped.
    Publish,
    /// Administration.
    Admin,
    /// The broker itself.
    Broker,
}

impl Action {
    /// All actions, in the order of their listing.
    pub const ALL: [Self; 7] =
        [Self::Connect, Self::Disconnect, Self::Subscribe, Self::Unsubscribe, Self::Publish, Self::Admin, Self::Broker];

    /// Its name as typed and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Disconnect => "DISCONNECT",
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Publish => "PUBLISH",
            Self::Admin => "ADMIN",
            Self::Broker => "BROKER",
        }
    }
}

impl EventKind {
    /// Its number in the store.
    pub fn number(&self) -> u8 {
        match self {
            Self::Connected { .. } => 1,
            Self::ConnectRefused { .. } => 2,
            Self::Disconnected { .. } => 3,
            Self::Subscribed { .. } => 4,
            Self::SubscribeRefused { .. } => 5,
            Self::Unsubscribed { .. } => 6,
            Self::Published { .. } => 7,
            Self::PublishRefused { .. } => 8,
            Self::Dropped { .. } => 9,
            Self::SessionEnded { .. } => 10,
            Self::Administered { .. } => 20,
            Self::Started { .. } => 30,
            Self::Stopped => 31,
            Self::Notice { .. } => 32,
            Self::LeftOut { .. } => 33,
        }
    }

    /// What it is listed under.
    pub fn action(&self) -> Action {
        match self {
            Self::Connected { .. } | Self::ConnectRefused { .. } => Action::Connect,
            Self::Disconnected { .. } | Self::SessionEnded { .. } => Action::Disconnect,
            Self::Subscribed { .. } | Self::SubscribeRefused { .. } => Action::Subscribe,
            Self::Unsubscribed { .. } => Action::Unsubscribe,
            Self::Published { .. } | Self::PublishRefused { .. } | Self::Dropped { .. } => Action::Publish,
            Self::Administered { .. } => Action::Admin,
            Self::Started { .. } | Self::Stopped | Self::Notice { .. } | Self::LeftOut { .. } => Action::Broker,
        }
    }

    /// Whether something was refused, dropped or lost.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::ConnectRefused { .. }
            | Self::SubscribeRefused { .. }
            | Self::PublishRefused { .. }
            | Self::Dropped { .. }
            | Self::LeftOut { .. } => true,
            Self::Disconnected { reason, .. } => match reason {
                Reason::ClientDisconnected | Reason::ClientDisconnectedWithWill | Reason::ShuttingDown => false,
                other => other.code().is_error(),
            },
            Self::Connected { .. }
            | Self::Subscribed { .. }
            | Self::Unsubscribed { .. }
            | Self::Published { .. }
            | Self::SessionEnded { .. }
            | Self::Administered { .. }
            | Self::Started { .. }
            | Self::Stopped
            | Self::Notice { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_peers_may_make_as_long_as_they_like_is_cut_at_a_whole_character() {
        let long = "ä".repeat(30_000);
        let text = || Text::try_from(long.as_str()).unwrap();
        let who = || Who { user: Some(text()), client_id: Some(text()), address: None };
        let refused = EventKind::ConnectRefused { reason: Reason::LoginThrottled, detail: Some(long.clone()) };
        for kind in [refused, EventKind::Unsubscribed { filter: text() }] {
            let event = AuditEvent { who: who(), kind }.cut();
            assert!(event.who.user.as_ref().is_some_and(|user| user.as_str().ends_with("ä…")), "{event:?}");
            assert!(format!("{event:?}").len() < 3 * (AuditEvent::LONGEST + 100), "{event:?}");
        }
        let short = AuditEvent { who: Who::default(), kind: EventKind::Stopped };
        assert_eq!(short.clone().cut(), short);
    }
}
