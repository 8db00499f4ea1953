//! Puts fields behind each other. A packet is written twice by the same code, first only to count: its length stands
//! in front of it, and must not exceed what the receiver takes.

use super::varint;
use crate::protocol::error::PacketTooLarge;
use crate::protocol::packet_id::PacketId;
use crate::protocol::version::ProtocolVersion;
use bytes::{BufMut, BytesMut};

/// Something that fields are written to.
pub trait Writer {
    /// Bytes as they are.
    fn bytes(&mut self, bytes: &[u8]);

    /// Called for a field that its length prefix cannot describe.
    fn refuse(&mut self);

    /// One byte.
    fn u8(&mut self, number: u8) {
        self.bytes(&[number]);
    }

    /// A two byte integer.
    fn u16(&mut self, number: u16) {
        self.bytes(&number.to_be_bytes());
    }

    /// A four byte integer.
    fn u32(&mut self, number: u32) {
        self.bytes(&number.to_be_bytes());
    }

    /// A variable byte integer.
    fn varint(&mut self, number: u32) {
        let bytes = varint::encode(number);
        match bytes.get(..varint::encoded_len(number)) {
            Some(bytes) if number <= varint::MAX => self.bytes(bytes),
            Some(_) | None => self.refuse(),
        }
    }

    /// Binary data, or the bytes of a string, behind a two byte length.
    fn binary(&mut self, bytes: &[u8]) {
        match u16::try_from(bytes.len()) {
            Ok(length) => {
                self.u16(length);
                self.bytes(bytes);
            }
            Err(_) => self.refuse(),
        }
    }

    /// A packet identifier.
    fn packet_id(&mut self, packet_id: PacketId) {
        self.u16(packet_id.number());
    }

    /// Something behind its length as a variable byte integer.
    fn block(&mut self, block: &impl Body)
    where
        Self: Sized,
    {
        self.varint(u32::try_from(encoded_len(block)).unwrap_or(u32::MAX));
        block.write(self);
    }
}

impl Writer for BytesMut {
    fn bytes(&mut self, bytes: &[u8]) {
        self.put_slice(bytes);
    }

    fn refuse(&mut self) {
        debug_assert!(false, "counted before it is written, and then refused");
    }
}

/// Counts, and stays at the largest number once something is refused.
struct Length(usize);

impl Writer for Length {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }

    fn refuse(&mut self) {
        self.0 = usize::MAX;
    }
}

/// A part of a packet that can be written: what follows the fixed header, or properties.
pub trait Body {
    /// Writes it.
    fn write(&self, out: &mut impl Writer);
}

/// A packet or its properties, and how they are to be written.
pub struct Form<'a, T> {
    /// What is written.
    pub of: &'a T,
    /// For which version.
    pub version: ProtocolVersion,
    /// How much of what a receiver can do without.
    pub detail: Detail,
}

impl<'a, T> Form<'a, T> {
    /// Another part of the same packet.
    pub fn part<P>(&self, of: &'a P) -> Form<'a, P> {
        Form { of, version: self.version, detail: self.detail }
    }
}

/// What an acknowledgement tells people besides its reason code. Left out where it would make the packet too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// All of it.
    Full,
    /// No user properties.
    WithoutUserProperties,
    /// Neither user properties nor a reason string.
    Bare,
}

impl Detail {
    /// From the most to the least.
    pub const DESCENDING: [Self; 3] = [Self::Full, Self::WithoutUserProperties, Self::Bare];

    /// The user properties, as far as they are sent.
    pub fn user_properties<T>(self, properties: &[T]) -> &[T] {
        match self {
            Self::Full => properties,
            Self::WithoutUserProperties | Self::Bare => &[],
        }
    }

    /// The reason string, if it is sent.
    pub fn reason_string<T>(self, text: Option<&T>) -> Option<&T> {
        match self {
            Self::Full | Self::WithoutUserProperties => text,
            Self::Bare => None,
        }
    }
}

/// How many bytes it takes to write something; `usize::MAX` if it cannot be written at all.
pub fn encoded_len(body: &impl Body) -> usize {
    let mut length = Length(0);
    body.write(&mut length);
    length.0
}

/// Appends a packet: its first byte, its length, and what follows. Writes nothing if it is longer than `maximum`.
pub fn write_packet(first_byte: u8, body: &impl Body, maximum: u32, out: &mut BytesMut) -> Result<(), PacketTooLarge> {
    let too_large = PacketTooLarge { maximum };
    let remaining = u32::try_from(encoded_len(body)).map_err(|_| too_large)?;
    let packet_len = packet_len(remaining).filter(|&length| length <= maximum).ok_or(too_large)?;
    out.reserve(usize::try_from(packet_len).map_err(|_| too_large)?);
    out.put_u8(first_byte);
    out.varint(remaining);
    body.write(out);
    Ok(())
}

/// The length of a whole packet, unless no packet is that long.
pub fn packet_len(remaining: u32) -> Option<u32> {
    let length_len = u32::try_from(varint::encoded_len(remaining)).ok()?;
    (remaining <= varint::MAX).then(|| remaining.saturating_add(length_len).saturating_add(1))
}
