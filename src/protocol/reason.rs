//! What an acknowledgement or a DISCONNECT says: one table for all versions.

use super::packet_type::PacketType;
use super::qos::QoS;

macro_rules! reason_codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        /// A reason code of MQTT 5.0. Codes below 0x80 report success.
        ///
        /// 0x00 is Success, Normal disconnection or Granted QoS 0, depending on the packet.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum ReasonCode {
            $($(#[$doc])* $name = $value,)*
        }

        impl ReasonCode {
            /// Every reason code, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code of a byte, if the specification has one.
            pub fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($value => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Its byte.
            pub fn byte(self) -> u8 {
                match self {
                    $(Self::$name => $value,)*
                }
            }

            /// Its name in lower case, as shown in logs.
            pub fn words(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

reason_codes! {
    /// Success, normal disconnection, or granted QoS 0.
    Success = 0x00, "success";
    /// Granted QoS 1.
    GrantedQoS1 = 0x01, "granted QoS 1";
    /// Granted QoS 2.
    GrantedQoS2 = 0x02, "granted QoS 2";
    /// Disconnect with will message.
    DisconnectWithWill = 0x04, "disconnect with will message";
    /// No matching subscribers.
    NoMatchingSubscribers = 0x10, "no matching subscribers";
    /// No subscription existed.
    NoSubscriptionExisted = 0x11, "no subscription existed";
    /// Continue authentication.
    ContinueAuthentication = 0x18, "continue authentication";
    /// Re-authenticate.
    ReAuthenticate = 0x19, "re-authenticate";
    /// Unspecified error.
    UnspecifiedError = 0x80, "unspecified error";
    /// Malformed packet.
    MalformedPacket = 0x81, "malformed packet";
    /// Protocol error.
    ProtocolError = 0x82, "protocol error";
    /// Implementation specific error.
    ImplementationSpecificError = 0x83, "implementation specific error";
    /// Unsupported protocol version.
    UnsupportedProtocolVersion = 0x84, "unsupported protocol version";
    /// Client identifier not valid.
    ClientIdentifierNotValid = 0x85, "client identifier not valid";
    /// Bad user name or password.
    BadUserNameOrPassword = 0x86, "bad user name or password";
    /// Not authorized.
    NotAuthorized = 0x87, "not authorized";
    /// Server unavailable.
    ServerUnavailable = 0x88, "server unavailable";
    /// Server busy.
    ServerBusy = 0x89, "server busy";
    /// Banned.
    Banned = 0x8A, "banned";
    /// Server shutting down.
    ServerShuttingDown = 0x8B, "server shutting down";
    /// Bad authentication method.
    BadAuthenticationMethod = 0x8C, "bad authentication method";
    /// Keep alive timeout.
    KeepAliveTimeout = 0x8D, "keep alive timeout";
    /// Session taken over.
    SessionTakenOver = 0x8E, "session taken over";
    /// Topic filter invalid.
    TopicFilterInvalid = 0x8F, "topic filter invalid";
    /// Topic name invalid.
    TopicNameInvalid = 0x90, "topic name invalid";
    /// Packet identifier in use.
    PacketIdentifierInUse = 0x91, "packet identifier in use";
    /// Packet identifier not found.
    PacketIdentifierNotFound = 0x92, "packet identifier not found";
    /// Receive maximum exceeded.
    ReceiveMaximumExceeded = 0x93, "receive maximum exceeded";
    /// Topic alias invalid.
    TopicAliasInvalid = 0x94, "topic alias invalid";
    /// Packet too large.
    PacketTooLarge = 0x95, "packet too large";
    /// Message rate too high.
    MessageRateTooHigh = 0x96, "message rate too high";
    /// Quota exceeded.
    QuotaExceeded = 0x97, "quota exceeded";
    /// Administrative action.
    AdministrativeAction = 0x98, "administrative action";
    /// Payload format invalid.
    PayloadFormatInvalid = 0x99, "payload format invalid";
    /// Retain not supported.
    RetainNotSupported = 0x9A, "retain not supported";
    /// QoS not supported.
    QoSNotSupported = 0x9B, "QoS not supported";
    /// Use another server.
    UseAnotherServer = 0x9C, "use another server";
    /// Server moved.
    ServerMoved = 0x9D, "server moved";
    /// Shared subscriptions not supported.
    SharedSubscriptionsNotSupported = 0x9E, "shared subscriptions not supported";
    /// Connection rate exceeded.
    ConnectionRateExceeded = 0x9F, "connection rate exceeded";
    /// Maximum connect time.
    MaximumConnectTime = 0xA0, "maximum connect time";
    /// Subscription identifiers not supported.
    SubscriptionIdentifiersNotSupported = 0xA1, "subscription identifiers not supported";
    /// Wildcard subscriptions not supported.
    WildcardSubscriptionsNotSupported = 0xA2, "wildcard subscriptions not supported";
}

impl ReasonCode {
    /// Whether the code reports a failure (0x80 and above).
    pub fn is_error(self) -> bool {
        self.byte() >= 0x80
    }

    /// The SUBACK code that grants this level.
    pub fn granted(qos: QoS) -> Self {
        match qos {
            QoS::AtMostOnce => Self::Success,
            QoS::AtLeastOnce => Self::GrantedQoS1,
            QoS::ExactlyOnce => Self::GrantedQoS2,
        }
    }

    /// Whether the specification lists the code for a packet. [v5:MQTT-3.2.2-8] [v5:MQTT-3.4.2-1] [v5:MQTT-3.5.2-1]
    /// [v5:MQTT-3.6.2-1] [v5:MQTT-3.7.2-1] [v5:MQTT-3.9.3-2] [v5:MQTT-3.11.3-2] [v5:MQTT-3.14.2-1] [v5:MQTT-3.15.2-1]
    pub fn may_come_in(self, packet: PacketType) -> bool {
        match packet {
            PacketType::ConnAck => matches!(
                self.byte(),
                0x00 | 0x80..=0x8A | 0x8C | 0x90 | 0x95 | 0x97 | 0x99..=0x9B | 0x9C | 0x9D | 0x9F
            ),
            PacketType::PubAck | PacketType::PubRec => {
                matches!(self.byte(), 0x00 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99)
            }
            PacketType::PubRel | PacketType::PubComp => matches!(self.byte(), 0x00 | 0x92),
            PacketType::SubAck => {
                matches!(self.byte(), 0x00..=0x02 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91 | 0x97 | 0x9E | 0xA1 | 0xA2)
            }
            PacketType::UnsubAck => matches!(self.byte(), 0x00 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91),
            PacketType::Disconnect => matches!(
                self.byte(),
                0x00 | 0x04 | 0x80..=0x83 | 0x87 | 0x89 | 0x8B | 0x8D..=0x90 | 0x93..=0xA2
            ),
            PacketType::Auth => matches!(self.byte(), 0x00 | 0x18 | 0x19),
            PacketType::Connect
            | PacketType::Publish
            | PacketType::Subscribe
            | PacketType::Unsubscribe
            | PacketType::PingReq
            | PacketType::PingResp => false,
        }
    }

    /// The CONNACK return code of 3.1 and 3.1.1. `None`: no code fits, and the connection is closed without CONNACK.
    /// [v311:MQTT-3.2.2-6]
    pub fn connack_return_code(self) -> Option<u8> {
        match self {
            Self::Success => Some(0),
            Self::UnsupportedProtocolVersion => Some(1),
            Self::ClientIdentifierNotValid => Some(2),
            Self::UnspecifiedError
            | Self::ImplementationSpecificError
            | Self::ServerUnavailable
            | Self::ServerBusy
            | Self::ServerShuttingDown
            | Self::QuotaExceeded
            | Self::UseAnotherServer
            | Self::ServerMoved
            | Self::ConnectionRateExceeded => Some(3),
            Self::BadUserNameOrPassword | Self::BadAuthenticationMethod => Some(4),
            Self::NotAuthorized
            | Self::Banned
            | Self::AdministrativeAction
            | Self::RetainNotSupported
            | Self::QoSNotSupported => Some(5),
            Self::GrantedQoS1
            | Self::GrantedQoS2
            | Self::DisconnectWithWill
            | Self::NoMatchingSubscribers
            | Self::NoSubscriptionExisted
            | Self::ContinueAuthentication
            | Self::ReAuthenticate
            | Self::MalformedPacket
            | Self::ProtocolError
            | Self::KeepAliveTimeout
            | Self::SessionTakenOver
            | Self::TopicFilterInvalid
            | Self::TopicNameInvalid
            | Self::PacketIdentifierInUse
            | Self::PacketIdentifierNotFound
            | Self::ReceiveMaximumExceeded
            | Self::TopicAliasInvalid
            | Self::PacketTooLarge
            | Self::MessageRateTooHigh
            | Self::PayloadFormatInvalid
            | Self::SharedSubscriptionsNotSupported
            | Self::MaximumConnectTime
            | Self::SubscriptionIdentifiersNotSupported
            | Self::WildcardSubscriptionsNotSupported => None,
        }
    }

    /// What a CONNACK return code of 3.1 and 3.1.1 says.
    pub fn from_connack_return_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Success),
            1 => Some(Self::UnsupportedProtocolVersion),
            2 => Some(Self::ClientIdentifierNotValid),
            3 => Some(Self::ServerUnavailable),
            4 => Some(Self::BadUserNameOrPassword),
            5 => Some(Self::NotAuthorized),
            _ => None,
        }
    }

    /// The SUBACK return code of 3.1.1: the granted level, or 0x80 for every failure. [v311:MQTT-3.9.3-2]
    ///
    /// 3.1 has no failure code. It gets 0x80 all the same: a client that masks the byte reads QoS 0 and is sent
    /// nothing, one that looks at it learns the truth, and any lower code would promise messages.
    pub fn suback_return_code(self) -> u8 {
        if self.is_error() { Self::UnspecifiedError.byte() } else { self.byte() & 0b11 }
    }

    /// What a SUBACK return code of 3.1 and 3.1.1 says.
    pub fn from_suback_return_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Success),
            1 => Some(Self::GrantedQoS1),
            2 => Some(Self::GrantedQoS2),
            0x80 => Some(Self::UnspecifiedError),
            _ => None,
        }
    }
}

