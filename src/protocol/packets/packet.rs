//! All packets as one type.

use super::connack::ConnAck;
use super::connect::Connect;
use super::control::{Auth, Disconnect};
use super::puback::PubAck;
use super::publish::Publish;
use super::subscribe::{SubAck, Subscribe, UnsubAck, Unsubscribe};
use crate::protocol::error::{PacketTooLarge, Violation};
use crate::protocol::packet_type::PacketType;
use crate::protocol::version::ProtocolVersion;
use crate::protocol::wire::{Body, Detail, Form, Reader, Writer, write_packet};
use bytes::BytesMut;

/// A control packet of any version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// 1: a client asks to be connected.
    Connect(Box<Connect>),
    /// 2: the server's answer.
    ConnAck(Box<ConnAck>),
    /// 3: a message.
    Publish(Publish),
    /// 4: a QoS 1 message was taken over.
    PubAck(PubAck),
    /// 5: a QoS 2 message was taken over.
    PubRec(PubAck),
    /// 6: the sender forgets the message.
    PubRel(PubAck),
    /// 7: the receiver forgets the packet identifier.
    PubComp(PubAck),
    /// 8.
    Subscribe(Subscribe),
    /// 9.
    SubAck(SubAck),
    /// 10.
    Unsubscribe(Unsubscribe),
    /// 11.
    UnsubAck(UnsubAck),
    /// 12.
    PingReq,
    /// 13.
    PingResp,
    /// 14.
    Disconnect(Box<Disconnect>),
    /// 15.
    Auth(Box<Auth>),
}

impl Packet {
    /// Which of the fifteen it is.
    pub fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }

    /// Its name in the specification, for logs.
    pub fn name(&self) -> &'static str {
        self.packet_type().name()
    }

    /// Reads what follows the fixed header.
    #[inline]
    pub fn decode(
        packet_type: PacketType,
        flags: u8,
        reader: Reader<'_>,
        version: ProtocolVersion,
    ) -> Result<Self, Violation> {
        Ok(match packet_type {
            PacketType::Connect => Self::Connect(Box::new(Connect::decode(reader)?)),
            PacketType::ConnAck => Self::ConnAck(Box::new(ConnAck::decode(reader, version)?)),
            PacketType::Publish => Self::Publish(Publish::decode(flags, reader, version)?),
            PacketType::PubAck => Self::PubAck(PubAck::decode(packet_type, reader, version)?),
            PacketType::PubRec => Self::PubRec(PubAck::decode(packet_type, reader, version)?),
            PacketType::PubRel => Self::PubRel(PubAck::decode(packet_type, reader, version)?),
            PacketType::PubComp => Self::PubComp(PubAck::decode(packet_type, reader, version)?),
            PacketType::Subscribe => Self::Subscribe(Subscribe::decode(reader, version)?),
            PacketType::SubAck => Self::SubAck(SubAck::decode(reader, version)?),
            PacketType::Unsubscribe => Self::Unsubscribe(Unsubscribe::decode(reader, version)?),
            PacketType::UnsubAck => Self::UnsubAck(UnsubAck::decode(reader, version)?),
            PacketType::PingReq => {
                reader.finish()?;
                Self::PingReq
            }
            PacketType::PingResp => {
                reader.finish()?;
                Self::PingResp
            }
            PacketType::Disconnect => Self::Disconnect(Box::new(Disconnect::decode(reader, version)?)),
            PacketType::Auth => Self::Auth(Box::new(Auth::decode(reader, version)?)),
        })
    }

    /// Appends the packet, or nothing if it is longer than `maximum`, which is what the receiver takes (`u32::MAX` if
    /// it did not say).
    ///
    /// An acknowledgement, CONNACK, DISCONNECT or AUTH that is too large loses its user properties, then its reason
    /// string. [v5:MQTT-3.2.2-19] [v5:MQTT-3.2.2-20] [v5:MQTT-3.4.2-2] [v5:MQTT-3.4.2-3] [v5:MQTT-3.5.2-2]
    /// [v5:MQTT-3.5.2-3] [v5:MQTT-3.6.2-2] [v5:MQTT-3.6.2-3] [v5:MQTT-3.7.2-2] [v5:MQTT-3.7.2-3] [v5:MQTT-3.9.2-1]
    /// [v5:MQTT-3.9.2-2] [v5:MQTT-3.11.2-1] [v5:MQTT-3.11.2-2] [v5:MQTT-3.14.2-3] [v5:MQTT-3.14.2-4]
    /// [v5:MQTT-3.15.2-2] [v5:MQTT-3.15.2-3]
    ///
    /// What a version cannot say is not written: AUTH before 5.0, and a CONNACK whose reason has no return code.
    /// CONNECT is written in its own version.
    pub fn encode(&self, version: ProtocolVersion, maximum: u32, out: &mut BytesMut) -> Result<(), PacketTooLarge> {
        let first_byte = self.packet_type().first_byte();
        match self {
            Self::Connect(packet) => whole(first_byte, &**packet, packet.version, maximum, out),
            Self::ConnAck(packet) if packet.can_be_said_in(version) => {
                trimmed(first_byte, &**packet, version, maximum, out)
            }
            Self::Auth(packet) if PacketType::Auth.exists_in(version) => {
                trimmed(first_byte, &**packet, version, maximum, out)
            }
            Self::ConnAck(_) | Self::Auth(_) => Ok(()),
            Self::Publish(packet) => packet.view().encode_within(version, maximum, out),
            Self::PubAck(packet) | Self::PubRec(packet) | Self::PubRel(packet) | Self::PubComp(packet)
                if packet.says_only_success() && maximum >= PubAck::SHORTEST =>
            {
                let [high, low] = packet.packet_id.number().to_be_bytes();
                out.extend_from_slice(&[first_byte, 2, high, low]);
                Ok(())
            }
            Self::PubAck(packet) | Self::PubRec(packet) | Self::PubRel(packet) | Self::PubComp(packet) => {
                trimmed(first_byte, packet, version, maximum, out)
            }
            Self::Subscribe(packet) => whole(first_byte, packet, version, maximum, out),
            Self::SubAck(packet) => trimmed(first_byte, packet, version, maximum, out),
            Self::Unsubscribe(packet) => whole(first_byte, packet, version, maximum, out),
            Self::UnsubAck(packet) => trimmed(first_byte, packet, version, maximum, out),
            Self::PingReq | Self::PingResp => write_packet(first_byte, &Nothing, maximum, out),
            Self::Disconnect(packet) => trimmed(first_byte, &**packet, version, maximum, out),
        }
    }
}

/// PINGREQ and PINGRESP end with their fixed header.
struct Nothing;

impl Body for Nothing {
    fn write(&self, _: &mut impl Writer) {}
}

fn whole<T>(
    first_byte: u8,
    packet: &T,
    version: ProtocolVersion,
    maximum: u32,
    out: &mut BytesMut,
) -> Result<(), PacketTooLarge>
where
    for<'a> Form<'a, T>: Body,
{
    write_packet(first_byte, &Form { of: packet, version, detail: Detail::Full }, maximum, out)
}

fn trimmed<T>(
    first_byte: u8,
    packet: &T,
    version: ProtocolVersion,
    maximum: u32,
    out: &mut BytesMut,
) -> Result<(), PacketTooLarge>
where
    for<'a> Form<'a, T>: Body,
{
    let fits = Detail::DESCENDING
        .into_iter()
        .any(|detail| write_packet(first_byte, &Form { of: packet, version, detail }, maximum, out).is_ok());
    if fits { Ok(()) } else { Err(PacketTooLarge { maximum }) }
}
