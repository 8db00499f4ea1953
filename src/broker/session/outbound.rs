//! What a client is to be sent: in flight until it is acknowledged, queued until it may be sent.

use super::waiting::Waiting;
use crate::broker::durability::Durability;
use crate::broker::effect::CommitId;
use crate::broker::limits::QueueParts;
use crate::broker::message::Message;
use crate::broker::routing::Match;
use crate::broker::subscription::SubscriptionOptions;
use crate::protocol::{Absent, PacketId, QoS, Rare, SubscriptionId};
use std::collections::VecDeque;
use std::sync::Arc;

/// A message that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// What.
    pub message: Arc<Message>,
    /// The lower of the message's and the subscription's.
    pub qos: QoS,
    /// What the receiver is told.
    pub retain: bool,
    /// Of the subscriptions that matched.
    pub subscription_ids: Vec<SubscriptionId>,
    /// Whether the rights of the moment decide again when it is sent.
    pub check_delivery: bool,
    /// Whether it is the stored message of a topic, which counts against another bound.
    pub is_retained: bool,
}

impl Queued {
    /// A message for all subscriptions of a session that it matches. [v5:MQTT-3.3.1-12] [v5:MQTT-3.3.1-13]
    pub fn live(message: Arc<Message>, found: &Match) -> Self {
        Self {
            qos: message.qos.min(found.qos),
            retain: found.retain_as_published && message.retain,
            message,
            subscription_ids: found.subscription_ids.clone(),
            check_delivery: found.check_delivery,
            is_retained: false,
        }
    }

    /// A retained message for a new subscription. [v5:MQTT-3.3.1-8]
    pub fn retained(message: Arc<Message>, options: &SubscriptionOptions) -> Self {
        Self {
            qos: message.qos.min(options.qos),
            message,
            retain: true,
            subscription_ids: options.id.into_iter().collect(),
            check_delivery: options.check_delivery,
            is_retained: true,
        }
    }

    /// Whether a durable session writes down what becomes of it.
    pub fn is_recorded(&self) -> bool {
        self.qos > QoS::AtMostOnce && self.message.durability > Durability::Memory
    }
}

/// A message that was sent and is not completely acknowledged.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its identifier, kept when it is sent again. [v5:MQTT-4.4.0-1]
    pub packet_id: PacketId,
    /// The message.
    pub queued: Queued,
    /// What is awaited.
    pub stage: Stage,
    /// The record that says to whom the message is owed, if it went in flight at once.
    pub record: CommitId,
    /// Counts what was sent, so that the age of an identifier is known.
    serial: u64,
}

/// What a message in flight waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// PUBACK.
    Ack,
    /// PUBREC.
    Rec,
    /// PUBCOMP: PUBREL was sent.
    Comp,
}

impl Stage {
    /// What a message waits for when it was sent.
    pub fn first(qos: QoS) -> Self {
        match qos {
            QoS::ExactlyOnce => Self::Rec,
            QoS::AtMostOnce | QoS::AtLeastOnce => Self::Ack,
        }
    }
}

/// The sending side of a session.
///
/// The queue of a durable session has three parts, in this order: its head in memory, chunks on disk, and its end in
/// memory. Only the head is sent from; when it runs out, the next chunk is read back. So what an absent client is owed
/// takes disk and not memory, and which message is where follows from the changes alone, so that replaying them leads
/// to the same parts. Messages of the class `memory`, of which no change is written down, are kept beside them.
#[derive(Debug, Default)]
pub struct Outbound {
    inflight: VecDeque<Sent>,
    /// How many at the end of those in flight this connection has not been sent again yet.
    unsent: usize,
    /// What will be in flight once the client takes more.
    head: Part,
    /// The rest of the queue.
    rest: Rare<Rest>,
    /// How many above QoS 0 and not of the class `memory` were queued, and taken out again, since the session is in memory.
    queued: u64,
    taken: u64,
    /// What is of QoS 0 and waits for the socket alone: the receive maximum must not delay it. [v5:MQTT-3.3.4-10]
    of_qos0: Part,
    next_id: Option<PacketId>,
    serial: u64,
}

