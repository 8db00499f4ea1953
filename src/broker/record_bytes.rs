//! Records as bytes: a tag, then the fields in their order. Bytes are never trusted: whatever they say, nothing panics
//! and nothing larger than they are is allocated.

use super::access::{Principal, RoleName, UserName};
use super::durability::Durability;
use super::frame::{DurableId, Once};
use super::message::{Message, MessageProperties, Origin, SessionKey};
use super::record::{ClockReading, KeptStage, KeptWill, Receiver, Record, RecordProblem};
use super::subscription::SubscriptionOptions;
use super::time::Timestamp;
use crate::protocol::{ClientId, PacketId, QoS, SharedFilter, SubscriptionId, Text, TopicName};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::sync::Arc;
use std::time::Duration;

impl Record {
    /// Writes records with a reading of the clocks.
    pub fn encode_all<'a>(records: impl IntoIterator<Item = &'a Self>, clock: ClockReading) -> Bytes {
        let mut out = Encoder(BytesMut::new());
        out.0.put_u8(FORMAT);
        out.number(clock.now.as_millis());
        out.number(clock.wall_ms);
        records.into_iter().for_each(|record| out.record(record));
        out.0.freeze()
    }

    /// Reads records; their moments are brought onto the clock of the reader.
    ///
    /// # Errors
    /// The bytes were not written by [`Record::encode_all`] of this or an earlier version.
    pub fn decode_all(bytes: Bytes, clock: ClockReading) -> Result<Vec<Self>, RecordProblem> {
        let mut decoder = Decoder { bytes, then: clock, now: clock };
        let format = decoder.byte()?;
        if format != FORMAT {
            return Err(RecordProblem::Format(format));
        }
        decoder.then = ClockReading { now: Timestamp::from_millis(decoder.number()?), wall_ms: decoder.number()? };
        let mut records = Vec::new();
        while decoder.bytes.has_remaining() {
            records.push(decoder.record()?);
        }
        Ok(records)
    }

    /// When the records were written, on the clock of the reader.
    ///
    /// # Errors
    /// As [`Record::decode_all`].
    pub fn written_at(bytes: Bytes, clock: ClockReading) -> Result<Timestamp, RecordProblem> {
        let mut decoder = Decoder { bytes, then: clock, now: clock };
        decoder.byte()?;
        decoder.then = ClockReading { now: Timestamp::from_millis(decoder.number()?), wall_ms: decoder.number()? };
        Ok(decoder.rebased(decoder.then.now.as_millis()))
    }
}

const FORMAT: u8 = 1;

struct Encoder(BytesMut);

