//! CONNECT: a client asks to be connected.

use crate::protocol::error::Violation;
use crate::protocol::packet_type::PacketType;
use crate::protocol::property::{Property, UserProperties};
use crate::protocol::qos::QoS;
use crate::protocol::text::Text;
use crate::protocol::topic::TopicName;
use crate::protocol::version::ProtocolVersion;
use crate::protocol::wire::{Body, Form, PropertyReader, PropertyWriter, Reader, Writer};
use bytes::Bytes;

/// A CONNECT packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// Chosen for the whole connection.
    pub version: ProtocolVersion,
    /// Whether an existing session is thrown away first. Clean Session of 3.1 and 3.1.1 is decoded into this and
    /// [`ConnectProperties::session_expiry_interval`]: clean gives 0, not clean gives 0xFFFF_FFFF.
    pub clean_start: bool,
    /// Seconds without a packet after which the client counts as gone, times 1.5; 0 is never.
    pub keep_alive: u16,
    /// The identifier as sent; empty asks the server for one.
    pub client_id: Text,
    /// What the server publishes for a client that vanishes.
    pub will: Option<LastWill>,
    /// User name and password as far as sent.
    pub credentials: Credentials,
    /// The properties of 5.0.
    pub properties: ConnectProperties,
}

/// User name and password of CONNECT.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// The user name, if sent.
    pub user_name: Option<Text>,
    /// The password, if sent. Before 5.0 only beside a user name. [v311:MQTT-3.1.2-22]
    pub password: Option<Bytes>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user_name", &self.user_name).finish_non_exhaustive()
    }
}

/// The properties of CONNECT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectProperties {
    /// 0x11: seconds for which the session outlives the connection; 0xFFFF_FFFF is for ever; absent is 0.
    pub session_expiry_interval: Option<u32>,
    /// 0x21: how many QoS 1 and 2 messages the client takes unacknowledged; zero is refused when decoding.
    pub receive_maximum: Option<u16>,
    /// 0x27: the largest packet the client takes, in bytes; zero is refused when decoding.
    pub maximum_packet_size: Option<u32>,
    /// 0x22: the highest topic alias the client takes.
    pub topic_alias_maximum: Option<u16>,
    /// 0x19: whether the client wants response information in CONNACK.
    pub request_response_information: Option<bool>,
    /// 0x17: whether the client wants reason strings and user properties; absent is yes.
    pub request_problem_information: Option<bool>,
    /// 0x26.
    pub user_properties: UserProperties,
    /// 0x15: asks for extended authentication.
    pub authentication_method: Option<Text>,
    /// 0x16: only beside a method.
    pub authentication_data: Option<Bytes>,
}

/// The will of CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastWill {
    /// Where it is published. Checked to be a topic name when decoding.
    pub topic: Text,
    /// The message.
    pub payload: Bytes,
    /// How often it may arrive.
    pub qos: QoS,
    /// Whether it is retained.
    pub retain: bool,
    /// The properties of 5.0.
    pub properties: WillProperties,
}

/// The properties of the will.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WillProperties {
    /// 0x18: seconds between the end of the connection and the will.
    pub will_delay_interval: Option<u32>,
    /// 0x01.
    pub payload_is_utf8: Option<bool>,
    /// 0x02: seconds, sent as the expiry of the message.
    pub message_expiry_interval: Option<u32>,
    /// 0x03.
    pub content_type: Option<Text>,
    /// 0x08.
    pub response_topic: Option<Text>,
    /// 0x09.
    pub correlation_data: Option<Bytes>,
    /// 0x26.
    pub user_properties: UserProperties,
}

/// Which version a CONNECT chose, by its first two fields. [v5:MQTT-3.1.2-1] [v311:MQTT-3.1.2-2]
pub fn chosen_version(reader: &mut Reader<'_>) -> Result<ProtocolVersion, Violation> {
    /// Mosquitto adds it to the level when one of its bridges connects.
    const BRIDGE: u8 = 0x80;
    let name = reader.text()?;
    let level = reader.u8()?;
    let older = match name.as_str() {
        "MQTT" => ProtocolVersion::V3_1_1,
        "MQIsdp" => ProtocolVersion::V3_1,
        _ => return Err(Violation::UnknownProtocolName),
    };
    [older, ProtocolVersion::V5]
        .into_iter()
        .find(|version| version.protocol_name() == name.as_str() && version.level() == level)
        .ok_or_else(|| {
            let is_newer = older == ProtocolVersion::V3_1_1 && level & !BRIDGE >= ProtocolVersion::V5.level();
            let answer_in = if is_newer { ProtocolVersion::V5 } else { older };
            Violation::UnsupportedVersion { level, answer_in }
        })
}

