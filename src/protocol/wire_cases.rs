//! Named packets as bytes: what every packet test draws from.

use super::codec::{decode, frame_len, version_to_answer_in};
use super::error::Violation;
use super::packet_type::PacketType;
use super::packets::Packet;
use super::property::Property;
use super::text::InvalidText;
use super::topic::InvalidTopic;
use super::version::ProtocolVersion;
use bytes::{Bytes, BytesMut};

/// A packet that is decoded, by name, version and bytes. Without a version it is the first of its connection.
pub type WellFormed = (&'static str, Option<ProtocolVersion>, &'static [u8]);

/// A packet that is refused, and for what.
pub type Malformed = (&'static str, Option<ProtocolVersion>, &'static [u8], Violation);

/// What a packet of these tables may have at most.
pub const MAXIMUM: u32 = 1024;

const V31: Option<ProtocolVersion> = Some(ProtocolVersion::V3_1);
const V311: Option<ProtocolVersion> = Some(ProtocolVersion::V3_1_1);
const V5: Option<ProtocolVersion> = Some(ProtocolVersion::V5);

/// Written again, they are the same bytes.
pub const WELL_FORMED: &[WellFormed] = &[
    ("CONNECT of 3.1", None, b"\x10\x0f\0\x06MQIsdp\x03\x02\0<\0\x01c"),
    ("CONNECT of 3.1 with a long client identifier", None, b"\x10&\0\x06MQIsdp\x03\x02\0<\0\x18xxxxxxxxxxxxxxxxxxxxxxxx"),
    ("CONNECT of 3.1.1", None, b"\x10\r\0\x04MQTT\x04\x02\0<\0\x01c"),
    ("CONNECT of 3.1.1 with everything", None, b"\x10\x1c\0\x04MQTT\x04\xec\0<\0\x01c\0\x01w\0\x04gone\0\x01u\0\x01p"),
    ("CONNECT of 3.1.1 without a client identifier, not clean", None, b"\x10\x0c\0\x04MQTT\x04\0\0<\0\0"),
    ("CONNECT of 5.0", None, b"\x10\x0e\0\x04MQTT\x05\x02\0<\0\0\x01c"),
    ("CONNECT of 5.0 with a password alone", None, b"\x10\x11\0\x04MQTT\x05B\0<\0\0\x01c\0\x01p"),
    ("CONNECT of 5.0 with everything", None, b"\x10`\0\x04MQTT\x05\xf6\0<#\x11\0\0\x0e\x10!\0\x14'\0\x01\0\0\"\0\n\x19\x01\x17\0&\0\x01k\0\x01v\x15\0\x01m\x16\0\x01d\0\x01c\x1f\x18\0\0\0\x05\x01\x01\x02\0\0\0<\x03\0\x01t\x08\0\x01r\x09\0\x01d&\0\x01k\0\x01v\0\x01w\0\x04gone\0\x01u\0\x01p"),
    ("CONNACK of 3.1", V31, b" \x02\0\0"),
    ("CONNACK of 3.1.1 that refuses", V311, b" \x02\0\x05"),
    ("CONNACK of 3.1.1 with a session", V311, b" \x02\x01\0"),
    ("CONNACK of 5.0", V5, b" \x03\0\0\0"),
    ("CONNACK of 5.0 with everything", V5, b" I\x01\0F\x11\0\0\0<!\0\x09$\x01%\0'\0\0\x03\xe8\x12\0\x02id\"\0\x04\x1f\0\x03why&\0\x01k\0\x01v(\x01)\x01*\0\x13\0\x1e\x1a\0\x04info\x1c\0\x05other\x15\0\x01m\x16\0\x01d"),
    ("PUBLISH at QoS 0 of 3.1", V31, b"0\x07\0\x03a/bhi"),
    ("PUBLISH at QoS 1 of 3.1.1, sent again", V311, b":\x09\0\x03a/b\0\x01hi"),
    ("PUBLISH at QoS 2 of 3.1.1, retained", V311, b"5\x05\0\x01a\xff\xff"),
    ("PUBLISH at QoS 0 of 5.0", V5, b"0\x08\0\x03a/b\0hi"),
    ("PUBLISH of 5.0 with an alias for a topic", V5, b"0\x07\0\0\x03#\0\x01x"),
    ("PUBLISH of 5.0 with everything", V5, b"=6\0\x01a\0\x03.\x01\x01\x02\0\0\0<#\0\x07\x08\0\x03r/1\x09\0\x02\0\x01&\0\x01k\0\x01v&\0\x01k\0\x01v\x0b\x01\x0b\xff\xff\xff\x7f\x03\0\x01t{}"),
    ("PUBLISH of 200 bytes", V311, b"0\xc8\x01\0\x01axxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
    ("PUBACK of 3.1.1", V311, b"@\x02\0\x01"),
    ("PUBREC of 3.1.1", V311, b"P\x02\0\x01"),
    ("PUBREL of 3.1.1", V311, b"b\x02\0\x01"),
    ("PUBCOMP of 3.1.1", V311, b"p\x02\0\x01"),
    ("PUBACK of 5.0 without a reason", V5, b"@\x02\0\x01"),
    ("PUBACK of 5.0 with a reason", V5, b"@\x03\0\x01\x10"),
    ("PUBREC of 5.0 with properties", V5, b"P\x10\0\x01\x80\x0c\x1f\0\x02no&\0\x01k\0\x01v"),
    ("PUBREL of 5.0 for an unknown identifier", V5, b"b\x03\0\x01\x92"),
    ("PUBCOMP of 5.0 with properties and success", V5, b"p\x0b\0\x01\0\x07&\0\x01k\0\x01v"),
    ("SUBSCRIBE of 3.1.1", V311, b"\x82\x0c\0\x02\0\x03a/#\x01\0\x01+\x02"),
    ("SUBSCRIBE of 5.0 with everything", V5, b"\x82\x1e\0\x02\n\x0b\x80\x01&\0\x01k\0\x01v\0\x01a.\0\n$share/g/a\x19"),
    ("SUBSCRIBE with an empty filter, answered in SUBACK", V5, b"\x82\x06\0\x02\0\0\0\0"),
    ("SUBACK of 3.1.1", V311, b"\x90\x06\0\x02\0\x01\x02\x80"),
    ("SUBACK of 5.0", V5, b"\x90\x0b\0\x02\x05\x1f\0\x02no\0\x87\xa2"),
    ("UNSUBSCRIBE of 3.1", V31, b"\xa2\x05\0\x02\0\x01a"),
    ("UNSUBSCRIBE of 5.0", V5, b"\xa2\x10\0\x02\x07&\0\x01k\0\x01v\0\x01a\0\x01b"),
    ("UNSUBACK of 3.1.1", V311, b"\xb0\x02\0\x02"),
    ("UNSUBACK of 5.0", V5, b"\xb0\x05\0\x02\0\0\x11"),
    ("PINGREQ", V311, b"\xc0\0"),
    ("PINGRESP", V5, b"\xd0\0"),
    ("DISCONNECT of 3.1.1", V311, b"\xe0\0"),
    ("DISCONNECT of 5.0, normal", V5, b"\xe0\0"),
    ("DISCONNECT of 5.0 with will", V5, b"\xe0\x01\x04"),
    ("DISCONNECT of 5.0 with everything", V5, b"\xe0\x1e\x9c\x1c\x11\0\0\0\0\x1f\0\x05moved&\0\x01k\0\x01v\x1c\0\x05other"),
    ("AUTH of 5.0, success", V5, b"\xf0\0"),
    ("AUTH of 5.0", V5, b"\xf0\x18\x18\x16\x15\0\x01m\x16\0\x01d\x1f\0\x04more&\0\x01k\0\x01v"),
];

/// Decoded too, but written differently by us.
pub const UNUSUAL: &[WellFormed] = &[
    ("CONNECT of 3.1 with the reserved flag, which it leaves open", None, b"\x10\x0f\0\x06MQIsdp\x03\x03\0<\0\x01c"),
    ("CONNECT of 3.1 whose will flags have no will", None, b"\x10\x0f\0\x06MQIsdp\x03*\0<\0\x01c"),
    ("CONNECT of 3.1 that announces a user name and ends", None, b"\x10\x0f\0\x06MQIsdp\x03\xc2\0<\0\x01c"),
    ("CONNACK of 3.1 whose reserved byte is not zero", V31, b" \x02\x01\0"),
    ("PUBLISH at QoS 0 of 3.1 with DUP", V31, b"8\x03\0\x01a"),
    ("PUBREL of 3.1, sent again", V31, b"j\x02\0\x01"),
    ("SUBSCRIBE of 3.1, sent again", V31, b"\x8a\x06\0\x01\0\x01a\0"),
    ("UNSUBSCRIBE of 3.1, sent again", V31, b"\xaa\x05\0\x01\0\x01a"),
    ("PUBACK of 5.0 with success spelled out", V5, b"@\x03\0\x01\0"),
    ("PUBACK of 5.0 with empty properties spelled out", V5, b"@\x04\0\x01\0\0"),
    ("PUBREC of 5.0 with a reason and empty properties", V5, b"P\x04\0\x01\x80\0"),
    ("DISCONNECT of 5.0 with normal spelled out", V5, b"\xe0\x01\0"),
    ("DISCONNECT of 5.0 with empty properties spelled out", V5, b"\xe0\x02\0\0"),
    (
        "properties in another order than ours",
        None,
        b"\x10\x1d\0\x04MQTT\x05\x02\0<\x0f&\0\x01k\0\x01v!\0\x14\x11\0\0\0\x01\0\x01c",
    ),
];

/// Refused, as a rule before anything of it has an effect.
pub const MALFORMED: &[Malformed] = &[
    // [v5:MQTT-3.1.0-1]
    ("a first packet that is PUBLISH", None, b"0\x03\0\x01a", Violation::FirstPacketNotConnect(PacketType::Publish)),
    // [v5:MQTT-3.1.0-1]
    (
        "a first packet that is PINGREQ, by its first byte alone",
        None,
        b"\xc0",
        Violation::FirstPacketNotConnect(PacketType::PingReq),
    ),
    ("an HTTP request", None, b"GET / HTTP/1.1\r\n", Violation::FirstPacketNotConnect(PacketType::PubAck)),
    (
        "a TLS handshake",
        None,
        b"\x16\x03\x01\x02\0",
        Violation::ReservedFlags { packet: PacketType::Connect, flags: 0b0110 },
    ),
    ("type 0", V5, b"\0\0", Violation::UnknownPacketType(0)),
    ("AUTH before 5.0", V311, b"\xf0\0", Violation::UnknownPacketType(15)),
    // [v5:MQTT-2.1.3-1]
    ("CONNECT with a flag", None, b"\x11", Violation::ReservedFlags { packet: PacketType::Connect, flags: 0b0001 }),
    // [v5:MQTT-2.1.3-1]
    (
        "CONNACK with a flag",
        V5,
        b"(\x03\0\0\0",
        Violation::ReservedFlags { packet: PacketType::ConnAck, flags: 0b1000 },
    ),
    // [v311:MQTT-2.2.2-2]
    (
        "PUBACK with a flag",
        V311,
        b"B\x02\0\x01",
        Violation::ReservedFlags { packet: PacketType::PubAck, flags: 0b0010 },
    ),
    (
        "PUBREC with a flag of 3.1",
        V31,
        b"X\x02\0\x01",
        Violation::ReservedFlags { packet: PacketType::PubRec, flags: 0b1000 },
    ),
    // [v5:MQTT-3.6.1-1]
    (
        "PUBREL without its flags",
        V5,
        b"`\x02\0\x01",
        Violation::ReservedFlags { packet: PacketType::PubRel, flags: 0b0000 },
    ),
    // [v311:MQTT-3.6.1-1]
    (
        "PUBREL of 3.1.1 with DUP",
        V311,
        b"j\x02\0\x01",
        Violation::ReservedFlags { packet: PacketType::PubRel, flags: 0b1010 },
    ),
    // [v5:MQTT-3.8.1-1]
    (
        "SUBSCRIBE without its flags",
        V5,
        b"\x80",
        Violation::ReservedFlags { packet: PacketType::Subscribe, flags: 0b0000 },
    ),
    (
        "SUBSCRIBE of 3.1 with retain",
        V31,
        b"\x83",
        Violation::ReservedFlags { packet: PacketType::Subscribe, flags: 0b0011 },
    ),
    // [v311:MQTT-3.10.1-1]
    (
        "UNSUBSCRIBE without its flags",
        V311,
        b"\xa0",
        Violation::ReservedFlags { packet: PacketType::Unsubscribe, flags: 0b0000 },
    ),
    // [v5:MQTT-2.1.3-1]
    ("PINGREQ with a flag", V5, b"\xc1\0", Violation::ReservedFlags { packet: PacketType::PingReq, flags: 0b0001 }),
    // [v5:MQTT-3.14.1-1]
    (
        "DISCONNECT with a flag",
        V5,
        b"\xe1\0",
        Violation::ReservedFlags { packet: PacketType::Disconnect, flags: 0b0001 },
    ),
    // [v5:MQTT-3.15.1-1]
    ("AUTH with a flag", V5, b"\xf2\0", Violation::ReservedFlags { packet: PacketType::Auth, flags: 0b0010 }),
    // [v5:MQTT-1.5.5-1]
    ("a length of five bytes", V5, b"0\xff\xff\xff\xff\x7f", Violation::VarintTooLong),
    // [v5:MQTT-1.5.5-1]
    ("a length of five bytes, of which four are there", V5, b"0\x80\x80\x80\x80", Violation::VarintTooLong),
    // [v5:MQTT-1.5.5-1]
    ("a length in more bytes than it needs", V311, b"\xc0\x80\0", Violation::VarintNotMinimal),
    (
        "a packet of 256 MB before anything was said",
        None,
        b"\x10\xff\xff\xff\x7f",
        Violation::PacketTooLarge { length: 268_435_460, maximum: MAXIMUM },
    ),
    ("PINGREQ with something in it", V5, b"\xc0\x01\0", Violation::TrailingBytes(1)),
    ("PINGRESP with something in it", V311, b"\xd0\x02\0\0", Violation::TrailingBytes(2)),
    // [v5:MQTT-3.1.2-1]
    ("CONNECT of another protocol", None, b"\x10\r\0\x04MQTX\x04\x02\0<\0\x01c", Violation::UnknownProtocolName),
    // [v311:MQTT-3.1.2-1]
    ("CONNECT in lower case", None, b"\x10\r\0\x04mqtt\x04\x02\0<\0\x01c", Violation::UnknownProtocolName),
    // [v311:MQTT-3.1.2-2]
    (
        "CONNECT of level 0",
        None,
        b"\x10\r\0\x04MQTT\0\x02\0<\0\x01c",
        Violation::UnsupportedVersion { level: 0, answer_in: ProtocolVersion::V3_1_1 },
    ),
    // [v311:MQTT-3.1.2-2]
    (
        "CONNECT of level 3 under the newer name",
        None,
        b"\x10\r\0\x04MQTT\x03\x02\0<\0\x01c",
        Violation::UnsupportedVersion { level: 3, answer_in: ProtocolVersion::V3_1_1 },
    ),
    // [v5:MQTT-3.1.2-2]
    (
        "CONNECT of level 6",
        None,
        b"\x10\r\0\x04MQTT\x06\x02\0<\0\x01c",
        Violation::UnsupportedVersion { level: 6, answer_in: ProtocolVersion::V5 },
    ),
    (
        "CONNECT of level 4 under the older name",
        None,
        b"\x10\x0f\0\x06MQIsdp\x04\x02\0<\0\x01c",
        Violation::UnsupportedVersion { level: 4, answer_in: ProtocolVersion::V3_1 },
    ),
    (
        "CONNECT of an older bridge",
        None,
        b"\x10\r\0\x04MQTT\x84\x02\0<\0\x01c",
        Violation::UnsupportedVersion { level: 0x84, answer_in: ProtocolVersion::V3_1_1 },
    ),
    (
        "CONNECT of an older bridge of 3.1",
        None,
        b"\x10\x0f\0\x06MQIsdp\x83\x02\0<\0\x01c",
        Violation::UnsupportedVersion { level: 0x83, answer_in: ProtocolVersion::V3_1 },
    ),
    // [v5:MQTT-3.1.2-3]
    ("CONNECT with the reserved flag", None, b"\x10\x0e\0\x04MQTT\x05\x03\0<\0\0\x01c", Violation::ReservedConnectFlag),
    // [v311:MQTT-3.1.2-3]
    (
        "CONNECT of 3.1.1 with the reserved flag",
        None,
        b"\x10\r\0\x04MQTT\x04\x01\0<\0\x01c",
        Violation::ReservedConnectFlag,
    ),
    // [v5:MQTT-3.1.2-11]
    (
        "CONNECT with a will QoS without a will",
        None,
        b"\x10\x0e\0\x04MQTT\x05\n\0<\0\0\x01c",
        Violation::WillFlagsWithoutWill,
    ),
    // [v5:MQTT-3.1.2-13]
    (
        "CONNECT with a will retain without a will",
        None,
        b"\x10\r\0\x04MQTT\x04\"\0<\0\x01c",
        Violation::WillFlagsWithoutWill,
    ),
    // [v5:MQTT-3.1.2-12]
    (
        "CONNECT with will QoS 3",
        None,
        b"\x10\x14\0\x04MQTT\x05\x1e\0<\0\0\x01c\0\0\x01w\0\0",
        Violation::QoS3(PacketType::Connect),
    ),
    // [v311:MQTT-3.1.2-22]
    (
        "CONNECT of 3.1.1 with a password alone",
        None,
        b"\x10\x10\0\x04MQTT\x04B\0<\0\x01c\0\x01p",
        Violation::PasswordWithoutUserName,
    ),
    // [v5:MQTT-3.1.4-1]
    ("CONNECT that ends in its protocol name", None, b"\x10\x05\0\x04MQT", Violation::Truncated),
    ("CONNECT that ends in its keep alive", None, b"\x10\x09\0\x04MQTT\x04\x02\0", Violation::Truncated),
    // [v5:MQTT-3.1.3-3]
    ("CONNECT without a client identifier", None, b"\x10\x0b\0\x04MQTT\x05\x02\0<\0", Violation::Truncated),
    // [v5:MQTT-3.1.2-9]
    ("CONNECT with a will flag and no will", None, b"\x10\r\0\x04MQTT\x04\x06\0<\0\x01c", Violation::Truncated),
    // [v5:MQTT-3.1.2-17]
    (
        "CONNECT with a user name flag and no user name",
        None,
        b"\x10\r\0\x04MQTT\x04\x82\0<\0\x01c",
        Violation::Truncated,
    ),
    // [v5:MQTT-3.1.2-19]
    (
        "CONNECT with a password flag and no password",
        None,
        b"\x10\x0e\0\x04MQTT\x05B\0<\0\0\x01c",
        Violation::Truncated,
    ),
    // [v5:MQTT-3.1.2-16]
    (
        "CONNECT with a user name and no flag for it",
        None,
        b"\x10\x10\0\x04MQTT\x04\x02\0<\0\x01c\0\x01u",
        Violation::TrailingBytes(3),
    ),
    (
        "CONNECT of 5.0 with something after its end",
        None,
        b"\x10\x0f\0\x04MQTT\x05\x02\0<\0\0\x01c\0",
        Violation::TrailingBytes(1),
    ),
    // [v5:MQTT-3.1.3-4]
    (
        "CONNECT with a client identifier that is not UTF-8",
        None,
        b"\x10\x0f\0\x04MQTT\x05\x02\0<\0\0\x02\xc3(",
        Violation::BadText(InvalidText::NotUtf8),
    ),
    // [v5:MQTT-1.5.4-1]
    (
        "CONNECT with a surrogate in its client identifier",
        None,
        b"\x10\x10\0\x04MQTT\x05\x02\0<\0\0\x03\xed\xa0\x80",
        Violation::BadText(InvalidText::NotUtf8),
    ),
    // [v5:MQTT-3.1.3-12]
    (
        "CONNECT with an overlong slash in its user name",
        None,
        b"\x10\x11\0\x04MQTT\x04\x82\0<\0\x01c\0\x02\xc0\xaf",
        Violation::BadText(InvalidText::NotUtf8),
    ),
    // [v5:MQTT-1.5.4-2]
    (
        "CONNECT with U+0000 in its client identifier",
        None,
        b"\x10\x0f\0\x04MQTT\x04\x02\0<\0\x03a\0b",
        Violation::BadText(InvalidText::Null),
    ),
    // [v5:MQTT-4.7.3-1]
    (
        "CONNECT with an empty will topic",
        None,
        b"\x10\x12\0\x04MQTT\x04\x06\0<\0\x01c\0\0\0\x01x",
        Violation::BadWillTopic(InvalidTopic::Empty),
    ),
    // [v5:MQTT-4.7.0-1]
    (
        "CONNECT with a wildcard in its will topic",
        None,
        b"\x10\x17\0\x04MQTT\x05\x06\0<\0\0\x01c\0\0\x03a/#\0\x01x",
        Violation::BadWillTopic(InvalidTopic::WildcardInName),
    ),
    (
        "CONNECT with receive maximum 0",
        None,
        b"\x10\x11\0\x04MQTT\x05\x02\0<\x03!\0\0\0\x01c",
        Violation::PropertyZero(Property::ReceiveMaximum),
    ),
    (
        "CONNECT with maximum packet size 0",
        None,
        b"\x10\x13\0\x04MQTT\x05\x02\0<\x05'\0\0\0\0\0\x01c",
        Violation::PropertyZero(Property::MaximumPacketSize),
    ),
    (
        "CONNECT with the session expiry interval twice",
        None,
        b"\x10\x18\0\x04MQTT\x05\x02\0<\n\x11\0\0\0\x01\x11\0\0\0\x01\0\x01c",
        Violation::DuplicateProperty(Property::SessionExpiryInterval),
    ),
    (
        "CONNECT with request response information 2",
        None,
        b"\x10\x10\0\x04MQTT\x05\x02\0<\x02\x19\x02\0\x01c",
        Violation::PropertyNotBinary { property: Property::RequestResponseInformation, value: 2 },
    ),
    (
        "CONNECT with request problem information 255",
        None,
        b"\x10\x10\0\x04MQTT\x05\x02\0<\x02\x17\xff\0\x01c",
        Violation::PropertyNotBinary { property: Property::RequestProblemInformation, value: 255 },
    ),
    (
        "CONNECT with authentication data alone",
        None,
        b"\x10\x12\0\x04MQTT\x05\x02\0<\x04\x16\0\x01d\0\x01c",
        Violation::AuthenticationDataWithoutMethod,
    ),
    (
        "CONNECT with a topic alias",
        None,
        b"\x10\x11\0\x04MQTT\x05\x02\0<\x03#\0\x01\0\x01c",
        Violation::PropertyNotAllowed { property: Property::TopicAlias, packet: PacketType::Connect },
    ),
    (
        "CONNECT with a will property outside the will",
        None,
        b"\x10\x13\0\x04MQTT\x05\x02\0<\x05\x18\0\0\0\x01\0\x01c",
        Violation::PropertyNotAllowed { property: Property::WillDelayInterval, packet: PacketType::Connect },
    ),
    (
        "CONNECT with a receive maximum in the will",
        None,
        b"\x10\x17\0\x04MQTT\x05\x06\0<\0\0\x01c\x03!\0\x01\0\x01w\0\0",
        Violation::PropertyNotAllowed { property: Property::ReceiveMaximum, packet: PacketType::Connect },
    ),
    (
        "CONNECT with a will payload format of 2",
        None,
        b"\x10\x16\0\x04MQTT\x05\x06\0<\0\0\x01c\x02\x01\x02\0\x01w\0\0",
        Violation::PropertyNotBinary { property: Property::PayloadFormatIndicator, value: 2 },
    ),
    (
        "CONNECT with a property that does not exist",
        None,
        b"\x10\x10\0\x04MQTT\x05\x02\0<\x02\x04\0\0\x01c",
        Violation::UnknownProperty(4),
    ),
    (
        "CONNECT with a property identifier of two bytes",
        None,
        b"\x10\x14\0\x04MQTT\x05\x02\0<\x06\x91\x01\0\0\0\x01\0\x01c",
        Violation::UnknownProperty(0x91),
    ),
    (
        "CONNECT whose properties end in a value",
        None,
        b"\x10\x11\0\x04MQTT\x05\x02\0<\x03\x11\0\0\0\x01c",
        Violation::Truncated,
    ),
    (
        "CONNECT whose properties reach beyond the packet",
        None,
        b"\x10\x0e\0\x04MQTT\x05\x02\0<\x7f\0\x01c",
        Violation::Truncated,
    ),
    (
        "CONNECT whose property length is not minimal",
        None,
        b"\x10\x0f\0\x04MQTT\x05\x02\0<\x80\0\0\x01c",
        Violation::VarintNotMinimal,
    ),
    (
        "CONNECT whose property length has five bytes",
        None,
        b"\x10\x12\0\x04MQTT\x05\x02\0<\xff\xff\xff\xff\x01\0\x01c",
        Violation::VarintTooLong,
    ),
    // [v5:MQTT-3.2.2-1]
    ("CONNACK with reserved flags", V5, b" \x03\x02\0\0", Violation::ReservedConnAckFlags(2)),
    // [v311:MQTT-3.2.2-4]
    ("CONNACK that refuses with a session", V311, b" \x02\x01\x05", Violation::SessionPresentInRefusal),
    (
        "CONNACK of 3.1.1 with return code 6",
        V311,
        b" \x02\0\x06",
        Violation::ReasonCodeNotAllowed { packet: PacketType::ConnAck, code: 6 },
    ),
    // [v5:MQTT-3.2.2-8]
    (
        "CONNACK of 5.0 with a code of DISCONNECT",
        V5,
        b" \x03\0\x8e\0",
        Violation::ReasonCodeNotAllowed { packet: PacketType::ConnAck, code: 0x8E },
    ),
    (
        "CONNACK with maximum QoS 2",
        V5,
        b" \x05\0\0\x02$\x02",
        Violation::PropertyNotBinary { property: Property::MaximumQoS, value: 2 },
    ),
    // [v5:MQTT-2.2.2-1]
    ("CONNACK without properties in 5.0", V5, b" \x02\0\0", Violation::Truncated),
    // [v5:MQTT-3.3.1-4]
    ("PUBLISH at QoS 3", V5, b"6\x06\0\x01a\0\x01\0", Violation::QoS3(PacketType::Publish)),
    // [v311:MQTT-3.3.1-4]
    ("PUBLISH of 3.1.1 at QoS 3", V311, b"6\x05\0\x01a\0\x01", Violation::QoS3(PacketType::Publish)),
    // [v5:MQTT-3.3.1-2]
    ("PUBLISH at QoS 0 with DUP", V5, b"8\x04\0\x01a\0", Violation::DupAtQoS0),
    // [v311:MQTT-3.3.1-2]
    ("PUBLISH of 3.1.1 at QoS 0 with DUP", V311, b"8\x03\0\x01a", Violation::DupAtQoS0),
    // [v5:MQTT-2.2.1-3]
    ("PUBLISH with packet identifier 0", V5, b"2\x06\0\x01a\0\0\0", Violation::PacketIdZero(PacketType::Publish)),
    ("PUBLISH that ends in its topic", V311, b"0\x05\0\x05a/b", Violation::Truncated),
    ("PUBLISH without a packet identifier", V311, b"2\x03\0\x01a", Violation::Truncated),
    // [v311:MQTT-1.5.3-1]
    ("PUBLISH with a topic that is not UTF-8", V311, b"0\x04\0\x02a\xff", Violation::BadText(InvalidText::NotUtf8)),
    // [v5:MQTT-1.5.4-2]
    ("PUBLISH with U+0000 in its topic", V5, b"0\x05\0\x02a\0\0", Violation::BadText(InvalidText::Null)),
    // [v311:MQTT-4.7.3-1]
    ("PUBLISH of 3.1.1 without a topic", V311, b"0\x03\0\0x", Violation::TopicMissing),
    ("PUBLISH of 5.0 without topic and alias", V5, b"0\x03\0\0\0", Violation::TopicMissing),
    // [v5:MQTT-3.3.2-8]
    ("PUBLISH with topic alias 0", V5, b"0\x07\0\x01a\x03#\0\0", Violation::PropertyZero(Property::TopicAlias)),
    (
        "PUBLISH with its topic alias twice",
        V5,
        b"0\n\0\x01a\x06#\0\x01#\0\x01",
        Violation::DuplicateProperty(Property::TopicAlias),
    ),
    (
        "PUBLISH with subscription identifier 0",
        V5,
        b"0\x06\0\x01a\x02\x0b\0",
        Violation::PropertyZero(Property::SubscriptionIdentifier),
    ),
    (
        "PUBLISH with payload format 2",
        V5,
        b"0\x06\0\x01a\x02\x01\x02",
        Violation::PropertyNotBinary { property: Property::PayloadFormatIndicator, value: 2 },
    ),
    // [v5:MQTT-3.3.2-14]
    (
        "PUBLISH with a wildcard in its response topic",
        V5,
        b"0\n\0\x01a\x06\x08\0\x03r/+",
        Violation::BadResponseTopic(InvalidTopic::WildcardInName),
    ),
    (
        "PUBLISH with a reason string",
        V5,
        b"0\x08\0\x01a\x04\x1f\0\x01x",
        Violation::PropertyNotAllowed { property: Property::ReasonString, packet: PacketType::Publish },
    ),
    (
        "PUBLISH with its content type twice",
        V5,
        b"0\x0c\0\x01a\x08\x03\0\x01x\x03\0\x01x",
        Violation::DuplicateProperty(Property::ContentType),
    ),
    ("PUBLISH with a user property that ends after its name", V5, b"0\x08\0\x01a\x04&\0\x01k", Violation::Truncated),
    // [v5:MQTT-2.2.1-3]
    ("PUBACK with packet identifier 0", V5, b"@\x02\0\0", Violation::PacketIdZero(PacketType::PubAck)),
    // [v5:MQTT-2.2.1-3]
    ("PUBREC with packet identifier 0", V5, b"P\x02\0\0", Violation::PacketIdZero(PacketType::PubRec)),
    // [v5:MQTT-2.2.1-3]
    ("PUBREL with packet identifier 0", V5, b"b\x02\0\0", Violation::PacketIdZero(PacketType::PubRel)),
    // [v5:MQTT-2.2.1-3]
    ("PUBCOMP with packet identifier 0", V5, b"p\x02\0\0", Violation::PacketIdZero(PacketType::PubComp)),
    ("PUBACK of one byte", V311, b"@\x01\0", Violation::Truncated),
    ("PUBACK of 3.1.1 with a reason", V311, b"@\x03\0\x01\0", Violation::TrailingBytes(1)),
    // [v5:MQTT-3.4.2-1]
    (
        "PUBACK with a code that does not exist",
        V5,
        b"@\x03\0\x01\x7f",
        Violation::ReasonCodeNotAllowed { packet: PacketType::PubAck, code: 0x7F },
    ),
    // [v5:MQTT-3.5.2-1]
    (
        "PUBREC with a code of PUBREL",
        V5,
        b"P\x03\0\x01\x92",
        Violation::ReasonCodeNotAllowed { packet: PacketType::PubRec, code: 0x92 },
    ),
    // [v5:MQTT-3.6.2-1]
    (
        "PUBREL with a code of PUBREC",
        V5,
        b"b\x03\0\x01\x91",
        Violation::ReasonCodeNotAllowed { packet: PacketType::PubRel, code: 0x91 },
    ),
    // [v5:MQTT-3.7.2-1]
    (
        "PUBCOMP with a failure it does not know",
        V5,
        b"p\x03\0\x01\x80",
        Violation::ReasonCodeNotAllowed { packet: PacketType::PubComp, code: 0x80 },
    ),
    (
        "PUBACK with a reason string twice",
        V5,
        b"@\x0c\0\x01\0\x08\x1f\0\x01x\x1f\0\x01x",
        Violation::DuplicateProperty(Property::ReasonString),
    ),
    ("PUBACK with something after its properties", V5, b"@\x05\0\x01\0\0\0", Violation::TrailingBytes(1)),
    (
        "PUBREL with a content type",
        V5,
        b"b\x08\0\x01\0\x04\x03\0\x01x",
        Violation::PropertyNotAllowed { property: Property::ContentType, packet: PacketType::PubRel },
    ),
    // [v5:MQTT-3.8.3-2]
    ("SUBSCRIBE without a filter", V5, b"\x82\x03\0\x01\0", Violation::NoTopicFilter(PacketType::Subscribe)),
    // [v311:MQTT-3.8.3-3]
    ("SUBSCRIBE of 3.1.1 without a filter", V311, b"\x82\x02\0\x01", Violation::NoTopicFilter(PacketType::Subscribe)),
    // [v311:MQTT-2.3.1-1]
    (
        "SUBSCRIBE with packet identifier 0",
        V311,
        b"\x82\x06\0\0\0\x01a\0",
        Violation::PacketIdZero(PacketType::Subscribe),
    ),
    ("SUBSCRIBE without options", V311, b"\x82\x05\0\x01\0\x01a", Violation::Truncated),
    ("SUBSCRIBE at QoS 3", V5, b"\x82\x07\0\x01\0\0\x01a\x03", Violation::QoS3(PacketType::Subscribe)),
    // [v311:MQTT-3.8.3-4]
    ("SUBSCRIBE of 3.1.1 at QoS 3", V311, b"\x82\x06\0\x01\0\x01a\x03", Violation::QoS3(PacketType::Subscribe)),
    // [v5:MQTT-3.8.3-5]
    ("SUBSCRIBE with reserved options", V5, b"\x82\x07\0\x01\0\0\x01a@", Violation::ReservedSubscriptionOptions(0x40)),
    // [v311:MQTT-3.8.3-4]
    (
        "SUBSCRIBE of 3.1.1 with options of 5.0",
        V311,
        b"\x82\x06\0\x01\0\x01a\x04",
        Violation::ReservedSubscriptionOptions(4),
    ),
    ("SUBSCRIBE with retain handling 3", V5, b"\x82\x07\0\x01\0\0\x01a0", Violation::RetainHandling3),
    // [v5:MQTT-3.8.3-4]
    (
        "SUBSCRIBE with no local on a shared subscription",
        V5,
        b"\x82\x10\0\x01\0\0\n$share/g/a\x04",
        Violation::SharedNoLocal,
    ),
    (
        "SUBSCRIBE with subscription identifier 0",
        V5,
        b"\x82\x09\0\x01\x02\x0b\0\0\x01a\0",
        Violation::PropertyZero(Property::SubscriptionIdentifier),
    ),
    (
        "SUBSCRIBE with two subscription identifiers",
        V5,
        b"\x82\x0b\0\x01\x04\x0b\x01\x0b\x02\0\x01a\0",
        Violation::DuplicateProperty(Property::SubscriptionIdentifier),
    ),
    // [v5:MQTT-3.8.3-1]
    (
        "SUBSCRIBE with a bad second filter",
        V311,
        b"\x82\n\0\x01\0\x01a\0\0\x01\xff\0",
        Violation::BadText(InvalidText::NotUtf8),
    ),
    // [v311:MQTT-3.9.3-2]
    (
        "SUBACK of 3.1.1 with a code of 5.0",
        V311,
        b"\x90\x03\0\x01\x87",
        Violation::ReasonCodeNotAllowed { packet: PacketType::SubAck, code: 0x87 },
    ),
    // [v5:MQTT-3.9.3-2]
    (
        "SUBACK of 5.0 with a code of UNSUBACK",
        V5,
        b"\x90\x04\0\x01\0\x11",
        Violation::ReasonCodeNotAllowed { packet: PacketType::SubAck, code: 0x11 },
    ),
    // [v5:MQTT-3.10.3-2]
    ("UNSUBSCRIBE without a filter", V5, b"\xa2\x03\0\x01\0", Violation::NoTopicFilter(PacketType::Unsubscribe)),
    // [v5:MQTT-2.2.1-3]
    (
        "UNSUBSCRIBE with packet identifier 0",
        V5,
        b"\xa2\x06\0\0\0\0\x01a",
        Violation::PacketIdZero(PacketType::Unsubscribe),
    ),
    (
        "UNSUBSCRIBE with a subscription identifier",
        V5,
        b"\xa2\x08\0\x01\x02\x0b\x01\0\x01a",
        Violation::PropertyNotAllowed { property: Property::SubscriptionIdentifier, packet: PacketType::Unsubscribe },
    ),
    ("UNSUBACK of 3.1.1 with a code", V311, b"\xb0\x03\0\x01\0", Violation::TrailingBytes(1)),
    // [v5:MQTT-3.11.3-2]
    (
        "UNSUBACK of 5.0 with a granted QoS",
        V5,
        b"\xb0\x04\0\x01\0\x01",
        Violation::ReasonCodeNotAllowed { packet: PacketType::UnsubAck, code: 0x01 },
    ),
    ("DISCONNECT of 3.1.1 with a reason", V311, b"\xe0\x01\0", Violation::TrailingBytes(1)),
    // [v5:MQTT-3.14.2-1]
    (
        "DISCONNECT with a code of CONNACK",
        V5,
        b"\xe0\x01\x86",
        Violation::ReasonCodeNotAllowed { packet: PacketType::Disconnect, code: 0x86 },
    ),
    (
        "DISCONNECT with its session expiry interval twice",
        V5,
        b"\xe0\x0c\0\n\x11\0\0\0\0\x11\0\0\0\0",
        Violation::DuplicateProperty(Property::SessionExpiryInterval),
    ),
    (
        "DISCONNECT with a topic alias maximum",
        V5,
        b"\xe0\x05\0\x03\"\0\x01",
        Violation::PropertyNotAllowed { property: Property::TopicAliasMaximum, packet: PacketType::Disconnect },
    ),
    // [v5:MQTT-3.15.2-1]
    (
        "AUTH with a code of CONNACK",
        V5,
        b"\xf0\x06\x80\x04\x15\0\x01m",
        Violation::ReasonCodeNotAllowed { packet: PacketType::Auth, code: 0x80 },
    ),
    ("AUTH without a method", V5, b"\xf0\x02\x18\0", Violation::AuthenticationMethodMissing),
    ("AUTH that ends after its reason", V5, b"\xf0\x01\x18", Violation::Truncated),
];

#[test]
fn well_formed_packets_are_read_and_written_again_as_they_were() {
    for &(name, version, bytes) in WELL_FORMED {
        let mut source = Bytes::from_static(bytes);
        let packet = decode(&mut source, version, MAXIMUM).unwrap_or_else(|violation| panic!("{name}: {violation}"));
        let packet = packet.unwrap_or_else(|| panic!("{name}: incomplete"));
        assert!(source.is_empty(), "{name}: bytes are left");
        let mut again = BytesMut::new();
        packet.encode(version.unwrap_or(ProtocolVersion::V5), u32::MAX, &mut again).unwrap();
        assert_eq!(&again[..], bytes, "{name}: {packet:?}");
    }
}

#[test]
fn unusual_packets_mean_the_same_when_written_our_way() {
    for &(name, version, bytes) in UNUSUAL {
        let packet = decode(&mut Bytes::from_static(bytes), version, MAXIMUM);
        let packet = packet.unwrap_or_else(|violation| panic!("{name}: {violation}")).unwrap();
        let mut again = BytesMut::new();
        packet.encode(version.unwrap_or(ProtocolVersion::V5), u32::MAX, &mut again).unwrap();
        assert_ne!(&again[..], bytes, "{name}: not unusual");
        assert_eq!(decode(&mut again.freeze(), version, MAXIMUM), Ok(Some(packet)), "{name}");
    }
}

#[test]
fn malformed_packets_are_refused_and_stay_in_the_buffer() {
    for &(name, version, bytes, violation) in MALFORMED {
        let mut source = Bytes::from_static(bytes);
        assert_eq!(decode(&mut source, version, MAXIMUM), Err(violation), "{name}");
        assert_eq!(source, bytes, "{name}");
    }
}

/// A violation is told in CONNACK or in DISCONNECT. [v5:MQTT-3.2.2-8] [v5:MQTT-3.14.2-1]
#[test]
fn every_violation_has_a_reason_that_its_packet_may_carry() {
    for &(name, version, _, violation) in MALFORMED {
        let packet = if version.is_none() { PacketType::ConnAck } else { PacketType::Disconnect };
        assert!(violation.reason().may_come_in(packet), "{name}: {:#04x}", violation.reason().byte());
    }
}

#[test]
fn a_packet_is_not_read_before_its_last_byte_and_its_length_is_known_by_its_fifth() {
    for &(name, version, bytes) in WELL_FORMED.iter().chain(UNUSUAL) {
        for end in 0..bytes.len() {
            let mut source = Bytes::from_static(&bytes[..end]);
            assert_eq!(decode(&mut source, version, MAXIMUM), Ok(None), "{name} cut at {end}");
            assert_eq!(source.len(), end, "{name}");
        }
        assert_eq!(frame_len(&bytes[..bytes.len().min(5)], MAXIMUM), Ok(Some(bytes.len())), "{name}");
    }
}

/// [v5:MQTT-3.1.2-2] [v311:MQTT-3.1.2-2]
#[test]
fn a_refused_connect_is_answered_in_its_version() {
    for &(name, _, bytes) in WELL_FORMED.iter().filter(|(_, version, _)| version.is_none()) {
        let Ok(Some(Packet::Connect(connect))) = decode(&mut Bytes::from_static(bytes), None, MAXIMUM) else {
            panic!("{name} is no CONNECT");
        };
        assert_eq!(version_to_answer_in(bytes), Some(connect.version), "{name}");
    }
    for &(name, version, bytes, violation) in MALFORMED {
        match violation {
            Violation::UnsupportedVersion { answer_in, .. } => assert_eq!(version_to_answer_in(bytes), Some(answer_in)),
            Violation::UnknownProtocolName | Violation::FirstPacketNotConnect(_) => {
                assert_eq!(version_to_answer_in(bytes), None, "{name}");
            }
            _ if version.is_some() => assert_eq!(version_to_answer_in(bytes), None, "{name}"),
            _ => {}
        }
    }
}
