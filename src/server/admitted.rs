//! A client on its way to the worker that owns its session.

use super::transport::Transport;
use crate::broker::{Address, Principal};
use crate::protocol::{ClientId, Connect};
use bytes::BytesMut;
use tokio::sync::OwnedSemaphorePermit;

/// A client that has proved who it is, on its way to the worker that owns its session.
pub struct Admitted {
    /// Its connection, detached from the worker that accepted it.
    pub transport: Transport,
    /// What came after its CONNECT already.
    pub rest: BytesMut,
    /// Its CONNECT packet.
    pub connect: Connect,
    /// Its client identifier, or the one assigned to it.
    pub client_id: ClientId,
    /// Whether the identifier was assigned.
    pub is_assigned: bool,
    /// Who it is.
    pub principal: Principal,
    /// Where it comes from.
    pub address: Address,
    /// Whether nobody else can read the connection.
    pub is_encrypted: bool,
    /// Gives its place among the connections back when it ends.
    pub place: OwnedSemaphorePermit,
}