/// The byte of CONNECT that says which fields follow.
#[derive(Clone, Copy)]
struct ConnectFlags(u8);

impl ConnectFlags {
    const RESERVED: u8 = 0x01;
    const CLEAN_START: u8 = 0x02;
    const WILL: u8 = 0x04;
    const WILL_QOS: u8 = 0x18;
    const WILL_RETAIN: u8 = 0x20;
    const PASSWORD: u8 = 0x40;
    const USER_NAME: u8 = 0x80;

    /// Takes a byte that makes sense.
    fn new(byte: u8, version: ProtocolVersion) -> Result<Self, Violation> {
        let flags = Self(byte);
        if flags.has(Self::RESERVED) && version.reserves_bits() {
            return Err(Violation::ReservedConnectFlag);
        }
        if !flags.has(Self::WILL) && flags.has(Self::WILL_QOS | Self::WILL_RETAIN) && version.reserves_bits() {
            return Err(Violation::WillFlagsWithoutWill);
        }
        if flags.has(Self::PASSWORD) && !flags.has(Self::USER_NAME) && !version.lets_password_stand_alone() {
            return Err(Violation::PasswordWithoutUserName);
        }
        Ok(flags)
    }

    fn of(connect: &Connect) -> Self {
        let flag = |is_set: bool, bits: u8| if is_set { bits } else { 0 };
        let will = connect
            .will
            .as_ref()
            .map_or(0, |will| Self::WILL | (will.qos.bits() << 3) | flag(will.retain, Self::WILL_RETAIN));
        Self(
            flag(connect.clean_start, Self::CLEAN_START)
                | will
                | flag(connect.credentials.password.is_some(), Self::PASSWORD)
                | flag(connect.credentials.user_name.is_some(), Self::USER_NAME),
        )
    }

    fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }

    /// [v5:MQTT-3.1.2-12]
    fn will_qos(self) -> Result<QoS, Violation> {
        QoS::from_bits((self.0 & Self::WILL_QOS) >> 3).ok_or(Violation::QoS3(PacketType::Connect))
    }
}

impl Connect {
    /// Reads what follows the fixed header.
    pub fn decode(mut reader: Reader<'_>) -> Result<Self, Violation> {
        let version = chosen_version(&mut reader)?;
        let flags = ConnectFlags::new(reader.u8()?, version)?;
        let clean_start = flags.has(ConnectFlags::CLEAN_START);
        let keep_alive = reader.u16()?;
        let mut properties = ConnectProperties::decode(version, &mut reader)?;
        if !version.has_properties() {
            properties.session_expiry_interval = Some(if clean_start { 0 } else { u32::MAX });
        }
        let client_id = reader.text()?;
        let will = match flags.has(ConnectFlags::WILL) {
            true => Some(LastWill::decode(flags, version, &mut reader)?),
            false => None,
        };
        let credentials = Credentials::decode(flags, version, &mut reader)?;
        reader.finish()?;
        Ok(Self { version, clean_start, keep_alive, client_id, will, credentials, properties })
    }
}

impl Body for Form<'_, Connect> {
    fn write(&self, out: &mut impl Writer) {
        let connect = self.of;
        let properties = self.part(&connect.properties);
        out.binary(connect.version.protocol_name().as_bytes());
        out.u8(connect.version.level());
        out.u8(ConnectFlags::of(connect).0);
        out.u16(connect.keep_alive);
        if connect.version.has_properties() {
            out.block(&properties);
        }
        out.binary(connect.client_id.as_bytes());
        if let Some(will) = &connect.will {
            self.part(will).write(out);
        }
        if let Some(user_name) = &connect.credentials.user_name {
            out.binary(user_name.as_bytes());
        }
        if let Some(password) = &connect.credentials.password {
            out.binary(password);
        }
    }
}

impl Credentials {
    fn decode(flags: ConnectFlags, version: ProtocolVersion, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        let mut credentials = Self::default();
        let is_missing = |reader: &Reader<'_>| reader.is_empty() && version.lets_credentials_be_missing();
        if flags.has(ConnectFlags::USER_NAME) && !is_missing(reader) {
            credentials.user_name = Some(reader.text()?);
        }
        if flags.has(ConnectFlags::PASSWORD) && !is_missing(reader) {
            credentials.password = Some(reader.binary()?);
        }
        Ok(credentials)
    }
}

