//! The ways in which bytes travel, by name.

use crate::broker::Carrier;

/// How bytes travel on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransportKind {
    /// Plain TCP.
    Tcp,
    /// TLS.
    Tls,
    /// WebSocket over plain TCP.
    WebSocket,
    /// WebSocket over TLS.
    SecureWebSocket,
}

impl TransportKind {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "plain MQTT",
            Self::Tls => "MQTT over TLS",
            Self::WebSocket => "WebSocket",
            Self::SecureWebSocket => "WebSocket over TLS",
        }
    }

    /// As the broker names it.
    pub fn carrier(self) -> Carrier {
        match self {
            Self::Tcp => Carrier::Tcp,
            Self::Tls => Carrier::Tls,
            Self::WebSocket => Carrier::WebSocket,
            Self::SecureWebSocket => Carrier::SecureWebSocket,
        }
    }
}
