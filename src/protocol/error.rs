//! What a peer did wrong, and the reason code that tells it so.

use super::packet_id::PacketId;
use super::packet_type::PacketType;
use super::property::Property;
use super::reason::ReasonCode;
use super::text::InvalidText;
use super::topic::InvalidTopic;
use super::version::ProtocolVersion;

/// Why a connection is closed that did not keep to the protocol: bytes that are malformed, or a packet that may
/// not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    // The first packet.
    /// [v5:MQTT-3.1.0-1]
    #[error("the first packet is {0} instead of CONNECT")]
    FirstPacketNotConnect(PacketType),
    /// [v5:MQTT-3.1.2-1]
    #[error("the protocol name in CONNECT is neither MQTT nor MQIsdp")]
    UnknownProtocolName,
    /// [v5:MQTT-3.1.2-2] [v311:MQTT-3.1.2-2]
    #[error("protocol level {level:#04x} is not supported")]
    UnsupportedVersion {
        /// The level as sent; with 0x80 added, an older bridge asked.
        level: u8,
        /// The version whose CONNACK the client most likely understands.
        answer_in: ProtocolVersion,
    },

    // The fixed header.
    /// Type 0, or AUTH before 5.0.
    #[error("packet type {0} does not exist")]
    UnknownPacketType(u8),
    /// [v5:MQTT-2.1.3-1] [v311:MQTT-2.2.2-2]
    #[error("{packet} may not begin with the flags {flags:#06b}")]
    ReservedFlags {
        /// The packet.
        packet: PacketType,
        /// Its four flags.
        flags: u8,
    },
    /// [v5:MQTT-3.1.2-24] [v5:MQTT-3.2.2-15]
    #[error("a packet of {length} bytes is longer than the {maximum} allowed")]
    PacketTooLarge {
        /// Of the whole packet.
        length: u32,
        /// What the receiver takes.
        maximum: u32,
    },

    // Fields.
    /// A field, or the properties, reach beyond the end of the packet.
    #[error("the packet ends in the middle of a field")]
    Truncated,
    /// The fields end before the packet does.
    #[error("{0} bytes follow the last field of the packet")]
    TrailingBytes(usize),
    /// The fourth byte of a variable byte integer says that a fifth follows.
    #[error("a variable byte integer is longer than four bytes")]
    VarintTooLong,
    /// [v5:MQTT-1.5.5-1]
    #[error("a variable byte integer takes more bytes than it needs")]
    VarintNotMinimal,
    /// [v5:MQTT-1.5.4-1] [v5:MQTT-1.5.4-2]
    #[error("a string {0}")]
    BadText(InvalidText),
    /// [v5:MQTT-2.2.1-3]
    #[error("{0} has packet identifier 0")]
    PacketIdZero(PacketType),
    /// A code that does not exist or that the packet may not carry.
    #[error("{packet} may not carry reason code {code:#04x}")]
    ReasonCodeNotAllowed {
        /// The packet.
        packet: PacketType,
        /// The byte as sent.
        code: u8,
    },

    // Properties.
    /// Not one of the 27.
    #[error("property {0:#04x} does not exist")]
    UnknownProperty(u32),
    /// Belongs to another packet.
    #[error("{packet} may not carry the property '{property}'")]
    PropertyNotAllowed {
        /// The property.
        property: Property,
        /// The packet.
        packet: PacketType,
    },
    /// Twice, where once is the most.
    #[error("the property '{0}' comes twice")]
    DuplicateProperty(Property),
    /// Zero, where zero has no meaning. [v5:MQTT-3.3.2-8]
    #[error("the property '{0}' is zero")]
    PropertyZero(Property),
    /// Neither 0 nor 1, where nothing else has a meaning.
    #[error("the property '{property}' is {value} instead of 0 or 1")]
    PropertyNotBinary {
        /// The property.
        property: Property,
        /// The byte as sent.
        value: u8,
    },
    /// [v5:MQTT-3.3.2-14]
    #[error("the response topic {0}")]
    BadResponseTopic(InvalidTopic),
    /// Data for a method that is not named.
    #[error("authentication data comes without an authentication method")]
    AuthenticationDataWithoutMethod,
    /// An AUTH packet that does not say for which method.
    #[error("AUTH comes without an authentication method")]
    AuthenticationMethodMissing,

    // CONNECT and CONNACK.
    /// [v5:MQTT-3.1.2-3]
    #[error("the reserved bit of the CONNECT flags is set")]
    ReservedConnectFlag,
    /// [v5:MQTT-3.1.2-11] [v5:MQTT-3.1.2-13]
    #[error("CONNECT flags give a will QoS or retain without a will")]
    WillFlagsWithoutWill,
    /// [v5:MQTT-3.1.3-11]
    #[error("the will topic {0}")]
    BadWillTopic(InvalidTopic),
    /// [v311:MQTT-3.1.2-22]
    #[error("CONNECT has a password without a user name, which only 5.0 allows")]
    PasswordWithoutUserName,
    /// [v5:MQTT-3.2.2-1]
    #[error("the reserved bits of the CONNACK flags are {0:#010b}")]
    ReservedConnAckFlags(u8),
    /// [v5:MQTT-3.2.2-6]
    #[error("a CONNACK that refuses says that a session is present")]
    SessionPresentInRefusal,
    /// [v5:MQTT-3.2.2-2]
    #[error("a CONNACK after a clean start says that a session is present")]
    SessionPresentAfterCleanStart,

    // PUBLISH.
    /// [v5:MQTT-3.3.1-4] [v5:MQTT-3.1.2-12] [v311:MQTT-3.8.3-4]
    #[error("{0} asks for QoS 3")]
    QoS3(PacketType),
    /// [v5:MQTT-3.3.1-2]
    #[error("PUBLISH at QoS 0 has the DUP flag")]
    DupAtQoS0,
    /// Neither a topic nor an alias, or an empty topic before 5.0. [v5:MQTT-4.7.3-1]
    #[error("PUBLISH has no topic")]
    TopicMissing,
    /// [v5:MQTT-3.3.2-2]
    #[error("the topic name {0}")]
    BadTopicName(InvalidTopic),
    /// [v5:MQTT-3.3.2-9] [v5:MQTT-3.3.2-11]
    #[error("topic alias {alias} is above the maximum of {maximum}")]
    TopicAliasAboveMaximum {
        /// As sent.
        alias: u16,
        /// What the receiver said it takes.
        maximum: u16,
    },
    /// An alias without a topic that was never given one.
    #[error("topic alias {0} stands for no topic yet")]
    TopicAliasUnknown(u16),
    /// [v5:MQTT-3.3.4-6]
    #[error("a client sends a subscription identifier in PUBLISH")]
    SubscriptionIdFromClient,
    /// [v5:MQTT-3.3.4-7] [v5:MQTT-3.3.4-9]
    #[error("more than {0} messages are unacknowledged")]
    ReceiveMaximumExceeded(u16),
    /// [v5:MQTT-3.2.2-11]
    #[error("a message is published above the maximum QoS")]
    QoSNotSupported,
    /// [v5:MQTT-3.2.2-14]
    #[error("a message is retained where retained messages are not available")]
    RetainNotSupported,
    /// Declared to be UTF-8 but is not.
    #[error("the payload is not the UTF-8 it is declared to be")]
    PayloadNotUtf8,

    // SUBSCRIBE, SUBACK and their opposites.
    /// [v5:MQTT-3.8.3-2] [v5:MQTT-3.10.3-2]
    #[error("{0} has no topic filter")]
    NoTopicFilter(PacketType),
    /// [v5:MQTT-3.8.3-1] [v5:MQTT-3.10.3-1]
    #[error("the topic filter {0}")]
    BadTopicFilter(InvalidTopic),
    /// [v5:MQTT-3.8.3-5] [v311:MQTT-3.8.3-4]
    #[error("the reserved bits of the subscription options {0:#010b} are set")]
    ReservedSubscriptionOptions(u8),
    /// Retain handling has the values 0, 1 and 2.
    #[error("SUBSCRIBE asks for retain handling 3")]
    RetainHandling3,
    /// [v5:MQTT-3.8.3-4]
    #[error("a shared subscription asks for no local")]
    SharedNoLocal,
    /// [v5:MQTT-3.8.4-6] [v5:MQTT-3.11.3-1]
    #[error("{packet} has {reasons} reason codes for {filters} topic filters")]
    WrongReasonCount {
        /// SUBACK or UNSUBACK.
        packet: PacketType,
        /// How many it carries.
        reasons: usize,
        /// How many were asked for.
        filters: usize,
    },

    // What may come when.
    /// [v5:MQTT-3.1.0-2]
    #[error("a second CONNECT arrives")]
    SecondConnect,
    /// A packet that only the other side sends.
    #[error("{0} comes from the wrong side")]
    WrongDirection(PacketType),
    /// A packet whose turn it is not, such as a PUBLISH before CONNACK.
    #[error("{0} may not come now")]
    UnexpectedPacket(PacketType),
    /// AUTH outside an exchange, or with a reason that is not the client's to give. [v5:MQTT-4.12.0-6]
    #[error("AUTH comes outside an authentication exchange")]
    UnexpectedAuth,
    /// [v5:MQTT-4.12.0-5]
    #[error("the authentication method changes during a connection")]
    AuthenticationMethodChanged,
    /// [v5:MQTT-2.2.1-3]
    #[error("{packet} uses packet identifier {packet_id}, which is in use")]
    PacketIdInUse {
        /// The packet.
        packet: PacketType,
        /// Its identifier.
        packet_id: PacketId,
    },
    /// An acknowledgement of something that was not sent, or of another kind.
    #[error("{packet} acknowledges packet identifier {packet_id}, which does not wait for it")]
    UnexpectedAcknowledgement {
        /// The packet.
        packet: PacketType,
        /// What it acknowledges.
        packet_id: PacketId,
    },
    /// A session that ends with its connection cannot be prolonged by DISCONNECT.
    #[error("DISCONNECT raises a session expiry interval of zero")]
    SessionExpiryRaised,
    /// [v5:MQTT-3.14.2-2]
    #[error("a server sends a session expiry interval in DISCONNECT")]
    SessionExpiryFromServer,
}