/// What only the queue of a durable session has.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rest {
    /// How many messages and bytes each chunk on disk has, and all of them.
    chunks: VecDeque<(u32, u64)>,
    on_disk: Waiting,
    /// The number of the first chunk.
    first_chunk: u64,
    /// Whether the first chunk is on its way back.
    is_loading: bool,
    end: Part,
    /// What is of the class `memory`, and for each of these how many of the others had been queued before it.
    of_memory: Part,
    queued_before: VecDeque<u64>,
    /// How the queue is cut to leave the memory; `None` if it may not.
    parts: Option<QueueParts>,
}

impl Absent for Rest {
    fn absent() -> &'static Self {
        static ABSENT: Rest = Rest {
            chunks: VecDeque::new(),
            on_disk: Waiting { messages: 0, bytes: 0 },
            first_chunk: 0,
            is_loading: false,
            end: Part { messages: VecDeque::new(), bytes: 0, retained: 0 },
            of_memory: Part { messages: VecDeque::new(), bytes: 0, retained: 0 },
            queued_before: VecDeque::new(),
            parts: None,
        };
        &ABSENT
    }
}

/// Messages in memory with their size.
#[derive(Debug, Default, PartialEq, Eq)]
struct Part {
    messages: VecDeque<Queued>,
    bytes: usize,
    retained: usize,
}

impl Part {
    fn push(&mut self, queued: Queued) {
        if queued.is_retained {
            self.retained = self.retained.saturating_add(1);
        } else {
            self.bytes = self.bytes.saturating_add(queued.message.size());
        }
        self.messages.push_back(queued);
    }

    fn pop(&mut self) -> Option<Queued> {
        let queued = self.messages.pop_front()?;
        if queued.is_retained {
            self.retained = self.retained.saturating_sub(1);
        } else {
            self.bytes = self.bytes.saturating_sub(queued.message.size());
        }
        if self.messages.is_empty() {
            // A burst must not pin its high-water mark in every session.
            self.messages = VecDeque::new();
        }
        Some(queued)
    }

    fn len(&self) -> usize {
        self.messages.len().saturating_sub(self.retained)
    }
}

impl Outbound {
    /// Lets the queue leave the memory from now on.
    pub fn make_durable(&mut self, parts: QueueParts) {
        self.rest.parts = Some(parts);
    }

    /// Messages in flight.
    pub fn inflight_len(&self) -> usize {
        self.inflight.len()
    }

    /// Messages in flight, in the order they were sent.
    pub fn inflight(&self) -> impl Iterator<Item = &Sent> {
        self.inflight.iter()
    }

    /// The head of the queue and its end, with the chunks that lie between them.
    pub fn queue(&self) -> (impl Iterator<Item = &Queued>, u64, Vec<(u32, u64)>, impl Iterator<Item = &Queued>) {
        let chunks = self.rest.chunks.iter().copied().collect();
        (self.head.messages.iter(), self.rest.first_chunk, chunks, self.rest.end.messages.iter())
    }

    /// What is queued.
    pub fn waiting(&self) -> Waiting {
        let parts = [&self.head, &self.rest.end, &self.rest.of_memory, &self.of_qos0];
        parts.iter().fold(self.rest.on_disk, |sum, part| sum.with(Waiting { messages: part.len(), bytes: part.bytes }))
    }

    /// Retained messages that wait to be sent.
    pub fn queued_retained(&self) -> usize {
        [&self.head, &self.rest.end, &self.rest.of_memory, &self.of_qos0].iter().map(|part| part.retained).sum()
    }

    /// Bytes of QoS 0 that wait.
    pub fn queued_qos0_bytes(&self) -> usize {
        self.of_qos0.bytes
    }

    /// Bytes that wait and cannot leave the memory.
    pub fn queued_memory_bytes(&self) -> usize {
        self.rest.of_memory.bytes
    }

    /// Whether nothing waits.
    pub fn queue_is_empty(&self) -> bool {
        self.queue_is_empty_for(QoS::AtMostOnce) && self.queue_is_empty_for(QoS::AtLeastOnce)
    }

    /// Whether nothing of this level waits, so that the next such message may be sent at once.
    pub fn queue_is_empty_for(&self, qos: QoS) -> bool {
        match qos {
            QoS::AtMostOnce => self.of_qos0.messages.is_empty(),
            QoS::AtLeastOnce | QoS::ExactlyOnce => self.recorded_is_empty() && self.rest.of_memory.messages.is_empty(),
        }
    }

    fn recorded_is_empty(&self) -> bool {
        self.head.messages.is_empty() && self.rest.chunks.is_empty() && self.rest.end.messages.is_empty()
    }

