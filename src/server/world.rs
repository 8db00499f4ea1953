//! What the tasks of one worker share: its shard, its connections, and the ways to everybody else.

use super::changes::{Changes, Closed};
use super::clock::Clock;
use super::mailbox::{Asked, Mail, Question};
use super::outbox::Outbox;
use super::post::{Post, StoreBatch};
use crate::broker::{
    CommitId, CommitOutcome, ConnectionId, Delivery, Effect, Effects, Input, Limits, NumberHasher, PeerFrame, Shard,
    ShardId, Timestamp,
};
use crate::protocol::{Packet, ProtocolVersion};
use bytes::BytesMut;
use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::Notify;

/// The world of one worker. Everything in it belongs to one thread; what leaves it goes through [`Post`].
pub struct World {
    id: ShardId,
    clock: Clock,
    /// The time of the turn; everything that happens in one turn happens at one time.
    now: Cell<Option<Timestamp>>,
    limits: Limits,
    shard: RefCell<Shard>,
    outboxes: RefCell<HashMap<ConnectionId, Member, BuildHasherDefault<NumberHasher>>>,
    last_connection: Cell<u64>,
    effects: RefCell<Effects>,
    /// Frames for each shard that were made in this turn.
    frames: RefCell<Vec<Vec<PeerFrame>>>,
    /// Changes that go into the next frame.
    changes: RefCell<Changes>,
    /// Whether a frame is on its way to the disk. What changes meanwhile gathers for the next one, which relies on it.
    is_storing: Cell<bool>,
    post: Arc<Post>,
    read_buffer: RefCell<BytesMut>,
    spare: RefCell<Vec<BytesMut>>,
    /// Rings when the shard's next deadline may have come closer.
    pub deadline_moved: Notify,
    armed: Cell<u64>,
    /// Read and written.
    bytes: Cell<(u64, u64)>,
    /// Cloned by every connection that is being served, so that they can be counted.
    served: Rc<()>,
}

struct Member {
    outbox: Rc<Outbox>,
    version: ProtocolVersion,
    /// The largest packet it takes.
    maximum: u32,
}

impl World {
    /// What one read returns at most, in bytes.
    pub const CHUNK: usize = 64 << 10;

    /// Bytes of changes that gather while a frame is on its way to the disk. More is not taken from clients: a disk
    /// that stalls must not fill the memory.
    const WAITING_FOR_DISK: usize = 32 << 20;

    /// Emptied write buffers that are kept for the next connection that writes.
    const SPARE_BUFFERS: usize = 32;

    /// Larger write buffers are given back to the allocator.
    const SPARE_CAPACITY: usize = 256 << 10;

    /// A world around a shard.
    pub fn new(id: ShardId, shard: Shard, limits: Limits, clock: Clock, post: Arc<Post>) -> Self {
        let peers = post.mailboxes.len();
        Self {
            id,
            clock,
            now: Cell::default(),
            limits,
            shard: RefCell::new(shard),
            outboxes: RefCell::default(),
            last_connection: Cell::new(0),
            effects: RefCell::default(),
            frames: RefCell::new((0..peers).map(|_| Vec::new()).collect()),
            changes: RefCell::default(),
            is_storing: Cell::new(false),
            post,
            read_buffer: RefCell::default(),
            spare: RefCell::default(),
            deadline_moved: Notify::new(),
            armed: Cell::new(u64::MAX),
            bytes: Cell::default(),
            served: Rc::default(),
        }
    }

    /// The shard of this world.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// The largest packet that clients may send.
    pub fn max_packet_size(&self) -> u32 {
        self.limits.max_packet_size
    }

    /// Gives a connection its number and its outbox.
    pub fn enter(&self, version: ProtocolVersion, maximum: u32) -> (ConnectionId, Rc<Outbox>) {
        let id = ConnectionId(self.last_connection.get() + 1);
        self.last_connection.set(id.0);
        let outbox = Rc::new(Outbox::default());
        let member = Member { outbox: Rc::clone(&outbox), version, maximum };
        self.outboxes.borrow_mut().insert(id, member);
        (id, outbox)
    }

    /// A connection is gone.
    pub fn forget(&self, id: ConnectionId) {
        self.outboxes.borrow_mut().remove(&id);
    }

    /// To be held while a connection is being served.
    pub fn served(&self) -> Rc<()> {
        Rc::clone(&self.served)
    }

    /// Whether the last connection has written its last byte, and the last change is on disk.
    pub fn is_deserted(&self) -> bool {
        Rc::strong_count(&self.served) == 1 && !self.is_storing.get() && self.changes.borrow().is_empty()
    }

    /// Lets the shard act on something. What it wants from other threads is collected until [`World::end_turn`].
    pub fn input(&self, input: Input) {
        self.act(|shard, now, effects| shard.handle(now, input, effects));
    }

    /// Does something to the shard, and what it wants done then.
    fn act<R>(&self, deed: impl FnOnce(&mut Shard, Timestamp, &mut Effects) -> R) -> R {
        let mut effects = self.effects.take();
        let result = deed(&mut self.shard.borrow_mut(), self.now(), &mut effects);
        while let Some(effect) = effects.pop() {
            self.perform(effect);
        }
        self.effects.replace(effects);
        result
    }

    /// The time of this turn. A clock is read once for all packets of a chunk, where each reading costs as much as
    /// routing a message.
    fn now(&self) -> Timestamp {
        let now = self.now.get().unwrap_or_else(|| self.clock.now());
        self.now.set(Some(now));
        now
    }