impl Violation {
    /// The code for CONNACK or DISCONNECT: 0x81 if the packet cannot be parsed, 0x82 if it may not come, or a code
    /// that says more. [v5:MQTT-4.13.1-1]
    pub fn reason(self) -> ReasonCode {
        match self {
            Self::UnknownProtocolName | Self::UnsupportedVersion { .. } => ReasonCode::UnsupportedProtocolVersion,
            Self::PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::BadTopicName(_) | Self::BadWillTopic(_) => ReasonCode::TopicNameInvalid,
            Self::BadTopicFilter(_) => ReasonCode::TopicFilterInvalid,
            Self::TopicAliasAboveMaximum { .. } | Self::PropertyZero(Property::TopicAlias) => {
                ReasonCode::TopicAliasInvalid
            }
            Self::ReceiveMaximumExceeded(_) => ReasonCode::ReceiveMaximumExceeded,
            Self::QoSNotSupported => ReasonCode::QoSNotSupported,
            Self::RetainNotSupported => ReasonCode::RetainNotSupported,
            Self::PayloadNotUtf8 => ReasonCode::PayloadFormatInvalid,
            Self::UnknownPacketType(_)
            | Self::ReservedFlags { .. }
            | Self::Truncated
            | Self::TrailingBytes(_)
            | Self::VarintTooLong
            | Self::VarintNotMinimal
            | Self::BadText(_)
            | Self::UnknownProperty(_)
            | Self::PropertyNotAllowed { .. }
            | Self::ReservedConnectFlag
            | Self::WillFlagsWithoutWill
            | Self::ReservedConnAckFlags(_)
            | Self::QoS3(PacketType::Publish | PacketType::Connect)
            | Self::DupAtQoS0
            | Self::ReservedSubscriptionOptions(_) => ReasonCode::MalformedPacket,
            Self::FirstPacketNotConnect(_)
            | Self::PacketIdZero(_)
            | Self::ReasonCodeNotAllowed { .. }
            | Self::DuplicateProperty(_)
            | Self::PropertyZero(_)
            | Self::PropertyNotBinary { .. }
            | Self::BadResponseTopic(_)
            | Self::AuthenticationDataWithoutMethod
            | Self::AuthenticationMethodMissing
            | Self::PasswordWithoutUserName
            | Self::SessionPresentInRefusal
            | Self::SessionPresentAfterCleanStart
            | Self::QoS3(_)
            | Self::TopicMissing
            | Self::TopicAliasUnknown(_)
            | Self::SubscriptionIdFromClient
            | Self::NoTopicFilter(_)
            | Self::RetainHandling3
            | Self::SharedNoLocal
            | Self::WrongReasonCount { .. }
            | Self::SecondConnect
            | Self::WrongDirection(_)
            | Self::UnexpectedPacket(_)
            | Self::UnexpectedAuth
            | Self::AuthenticationMethodChanged
            | Self::PacketIdInUse { .. }
            | Self::UnexpectedAcknowledgement { .. }
            | Self::SessionExpiryRaised
            | Self::SessionExpiryFromServer => ReasonCode::ProtocolError,
        }
    }
}

