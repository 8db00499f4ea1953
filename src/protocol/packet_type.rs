//! The fifteen packet types, their names, and the flag bits each may have.

use super::version::ProtocolVersion;

/// The type of a control packet: the upper four bits of its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PacketType {
    /// 1: from client to server.
    Connect,
    /// 2: from server to client.
    ConnAck,
    /// 3: both ways.
    Publish,
    /// 4: both ways.
    PubAck,
    /// 5: both ways.
    PubRec,
    /// 6: both ways.
    PubRel,
    /// 7: both ways.
    PubComp,
    /// 8: from client to server.
    Subscribe,
    /// 9: from server to client.
    SubAck,
    /// 10: from client to server.
    Unsubscribe,
    /// 11: from server to client.
    UnsubAck,
    /// 12: from client to server.
    PingReq,
    /// 13: from server to client.
    PingResp,
    /// 14: both ways in 5.0, from client to server before.
    Disconnect,
    /// 15: both ways, only in 5.0.
    Auth,
}

impl PacketType {
    /// Every type, in ascending order.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::ConnAck,
        Self::Publish,
        Self::PubAck,
        Self::PubRec,
        Self::PubRel,
        Self::PubComp,
        Self::Subscribe,
        Self::SubAck,
        Self::Unsubscribe,
        Self::UnsubAck,
        Self::PingReq,
        Self::PingResp,
        Self::Disconnect,
        Self::Auth,
    ];

    /// The type of four bits; 0 is none.
    pub fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            1 => Some(Self::Connect),
            2 => Some(Self::ConnAck),
            3 => Some(Self::Publish),
            4 => Some(Self::PubAck),
            5 => Some(Self::PubRec),
            6 => Some(Self::PubRel),
            7 => Some(Self::PubComp),
            8 => Some(Self::Subscribe),
            9 => Some(Self::SubAck),
            10 => Some(Self::Unsubscribe),
            11 => Some(Self::UnsubAck),
            12 => Some(Self::PingReq),
            13 => Some(Self::PingResp),
            14 => Some(Self::Disconnect),
            15 => Some(Self::Auth),
            _ => None,
        }
    }

    /// The type as four bits.
    pub fn bits(self) -> u8 {
        match self {
            Self::Connect => 1,
            Self::ConnAck => 2,
            Self::Publish => 3,
            Self::PubAck => 4,
            Self::PubRec => 5,
            Self::PubRel => 6,
            Self::PubComp => 7,
            Self::Subscribe => 8,
            Self::SubAck => 9,
            Self::Unsubscribe => 10,
            Self::UnsubAck => 11,
            Self::PingReq => 12,
            Self::PingResp => 13,
            Self::Disconnect => 14,
            Self::Auth => 15,
        }
    }

    /// Its name in the specification.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    /// Whether a client may send it.
    pub fn may_come_from_client(self) -> bool {
        match self {
            Self::ConnAck | Self::SubAck | Self::UnsubAck | Self::PingResp => false,
            Self::Connect
            | Self::Publish
            | Self::PubAck
            | Self::PubRec
            | Self::PubRel
            | Self::PubComp
            | Self::Subscribe
            | Self::Unsubscribe
            | Self::PingReq
            | Self::Disconnect
            | Self::Auth => true,
        }
    }

    /// Whether a server may send it.
    pub fn may_come_from_server(self, version: ProtocolVersion) -> bool {
        match self {
            Self::Connect | Self::Subscribe | Self::Unsubscribe | Self::PingReq => false,
            Self::Disconnect | Self::Auth => version.server_explains_itself(),
            Self::ConnAck
            | Self::Publish
            | Self::PubAck
            | Self::PubRec
            | Self::PubRel
            | Self::PubComp
            | Self::SubAck
            | Self::UnsubAck
            | Self::PingResp => true,
        }
    }

    /// Whether the version knows it.
    pub fn exists_in(self, version: ProtocolVersion) -> bool {
        self != Self::Auth || version.has_properties()
    }

    /// The first byte of a packet whose flags are fixed: all but PUBLISH.
    pub fn first_byte(self) -> u8 {
        (self.bits() << 4) | self.fixed_flags()
    }

    /// Whether a packet may begin with these flags. [v5:MQTT-2.1.3-1] [v311:MQTT-2.2.2-2]
    ///
    /// PUBLISH gives its flags a meaning and looks at them itself. 3.1 sends PUBREL, SUBSCRIBE and UNSUBSCRIBE at
    /// QoS 1 and again with DUP.
    pub fn allows_flags(self, flags: u8, version: Option<ProtocolVersion>) -> bool {
        const DUP: u8 = 0b1000;
        let resent = self.fixed_flags() != 0 && version.is_some_and(ProtocolVersion::resends_requests);
        self == Self::Publish || flags == self.fixed_flags() || (resent && flags == self.fixed_flags() | DUP)
    }

    /// [v5:MQTT-3.6.1-1] [v5:MQTT-3.8.1-1] [v5:MQTT-3.10.1-1]
    fn fixed_flags(self) -> u8 {
        match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            Self::Connect
            | Self::ConnAck
            | Self::Publish
            | Self::PubAck
            | Self::PubRec
            | Self::PubComp
            | Self::SubAck
            | Self::UnsubAck
            | Self::PingReq
            | Self::PingResp
            | Self::Disconnect
            | Self::Auth => 0,
        }
    }
}

impl std::fmt::Display for PacketType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_bits_name_fifteen_types() {
        for (bits, packet_type) in (1..).zip(PacketType::ALL) {
            assert_eq!(packet_type.bits(), bits);
            assert_eq!(PacketType::from_bits(bits), Some(packet_type));
        }
        assert_eq!(PacketType::from_bits(0), None);
        assert_eq!(PacketType::from_bits(16), None);
    }

    #[test]
    fn only_3_1_resends_requests_with_dup() {
        use PacketType::{Connect, PingReq, PubRel, Publish, Subscribe, Unsubscribe};
        for (packet_type, flags, in_31, later) in [
            (Connect, 0b0000, true, true),
            (Connect, 0b0001, false, false),
            (PingReq, 0b1000, false, false),
            (PubRel, 0b0010, true, true),
            (PubRel, 0b1010, true, false),
            (PubRel, 0b0000, false, false),
            (Subscribe, 0b1010, true, false),
            (Subscribe, 0b0011, false, false),
            (Unsubscribe, 0b1010, true, false),
            (Publish, 0b1111, true, true),
        ] {
            assert_eq!(packet_type.allows_flags(flags, Some(ProtocolVersion::V3_1)), in_31, "{packet_type} {flags}");
            assert_eq!(packet_type.allows_flags(flags, Some(ProtocolVersion::V3_1_1)), later, "{packet_type} {flags}");
            assert_eq!(packet_type.allows_flags(flags, Some(ProtocolVersion::V5)), later, "{packet_type} {flags}");
        }
    }

    #[test]
    fn every_packet_has_a_sender() {
        for packet_type in PacketType::ALL {
            assert!(packet_type.may_come_from_client() || packet_type.may_come_from_server(ProtocolVersion::V5));
        }
    }
}