    /// Queues at the end.
    pub fn push(&mut self, queued: Queued) {
        if queued.qos == QoS::AtMostOnce {
            return self.of_qos0.push(queued);
        }
        if self.rest.parts.is_some() && !queued.is_recorded() {
            self.rest.queued_before.push_back(self.queued);
            return self.rest.of_memory.push(queued);
        }
        self.queued = self.queued.wrapping_add(1);
        let is_long = self.rest.parts.is_some_and(|parts| {
            self.head.messages.len() >= parts.head_messages || self.head.bytes >= parts.head_bytes
        });
        let has_more = !self.rest.chunks.is_empty() || !self.rest.end.messages.is_empty();
        if has_more || is_long {
            self.rest.end.push(queued);
        } else {
            self.head.push(queued);
        }
    }

    /// Adds to the head, however long it is: for rebuilding what was there.
    pub fn push_head(&mut self, queued: Queued) {
        self.queued = self.queued.wrapping_add(1);
        self.head.push(queued);
    }

    /// Adds to the end, whatever the head has: for rebuilding what was there.
    pub fn push_end(&mut self, queued: Queued) {
        self.queued = self.queued.wrapping_add(1);
        self.rest.end.push(queued);
    }

    /// Says which chunks are on disk: for rebuilding what was there.
    pub fn set_chunks(&mut self, first: u64, sizes: Vec<(u32, u64)>) {
        let messages: u64 = sizes.iter().map(|(messages, _)| u64::from(*messages)).sum();
        self.queued = self.queued.wrapping_add(messages);
        self.rest.first_chunk = first;
        self.rest.on_disk = sizes.iter().fold(Waiting::default(), |sum, chunk| sum.with(Waiting::of_chunk(*chunk)));
        self.rest.chunks = sizes.into();
    }

    /// Whether the end is long enough to leave the memory.
    pub fn can_spill(&self) -> bool {
        self.rest.parts.is_some_and(|parts| {
            self.rest.end.messages.len() >= parts.chunk_messages || self.rest.end.bytes >= parts.chunk_bytes
        })
    }

    /// Takes the end out as the next chunk, with its number.
    pub fn spill(&mut self) -> (u64, Vec<Queued>) {
        let number = self.rest.first_chunk.saturating_add(u64::try_from(self.rest.chunks.len()).unwrap_or(u64::MAX));
        let end = std::mem::take(&mut self.rest.end);
        let messages = u32::try_from(end.messages.len()).unwrap_or(u32::MAX);
        let chunk = (messages, u64::try_from(end.bytes).unwrap_or(u64::MAX));
        self.rest.chunks.push_back(chunk);
        self.rest.on_disk = self.rest.on_disk.with(Waiting::of_chunk(chunk));
        (number, end.messages.into())
    }

    /// The chunk that must be read back before anything more can be sent; asked for once.
    pub fn wanted_chunk(&mut self) -> Option<u64> {
        if self.rest.is_loading || !self.head.messages.is_empty() || self.rest.chunks.is_empty() {
            return None;
        }
        self.rest.is_loading = true;
        Some(self.rest.first_chunk)
    }

    /// The first chunk is back, or cannot be read; whether it was waited for.
    pub fn chunk_loaded(&mut self, number: u64, messages: Vec<Queued>) -> bool {
        if !self.rest.is_loading || number != self.rest.first_chunk {
            return false;
        }
        self.rest.is_loading = false;
        let expected = self.drop_first_chunk();
        let missing = expected.saturating_sub(u64::try_from(messages.len()).unwrap_or(u64::MAX));
        self.taken = self.taken.wrapping_add(missing);
        messages.into_iter().for_each(|queued| self.head.push(queued));
        self.draw_up();
        true
    }

    /// The first chunk is no longer of the queue: its number, and how many messages it has. One that is on its way back
    /// stays.
    pub fn skip_chunk(&mut self) -> Option<(u64, u64)> {
        if self.rest.is_loading || self.rest.chunks.is_empty() {
            return None;
        }
        let number = self.rest.first_chunk;
        let messages = self.drop_first_chunk();
        self.taken = self.taken.wrapping_add(messages);
        self.draw_up();
        Some((number, messages))
    }

    /// A chunk that is on its way back will not come.
    pub fn give_up_loading(&mut self) {
        if self.rest.is_loading {
            self.rest.is_loading = false;
        }
    }

