//! What carries the packets of a client.

/// What carries the packets of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carrier {
    /// Plain TCP.
    Tcp,
    /// TLS.
    Tls,
    /// WebSocket over plain TCP.
    WebSocket,
    /// WebSocket over TLS.
    SecureWebSocket,
    /// The pages of the administration, in a browser that nobody on the way can listen to.
    SecurePages,
    /// The pages of the administration.
    Pages,
}

impl Carrier {
    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::WebSocket => "websocket",
            Self::SecureWebSocket => "secure-websocket",
            Self::SecurePages => "secure-pages",
            Self::Pages => "pages",
        }
    }

    /// Whether nobody on the way can read along.
    pub fn is_encrypted(self) -> bool {
        match self {
            Self::Tls | Self::SecureWebSocket | Self::SecurePages => true,
            Self::Tcp | Self::WebSocket | Self::Pages => false,
        }
    }
}
