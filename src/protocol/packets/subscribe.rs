//! SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK.

use super::puback::PubAckProperties;
use crate::protocol::error::Violation;
use crate::protocol::packet_id::PacketId;
use crate::protocol::packet_type::PacketType;
use crate::protocol::property::{Property, SubscriptionId, UserProperties};
use crate::protocol::qos::QoS;
use crate::protocol::reason::ReasonCode;
use crate::protocol::text::Text;
use crate::protocol::topic::SharedFilter;
use crate::protocol::version::ProtocolVersion;
use crate::protocol::wire::{Body, Form, PropertyReader, PropertyWriter, Reader, Writer};

/// A SUBSCRIBE packet with at least one request. [v5:MQTT-3.8.3-2]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// Ties the SUBACK to it.
    pub packet_id: PacketId,
    /// 0x0B: comes back with each message of these subscriptions.
    pub subscription_id: Option<SubscriptionId>,
    /// 0x26.
    pub user_properties: UserProperties,
    /// What is asked for, in order.
    pub requests: Vec<SubscribeRequest>,
}

/// One topic filter of a SUBSCRIBE, with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeRequest {
    /// The filter as sent, `$share/…` included. Whether it is a filter is decided by whoever subscribes, so that
    /// a bad one is answered in its own SUBACK code.
    pub filter: Text,
    /// The most that messages are sent with.
    pub qos: QoS,
    /// Not one's own messages.
    pub no_local: bool,
    /// The retain flag is forwarded as it was published.
    pub retain_as_published: bool,
    /// Which retained messages follow the SUBACK.
    pub retain_handling: RetainHandling,
}

/// Which retained messages a new subscription is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RetainHandling {
    /// 0: those that match.
    Send,
    /// 1: those that match, if the subscription did not exist.
    SendIfNew,
    /// 2: none.
    DoNotSend,
}

/// A SUBACK packet: one code per request, in the same order. [v5:MQTT-3.9.3-1]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck {
    /// Of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// The properties of 5.0.
    pub properties: PubAckProperties,
    /// Granted QoS or why not; the encoder says 0x80 for every failure before 5.0.
    pub reasons: Vec<ReasonCode>,
}

/// An UNSUBSCRIBE packet with at least one filter. [v5:MQTT-3.10.3-2]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Ties the UNSUBACK to it.
    pub packet_id: PacketId,
    /// 0x26.
    pub user_properties: UserProperties,
    /// The filters as sent, `$share/…` included.
    pub filters: Vec<Text>,
}

/// An UNSUBACK packet: one code per filter in 5.0, none before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubAck {
    /// Of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// The properties of 5.0.
    pub properties: PubAckProperties,
    /// One per filter, in order; not encoded before 5.0.
    pub reasons: Vec<ReasonCode>,
}

impl Subscribe {
    /// Reads what follows the fixed header.
    pub fn decode(mut reader: Reader<'_>, version: ProtocolVersion) -> Result<Self, Violation> {
        let packet_id = reader.packet_id(PacketType::Subscribe)?;
        let mut subscription_id = None;
        let mut user_properties = UserProperties::new();
        let mut values = PropertyReader::open(PacketType::Subscribe, version, &mut reader)?;
        while let Some(property) = values.next()? {
            match property {
                Property::SubscriptionIdentifier => values.subscription_id(&mut subscription_id)?,
                Property::UserProperty => values.pair(&mut user_properties)?,
                _ => return Err(values.misplaced()),
            }
        }
        if reader.is_empty() {
            return Err(Violation::NoTopicFilter(PacketType::Subscribe));
        }
        let mut requests = Vec::with_capacity(1);
        while !reader.is_empty() {
            requests.push(SubscribeRequest::decode(&mut reader, version)?);
        }
        Ok(Self { packet_id, subscription_id, user_properties, requests })
    }
}

impl Body for Form<'_, Subscribe> {
    fn write(&self, out: &mut impl Writer) {
        out.packet_id(self.of.packet_id);
        if self.version.has_properties() {
            out.block(&SubscribeProperties(self.of));
        }
        for request in &self.of.requests {
            out.binary(request.filter.as_bytes());
            out.u8(request.options(self.version));
        }
    }
}

struct SubscribeProperties<'a>(&'a Subscribe);

impl Body for SubscribeProperties<'_> {
    fn write(&self, out: &mut impl Writer) {
        out.property_varint(Property::SubscriptionIdentifier, self.0.subscription_id.map(SubscriptionId::number));
        out.property_pairs(&self.0.user_properties);
    }
}

impl SubscribeRequest {
    /// What 3.1 and 3.1.1 can ask for.
    pub fn new(filter: Text, qos: QoS) -> Self {
        Self { filter, qos, no_local: false, retain_as_published: false, retain_handling: RetainHandling::Send }
    }

    fn decode(reader: &mut Reader<'_>, version: ProtocolVersion) -> Result<Self, Violation> {
        let filter = reader.text()?;
        let options = reader.u8()?;
        let reserved = if version.has_properties() { RESERVED } else { RESERVED_BEFORE_5 };
        if options & reserved != 0 {
            return Err(Violation::ReservedSubscriptionOptions(options));
        }
        let qos = QoS::from_bits(options & MAXIMUM_QOS).ok_or(Violation::QoS3(PacketType::Subscribe))?;
        let no_local = options & NO_LOCAL != 0;
        if no_local && SharedFilter::claims_to_be_shared(&filter) {
            return Err(Violation::SharedNoLocal);
        }
        Ok(Self {
            filter,
            qos,
            no_local,
            retain_as_published: options & RETAIN_AS_PUBLISHED != 0,
            retain_handling: RetainHandling::from_bits((options & RETAIN_HANDLING) >> 4)
                .ok_or(Violation::RetainHandling3)?,
        })
    }

