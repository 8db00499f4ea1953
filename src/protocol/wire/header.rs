//! The fixed header: type, flags and length of a packet, known before anything is allocated for it.

use super::varint;
use crate::protocol::error::Violation;
use crate::protocol::packet_type::PacketType;

/// The first two to five bytes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedHeader {
    /// Which packet follows.
    pub packet_type: PacketType,
    /// The lower four bits of the first byte.
    pub flags: u8,
    /// Where the variable header begins.
    pub body_at: usize,
    /// The length of the whole packet.
    pub packet_len: usize,
}

impl FixedHeader {
    /// Type and flags of a first byte.
    pub fn split(first_byte: u8) -> Result<(PacketType, u8), Violation> {
        let bits = first_byte >> 4;
        let packet_type = PacketType::from_bits(bits).ok_or(Violation::UnknownPacketType(bits))?;
        Ok((packet_type, first_byte & 0x0F))
    }

    /// Reads the header at the front of some bytes, or `None` if it is not complete. `maximum` is the most that a
    /// whole packet may have.
    pub fn read(bytes: &[u8], maximum: u32) -> Result<Option<Self>, Violation> {
        let Some((&first_byte, rest)) = bytes.split_first() else { return Ok(None) };
        let (packet_type, flags) = Self::split(first_byte)?;
        let Some((remaining, length_len)) = varint::decode(rest)? else { return Ok(None) };
        let body_at = length_len.saturating_add(1);
        let length = u32::try_from(body_at).unwrap_or(u32::MAX).saturating_add(remaining);
        match usize::try_from(length) {
            Ok(packet_len) if length <= maximum => Ok(Some(Self { packet_type, flags, body_at, packet_len })),
            Ok(_) | Err(_) => Err(Violation::PacketTooLarge { length, maximum }),
        }
    }
}
