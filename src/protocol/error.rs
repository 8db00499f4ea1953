//! What a peer did wrong.

use super::reason::ReasonCode;

/// What a peer did wrong: malformed bytes, or a packet that may not come now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Bytes that are no packet.
    #[error("malformed packet")]
    Malformed,
}

impl Violation {
    /// What 5.0 tells the peer.
    pub fn reason(&self) -> ReasonCode {
        match self {
            Self::Malformed => ReasonCode::MalformedPacket,
        }
    }
}
