//! DISCONNECT and AUTH; PINGREQ and PINGRESP carry nothing.

use crate::protocol::error::Violation;
use crate::protocol::packet_type::PacketType;
use crate::protocol::property::{Property, UserProperties};
use crate::protocol::reason::ReasonCode;
use crate::protocol::text::Text;
use crate::protocol::version::ProtocolVersion;
use crate::protocol::wire::{Body, Form, PropertyReader, PropertyWriter, Reader, Writer, encoded_len};
use bytes::Bytes;

/// A DISCONNECT packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    /// Why; always normal before 5.0.
    pub reason: ReasonCode,
    /// The properties of 5.0.
    pub properties: DisconnectProperties,
}

/// The properties of DISCONNECT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DisconnectProperties {
    /// 0x11: a new expiry of the session; only a client sends it. [v5:MQTT-3.14.2-2]
    pub session_expiry_interval: Option<u32>,
    /// 0x1F.
    pub reason_string: Option<Text>,
    /// 0x26.
    pub user_properties: UserProperties,
    /// 0x1C: another server to use.
    pub server_reference: Option<Text>,
}

/// An AUTH packet of 5.0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Success, continue or re-authenticate. [v5:MQTT-3.15.2-1]
    pub reason: ReasonCode,
    /// The properties.
    pub properties: AuthProperties,
}

/// The properties of AUTH.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthProperties {
    /// 0x15.
    pub authentication_method: Option<Text>,
    /// 0x16.
    pub authentication_data: Option<Bytes>,
    /// 0x1F.
    pub reason_string: Option<Text>,
    /// 0x26.
    pub user_properties: UserProperties,
}

impl Disconnect {
    /// A DISCONNECT that says nothing more than its reason.
    pub fn new(reason: ReasonCode) -> Self {
        Self { reason, properties: DisconnectProperties::default() }
    }

    /// Reads what follows the fixed header. In 5.0 the end may be missing: properties, or the reason too, which then
    /// is a normal disconnection.
    pub fn decode(mut reader: Reader<'_>, version: ProtocolVersion) -> Result<Self, Violation> {
        let mut disconnect = Self::new(ReasonCode::Success);
        if version.has_properties() && !reader.is_empty() {
            disconnect.reason = reader.reason(PacketType::Disconnect)?;
            if !reader.is_empty() {
                disconnect.properties = DisconnectProperties::decode(version, &mut reader)?;
            }
        }
        reader.finish()?;
        Ok(disconnect)
    }
}

impl Body for Form<'_, Disconnect> {
    fn write(&self, out: &mut impl Writer) {
        let properties = self.part(&self.of.properties);
        let has_properties = encoded_len(&properties) > 0;
        if self.version.has_properties() && (has_properties || self.of.reason != ReasonCode::Success) {
            out.u8(self.of.reason.byte());
            if has_properties {
                out.block(&properties);
            }
        }
    }
}

impl DisconnectProperties {
    fn decode(version: ProtocolVersion, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        let mut values = PropertyReader::open(PacketType::Disconnect, version, reader)?;
        let mut all = Self::default();
        while let Some(property) = values.next()? {
            match property {
                Property::SessionExpiryInterval => values.u32(&mut all.session_expiry_interval)?,
                Property::ReasonString => values.text(&mut all.reason_string)?,
                Property::UserProperty => values.pair(&mut all.user_properties)?,
                Property::ServerReference => values.text(&mut all.server_reference)?,
                _ => return Err(values.misplaced()),
            }
        }
        Ok(all)
    }
}

impl Body for Form<'_, DisconnectProperties> {
    fn write(&self, out: &mut impl Writer) {
        out.property_u32(Property::SessionExpiryInterval, self.of.session_expiry_interval);
        out.property_text(Property::ReasonString, self.detail.reason_string(self.of.reason_string.as_ref()));
        out.property_pairs(self.detail.user_properties(&self.of.user_properties));
        out.property_text(Property::ServerReference, self.of.server_reference.as_ref());
    }
}

impl Auth {
    /// Reads what follows the fixed header. Only a packet that says success and nothing else may be empty.
    pub fn decode(mut reader: Reader<'_>, version: ProtocolVersion) -> Result<Self, Violation> {
        if reader.is_empty() {
            return Ok(Self { reason: ReasonCode::Success, properties: AuthProperties::default() });
        }
        let reason = reader.reason(PacketType::Auth)?;
        let properties = AuthProperties::decode(version, &mut reader)?;
        reader.finish()?;
        Ok(Self { reason, properties })
    }

    fn is_empty(&self) -> bool {
        self.reason == ReasonCode::Success && self.properties == AuthProperties::default()
    }
}

impl Body for Form<'_, Auth> {
    fn write(&self, out: &mut impl Writer) {
        if !self.of.is_empty() {
            out.u8(self.of.reason.byte());
            out.block(&self.part(&self.of.properties));
        }
    }
}

impl AuthProperties {
    fn decode(version: ProtocolVersion, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        let mut values = PropertyReader::open(PacketType::Auth, version, reader)?;
        let mut all = Self::default();
        while let Some(property) = values.next()? {
            match property {
                Property::AuthenticationMethod => values.text(&mut all.authentication_method)?,
                Property::AuthenticationData => values.binary(&mut all.authentication_data)?,
                Property::ReasonString => values.text(&mut all.reason_string)?,
                Property::UserProperty => values.pair(&mut all.user_properties)?,
                _ => return Err(values.misplaced()),
            }
        }
        if all.authentication_method.is_none() {
            return Err(Violation::AuthenticationMethodMissing);
        }
        Ok(all)
    }
}

impl Body for Form<'_, AuthProperties> {
    fn write(&self, out: &mut impl Writer) {
        out.property_text(Property::AuthenticationMethod, self.of.authentication_method.as_ref());
        out.property_binary(Property::AuthenticationData, self.of.authentication_data.as_deref());
        out.property_text(Property::ReasonString, self.detail.reason_string(self.of.reason_string.as_ref()));
        out.property_pairs(self.detail.user_properties(&self.of.user_properties));
    }
}