    /// Puts a question to the shard.
    pub fn ask(&self, question: Question) {
        let bytes = self.bytes.get();
        self.act(|shard, now, effects| (question.0)(Asked { shard, now, effects, bytes }));
    }

    /// Counts bytes that connections of this worker read and wrote.
    pub fn count_bytes(&self, read: usize, written: usize) {
        let (before_read, before_written) = self.bytes.get();
        self.bytes.set((before_read.wrapping_add(read as u64), before_written.wrapping_add(written as u64)));
    }

    fn perform(&self, effect: Effect) {
        match effect {
            Effect::Deliver { connection, delivery } => self.deliver(connection, &delivery),
            Effect::Send { connection, packet } => self.send(connection, &packet),
            Effect::Close { connection, reason: _ } => {
                if let Some(member) = self.outboxes.borrow_mut().remove(&connection) {
                    member.outbox.close();
                }
            }
            Effect::Store { commit, durability, op } => self.changes.borrow_mut().push(commit, durability, op),
            Effect::Unstore(commit) => self.changes.borrow_mut().remove(commit),
            Effect::Load(chunk) => self.post.load(self.id, chunk),
            Effect::Record(event) => self.post.record(*event),
            Effect::Forward { peer, frame } => {
                if let Some(frames) = self.frames.borrow_mut().get_mut(usize::from(peer.0)) {
                    frames.push(frame);
                }
            }
        }
    }

    fn deliver(&self, connection: ConnectionId, delivery: &Delivery) {
        if let Some(member) = self.outboxes.borrow().get(&connection) {
            member.outbox.write(|buffer| {
                self.prepare(buffer);
                // The shard has checked the length against what the client takes.
                delivery.encode(member.version, buffer);
            });
        }
    }

    fn send(&self, connection: ConnectionId, packet: &Packet) {
        if let Some(member) = self.outboxes.borrow().get(&connection) {
            member.outbox.write(|buffer| {
                self.prepare(buffer);
                if packet.encode(member.version, member.maximum, buffer).is_err() {
                    // Even without its reason string the packet is too large for this client, which then goes without.
                    tracing::debug!(packet = packet.name(), "not sent: larger than the client takes");
                }
            });
        }
    }

    /// An idle connection owns no buffer; one that is to write gets a used one.
    fn prepare(&self, buffer: &mut BytesMut) {
        if buffer.capacity() == 0
            && let Some(spare) = self.spare.borrow_mut().pop()
        {
            *buffer = spare;
        }
    }

    /// Takes an emptied write buffer back.
    pub fn give_back(&self, mut buffer: BytesMut) {
        let mut spare = self.spare.borrow_mut();
        buffer.clear();
        if spare.len() < Self::SPARE_BUFFERS && buffer.try_reclaim(1) && buffer.capacity() <= Self::SPARE_CAPACITY {
            spare.push(buffer);
        }
    }

    /// The buffer that all connections of this worker read into, with room for a chunk.
    pub fn read_buffer(&self) -> RefMut<'_, BytesMut> {
        let mut buffer = self.read_buffer.borrow_mut();
        buffer.reserve(Self::CHUNK);
        buffer
    }

    /// Sends everything that was collected for other threads.
    pub fn end_turn(&self) {
        if !self.is_storing.get() && !self.changes.borrow().is_empty() {
            self.input(Input::FrameEnds);
            let Closed { ops, durability, commit } = self.changes.borrow_mut().close();
            self.is_storing.set(true);
            self.post.store(StoreBatch { from: self.id, changes: ops, durability, commit });
        }
        self.send_frames();
        self.now.set(None);
        let left_out = self.shard.borrow_mut().take_left_out();
        if left_out > 0 {
            self.post.leave_out(left_out);
        }
        let next = self.shard.borrow().next_deadline().map_or(u64::MAX, Timestamp::as_millis);
        if next < self.armed.get() {
            self.armed.set(next);
            self.deadline_moved.notify_one();
        }
    }

    fn send_frames(&self) {
        for (peer, frames) in self.frames.borrow_mut().iter_mut().enumerate() {
            if !frames.is_empty() {
                let frames = std::mem::take(frames);
                self.post.mail(peer, Mail::Frames { from: self.id, frames });
            }
        }
    }

    /// Whether another worker or the disk must catch up before more is taken from clients.
    pub fn is_backlogged(&self) -> bool {
        self.changes.borrow().bytes() > Self::WAITING_FOR_DISK || self.post.is_backlogged(self.id)
    }

    /// Does what is due, and says how long it is until there is something to do again.
    pub fn tick(&self) -> Option<std::time::Duration> {
        // Nothing to be woken for while the answer is on its way to the one who would be woken.
        self.armed.set(0);
        self.now.set(None);
        self.input(Input::Tick);
        self.end_turn();
        let next = self.shard.borrow().next_deadline();
        self.armed.set(next.map_or(u64::MAX, Timestamp::as_millis));
        let next = next?;
        Some(self.clock.until(next))
    }

    /// Acts on a piece of mail that is not a connection.
    pub fn frames(&self, from: ShardId, frames: Vec<PeerFrame>) {
        for frame in frames {
            self.input(Input::Forwarded { peer: from, frame });
        }
    }

    /// The store has dealt with a frame.
    pub fn committed(&self, commit: CommitId, outcome: CommitOutcome) {
        self.is_storing.set(false);
        self.input(Input::Committed { commit, outcome });
    }
}
