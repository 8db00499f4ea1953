//! The four packets that acknowledge a PUBLISH: PUBACK, PUBREC, PUBREL and PUBCOMP.

use crate::protocol::error::Violation;
use crate::protocol::packet_id::PacketId;
use crate::protocol::packet_type::PacketType;
use crate::protocol::property::{Property, UserProperties};
use crate::protocol::rare::{Absent, Rare};
use crate::protocol::reason::ReasonCode;
use crate::protocol::text::Text;
use crate::protocol::version::ProtocolVersion;
use crate::protocol::wire::{Body, Form, PropertyReader, PropertyWriter, Reader, Writer};

/// A PUBACK, PUBREC, PUBREL or PUBCOMP packet: [`super::Packet`] says which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PubAck {
    /// Which packet is acknowledged.
    pub packet_id: PacketId,
    /// What became of it; always success before 5.0.
    pub reason: ReasonCode,
    /// The properties of 5.0.
    pub properties: Rare<PubAckProperties>,
}

impl PubAck {
    /// The length of one that says nothing but success, in bytes.
    pub const SHORTEST: u32 = 4;

    /// Whether it has nothing to say but its identifier, as nearly all do: those need not be measured to be written.
    pub fn says_only_success(&self) -> bool {
        self.reason == ReasonCode::Success && self.properties == Rare::NOTHING
    }

    /// An acknowledgement that says nothing more than its reason.
    pub fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self { packet_id, reason, properties: Rare::NOTHING }
    }
}

/// The properties that acknowledgements share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PubAckProperties {
    /// 0x1F: for people.
    pub reason_string: Option<Text>,
    /// 0x26.
    pub user_properties: UserProperties,
}

impl Absent for PubAckProperties {
    fn absent() -> &'static Self {
        static ABSENT: PubAckProperties = PubAckProperties { reason_string: None, user_properties: Vec::new() };
        &ABSENT
    }
}

impl PubAck {
    /// Reads what follows the fixed header of one of the four packets. In 5.0 the end may be missing: properties, or
    /// the reason too, which then is success.
    pub fn decode(packet: PacketType, mut reader: Reader<'_>, version: ProtocolVersion) -> Result<Self, Violation> {
        let mut acknowledgement = Self::new(reader.packet_id(packet)?, ReasonCode::Success);
        if version.has_properties() && !reader.is_empty() {
            acknowledgement.reason = reader.reason(packet)?;
            if !reader.is_empty() {
                acknowledgement.properties = PubAckProperties::decode(packet, version, &mut reader)?.into();
            }
        }
        reader.finish()?;
        Ok(acknowledgement)
    }
}

impl Body for Form<'_, PubAck> {
    fn write(&self, out: &mut impl Writer) {
        out.packet_id(self.of.packet_id);
        let properties = self.part(&*self.of.properties);
        let has_properties = !properties.is_empty();
        if self.version.has_properties() && (has_properties || self.of.reason != ReasonCode::Success) {
            out.u8(self.of.reason.byte());
            if has_properties {
                out.block(&properties);
            }
        }
    }
}

impl PubAckProperties {
    /// Takes the properties off any acknowledgement that has only these two.
    pub fn decode(packet: PacketType, version: ProtocolVersion, reader: &mut Reader<'_>) -> Result<Self, Violation> {
        let mut values = PropertyReader::open(packet, version, reader)?;
        let mut all = Self::default();
        while let Some(property) = values.next()? {
            match property {
                Property::ReasonString => values.text(&mut all.reason_string)?,
                Property::UserProperty => values.pair(&mut all.user_properties)?,
                _ => return Err(values.misplaced()),
            }
        }
        Ok(all)
    }
}

impl Form<'_, PubAckProperties> {
    fn is_empty(&self) -> bool {
        self.detail.reason_string(self.of.reason_string.as_ref()).is_none()
            && self.detail.user_properties(&self.of.user_properties).is_empty()
    }
}

impl Body for Form<'_, PubAckProperties> {
    fn write(&self, out: &mut impl Writer) {
        out.property_text(Property::ReasonString, self.detail.reason_string(self.of.reason_string.as_ref()));
        out.property_pairs(self.detail.user_properties(&self.of.user_properties));
    }
}