    /// The chunk that is on its way back.
    pub fn loading(&self) -> Option<u64> {
        self.rest.is_loading.then_some(self.rest.first_chunk)
    }

    fn drop_first_chunk(&mut self) -> u64 {
        self.rest.first_chunk = self.rest.first_chunk.saturating_add(1);
        let Some(chunk) = self.rest.chunks.pop_front() else { return 0 };
        self.rest.on_disk = self.rest.on_disk.without(Waiting::of_chunk(chunk));
        u64::from(chunk.0)
    }

    /// Takes the next of QoS 0 out of the queue.
    pub fn pop_qos0(&mut self) -> Option<Queued> {
        self.of_qos0.pop()
    }

    /// Takes the next above QoS 0 out of the queue, in the order in which they came.
    pub fn pop(&mut self) -> Option<Queued> {
        let is_its_turn = |before: &u64| *before <= self.taken || self.recorded_is_empty();
        if self.rest.queued_before.front().is_some_and(is_its_turn) {
            self.rest.queued_before.pop_front();
            return self.rest.of_memory.pop();
        }
        let queued = self.head.pop()?;
        self.taken = self.taken.wrapping_add(1);
        self.draw_up();
        Some(queued)
    }

    /// With nothing in between, the end becomes the head.
    fn draw_up(&mut self) {
        if self.head.messages.is_empty() && self.rest.chunks.is_empty() && !self.rest.end.messages.is_empty() {
            self.head = std::mem::take(&mut self.rest.end);
        }
    }

    /// Drops what is queued and may not be kept for an absent client.
    pub fn drop_queued_qos0(&mut self) {
        self.of_qos0 = Part::default();
    }

    /// Puts a message in flight that was there before: for rebuilding what was there.
    pub fn put_inflight(&mut self, packet_id: PacketId, queued: Queued, stage: Stage) {
        self.serial = self.serial.wrapping_add(1);
        self.inflight.push_back(Sent { packet_id, queued, stage, record: CommitId(0), serial: self.serial });
        self.next_id = Some(packet_id.next());
    }

    /// Puts a message in flight under an identifier that no other message in flight has. [v5:MQTT-2.2.1-4]
    pub fn send(&mut self, queued: Queued) -> PacketId {
        let packet_id = self.free_packet_id();
        let stage = Stage::first(queued.qos);
        self.serial = self.serial.wrapping_add(1);
        self.inflight.push_back(Sent { packet_id, queued, stage, record: CommitId(0), serial: self.serial });
        packet_id
    }

    /// Remembers the record of the message that was sent last.
    pub fn note_record(&mut self, packet_id: PacketId, record: CommitId) {
        if let Some(sent) = self.inflight.back_mut().filter(|sent| sent.packet_id == packet_id) {
            sent.record = record;
        }
    }

    fn free_packet_id(&mut self) -> PacketId {
        let mut id = self.next_id.unwrap_or(PacketId::FIRST);
        // Identifiers are given in turn, so one can only be in use if the oldest message in flight was sent nearly a
        // whole round ago. The receive maximum is at most 65,535, of which that message has one, so the search ends.
        let oldest = self.inflight.front().map_or(self.serial, |sent| sent.serial);
        if self.serial.wrapping_sub(oldest) >= Self::SAFE_ROUND {
            while self.inflight.iter().any(|sent| sent.packet_id == id) {
                id = id.next();
            }
        }
        self.next_id = Some(id.next());
        id
    }

    /// A full round is 65,535 identifiers; skipping those in use shortens it by at most as many as are in flight.
    const SAFE_ROUND: u64 = 32_000;

    /// Ends a message that waits for this acknowledgement; `None` if there is none.
    pub fn acknowledge(&mut self, packet_id: PacketId, stage: Stage) -> Option<Sent> {
        let at = self.position(packet_id)?;
        if self.inflight.get(at)?.stage != stage {
            return None;
        }
        self.take(at)
    }

    /// PUBREC came: the message is the client's now, only its identifier stays. Whether it was awaited.
    pub fn receive(&mut self, packet_id: PacketId) -> bool {
        let sent = self.position(packet_id).and_then(|at| self.inflight.get_mut(at));
        match sent {
            Some(sent) if sent.stage != Stage::Ack => {
                sent.stage = Stage::Comp;
                true
            }
            _ => false,
        }
    }

    /// A new connection begins: what is in flight is to be sent again.
    pub fn begin_connection(&mut self) {
        self.unsent = self.inflight.len();
    }

