//! Takes fields off the front of a packet. Strings and binary data are slices of its buffer, never copies.

use super::varint;
use crate::protocol::error::Violation;
use crate::protocol::packet_id::PacketId;
use crate::protocol::packet_type::PacketType;
use crate::protocol::reason::ReasonCode;
use crate::protocol::text::Text;
use bytes::Bytes;

/// What is left of a packet, or of its properties.
///
/// Goes along a borrowed slice, which costs nothing; only what outlives it takes a share of the buffer.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    buffer: &'a Bytes,
    /// A part of `buffer`.
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of a part of a buffer.
    pub fn new(buffer: &'a Bytes, part: &'a [u8]) -> Self {
        Self { buffer, rest: part }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Violation> {
        self.array().map(|[byte]| byte)
    }

    /// A two byte integer.
    pub fn u16(&mut self) -> Result<u16, Violation> {
        self.array().map(u16::from_be_bytes)
    }

    /// A four byte integer.
    pub fn u32(&mut self) -> Result<u32, Violation> {
        self.array().map(u32::from_be_bytes)
    }

    /// A variable byte integer.
    pub fn varint(&mut self) -> Result<u32, Violation> {
        let (number, length) = varint::decode(self.rest)?.ok_or(Violation::Truncated)?;
        self.take(length)?;
        Ok(number)
    }

    /// A reader of the next `length` bytes.
    pub fn part(&mut self, length: u32) -> Result<Self, Violation> {
        let length = usize::try_from(length).map_err(|_| Violation::Truncated)?;
        Ok(Self { buffer: self.buffer, rest: self.take(length)? })
    }

    /// Binary data with its two byte length.
    pub fn binary(&mut self) -> Result<Bytes, Violation> {
        let length = self.u16()?;
        let bytes = self.take(length.into())?;
        Ok(self.buffer.slice_ref(bytes))
    }

    /// A UTF-8 encoded string.
    #[inline]
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
        self.buffer.slice_ref(self.rest)
    }

    /// Nothing may be left.
    pub fn finish(self) -> Result<(), Violation> {
        if self.rest.is_empty() { Ok(()) } else { Err(Violation::TrailingBytes(self.rest.len())) }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Violation> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Violation::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Violation> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Violation::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }
}
