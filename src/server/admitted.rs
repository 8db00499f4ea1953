//! A client on its way to the worker that owns its session.

use super::transport::Transport;
use crate::broker::{Address, Carrier, Durability, Principal};
use crate::protocol::{ClientId, Connect, Packet};
use bytes::BytesMut;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

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
    /// What carries its packets.
    pub carrier: Carrier,
    /// What its listener says about acknowledgements, if it says anything.
    pub durability: Option<Durability>,
    /// Gives its place among the connections back when it ends.
    pub place: OwnedSemaphorePermit,
}

/// A client inside this process: whoever made it has proved who it is, and its packets cross no socket.
pub struct Guest {
    /// Its CONNECT packet.
    pub connect: Connect,
    /// Its client identifier.
    pub client_id: ClientId,
    /// Who it is.
    pub principal: Principal,
    /// Where the person or program behind it is.
    pub address: Address,
    /// What carries its packets.
    pub carrier: Carrier,
    /// What it says.
    pub says: mpsc::Receiver<Packet>,
    /// What it is told.
    pub hears: mpsc::Sender<Packet>,
    /// Gives its place among the guests back when it ends.
    pub place: OwnedSemaphorePermit,
}
