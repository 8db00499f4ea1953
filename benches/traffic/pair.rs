//! One publisher, one subscriber: how many messages a second, and what each costs the broker.

use crate::broker::{Broker, Kind};
use crate::peer::{self, PUBACK, Peer};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const TOPIC: &str = "bench/pair";

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub messages: u32,
    pub payload: usize,
    /// How many messages the publisher may be ahead of the subscriber.
    pub window: u32,
}

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub elapsed: Duration,
    pub cpu: Duration,
    pub messages: u32,
}

impl Outcome {
    fn per_second(&self) -> f64 {
        f64::from(self.messages) / self.elapsed.as_secs_f64()
    }
}

/// Starts a broker and sends the load through it once, after a tenth of it to warm up.
pub fn measure(kind: Kind, qos: u8, load: &Load) -> Outcome {
    let broker = Broker::start(kind);
    let mut subscriber = Peer::connect(broker.address, "subscriber");
    subscriber.subscribe(&[TOPIC.into()], qos);
    let mut publisher = Peer::connect(broker.address, "publisher");
    let warm_up = Load { messages: load.messages / 10, ..*load };
    run(&mut publisher, &mut subscriber, qos, &warm_up);
    let (begin, cpu) = (Instant::now(), broker.cpu_time());
    run(&mut publisher, &mut subscriber, qos, load);
    Outcome { elapsed: begin.elapsed(), cpu: broker.cpu_time() - cpu, messages: load.messages }
}

fn run(publisher: &mut Peer, subscriber: &mut Peer, qos: u8, load: &Load) {
    let received = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| receive(subscriber, qos, load, &received));
        send(publisher, qos, load, &received);
    });
}

fn receive(subscriber: &mut Peer, qos: u8, load: &Load, received: &AtomicU32) {
    let mut left = load.messages as usize;
    let mut acknowledgements = Vec::new();
    while left > 0 {
        let count = subscriber.some_packets(left, |publish| {
            assert_eq!(publish[0] & 0xF0, 0x30, "PUBLISH");
            if qos > 0 {
                let [high, low] = peer::packet_id(publish, TOPIC);
                acknowledgements.extend([PUBACK, 2, high, low]);
            }
        });
        if !acknowledgements.is_empty() {
            subscriber.send(&acknowledgements);
            acknowledgements.clear();
        }
        left -= count;
        received.fetch_add(u32::try_from(count).unwrap(), Ordering::Release);
    }
}

/// QoS 1 is paced by its acknowledgements, QoS 0 by what the subscriber has seen.
fn send(publisher: &mut Peer, qos: u8, load: &Load, received: &AtomicU32) {
    let payload = vec![b'x'; load.payload];
    let (mut sent, mut acknowledged, mut next_id) = (0, 0, 1u16);
    let mut batch = Vec::new();
    while sent < load.messages || (qos > 0 && acknowledged < load.messages) {
        let done = if qos > 0 { acknowledged } else { received.load(Ordering::Acquire) };
        let room = (done + load.window - sent).min(load.messages - sent);
        for _ in 0..room {
            batch.extend(peer::publish(TOPIC, qos, next_id, &payload));
            next_id = next_id.checked_add(1).unwrap_or(1);
        }
        if !batch.is_empty() {
            publisher.send(&batch);
            batch.clear();
            sent += room;
        }
        if qos > 0 {
            let open = (sent - acknowledged) as usize;
            let count = publisher.some_packets(open, |packet| assert_eq!(packet[0], PUBACK));
            acknowledged += u32::try_from(count).unwrap();
        } else if room == 0 {
            std::thread::yield_now();
        }
    }
}

/// A row of the table: the run in the middle, and how far the others were from it.
pub fn row(kind: Kind, qos: u8, mut outcomes: Vec<Outcome>) -> String {
    outcomes.sort_by_key(|outcome| outcome.elapsed);
    let median = outcomes[outcomes.len() / 2];
    let (fastest, slowest) = (outcomes[0], outcomes[outcomes.len() - 1]);
    let cpu = median.cpu.as_secs_f64() * 1e6 / f64::from(median.messages);
    format!(
        "| {kind} | {qos} | {:.0} | {:.0} to {:.0} | {cpu:.2} µs |",
        median.per_second(),
        slowest.per_second(),
        fastest.per_second()
    )
}