/// A packet that its receiver would not take, or that no packet can hold. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the packet is longer than the {maximum} bytes that its receiver takes")]
pub struct PacketTooLarge {
    /// The most that the receiver takes, in bytes.
    pub maximum: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [v5:MQTT-4.13.1-1]
    #[test]
    fn a_violation_is_told_by_the_code_that_says_most() {
        let alias_above = Violation::TopicAliasAboveMaximum { alias: 3, maximum: 2 };
        let in_use = Violation::PacketIdInUse { packet: PacketType::Publish, packet_id: PacketId::FIRST };
        for (violation, code) in [
            (Violation::Truncated, 0x81),
            (Violation::QoS3(PacketType::Publish), 0x81),
            (Violation::QoS3(PacketType::Subscribe), 0x82),
            (Violation::PropertyZero(Property::ReceiveMaximum), 0x82),
            (Violation::SecondConnect, 0x82),
            // 0x91 is for acknowledgements; DISCONNECT does not know it.
            (in_use, 0x82),
            (Violation::UnsupportedVersion { level: 6, answer_in: ProtocolVersion::V5 }, 0x84),
            (Violation::BadTopicFilter(InvalidTopic::Empty), 0x8F),
            (Violation::BadTopicName(InvalidTopic::WildcardInName), 0x90),
            (Violation::ReceiveMaximumExceeded(20), 0x93),
            (Violation::PropertyZero(Property::TopicAlias), 0x94),
            (alias_above, 0x94),
            (Violation::TopicAliasUnknown(3), 0x82),
            (Violation::PacketTooLarge { length: 9, maximum: 8 }, 0x95),
            (Violation::PayloadNotUtf8, 0x99),
            (Violation::RetainNotSupported, 0x9A),
            (Violation::QoSNotSupported, 0x9B),
        ] {
            assert_eq!(violation.reason().byte(), code, "{violation}");
        }
    }

    #[test]
    fn a_violation_says_in_words_what_was_wrong() {
        for (violation, words) in [
            (Violation::BadText(InvalidText::Null), "a string holds the character U+0000"),
            (
                Violation::BadWillTopic(InvalidTopic::WildcardInName),
                "the will topic holds a wildcard, which only a filter may",
            ),
            (
                Violation::PropertyNotAllowed { property: Property::TopicAlias, packet: PacketType::Connect },
                "CONNECT may not carry the property 'topic alias'",
            ),
            (
                Violation::ReservedFlags { packet: PacketType::PubRel, flags: 0 },
                "PUBREL may not begin with the flags 0b0000",
            ),
        ] {
            assert_eq!(violation.to_string(), words);
        }
    }
}