impl Encoder {
    fn number(&mut self, mut number: u64) {
        while number > 0x7f {
            self.0.put_u8(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.put_u8(number.to_le_bytes()[0]);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.0.put_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn flag(&mut self, flag: bool) {
        self.0.put_u8(u8::from(flag));
    }

    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn id(&mut self, packet_id: PacketId) {
        self.number(packet_id.number().into());
    }

    fn key(&mut self, key: &SessionKey) {
        match &key.principal {
            Principal::User(name) => {
                self.0.put_u8(0);
                self.text(name.as_str());
            }
            Principal::Anonymous(role) => {
                self.0.put_u8(1);
                self.text(role.as_str());
            }
        }
        self.text(key.client_id.as_str());
    }

    fn message(&mut self, message: &Message) {
        let properties = &message.properties;
        self.text(message.topic.as_str());
        self.bytes(&message.payload);
        self.0.put_u8(message.qos.bits());
        self.flag(message.retain);
        self.option(message.expires_at, |out, end| out.number(end.as_millis()));
        match &message.origin {
            Origin::System => self.0.put_u8(0),
            Origin::Client(key) => {
                self.0.put_u8(1);
                self.key(key);
            }
        }
        self.option(properties.payload_is_utf8, Self::flag);
        self.option(properties.content_type.as_ref(), |out, text| out.text(text.as_str()));
        self.option(properties.response_topic.as_ref(), |out, text| out.text(text.as_str()));
        self.option(properties.correlation_data.as_ref(), |out, data| out.bytes(data));
        self.number(u64::try_from(properties.user_properties.len()).unwrap_or(u64::MAX));
        for (name, value) in &properties.user_properties {
            self.text(name.as_str());
            self.text(value.as_str());
        }
    }

    fn receiver(&mut self, receiver: &Receiver) {
        self.number(receiver.session.0);
        self.0.put_u8(receiver.qos.bits());
        self.flag(receiver.retain);
        self.flag(receiver.is_retained);
        self.flag(receiver.check_delivery);
        self.number(u64::try_from(receiver.subscription_ids.len()).unwrap_or(u64::MAX));
        receiver.subscription_ids.iter().for_each(|id| self.number(id.number().into()));
        self.option(receiver.packet_id, Self::id);
    }

    fn record(&mut self, record: &Record) {
        match record {
            Record::Began { session, key } => {
                self.tag(1, *session);
                self.key(key);
            }
            Record::Changed { session, expiry, gone_since, will } => {
                self.tag(2, *session);
                self.option(*expiry, |out, expiry| out.number(expiry.as_secs()));
                self.option(*gone_since, |out, since| out.number(since.as_millis()));
                self.option(will.as_ref(), |out, will| {
                    out.message(&will.message);
                    out.number(will.delay.as_secs());
                    out.option(will.expiry_interval, |out, seconds| out.number(seconds.into()));
                });
            }
            Record::Subscribed { session, filter, options } => {
                self.tag(3, *session);
                self.text(&filter.to_string());
                self.0.put_u8(options.qos.bits());
                self.flag(options.no_local);
                self.flag(options.retain_as_published);
                self.option(options.id, |out, id| out.number(id.number().into()));
                self.flag(options.check_delivery);
            }
            Record::Unsubscribed { session, filter } => {
                self.tag(4, *session);
                self.text(&filter.to_string());
            }
            Record::Queued { message, receivers, once } => {
                self.0.put_u8(5);
                self.message(message);
                self.option(*once, Self::once);
                self.number(u64::try_from(receivers.len()).unwrap_or(u64::MAX));
                receivers.iter().for_each(|receiver| self.receiver(receiver));
            }
            Record::Sent { session, packet_id } => self.tag_and_id(6, *session, *packet_id),
            Record::Dropped { session } => self.tag(7, *session),
            Record::InFlight { receiver, message, stage } => {
                self.0.put_u8(8);
                self.receiver(receiver);
                self.message(message);
                self.0.put_u8(match stage {
                    KeptStage::Ack => 0,
                    KeptStage::Rec => 1,
                    KeptStage::Comp => 2,
                });
            }
            Record::Received { session, packet_id } => self.tag_and_id(9, *session, *packet_id),
            Record::Finished { session, packet_id } => self.tag_and_id(10, *session, *packet_id),
            Record::Taken { session, packet_id } => self.tag_and_id(11, *session, *packet_id),
            Record::Released { session, packet_id } => self.tag_and_id(12, *session, *packet_id),
            Record::Spilled { session } => self.tag(13, *session),
            Record::Skipped { session } => self.tag(18, *session),
            Record::Chunks { session, first, sizes } => {
                self.tag(14, *session);
                self.number(*first);
                self.number(u64::try_from(sizes.len()).unwrap_or(u64::MAX));
                for (messages, bytes) in sizes {
                    self.number((*messages).into());
                    self.number(*bytes);
                }
            }
            Record::Ended { session } => self.tag(15, *session),
            Record::Once { session, once } => {
                self.tag(16, *session);
                self.once(*once);
            }
            Record::Forgotten { session, once } => {
                self.tag(17, *session);
                self.once(*once);
            }
        }
    }

    fn once(&mut self, once: Once) {
        self.number(once.publisher.0);
        self.id(once.packet_id);
    }

    fn tag(&mut self, tag: u8, session: DurableId) {
        self.0.put_u8(tag);
        self.number(session.0);
    }

    fn tag_and_id(&mut self, tag: u8, session: DurableId, packet_id: PacketId) {
        self.tag(tag, session);
        self.id(packet_id);
    }
}

struct Decoder {
    bytes: Bytes,
    then: ClockReading,
    now: ClockReading,
}

impl Decoder {
    fn byte(&mut self) -> Result<u8, RecordProblem> {
        self.bytes.try_get_u8().map_err(|_| RecordProblem::Truncated)
    }

    fn number(&mut self) -> Result<u64, RecordProblem> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits.checked_shl(shift).is_none_or(|shifted| shifted >> shift != bits) {
                return Err(RecordProblem::Value);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(RecordProblem::Value)
    }

    fn narrow<T: TryFrom<u64>>(&mut self) -> Result<T, RecordProblem> {
        T::try_from(self.number()?).map_err(|_| RecordProblem::Value)
    }

    fn slice(&mut self) -> Result<Bytes, RecordProblem> {
        let len: usize = self.narrow()?;
        if len > self.bytes.remaining() {
            return Err(RecordProblem::Truncated);
        }
        Ok(self.bytes.split_to(len))
    }

    fn text(&mut self) -> Result<Text, RecordProblem> {
        Text::new(self.slice()?).map_err(|_| RecordProblem::Value)
    }

    fn flag(&mut self) -> Result<bool, RecordProblem> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(RecordProblem::Value),
        }
    }

    fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, RecordProblem>,
    ) -> Result<Option<T>, RecordProblem> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    fn qos(&mut self) -> Result<QoS, RecordProblem> {
        QoS::from_bits(self.byte()?).ok_or(RecordProblem::Value)
    }