    /// Whether something in flight is to be sent again first.
    pub fn has_unsent(&self) -> bool {
        self.unsent > 0
    }

    /// Messages in flight that this connection was sent.
    pub fn inflight_on_connection(&self) -> usize {
        self.inflight.len().saturating_sub(self.unsent)
    }

    /// The next message that is to be sent again, in the order of the first time. [v5:MQTT-4.6.0-1]
    pub fn next_unsent(&mut self) -> Option<Sent> {
        if self.unsent == 0 {
            return None;
        }
        let sent = self.inflight.get(self.inflight_on_connection())?.clone();
        self.unsent = self.unsent.saturating_sub(1);
        Some(sent)
    }

    /// Takes a message out of flight without an acknowledgement.
    pub fn forget(&mut self, packet_id: PacketId) -> Option<Sent> {
        let at = self.position(packet_id)?;
        self.take(at)
    }

    fn take(&mut self, at: usize) -> Option<Sent> {
        if at >= self.inflight_on_connection() {
            self.unsent = self.unsent.saturating_sub(1);
        }
        self.inflight.remove(at)
    }

    /// Acknowledgements mostly come in the order of the messages, so the search ends at once.
    fn position(&self, packet_id: PacketId) -> Option<usize> {
        self.inflight.iter().position(|sent| sent.packet_id == packet_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::message::Origin;
    use crate::protocol::{Rare, TopicName};
    use bytes::Bytes;

    fn queued(qos: QoS) -> Queued {
        let message = Message {
            topic: TopicName::try_from("t").unwrap(),
            payload: Bytes::new(),
            qos,
            retain: false,
            expires_at: None,
            origin: Origin::System,
            durability: crate::broker::Durability::Commit,
            properties: Rare::NOTHING,
        };
        let options =
            SubscriptionOptions { qos, no_local: false, retain_as_published: false, id: None, check_delivery: false };
        Queued::live(Arc::new(message), &Match::new(0, &options))
    }

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    /// [v5:MQTT-2.2.1-4]
    #[test]
    fn an_identifier_is_not_given_again_while_it_is_in_use_even_after_a_whole_round() {
        let mut outbound = Outbound::default();
        let kept = [outbound.send(queued(QoS::AtLeastOnce)), outbound.send(queued(QoS::ExactlyOnce))];
        for _ in 0..200_000 {
            let given = outbound.send(queued(QoS::AtLeastOnce));
            assert!(!kept.contains(&given));
            assert!(outbound.acknowledge(given, Stage::Ack).is_some());
        }
        assert_eq!(outbound.inflight_len(), 2);
    }

    /// [v5:MQTT-4.6.0-1]
    #[test]
    fn what_is_sent_again_keeps_its_order_whatever_is_acknowledged_meanwhile() {
        let mut outbound = Outbound::default();
        for _ in 0..5 {
            outbound.send(queued(QoS::AtLeastOnce));
        }
        outbound.begin_connection();
        assert_eq!(outbound.next_unsent().map(|sent| sent.packet_id), Some(id(1)));
        assert!(outbound.acknowledge(id(3), Stage::Ack).is_some(), "a client may acknowledge what it had before");
        assert!(outbound.acknowledge(id(1), Stage::Ack).is_some());
        assert_eq!(outbound.inflight_on_connection(), 0);
        let rest: Vec<_> = std::iter::from_fn(|| outbound.next_unsent()).map(|sent| sent.packet_id).collect();
        assert_eq!(rest, [id(2), id(4), id(5)]);
        assert!(!outbound.has_unsent());
        assert_eq!(outbound.inflight_on_connection(), 3);
    }

    #[test]
    fn an_acknowledgement_of_the_wrong_kind_ends_nothing() {
        let mut outbound = Outbound::default();
        let (first, second) = (outbound.send(queued(QoS::AtLeastOnce)), outbound.send(queued(QoS::ExactlyOnce)));
        assert!(outbound.acknowledge(first, Stage::Rec).is_none());
        assert!(!outbound.receive(first));
        assert!(outbound.acknowledge(second, Stage::Comp).is_none());
        assert!(outbound.receive(second));
        assert!(outbound.receive(second), "PUBREC may come twice");
        assert!(outbound.acknowledge(second, Stage::Rec).is_none());
        assert!(outbound.acknowledge(second, Stage::Comp).is_some());
        assert_eq!(outbound.inflight_len(), 1);
    }
}