impl ConnectProperties {
    fn decode(version: ProtocolVersion, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        let mut values = PropertyReader::open(PacketType::Connect, version, reader)?;
        let mut all = Self::default();
        while let Some(property) = values.next()? {
            match property {
                Property::SessionExpiryInterval => values.u32(&mut all.session_expiry_interval)?,
                Property::ReceiveMaximum => values.nonzero_u16(&mut all.receive_maximum)?,
                Property::MaximumPacketSize => values.nonzero_u32(&mut all.maximum_packet_size)?,
                Property::TopicAliasMaximum => values.u16(&mut all.topic_alias_maximum)?,
                Property::RequestResponseInformation => values.boolean(&mut all.request_response_information)?,
                Property::RequestProblemInformation => values.boolean(&mut all.request_problem_information)?,
                Property::UserProperty => values.pair(&mut all.user_properties)?,
                Property::AuthenticationMethod => values.text(&mut all.authentication_method)?,
                Property::AuthenticationData => values.binary(&mut all.authentication_data)?,
                _ => return Err(values.misplaced()),
            }
        }
        if all.authentication_data.is_some() && all.authentication_method.is_none() {
            return Err(Violation::AuthenticationDataWithoutMethod);
        }
        Ok(all)
    }
}

impl Body for Form<'_, ConnectProperties> {
    fn write(&self, out: &mut impl Writer) {
        let all = self.of;
        out.property_u32(Property::SessionExpiryInterval, all.session_expiry_interval);
        out.property_u16(Property::ReceiveMaximum, all.receive_maximum);
        out.property_u32(Property::MaximumPacketSize, all.maximum_packet_size);
        out.property_u16(Property::TopicAliasMaximum, all.topic_alias_maximum);
        out.property_bool(Property::RequestResponseInformation, all.request_response_information);
        out.property_bool(Property::RequestProblemInformation, all.request_problem_information);
        out.property_pairs(&all.user_properties);
        out.property_text(Property::AuthenticationMethod, all.authentication_method.as_ref());
        out.property_binary(Property::AuthenticationData, all.authentication_data.as_deref());
    }
}

impl LastWill {
    fn decode(flags: ConnectFlags, version: ProtocolVersion, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        let qos = flags.will_qos()?;
        let properties = WillProperties::decode(version, reader)?;
        let topic = reader.text()?;
        TopicName::new(topic.clone()).map_err(Violation::BadWillTopic)?;
        let payload = reader.binary()?;
        Ok(Self { topic, payload, qos, retain: flags.has(ConnectFlags::WILL_RETAIN), properties })
    }
}

impl Body for Form<'_, LastWill> {
    fn write(&self, out: &mut impl Writer) {
        if self.version.has_properties() {
            out.block(&self.part(&self.of.properties));
        }
        out.binary(self.of.topic.as_bytes());
        out.binary(&self.of.payload);
    }
}

impl WillProperties {
    fn decode(version: ProtocolVersion, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        let mut values = PropertyReader::open(PacketType::Connect, version, reader)?;
        let mut all = Self::default();
        while let Some(property) = values.next()? {
            match property {
                Property::WillDelayInterval => values.u32(&mut all.will_delay_interval)?,
                Property::PayloadFormatIndicator => values.boolean(&mut all.payload_is_utf8)?,
                Property::MessageExpiryInterval => values.u32(&mut all.message_expiry_interval)?,
                Property::ContentType => values.text(&mut all.content_type)?,
                Property::ResponseTopic => values.response_topic(&mut all.response_topic)?,
                Property::CorrelationData => values.binary(&mut all.correlation_data)?,
                Property::UserProperty => values.pair(&mut all.user_properties)?,
                _ => return Err(values.misplaced()),
            }
        }
        Ok(all)
    }
}

impl Body for Form<'_, WillProperties> {
    fn write(&self, out: &mut impl Writer) {
        let all = self.of;
        out.property_u32(Property::WillDelayInterval, all.will_delay_interval);
        out.property_bool(Property::PayloadFormatIndicator, all.payload_is_utf8);
        out.property_u32(Property::MessageExpiryInterval, all.message_expiry_interval);
        out.property_text(Property::ContentType, all.content_type.as_ref());
        out.property_text(Property::ResponseTopic, all.response_topic.as_ref());
        out.property_binary(Property::CorrelationData, all.correlation_data.as_deref());
        out.property_pairs(&all.user_properties);
    }
}