    fn id(&mut self) -> Result<PacketId, RecordProblem> {
        PacketId::new(self.narrow()?).ok_or(RecordProblem::Value)
    }

    fn session(&mut self) -> Result<DurableId, RecordProblem> {
        self.number().map(DurableId)
    }

    fn once(&mut self) -> Result<Once, RecordProblem> {
        Ok(Once { publisher: self.session()?, packet_id: self.id()? })
    }

    fn filter(&mut self) -> Result<SharedFilter, RecordProblem> {
        SharedFilter::new(&self.text()?).map_err(|_| RecordProblem::Value)
    }

    fn subscription_id(&mut self) -> Result<SubscriptionId, RecordProblem> {
        SubscriptionId::new(self.narrow()?).ok_or(RecordProblem::Value)
    }

    /// A moment of the writer on the clock of the reader: as far from now as the wall clocks say.
    fn rebased(&self, millis: u64) -> Timestamp {
        let after_writing = i128::from(millis) - i128::from(self.then.now.as_millis());
        let since_writing = i128::from(self.now.wall_ms) - i128::from(self.then.wall_ms);
        let moment = i128::from(self.now.now.as_millis()) + after_writing - since_writing;
        Timestamp::from_millis(u64::try_from(moment.max(0)).unwrap_or(u64::MAX))
    }

    fn moment(&mut self) -> Result<Timestamp, RecordProblem> {
        let millis = self.number()?;
        Ok(self.rebased(millis))
    }

    fn key(&mut self) -> Result<SessionKey, RecordProblem> {
        let kind = self.byte()?;
        let name = self.text()?;
        let principal = match kind {
            0 => Principal::User(UserName::new(name.as_str()).map_err(|_| RecordProblem::Value)?),
            1 => Principal::Anonymous(RoleName::new(name.as_str()).map_err(|_| RecordProblem::Value)?),
            _ => return Err(RecordProblem::Value),
        };
        let client_id = ClientId::new(self.text()?).map_err(|_| RecordProblem::Value)?;
        Ok(SessionKey { principal, client_id })
    }

