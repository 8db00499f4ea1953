//! The end of a run: everything under way is finished, and everybody leaves.

use super::{Step, World};
use crate::client::Client;
use crate::client::Phase;
use crate::network::{Stage, Wire};
use crate::rules::Rules;
use securemq::broker::{
    Address, Carrier, Connecting, ConnectionId, Effect, Effects, Input, Principal, Reason, Shard, ShardId, UserName,
};
use securemq::protocol::{
    ClientId, Connect, ConnectProperties, Credentials, Packet, PacketId, ProtocolVersion, QoS, Subscribe,
    SubscribeRequest, Text,
};
use std::collections::{BTreeMap, VecDeque};

impl World {
    /// The second part: nothing new begins, and everything under way is finished.
    pub(super) fn finish(&mut self) {
        let generation = self.oracle.newest_rules().generation + 1;
        self.make_policy(|_| Rules::open(generation));
        self.plan.policies = 0;
        self.is_full = false;
        // The broker may also end while everybody waits for the last acknowledgements.
        let end = (self.plan.crashes > 0).then(|| self.random.below(1000));
        // What could not be read before is tried again within this time.
        let mut patience = if self.unread.is_empty() { 0 } else { 5 };
        self.plan.unreadable = 0;
        for step in 0..200_000 {
            if self.is_broken() {
                return;
            }
            if end == Some(step) {
                self.crash();
            }
            if !self.finish_something() {
                if self.disk.has_lost() {
                    // A shard tries again what the disk did not take.
                    self.now = self.now.after_secs(1);
                    continue;
                }
                if patience > 0 {
                    patience -= 1;
                    self.now = self.now.after_secs(1);
                    continue;
                }
                self.oracle.check_all();
                if let Some(at) = (0..self.clients.len()).find(|&at| !self.clients[at].has_nothing_outstanding()) {
                    self.oracle.violation(&format!("client {at} waits for an acknowledgement for ever"));
                }
                return self.compare_retained();
            }
        }
        self.oracle.violation("the world never comes to rest");
    }

    /// Does one of the things that are left to do; whether there was one.
    fn finish_something(&mut self) -> bool {
        self.steps += 1;
        if let Some(at) = (0..self.clients.len()).find(|&at| self.clients[at].connection.is_none()) {
            let connection = self.network.open(at, self.clients[at].version);
            let hello = self.clients[at].hello_again(connection, &mut self.random, &mut self.oracle);
            self.say_hello(at, connection, &hello);
            return true;
        }
        if let Some(at) = (0..self.clients.len()).find(|&at| !self.clients[at].has_nothing_to_send()) {
            self.client_sends(at);
            return true;
        }
        let ready = self.ready();
        if !ready.is_empty() {
            let step = self.random.pick(&ready);
            self.step(step);
        }
        !ready.is_empty()
    }

    /// What is under way, so that it can be finished.
    fn ready(&self) -> Vec<Step> {
        let is_any = |is_so: fn(&Wire) -> bool| self.network.wires.values().any(is_so);
        let lacks_a_policy = |shard| self.oracle.next_rules_for(shard).is_some();
        let steps = [
            (Step::ToServer, is_any(Wire::can_move_to_server)),
            (Step::ToClient, is_any(Wire::can_move_to_client)),
            (Step::Authenticate, is_any(|wire| matches!(wire.stage, Stage::Authenticating(_)))),
            (Step::Notice, is_any(|wire| wire.ends_for_server() || wire.ends_for_client())),
            (Step::Written, is_any(|wire| wire.owes_written && wire.len_to_client() == 0 && wire.shard().is_some())),
            (Step::Mail, !self.network.mailboxes().is_empty()),
            (Step::Commit, !self.disk.waiting().is_empty() || !self.loads.is_empty()),
            (Step::Tick, (0..self.shard_count).any(|shard| self.is_due(shard))),
            (Step::ApplyPolicy, (0..self.shard_count).any(lacks_a_policy)),
        ];
        steps.into_iter().filter(|(_, is_ready)| *is_ready).map(|(step, _)| step).collect()
    }

    fn is_quiet(&self) -> bool {
        self.ready().is_empty() && self.clients.iter().all(Client::has_nothing_to_send)
    }

    /// A fresh subscriber on every shard is sent all retained messages, and the disk has the same.
    fn compare_retained(&mut self) {
        let shards: Vec<_> = (0..self.shard_count).map(|shard| self.retained_on(shard)).collect();
        let clock = self.clock();
        let fresh = self.disk.messages(clock).filter(|(message, _)| !message.is_expired(clock.now));
        let on_disk = fresh.map(|(message, _)| {
            (message.topic.as_str().to_owned(), String::from_utf8_lossy(&message.payload).into_owned())
        });
        let on_disk = on_disk.collect();
        self.oracle.check_retained(&shards, &on_disk);
    }