    fn options(&self, version: ProtocolVersion) -> u8 {
        if !version.has_properties() {
            return self.qos.bits();
        }
        self.qos.bits()
            | if self.no_local { NO_LOCAL } else { 0 }
            | if self.retain_as_published { RETAIN_AS_PUBLISHED } else { 0 }
            | (self.retain_handling.bits() << 4)
    }
}

const MAXIMUM_QOS: u8 = 0b0000_0011;
const NO_LOCAL: u8 = 0b0000_0100;
const RETAIN_AS_PUBLISHED: u8 = 0b0000_1000;
const RETAIN_HANDLING: u8 = 0b0011_0000;
const RESERVED: u8 = 0b1100_0000;
/// 3.1 leaves these bits open; no client of it is known to set one, and a later one would mean something by it.
const RESERVED_BEFORE_5: u8 = 0b1111_1100;

impl RetainHandling {
    /// The value of two bits; 3 is none.
    pub fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::Send),
            1 => Some(Self::SendIfNew),
            2 => Some(Self::DoNotSend),
            _ => None,
        }
    }

    /// The value as two bits.
    pub fn bits(self) -> u8 {
        match self {
            Self::Send => 0,
            Self::SendIfNew => 1,
            Self::DoNotSend => 2,
        }
    }
}

impl SubAck {
    /// Reads what follows the fixed header.
    pub fn decode(mut reader: Reader<'_>, version: ProtocolVersion) -> Result<Self, Violation> {
        let packet = PacketType::SubAck;
        let packet_id = reader.packet_id(packet)?;
        let properties = PubAckProperties::decode(packet, version, &mut reader)?;
        let mut reasons = Vec::with_capacity(1);
        while !reader.is_empty() {
            reasons.push(if version.has_properties() {
                reader.reason(packet)?
            } else {
                let code = reader.u8()?;
                ReasonCode::from_suback_return_code(code).ok_or(Violation::ReasonCodeNotAllowed { packet, code })?
            });
        }
        Ok(Self { packet_id, properties, reasons })
    }
}

impl Body for Form<'_, SubAck> {
    fn write(&self, out: &mut impl Writer) {
        out.packet_id(self.of.packet_id);
        if self.version.has_properties() {
            out.block(&self.part(&self.of.properties));
        }
        for reason in &self.of.reasons {
            out.u8(if self.version.has_properties() { reason.byte() } else { reason.suback_return_code() });
        }
    }
}

impl Unsubscribe {
    /// Reads what follows the fixed header.
    pub fn decode(mut reader: Reader<'_>, version: ProtocolVersion) -> Result<Self, Violation> {
        let packet_id = reader.packet_id(PacketType::Unsubscribe)?;
        let mut user_properties = UserProperties::new();
        let mut values = PropertyReader::open(PacketType::Unsubscribe, version, &mut reader)?;
        while let Some(property) = values.next()? {
            match property {
                Property::UserProperty => values.pair(&mut user_properties)?,
                _ => return Err(values.misplaced()),
            }
        }
        if reader.is_empty() {
            return Err(Violation::NoTopicFilter(PacketType::Unsubscribe));
        }
        let mut filters = Vec::with_capacity(1);
        while !reader.is_empty() {
            filters.push(reader.text()?);
        }
        Ok(Self { packet_id, user_properties, filters })
    }
}

impl Body for Form<'_, Unsubscribe> {
    fn write(&self, out: &mut impl Writer) {
        out.packet_id(self.of.packet_id);
        if self.version.has_properties() {
            out.block(&UnsubscribeProperties(self.of));
        }
        for filter in &self.of.filters {
            out.binary(filter.as_bytes());
        }
    }
}

struct UnsubscribeProperties<'a>(&'a Unsubscribe);

impl Body for UnsubscribeProperties<'_> {
    fn write(&self, out: &mut impl Writer) {
        out.property_pairs(&self.0.user_properties);
    }
}

impl UnsubAck {
    /// Reads what follows the fixed header; before 5.0 that is the packet identifier alone.
    pub fn decode(mut reader: Reader<'_>, version: ProtocolVersion) -> Result<Self, Violation> {
        let packet = PacketType::UnsubAck;
        let packet_id = reader.packet_id(packet)?;
        let properties = PubAckProperties::decode(packet, version, &mut reader)?;
        let mut reasons = Vec::new();
        while version.has_properties() && !reader.is_empty() {
            reasons.push(reader.reason(packet)?);
        }
        reader.finish()?;
        Ok(Self { packet_id, properties, reasons })
    }
}

impl Body for Form<'_, UnsubAck> {
    fn write(&self, out: &mut impl Writer) {
        out.packet_id(self.of.packet_id);
        if self.version.has_properties() {
            out.block(&self.part(&self.of.properties));
            for reason in &self.of.reasons {
                out.u8(reason.byte());
            }
        }
    }
}
