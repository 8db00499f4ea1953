//! CONNACK: the server accepts or refuses a connection.

use crate::protocol::error::Violation;
use crate::protocol::packet_type::PacketType;
use crate::protocol::property::{Property, UserProperties};
use crate::protocol::qos::QoS;
use crate::protocol::reason::ReasonCode;
use crate::protocol::text::Text;
use crate::protocol::version::ProtocolVersion;
use crate::protocol::wire::{Body, Form, PropertyReader, PropertyWriter, Reader, Writer};
use bytes::Bytes;

/// A CONNACK packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether the server goes on with a session that it had.
    pub session_present: bool,
    /// Success, or why not; the encoder maps it to the return codes of 3.1 and 3.1.1.
    pub reason: ReasonCode,
    /// The properties of 5.0.
    pub properties: ConnAckProperties,
}

/// The properties of CONNACK.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnAckProperties {
    /// 0x11: the expiry that the server uses instead of the one asked for.
    pub session_expiry_interval: Option<u32>,
    /// 0x21.
    pub receive_maximum: Option<u16>,
    /// 0x24: only QoS 0 and 1 are ever sent; absent is QoS 2.
    pub maximum_qos: Option<QoS>,
    /// 0x25.
    pub retain_available: Option<bool>,
    /// 0x27.
    pub maximum_packet_size: Option<u32>,
    /// 0x12.
    pub assigned_client_id: Option<Text>,
    /// 0x22.
    pub topic_alias_maximum: Option<u16>,
    /// 0x1F.
    pub reason_string: Option<Text>,
    /// 0x26.
    pub user_properties: UserProperties,
    /// 0x28.
    pub wildcard_subscription_available: Option<bool>,
    /// 0x29.
    pub subscription_ids_available: Option<bool>,
    /// 0x2A.
    pub shared_subscription_available: Option<bool>,
    /// 0x13: seconds; the client must use it instead of its own.
    pub server_keep_alive: Option<u16>,
    /// 0x1A.
    pub response_information: Option<Text>,
    /// 0x1C.
    pub server_reference: Option<Text>,
    /// 0x15.
    pub authentication_method: Option<Text>,
    /// 0x16.
    pub authentication_data: Option<Bytes>,
}

impl ConnAck {
    /// Reads what follows the fixed header.
    pub fn decode(mut reader: Reader<'_>, version: ProtocolVersion) -> Result<Self, Violation> {
        let flags = reader.u8()?;
        if flags > 1 && version.reserves_bits() {
            return Err(Violation::ReservedConnAckFlags(flags));
        }
        let session_present = flags & 1 == 1 && version.has_session_present();
        let reason = if version.has_properties() {
            reader.reason(PacketType::ConnAck)?
        } else {
            let (packet, code) = (PacketType::ConnAck, reader.u8()?);
            ReasonCode::from_connack_return_code(code).ok_or(Violation::ReasonCodeNotAllowed { packet, code })?
        };
        if session_present && reason != ReasonCode::Success {
            return Err(Violation::SessionPresentInRefusal);
        }
        let properties = ConnAckProperties::decode(version, &mut reader)?;
        reader.finish()?;
        Ok(Self { session_present, reason, properties })
    }

    /// Whether the version has a way to say it. A refusal without one is told by closing. [v311:MQTT-3.2.2-6]
    pub fn can_be_said_in(&self, version: ProtocolVersion) -> bool {
        version.has_properties() || self.reason.connack_return_code().is_some()
    }
}

impl Body for Form<'_, ConnAck> {
    fn write(&self, out: &mut impl Writer) {
        let is_accepted = self.of.reason == ReasonCode::Success;
        let session_present = self.of.session_present && is_accepted && self.version.has_session_present();
        out.u8(session_present.into());
        if self.version.has_properties() {
            out.u8(self.of.reason.byte());
            out.block(&self.part(&self.of.properties));
        } else {
            out.u8(self.of.reason.connack_return_code().unwrap_or(REFUSED));
        }
    }
}

/// Server unavailable: stands for a reason that should have been told by closing.
const REFUSED: u8 = 3;

impl ConnAckProperties {
    fn decode(version: ProtocolVersion, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        let mut values = PropertyReader::open(PacketType::ConnAck, version, reader)?;
        let mut all = Self::default();
        while let Some(property) = values.next()? {
            match property {
                Property::SessionExpiryInterval => values.u32(&mut all.session_expiry_interval)?,
                Property::ReceiveMaximum => values.nonzero_u16(&mut all.receive_maximum)?,
                Property::MaximumQoS => values.maximum_qos(&mut all.maximum_qos)?,
                Property::RetainAvailable => values.boolean(&mut all.retain_available)?,
                Property::MaximumPacketSize => values.nonzero_u32(&mut all.maximum_packet_size)?,
                Property::AssignedClientIdentifier => values.text(&mut all.assigned_client_id)?,
                Property::TopicAliasMaximum => values.u16(&mut all.topic_alias_maximum)?,
                Property::ReasonString => values.text(&mut all.reason_string)?,
                Property::UserProperty => values.pair(&mut all.user_properties)?,
                Property::WildcardSubscriptionAvailable => {
                    values.boolean(&mut all.wildcard_subscription_available)?;
                }
                Property::SubscriptionIdentifierAvailable => values.boolean(&mut all.subscription_ids_available)?,
                Property::SharedSubscriptionAvailable => values.boolean(&mut all.shared_subscription_available)?,
                Property::ServerKeepAlive => values.u16(&mut all.server_keep_alive)?,
                Property::ResponseInformation => values.text(&mut all.response_information)?,
                Property::ServerReference => values.text(&mut all.server_reference)?,
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

impl Body for Form<'_, ConnAckProperties> {
    fn write(&self, out: &mut impl Writer) {
        let all = self.of;
        out.property_u32(Property::SessionExpiryInterval, all.session_expiry_interval);
        out.property_u16(Property::ReceiveMaximum, all.receive_maximum);
        out.property_u8(Property::MaximumQoS, all.maximum_qos.filter(|&qos| qos < QoS::ExactlyOnce).map(QoS::bits));
        out.property_bool(Property::RetainAvailable, all.retain_available);
        out.property_u32(Property::MaximumPacketSize, all.maximum_packet_size);
        out.property_text(Property::AssignedClientIdentifier, all.assigned_client_id.as_ref());
        out.property_u16(Property::TopicAliasMaximum, all.topic_alias_maximum);
        out.property_text(Property::ReasonString, self.detail.reason_string(all.reason_string.as_ref()));
        out.property_pairs(self.detail.user_properties(&all.user_properties));
        out.property_bool(Property::WildcardSubscriptionAvailable, all.wildcard_subscription_available);
        out.property_bool(Property::SubscriptionIdentifierAvailable, all.subscription_ids_available);
        out.property_bool(Property::SharedSubscriptionAvailable, all.shared_subscription_available);
        out.property_u16(Property::ServerKeepAlive, all.server_keep_alive);
        out.property_text(Property::ResponseInformation, all.response_information.as_ref());
        out.property_text(Property::ServerReference, all.server_reference.as_ref());
        out.property_text(Property::AuthenticationMethod, all.authentication_method.as_ref());
        out.property_binary(Property::AuthenticationData, all.authentication_data.as_deref());
    }
}
