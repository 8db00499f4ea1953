//! The three versions of MQTT that the broker speaks, and where they differ in one word.

/// The version that a CONNECT packet chose for its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtocolVersion {
    /// MQTT 3.1: protocol name `MQIsdp`, level 3.
    V3_1,
    /// MQTT 3.1.1: protocol name `MQTT`, level 4.
    V3_1_1,
    /// MQTT 5.0: protocol name `MQTT`, level 5.
    V5,
}

impl ProtocolVersion {
    /// The protocol name that CONNECT carries for this version.
    pub fn protocol_name(self) -> &'static str {
        match self {
            Self::V3_1 => "MQIsdp",
            Self::V3_1_1 | Self::V5 => "MQTT",
        }
    }

    /// The protocol level byte that CONNECT carries for this version.
    pub fn level(self) -> u8 {
        match self {
            Self::V3_1 => 3,
            Self::V3_1_1 => 4,
            Self::V5 => 5,
        }
    }

    /// Whether packets of this version carry properties, and acknowledgements reason codes.
    pub fn has_properties(self) -> bool {
        match self {
            Self::V3_1 | Self::V3_1_1 => false,
            Self::V5 => true,
        }
    }

    /// Whether bits without a meaning must be as the specification says; 3.1 leaves them open.
    pub fn reserves_bits(self) -> bool {
        match self {
            Self::V3_1 => false,
            Self::V3_1_1 | Self::V5 => true,
        }
    }

    /// Whether PUBREL, SUBSCRIBE and UNSUBSCRIBE are sent at QoS 1, and again with DUP. [v31:2.1]
    pub fn resends_requests(self) -> bool {
        match self {
            Self::V3_1 => true,
            Self::V3_1_1 | Self::V5 => false,
        }
    }

    /// Whether a CONNECT may end before the user name or password that its flags announce. [v31:3.1]
    pub fn lets_credentials_be_missing(self) -> bool {
        match self {
            Self::V3_1 => true,
            Self::V3_1_1 | Self::V5 => false,
        }
    }

    /// Whether a password may come without a user name.
    pub fn lets_password_stand_alone(self) -> bool {
        match self {
            Self::V3_1 | Self::V3_1_1 => false,
            Self::V5 => true,
        }
    }

    /// Whether CONNACK says that the server goes on with a session.
    pub fn has_session_present(self) -> bool {
        match self {
            Self::V3_1 => false,
            Self::V3_1_1 | Self::V5 => true,
        }
    }

    /// Whether a server may send DISCONNECT, and say in an acknowledgement that it refused.
    pub fn server_explains_itself(self) -> bool {
        self.has_properties()
    }
}

impl std::fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V3_1 => "3.1",
            Self::V3_1_1 => "3.1.1",
            Self::V5 => "5.0",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_a_name_a_level_and_a_number() {
        for (version, name, level, number) in [
            (ProtocolVersion::V3_1, "MQIsdp", 3, "3.1"),
            (ProtocolVersion::V3_1_1, "MQTT", 4, "3.1.1"),
            (ProtocolVersion::V5, "MQTT", 5, "5.0"),
        ] {
            assert_eq!((version.protocol_name(), version.level()), (name, level));
            assert_eq!(version.to_string(), number);
        }
    }
}
