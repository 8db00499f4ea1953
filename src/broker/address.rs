//! Where a connection came from.

use std::net::SocketAddr;

/// The far end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// An Internet address and port.
    Network(SocketAddr),
    /// A Unix socket on this machine.
    Local,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Network(address) => address.fmt(f),
            Self::Local => f.write_str("local"),
        }
    }
}