impl std::fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_its_code_or_none() {
        assert_eq!(ReasonCode::ALL.len(), 43);
        for byte in 0..=u8::MAX {
            let code = ReasonCode::from_byte(byte);
            assert_eq!(code.map(ReasonCode::byte), code.is_some().then_some(byte));
        }
        assert!(ReasonCode::ALL.is_sorted());
    }

    #[test]
    fn every_code_may_come_in_some_packet() {
        for code in ReasonCode::ALL {
            assert!(PacketType::ALL.into_iter().any(|packet| code.may_come_in(packet)), "{code}");
        }
    }

    #[test]
    fn the_lists_of_codes_are_as_long_as_in_the_specification() {
        for (packet, length) in [
            (PacketType::ConnAck, 22),
            (PacketType::PubAck, 9),
            (PacketType::PubRec, 9),
            (PacketType::PubRel, 2),
            (PacketType::PubComp, 2),
            (PacketType::SubAck, 12),
            (PacketType::UnsubAck, 7),
            (PacketType::Disconnect, 29),
            (PacketType::Auth, 3),
            (PacketType::Publish, 0),
        ] {
            let listed = ReasonCode::ALL.iter().filter(|code| code.may_come_in(packet)).count();
            assert_eq!(listed, length, "{packet}");
        }
    }

    #[test]
    fn return_codes_of_old_versions_come_back_as_the_code_they_stand_for() {
        for code in 0..=5 {
            let reason = ReasonCode::from_connack_return_code(code);
            assert_eq!(reason.and_then(ReasonCode::connack_return_code), Some(code));
        }
        for code in [0, 1, 2, 0x80] {
            assert_eq!(ReasonCode::from_suback_return_code(code).map(ReasonCode::suback_return_code), Some(code));
        }
        assert_eq!(ReasonCode::from_connack_return_code(6), None);
        assert_eq!(ReasonCode::from_suback_return_code(3), None);
        assert_eq!(ReasonCode::NotAuthorized.suback_return_code(), 0x80);
        assert_eq!(ReasonCode::MalformedPacket.connack_return_code(), None);
    }
}