    fn message(&mut self) -> Result<Arc<Message>, RecordProblem> {
        let topic = TopicName::new(self.text()?).map_err(|_| RecordProblem::Value)?;
        let payload = self.slice()?;
        let qos = self.qos()?;
        let retain = self.flag()?;
        let expires_at = self.option(Self::moment)?;
        let origin = match self.byte()? {
            0 => Origin::System,
            1 => Origin::Client(Arc::new(self.key()?)),
            _ => return Err(RecordProblem::Value),
        };
        let payload_is_utf8 = self.option(Self::flag)?;
        let content_type = self.option(Self::text)?;
        let response_topic = self.option(Self::text)?;
        let correlation_data = self.option(Self::slice)?;
        let mut user_properties = Vec::new();
        for _ in 0..self.number()? {
            user_properties.push((self.text()?, self.text()?));
        }
        let properties =
            MessageProperties { payload_is_utf8, content_type, response_topic, correlation_data, user_properties }
                .into();
        // A message that waits must not keep the whole frame in memory that it was read from.
        let durability = Durability::Commit;
        let message = Message { topic, payload, qos, retain, expires_at, origin, durability, properties };
        Ok(Arc::new(message.compact()))
    }

    fn receiver(&mut self) -> Result<Receiver, RecordProblem> {
        let session = self.session()?;
        let qos = self.qos()?;
        let retain = self.flag()?;
        let is_retained = self.flag()?;
        let check_delivery = self.flag()?;
        let mut subscription_ids = Vec::new();
        for _ in 0..self.number()? {
            subscription_ids.push(self.subscription_id()?);
        }
        let packet_id = self.option(Self::id)?;
        Ok(Receiver { session, qos, retain, is_retained, check_delivery, subscription_ids, packet_id })
    }

    fn record(&mut self) -> Result<Record, RecordProblem> {
        Ok(match self.byte()? {
            1 => Record::Began { session: self.session()?, key: Arc::new(self.key()?) },
            2 => Record::Changed {
                session: self.session()?,
                expiry: self.option(Self::number)?.map(Duration::from_secs),
                gone_since: self.option(Self::moment)?,
                will: self.option(|decoder| {
                    Ok(KeptWill {
                        message: decoder.message()?,
                        delay: Duration::from_secs(decoder.number()?),
                        expiry_interval: decoder.option(Self::narrow)?,
                    })
                })?,
            },
            3 => Record::Subscribed {
                session: self.session()?,
                filter: self.filter()?,
                options: SubscriptionOptions {
                    qos: self.qos()?,
                    no_local: self.flag()?,
                    retain_as_published: self.flag()?,
                    id: self.option(Self::subscription_id)?,
                    check_delivery: self.flag()?,
                },
            },
            4 => Record::Unsubscribed { session: self.session()?, filter: self.filter()? },
            5 => {
                let message = self.message()?;
                let once = self.option(Self::once)?;
                let mut receivers = Vec::new();
                for _ in 0..self.number()? {
                    receivers.push(self.receiver()?);
                }
                Record::Queued { message, receivers, once }
            }
            6 => Record::Sent { session: self.session()?, packet_id: self.id()? },
            7 => Record::Dropped { session: self.session()? },
            8 => Record::InFlight {
                receiver: self.receiver()?,
                message: self.message()?,
                stage: match self.byte()? {
                    0 => KeptStage::Ack,
                    1 => KeptStage::Rec,
                    2 => KeptStage::Comp,
                    _ => return Err(RecordProblem::Value),
                },
            },
            9 => Record::Received { session: self.session()?, packet_id: self.id()? },
            10 => Record::Finished { session: self.session()?, packet_id: self.id()? },
            11 => Record::Taken { session: self.session()?, packet_id: self.id()? },
            12 => Record::Released { session: self.session()?, packet_id: self.id()? },
            13 => Record::Spilled { session: self.session()? },
            14 => {
                let (session, first) = (self.session()?, self.number()?);
                let mut sizes = Vec::new();
                for _ in 0..self.number()? {
                    sizes.push((self.narrow()?, self.number()?));
                }
                Record::Chunks { session, first, sizes }
            }
            15 => Record::Ended { session: self.session()? },
            16 => Record::Once { session: self.session()?, once: self.once()? },
            17 => Record::Forgotten { session: self.session()?, once: self.once()? },
            18 => Record::Skipped { session: self.session()? },
            _ => return Err(RecordProblem::Value),
        })
    }
}

#[cfg(test)]
mod tests;