    /// What somebody who may see everything is sent by a shard. It is not told to the oracle, whose matter is clients.
    fn retained_on(&mut self, shard: u16) -> BTreeMap<String, String> {
        let text = |text: &str| Text::try_from(text).unwrap();
        let connection = ConnectionId(u64::MAX - u64::from(shard));
        let client_id = ClientId::new(text("probe")).unwrap();
        let connect = Connect {
            version: ProtocolVersion::V5,
            clean_start: true,
            keep_alive: 0,
            client_id: client_id.text().clone(),
            will: None,
            credentials: Credentials::default(),
            properties: ConnectProperties::default(),
        };
        let connecting = Connecting {
            connection,
            connect,
            client_id,
            is_assigned: false,
            principal: Principal::User(UserName::new("root").unwrap()),
            address: Address::Local,
            carrier: Carrier::Tls,
            durability: None,
        };
        let requests = vec![SubscribeRequest::new(text("#"), QoS::AtMostOnce)];
        let packet_id = PacketId::FIRST;
        let subscribe = Subscribe { packet_id, subscription_id: None, user_properties: Vec::new(), requests };
        let mut kept = BTreeMap::new();
        let mut inputs = VecDeque::from([
            (shard, Input::Connect(Box::new(connecting))),
            (shard, Input::Packet { connection, packet: Packet::Subscribe(subscribe) }),
        ]);
        let mut has_said_all = false;
        while let Some((to, input)) = inputs.pop_front() {
            let mut effects = Effects::default();
            let now = self.shard_now();
            self.shards[usize::from(to)].handle(now, input, &mut effects);
            while let Some(effect) = effects.pop() {
                match effect {
                    Effect::Forward { peer, frame } => {
                        inputs.push_back((peer.0, Input::Forwarded { peer: ShardId(to), frame }));
                    }
                    Effect::Deliver { delivery, .. } => {
                        let message = &delivery.message;
                        let payload = String::from_utf8_lossy(&message.payload).into_owned();
                        kept.insert(message.topic.as_str().to_owned(), payload);
                        inputs.push_back((shard, Input::Written { connection }));
                    }
                    _ => {}
                }
            }
            if inputs.is_empty() && !has_said_all {
                has_said_all = true;
                inputs.push_back((shard, Input::Lost { connection, reason: Reason::ConnectionLost }));
            }
        }
        kept
    }

    /// The third part: everybody ends its session, time passes, and nothing is left.
    pub(super) fn leave(&mut self) {
        if self.is_broken() {
            return;
        }
        // Whoever is refused now would come back for the session that it means to end.
        self.plan.failures = 0;
        for at in 0..self.clients.len() {
            self.close_for_client(at);
            let connection = self.network.open(at, self.clients[at].version);
            let hello = self.clients[at].hello_for_the_last_time(connection);
            self.say_hello(at, connection, &hello);
            for _ in 0..100_000 {
                if self.is_broken() || (self.is_quiet() && self.clients[at].phase == Phase::Connected) {
                    break;
                }
                self.finish_something();
            }
        }
        for at in 0..self.clients.len() {
            self.clients[at].leave();
            self.client_sends(at);
        }
        self.rest();
        self.check_nothing_is_left();
    }

    /// Nothing is left of anybody, and with time not even what was to be looked at later.
    fn check_nothing_is_left(&mut self) {
        self.let_all_deadlines_pass();
        let left = (0..).zip(&self.shards).find_map(|(id, shard): (u16, _)| {
            let counts = [
                ("sessions", shard.session_count(), 0),
                ("connections", shard.connection_count(), 0),
                ("promises", shard.promise_count(), 0),
                ("nodes of filters", shard.filter_node_count(), 1),
                ("timers", usize::from(shard.next_deadline().is_some()), 0),
            ];
            let left = counts.into_iter().find(|(_, count, expected)| count != expected);
            left.map(|(what, count, _)| format!("shard {id} is left with {count} {what}"))
        });
        let counts = [
            ("parts of queues", self.disk.chunk_sizes(self.clock()).len()),
            ("sessions", self.disk.checkpoint_count()),
            ("journals of sessions", self.disk.session_count(self.clock())),
        ];
        let on_disk = counts.into_iter().find(|(_, count)| *count != 0);
        let on_disk = on_disk.map(|(what, count)| format!("the disk is left with {count} {what}"));
        if let Some(what) = left.or(on_disk) {
            self.oracle.violation(&what);
        }
        self.oracle.check_drops();
    }

    /// Time passes until no shard waits for any moment.
    fn let_all_deadlines_pass(&mut self) {
        for _ in 0..100_000 {
            let Some(soonest) = self.shards.iter().filter_map(Shard::next_deadline).min() else { break };
            if self.is_broken() {
                return;
            }
            self.now = self.now.max(self.true_time(soonest));
            self.rest();
        }
        self.rest();
    }

    /// What is under way is finished.
    fn rest(&mut self) {
        for _ in 0..100_000 {
            let ready = self.ready();
            if self.is_broken() || ready.is_empty() {
                break;
            }
            let step = self.random.pick(&ready);
            self.step(step);
        }
    }
}
