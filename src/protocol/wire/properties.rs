//! The properties of a packet: read one after the other into the fields of a struct, each at most once.

use super::reader::Reader;
use super::writer::Writer;
use crate::protocol::error::Violation;
use crate::protocol::packet_type::PacketType;
use crate::protocol::property::{Property, SubscriptionId, UserProperties};
use crate::protocol::qos::QoS;
use crate::protocol::text::Text;
use crate::protocol::topic::TopicName;
use crate::protocol::version::ProtocolVersion;
use bytes::Bytes;

/// Goes through the properties of a packet. After [`PropertyReader::next`] has named one, exactly one of the methods
/// that take a slot reads its value into the field it belongs to.
#[derive(Debug)]
pub struct PropertyReader<'a> {
    values: Reader<'a>,
    packet: PacketType,
    current: Property,
}

impl<'a> PropertyReader<'a> {
    /// Takes the properties off a packet; before 5.0 there are none.
    pub fn open(packet: PacketType, version: ProtocolVersion, reader: &mut Reader<'a>) -> Result<Self, Violation> {
        let length = if version.has_properties() { reader.varint()? } else { 0 };
        // Before the first `next`, no property is current; the value is never looked at.
        Ok(Self { values: reader.part(length)?, packet, current: Property::UserProperty })
    }

    /// Names the next property, until there is none.
    pub fn next(&mut self) -> Result<Option<Property>, Violation> {
        if self.values.is_empty() {
            return Ok(None);
        }
        let number = self.values.varint()?;
        self.current = Property::from_number(number).ok_or(Violation::UnknownProperty(number))?;
        Ok(Some(self.current))
    }

    /// The current property belongs to another packet. Packets match those they may carry and refuse all others, so
    /// that their list and the code that reads them are one.
    pub fn misplaced(&self) -> Violation {
        Violation::PropertyNotAllowed { property: self.current, packet: self.packet }
    }

    /// A two byte integer.
    pub fn u16(&mut self, slot: &mut Option<u16>) -> Result<(), Violation> {
        let value = self.values.u16()?;
        self.put(slot, value)
    }

    /// A two byte integer that is not zero.
    pub fn nonzero_u16(&mut self, slot: &mut Option<u16>) -> Result<(), Violation> {
        match self.values.u16()? {
            0 => Err(Violation::PropertyZero(self.current)),
            value => self.put(slot, value),
        }
    }

    /// A four byte integer.
    pub fn u32(&mut self, slot: &mut Option<u32>) -> Result<(), Violation> {
        let value = self.values.u32()?;
        self.put(slot, value)
    }

    /// A four byte integer that is not zero.
    pub fn nonzero_u32(&mut self, slot: &mut Option<u32>) -> Result<(), Violation> {
        match self.values.u32()? {
            0 => Err(Violation::PropertyZero(self.current)),
            value => self.put(slot, value),
        }
    }

    /// A byte that is 0 or 1.
    pub fn boolean(&mut self, slot: &mut Option<bool>) -> Result<(), Violation> {
        match self.values.u8()? {
            0 => self.put(slot, false),
            1 => self.put(slot, true),
            value => Err(Violation::PropertyNotBinary { property: self.current, value }),
        }
    }

    /// A maximum QoS: 0 or 1, since 2 is said by leaving it out.
    pub fn maximum_qos(&mut self, slot: &mut Option<QoS>) -> Result<(), Violation> {
        match self.values.u8()? {
            0 => self.put(slot, QoS::AtMostOnce),
            1 => self.put(slot, QoS::AtLeastOnce),
            value => Err(Violation::PropertyNotBinary { property: self.current, value }),
        }
    }

    /// A string.
    pub fn text(&mut self, slot: &mut Option<Text>) -> Result<(), Violation> {
        let value = self.values.text()?;
        self.put(slot, value)
    }

    /// A string that is a topic name. [v5:MQTT-3.3.2-14]
    pub fn response_topic(&mut self, slot: &mut Option<Text>) -> Result<(), Violation> {
        let value = self.values.text()?;
        TopicName::new(value.clone()).map_err(Violation::BadResponseTopic)?;
        self.put(slot, value)
    }

    /// Binary data.
    pub fn binary(&mut self, slot: &mut Option<Bytes>) -> Result<(), Violation> {
        let value = self.values.binary()?;
        self.put(slot, value)
    }

    /// A subscription identifier that may come once: that of SUBSCRIBE.
    pub fn subscription_id(&mut self, slot: &mut Option<SubscriptionId>) -> Result<(), Violation> {
        let value = self.one_subscription_id()?;
        self.put(slot, value)
    }

    /// A subscription identifier of several: those of PUBLISH.
    pub fn subscription_ids(&mut self, all: &mut Vec<SubscriptionId>) -> Result<(), Violation> {
        all.push(self.one_subscription_id()?);
        Ok(())
    }

    /// A user property, which may come any number of times.
    pub fn pair(&mut self, all: &mut UserProperties) -> Result<(), Violation> {
        all.push((self.values.text()?, self.values.text()?));
        Ok(())
    }

    fn one_subscription_id(&mut self) -> Result<SubscriptionId, Violation> {
        SubscriptionId::new(self.values.varint()?).ok_or(Violation::PropertyZero(self.current))
    }

    fn put<T>(&self, slot: &mut Option<T>, value: T) -> Result<(), Violation> {
        if slot.is_some() {
            return Err(Violation::DuplicateProperty(self.current));
        }
        *slot = Some(value);
        Ok(())
    }
}

/// Writes properties that are present.
pub trait PropertyWriter: Writer {
    /// A byte that is 0 or 1.
    fn property_bool(&mut self, property: Property, value: Option<bool>) {
        self.property_u8(property, value.map(u8::from));
    }

    /// One byte.
    fn property_u8(&mut self, property: Property, value: Option<u8>) {
        if let Some(value) = value {
            self.bytes(&[property.byte(), value]);
        }
    }

    /// A two byte integer.
    fn property_u16(&mut self, property: Property, value: Option<u16>) {
        if let Some(value) = value {
            self.u8(property.byte());
            self.u16(value);
        }
    }

    /// A four byte integer.
    fn property_u32(&mut self, property: Property, value: Option<u32>) {
        if let Some(value) = value {
            self.u8(property.byte());
            self.u32(value);
        }
    }

    /// A variable byte integer.
    fn property_varint(&mut self, property: Property, value: Option<u32>) {
        if let Some(value) = value {
            self.u8(property.byte());
            self.varint(value);
        }
    }

    /// A string.
    fn property_text(&mut self, property: Property, value: Option<&Text>) {
        self.property_binary(property, value.map(Text::as_bytes));
    }

    /// Binary data.
    fn property_binary(&mut self, property: Property, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.u8(property.byte());
            self.binary(value);
        }
    }

    /// All user properties.
    fn property_pairs(&mut self, pairs: &[(Text, Text)]) {
        for (name, value) in pairs {
            self.u8(Property::UserProperty.byte());
            self.binary(name.as_bytes());
            self.binary(value.as_bytes());
        }
    }
}

impl<W: Writer> PropertyWriter for W {}
