//! Takes fields off the front of a packet. Strings and binary data are slices of its buffer, never copies.

use super::varint;
use crate::protocol::error::Violation;
use crate::protocol::packet_id::PacketId;
use crate::protocol::packet_type::PacketType;
use crate::protocol::reason::ReasonCode;
use crate::protocol::text::Text;
use bytes::{Buf, Bytes};

/// What is left of a packet, or of its properties.
#[derive(Debug)]
pub struct Reader {
    rest: Bytes,
}

impl Reader {
    /// A reader of some bytes.
    pub fn new(bytes: Bytes) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Violation> {
        self.rest.try_get_u8().map_err(|_| Violation::Truncated)
    }

    /// A two byte integer.
    pub fn u16(&mut self) -> Result<u16, Violation> {
        self.rest.try_get_u16().map_err(|_| Violation::Truncated)
    }

    /// A four byte integer.
    pub fn u32(&mut self) -> Result<u32, Violation> {
        self.rest.try_get_u32().map_err(|_| Violation::Truncated)
    }

    /// A variable byte integer.
    pub fn varint(&mut self) -> Result<u32, Violation> {
        let (number, length) = varint::decode(&self.rest)?.ok_or(Violation::Truncated)?;
        self.rest.advance(length);
        Ok(number)
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Result<Bytes, Violation> {
        // `split_to` panics beyond the end.
        if length > self.rest.len() { Err(Violation::Truncated) } else { Ok(self.rest.split_to(length)) }
    }

    /// Binary data with its two byte length.
    pub fn binary(&mut self) -> Result<Bytes, Violation> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// A UTF-8 encoded string.
    pub fn text(&mut self) -> Result<Text, Violation> {
        Text::new(self.binary()?).map_err(Violation::BadText)
    }

    /// A packet identifier, which is not zero. [v5:MQTT-2.2.1-3] [v311:MQTT-2.3.1-1]
    pub fn packet_id(&mut self, packet: PacketType) -> Result<PacketId, Violation> {
        PacketId::new(self.u16()?).ok_or(Violation::PacketIdZero(packet))
    }

    /// A reason code that the packet may carry.
    pub fn reason(&mut self, packet: PacketType) -> Result<ReasonCode, Violation> {
        let code = self.u8()?;
        ReasonCode::from_byte(code)
            .filter(|reason| reason.may_come_in(packet))
            .ok_or(Violation::ReasonCodeNotAllowed { packet, code })
    }

    /// All that is left: a payload.
    pub fn into_rest(self) -> Bytes {
        self.rest
    }

    /// Nothing may be left.
    pub fn finish(self) -> Result<(), Violation> {
        if self.rest.is_empty() { Ok(()) } else { Err(Violation::TrailingBytes(self.rest.len())) }
    }
}
