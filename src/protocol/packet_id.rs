//! The number that ties an acknowledgement to its packet.

use std::num::NonZeroU16;

/// A packet identifier: never zero. [v5:MQTT-2.2.1-3]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The first identifier.
    pub const FIRST: Self = Self(NonZeroU16::MIN);

    /// An identifier, unless the number is zero.
    pub fn new(number: u16) -> Option<Self> {
        NonZeroU16::new(number).map(Self)
    }

    /// The number.
    pub fn number(self) -> u16 {
        self.0.get()
    }

    /// The following identifier; after 65,535 comes 1.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1).unwrap_or(NonZeroU16::MIN))
    }
}

impl std::fmt::Display for PacketId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [v5:MQTT-2.2.1-3]
    #[test]
    fn an_identifier_is_never_zero_not_even_after_the_last() {
        assert_eq!(PacketId::new(0), None);
        assert_eq!(PacketId::FIRST.number(), 1);
        assert_eq!(PacketId::FIRST.next().number(), 2);
        assert_eq!(PacketId::new(u16::MAX).map(PacketId::next), Some(PacketId::FIRST));
    }
}
