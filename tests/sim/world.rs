//! The world: shards, clients, network, disk and clock, moved one small step at a time by chance.
//!
//! A run has three parts. In the first anything may happen. In the second nobody begins anything new, everybody comes
//! back, and all that is under way is finished: then nothing may be owed. In the third everybody leaves for good, and
//! nothing may be left. At any moment the broker may end and start again, which is the matter of `restart`; the last two
//! parts are in `ending`.

mod restart;
mod ending;

use crate::bounds::Bounds;
use crate::client::{Client, Manners, Phase};
use crate::disk::Disk;
use crate::network::{Network, Stage, Wire};
use crate::oracle::Oracle;
use crate::random::Random;
use crate::rules::Rules;
use securemq::broker::{
    Address, Carrier, ChunkId, ClockReading, CommitOutcome, Connecting, ConnectionId, Effect, Effects, Input, Limits,
    Policy, QueueParts, Reason, SessionKey, Shard, ShardId, Timestamp, partition_of_session, shard_of_partition,
};
use securemq::protocol::{Connect, Packet, decode};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// The longest that a session outlives its connection, in seconds.
pub const MAX_EXPIRY: u32 = 300;

/// How many of the last events are kept while tracing.
const TRACED: usize = 100_000;

/// What one run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What the shards handled.
    pub inputs: u64,
    /// How often the broker was started.
    pub starts: u64,
    /// Of everything that happened.
    pub hash: u64,
    /// The promise that was broken.
    pub broken: Option<String>,
    /// The last that happened.
    pub trace: Vec<String>,
}

pub struct World {
    random: Random,
    plan: Plan,
    limits: Limits,
    /// The true time, whoever is running.
    now: Timestamp,
    /// When the broker was started, and what its clock showed then.
    started: Timestamp,
    head_start: Timestamp,
    /// How many shards it runs with, and how often it was started.
    shard_count: u16,
    starts: u64,
    shards: Vec<Shard>,
    clients: Vec<Client>,
    network: Network,
    disk: Disk,
    /// Nothing fits on the disk any more.
    is_full: bool,
    /// Parts of queues that shards asked the disk for.
    loads: VecDeque<(u16, ChunkId)>,
    /// Those that it could not read, which it can the next time.
    unread: BTreeSet<ChunkId>,
    oracle: Oracle,
    policy: Arc<Policy>,
    steps: u64,
    inputs: u64,
    hash: u64,
    trace: Option<VecDeque<String>>,
}

/// What may happen in a run, and how often: runs that differ find more than runs that are all alike.
struct Plan {
    steps: usize,
    manners: Manners,
    /// How often bytes, frames and commits move, for what clients do in the meantime.
    bytes: usize,
    mail: usize,
    commits: usize,
    breaks: usize,
    rudeness: usize,
    policies: usize,
    crashes: usize,
    /// Commits that fail, in percent.
    failures: usize,
    /// How often the disk fills up.
    fills: usize,
    /// Parts of queues that cannot be read the first time, in percent.
    unreadable: usize,
    /// Seconds that the clock jumps at most.
    longest_jump: usize,
}

/// Something that can happen.
#[derive(Clone, Copy)]
enum Step {
    Act,
    ToServer,
    ToClient,
    Authenticate,
    Mail,
    Commit,
    Tick,
    Clock,
    Break,
    Notice,
    Written,
    MakePolicy,
    ApplyPolicy,
    Fill,
    Crash,
}

impl Plan {
    fn random(random: &mut Random) -> Self {
        Self {
            steps: random.between(200, 3000),
            manners: Manners::random(random),
            bytes: random.pick(&[100, 300, 600]),
            mail: random.pick(&[30, 200, 500]),
            commits: random.pick(&[10, 80]),
            breaks: random.pick(&[0, 1, 6, 20]),
            rudeness: random.pick(&[0, 0, 3]),
            policies: random.pick(&[0, 0, 2, 8]),
            crashes: random.pick(&[0, 0, 1, 2, 5]),
            failures: random.pick(&[0, 0, 0, 20]),
            fills: random.pick(&[0, 0, 0, 1]),
            unreadable: random.pick(&[0, 0, 30]),
            longest_jump: random.pick(&[1, 1, 10, 60]),
        }
    }
}

/// Bounds that are near, so that runs of some thousand steps reach them. They stay for all starts of a run.
fn limits(random: &mut Random) -> Limits {
    let usual = Limits::default();
    let short = QueueParts {
        head_messages: random.between(1, 4),
        head_bytes: 1000,
        chunk_messages: random.between(1, 5),
        chunk_bytes: 1000,
    };
    Limits {
        receive_maximum: 5,
        max_inflight: 3,
        topic_alias_maximum: 2,
        max_session_expiry: MAX_EXPIRY,
        high_water: 150,
        max_journal_bytes: random.pick(&[300, 1500, 6000]),
        queue_parts: random.pick(&[usual.queue_parts, short, short]),
        ..usual
    }
}

impl World {
    pub fn new(seed: u64, traces: bool) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::random(&mut random);
        let bounds = Bounds::random(seed);
        let limits = bounds.apply(&limits(&mut random));
        let mut taken: Vec<SessionKey> = Vec::new();
        let mut clients = Vec::new();
        for _ in 0..random.between(2, 10) {
            if let Some(client) = Client::random(&mut random, &taken) {
                taken.push(client.key.clone());
                clients.push(client);
            }
        }
        Self {
            now: Timestamp::from_millis(1_000),
            started: Timestamp::default(),
            head_start: Timestamp::default(),
            shard_count: random.between(1, 4) as u16,
            starts: 0,
            limits,
            shards: Vec::new(),
            clients,
            network: Network::default(),
            is_full: false,
            loads: VecDeque::new(),
            unread: BTreeSet::new(),
            disk: Disk::new(),
            oracle: Oracle::new(bounds),
            policy: Rules::open(0).policy(),
            steps: 0,
            inputs: 0,
            hash: 0xcbf2_9ce4_8422_2325,
            trace: traces.then(VecDeque::new),
            random,
            plan,
        }
    }

    /// Runs to the end, or to the first promise that is broken.
    pub fn run(mut self) -> Report {
        self.start();
        self.live();
        self.finish();
        self.leave();
        let trace = self.trace.take().unwrap_or_default().into();
        Report { inputs: self.inputs, starts: self.starts, hash: self.hash, broken: self.oracle.broken, trace }
    }

    fn is_broken(&self) -> bool {
        self.oracle.broken.is_some()
    }

    /// The first part: anything may happen.
    fn live(&mut self) {
        for _ in 0..self.plan.steps {
            if self.is_broken() {
                return;
            }
            let plan = &self.plan;
            let step = self.random.weighted(&[
                (300, Step::Act),
                (plan.bytes, Step::ToServer),
                (plan.bytes, Step::ToClient),
                (80, Step::Authenticate),
                (plan.mail, Step::Mail),
                (plan.commits, Step::Commit),
                (50, Step::Tick),
                (30, Step::Clock),
                (plan.breaks, Step::Break),
                (60, Step::Notice),
                (80, Step::Written),
                (plan.policies, Step::MakePolicy),
                (50, Step::ApplyPolicy),
                (if self.is_full { 10 } else { plan.fills }, Step::Fill),
                (plan.crashes, Step::Crash),
            ]);
            self.step(step);
        }
    }

    fn step(&mut self, step: Step) {
        self.steps += 1;
        match step {
            Step::Act => self.client_acts(),
            Step::ToServer => self.bytes_reach_the_server(),
            Step::ToClient => self.bytes_reach_a_client(),
            Step::Authenticate => self.a_login_is_checked(),
            Step::Mail => self.a_frame_arrives(),
            Step::Commit => self.the_disk_commits(),
            Step::Tick => self.a_shard_looks_at_its_timers(),
            Step::Clock => self.time_passes(),
            Step::Break => self.a_connection_breaks(),
            Step::Notice => self.an_end_is_noticed(),
            Step::Written => self.a_shard_hears_that_all_is_written(),
            Step::MakePolicy => self.a_policy_is_made(),
            Step::ApplyPolicy => self.a_shard_gets_a_policy(),
            Step::Fill => self.the_disk_fills_or_empties(),
            Step::Crash => self.crash(),
        }
    }

    fn client_acts(&mut self) {
        let at = self.random.below(self.clients.len());
        let Some(connection) = self.clients[at].connection else { return self.client_connects(at) };
        if self.random.chance(1) {
            // It thinks that its connection is dead, which the broker does not know yet.
            self.close_for_client(at);
            return self.client_connects(at);
        }
        if self.clients[at].phase != Phase::Connected {
            return;
        }
        if self.random.below(1000) < self.plan.rudeness {
            let rude = self.clients[at].be_rude(&mut self.random);
            self.note(|| format!("client {at} is rude"));
            let wire = self.network.wire(connection);
            wire.is_rude = true;
            return wire.client_sends_bytes(&rude);
        }
        if self.clients[at].has_nothing_to_send() || self.random.chance(20) {
            self.clients[at].act(&self.plan.manners, &mut self.random, &mut self.oracle);
        }
        self.client_sends(at);
    }

    fn client_connects(&mut self, at: usize) {
        let connection = self.network.open(at, self.clients[at].version);
        let hello = self.clients[at].hello(connection, &mut self.random, &mut self.oracle);
        self.say_hello(at, connection, &hello);
    }

    fn say_hello(&mut self, at: usize, connection: ConnectionId, hello: &Packet) {
        self.note(|| format!("client {at} opens {connection:?}: {hello:?}"));
        self.network.wire(connection).client_sends(hello);
    }

    /// What a client has ready goes on the wire.
    fn client_sends(&mut self, at: usize) {
        let Some(connection) = self.clients[at].connection else { return };
        let Some((packet, number)) = self.clients[at].next_to_send() else { return };
        self.note(|| format!("client {at} sends on {connection:?}: {packet:?}"));
        let wire = self.network.wire(connection);
        wire.published.extend(number);
        wire.client_sends(&packet);
        if packet.name() == "DISCONNECT" {
            self.close_for_client(at);
        }
    }

    fn close_for_client(&mut self, at: usize) {
        if let Some(connection) = self.clients[at].connection {
            self.network.wire(connection).client_closed = true;
        }
        self.clients[at].forget_connection();
    }

    fn any(&mut self, connections: &[ConnectionId]) -> Option<ConnectionId> {
        (!connections.is_empty()).then(|| self.random.pick(connections))
    }

    fn bytes_reach_the_server(&mut self) {
        let ready = self.network.which(Wire::can_move_to_server);
        let Some(connection) = self.any(&ready) else { return };
        let len = self.network.wire(connection).len_to_server();
        let count = if self.random.chance(70) { len } else { self.random.between(1, len) };
        self.network.wire(connection).move_to_server(count);
        self.server_reads(connection);
    }

    /// The server takes whole packets off what has arrived.
    fn server_reads(&mut self, connection: ConnectionId) {
        loop {
            let wire = self.network.wire(connection);
            let version = match wire.stage {
                Stage::Fresh => None,
                Stage::Open(_) => Some(wire.version),
                Stage::Authenticating(_) => return,
                Stage::Gone => return wire.at_server.clear(),
            };
            let mut bytes = wire.at_server.split().freeze();
            let result = decode(&mut bytes, version, 1 << 20);
            wire.at_server.extend_from_slice(&bytes);
            match (result, wire.shard()) {
                (Ok(None), _) => return,
                (Ok(Some(Packet::Connect(connect))), None) => self.login_begins(connection, *connect),
                (Ok(Some(packet)), Some(shard)) => self.packet_arrives(shard, connection, packet),
                (Err(violation), Some(shard)) => self.input(shard, Input::Violated { connection, violation }),
                (Ok(Some(_)) | Err(_), None) => return self.oracle.violation("no client here begins with that"),
            }
        }
    }

    fn login_begins(&mut self, connection: ConnectionId, connect: Connect) {
        let wire = self.network.wire(connection);
        let key = self.clients[wire.client].key.clone();
        wire.stage = Stage::Authenticating(Box::new(Connecting {
            connection,
            connect,
            client_id: key.client_id,
            is_assigned: false,
            principal: key.principal,
            address: Address::Local,
            carrier: Carrier::Tls,
            durability: None,
        }));
    }

    fn packet_arrives(&mut self, shard: u16, connection: ConnectionId, packet: Packet) {
        let wire = self.network.wire(connection);
        let number = if matches!(packet, Packet::Publish(_)) { wire.published.pop_front() } else { None };
        self.begin();
        self.oracle.packet_arrives(connection, &packet, number);
        self.handle(shard, Input::Packet { connection, packet });
    }

    fn a_login_is_checked(&mut self) {
        let waiting = self.network.which(|wire| matches!(wire.stage, Stage::Authenticating(_)));
        let Some(connection) = self.any(&waiting) else { return };
        let wire = self.network.wire(connection);
        let Stage::Authenticating(connecting) = std::mem::replace(&mut wire.stage, Stage::Gone) else { return };
        let key = SessionKey { principal: connecting.principal.clone(), client_id: connecting.client_id.clone() };
        let shard = shard_of_partition(partition_of_session(&key), self.shard_count).0;
        wire.stage = Stage::Open(shard);
        self.begin();
        self.oracle.connects(&key, connection, &connecting.connect);
        self.handle(shard, Input::Connect(connecting));
        self.server_reads(connection);
    }

    fn bytes_reach_a_client(&mut self) {
        let ready = self.network.which(Wire::can_move_to_client);
        let Some(connection) = self.any(&ready) else { return };
        let len = self.network.wire(connection).len_to_client();
        let count = if self.random.chance(70) { len } else { self.random.between(1, len) };
        self.client_reads(connection, count);
    }

    fn client_reads(&mut self, connection: ConnectionId, count: usize) {
        let wire = self.network.wire(connection);
        let bytes = wire.move_to_client(count);
        bytes.iter().for_each(|byte| self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        loop {
            let wire = self.network.wire(connection);
            let (at, version) = (wire.client, wire.version);
            let mut bytes = wire.at_client.split().freeze();
            let result = decode(&mut bytes, Some(version), u32::MAX);
            wire.at_client.extend_from_slice(&bytes);
            match result {
                Ok(None) => return,
                Ok(Some(packet)) => {
                    self.note(|| format!("client {at} reads on {connection:?}: {packet:?}"));
                    let session = self.oracle.session_of(connection);
                    self.clients[at].receive(packet, session, &mut self.oracle);
                }
                Err(violation) => {
                    return self.oracle.violation(&format!("the server sends bytes that are bad: {violation}"));
                }
            }
        }
    }

    fn a_frame_arrives(&mut self) {
        let boxes = self.network.mailboxes();
        if !boxes.is_empty() {
            let pair = self.random.pick(&boxes);
            self.deliver_frame(pair);
        }
    }

    fn deliver_frame(&mut self, (from, to): (u16, u16)) {
        let Some(frame) = self.network.next_frame((from, to)) else { return };
        self.begin();
        self.oracle.frame_arrives(from, to, &frame);
        self.handle(to, Input::Forwarded { peer: ShardId(from), frame });
    }

    fn the_disk_commits(&mut self) {
        if let Some((shard, chunk)) = self.loads.pop_front() {
            let fails = self.random.chance(self.plan.unreadable) && self.unread.insert(chunk);
            let records = if fails { None } else { self.disk.chunk(chunk, self.clock()) };
            return self.input(shard, Input::ChunkLoaded { chunk, records });
        }
        let waiting = self.disk.waiting();
        if waiting.is_empty() {
            return;
        }
        let shard = self.random.pick(&waiting);
        if !self.disk.is_storing(shard) {
            self.input(shard, Input::FrameEnds);
            return self.disk.send_frame(shard);
        }
        let fails = self.is_full || self.random.chance(self.plan.failures);
        self.commit(shard, if fails { CommitOutcome::Failed } else { CommitOutcome::Stored });
    }

    fn commit(&mut self, shard: u16, outcome: CommitOutcome) {
        let commit = self.disk.commit(shard, outcome, self.clock());
        self.begin();
        self.oracle.commit_arrives(shard, commit, outcome);
        self.handle(shard, Input::Committed { commit, outcome });
        if outcome == CommitOutcome::Stored && !self.disk.waiting().contains(&shard) {
            self.compare_sessions(shard);
        }
    }

    /// All that a shard does about the time is done when it asks for no [`Input::Tick`] any more.
    fn a_shard_looks_at_its_timers(&mut self) {
        let (due, idle): (Vec<u16>, Vec<u16>) = (0..self.shard_count).partition(|&shard| self.is_due(shard));
        if !due.is_empty() {
            let shard = self.random.pick(&due);
            self.input(shard, Input::Tick);
        }
        for shard in idle {
            let sessions = self.shards[usize::from(shard)].session_count();
            self.oracle.nothing_is_due(self.now, shard, sessions);
        }
    }

    fn is_due(&self, shard: u16) -> bool {
        let now = self.shard_now();
        self.shards[usize::from(shard)].next_deadline().is_some_and(|deadline| deadline <= now)
    }

    fn the_disk_fills_or_empties(&mut self) {
        self.is_full = !self.is_full;
        let is_full = self.is_full;
        self.note(|| format!("the disk is full: {is_full}"));
    }

    fn time_passes(&mut self) {
        let jump = self.random.between(1, 1000 * self.plan.longest_jump);
        self.now = self.now.after(Duration::from_millis(jump as u64));
        self.note(|| format!("{jump} ms pass"));
    }

    fn a_connection_breaks(&mut self) {
        let whole = self.network.which(|wire| !wire.is_broken);
        if let Some(connection) = self.any(&whole) {
            self.note(|| format!("{connection:?} breaks"));
            self.network.wire(connection).is_broken = true;
        }
    }

    /// One end of a connection finds out that the other is gone.
    fn an_end_is_noticed(&mut self) {
        if self.random.chance(50) {
            let ends = self.network.which(Wire::ends_for_server);
            if let Some(connection) = self.any(&ends) {
                self.server_notices(connection);
            }
        } else {
            let ends = self.network.which(Wire::ends_for_client);
            if let Some(connection) = self.any(&ends) {
                self.client_notices(connection);
            }
        }
    }

    fn server_notices(&mut self, connection: ConnectionId) {
        let wire = self.network.wire(connection);
        let shard = wire.shard();
        wire.stage = Stage::Gone;
        if let Some(shard) = shard {
            self.begin();
            self.oracle.connection_is_lost(connection);
            self.handle(shard, Input::Lost { connection, reason: Reason::ConnectionLost });
        }
        self.clean_up();
    }

    fn client_notices(&mut self, connection: ConnectionId) {
        let wire = self.network.wire(connection);
        wire.client_closed = true;
        let at = wire.client;
        if self.clients[at].connection == Some(connection) {
            self.clients[at].forget_connection();
        }
        self.clean_up();
    }

    fn clean_up(&mut self) {
        let clients = &self.clients;
        self.network.clean_up(|client, connection| clients[client].connection == Some(connection));
    }

    fn a_shard_hears_that_all_is_written(&mut self) {
        let owing = self.network.which(|wire| wire.owes_written && wire.len_to_client() == 0 && wire.shard().is_some());
        if let Some(connection) = self.any(&owing) {
            self.written(connection);
        }
    }

    fn written(&mut self, connection: ConnectionId) {
        let wire = self.network.wire(connection);
        wire.owes_written = false;
        if let Some(shard) = wire.shard() {
            self.input(shard, Input::Written { connection });
        }
    }

    fn a_policy_is_made(&mut self) {
        let generation = self.oracle.newest_rules().generation + 1;
        self.make_policy(|random| Rules::random(generation, random));
    }

    fn make_policy(&mut self, make: impl FnOnce(&mut Random) -> Rules) {
        let rules = make(&mut self.random);
        self.note(|| format!("a policy is made: {:?}", rules.policy()));
        self.oracle.policy_made(rules);
    }

    fn a_shard_gets_a_policy(&mut self) {
        let shard = self.random.below(self.shards.len()) as u16;
        self.apply_policy(shard);
    }

    fn apply_policy(&mut self, shard: u16) {
        let Some(rules) = self.oracle.next_rules_for(shard) else { return };
        let policy = rules.policy();
        self.begin();
        self.oracle.policy_arrives(shard);
        self.handle(shard, Input::PolicyChanged(policy));
    }

    /// What the clock of the broker shows, which begins anew with every start.
    fn shard_now(&self) -> Timestamp {
        self.head_start.after(self.now.since(self.started))
    }

    /// Both clocks; the one on the wall is the true time.
    fn clock(&self) -> ClockReading {
        ClockReading { now: self.shard_now(), wall_ms: self.now.as_millis() }
    }

    fn begin(&mut self) {
        self.oracle.begins(self.now);
    }

    fn input(&mut self, shard: u16, input: Input) {
        self.begin();
        self.handle(shard, input);
    }

    /// A shard handles an input that the oracle knows of.
    fn handle(&mut self, shard: u16, input: Input) {
        self.note(|| format!("shard {shard} gets {input:?}"));
        self.inputs += 1;
        let mut effects = Effects::default();
        let now = self.shard_now();
        self.shards[usize::from(shard)].handle(now, input, &mut effects);
        while let Some(effect) = effects.pop() {
            self.effect(shard, effect);
        }
        self.oracle.ends();
    }

    fn effect(&mut self, shard: u16, effect: Effect) {
        self.note(|| format!("  shard {shard} does {effect:?}"));
        self.hash = (self.hash ^ u64::from(shard)).wrapping_mul(0x0100_0000_01b3);
        let is_rude = match &effect {
            Effect::Close { connection, .. } => self.network.wires.get(connection).is_none_or(|wire| wire.is_rude),
            _ => false,
        };
        self.oracle.effect(shard, &effect, is_rude);
        match effect {
            Effect::Send { connection, packet } => self.network.wire(connection).server_sends(&packet),
            Effect::Deliver { connection, delivery } => self.network.wire(connection).server_delivers(&delivery),
            Effect::Close { connection, .. } => {
                let wire = self.network.wire(connection);
                wire.server_closed = true;
                wire.stage = Stage::Gone;
            }
            Effect::Store { commit, op, .. } => self.disk.write(shard, commit, op),
            Effect::Unstore(commit) => self.disk.unwrite(shard, commit),
            Effect::Forward { peer, frame } => self.network.post(shard, peer.0, frame),
            Effect::Load(chunk) => self.loads.push_back((shard, chunk)),
            Effect::Record(_) => {}
        }
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            if trace.len() == TRACED {
                trace.pop_front();
            }
            trace.push_back(format!("{:>6} {:>8} {}", self.steps, self.now.as_millis(), line()));
        }
    }
}
