//! No path may be quadratic: many subscriptions, many connections, a burst.

use crate::broker::{Broker, Kind};
use crate::peer::{self, PUBACK, Peer};
use std::time::{Duration, Instant};

/// Something that is measured for a number of things.
pub struct Measurement {
    pub name: &'static str,
    measure: fn(&Broker, u32) -> Duration,
}

impl Measurement {
    /// With a new broker.
    pub fn run(&self, kind: Kind, count: u32) -> Duration {
        (self.measure)(&Broker::start(kind), count)
    }
}

pub const ALL: [Measurement; 4] = [
    Measurement { name: "subscriptions in one client, then a message to each", measure: subscriptions },
    Measurement { name: "connections, each with a subscription, then a message to all", measure: connections },
    Measurement { name: "messages of QoS 0 in one burst", measure: burst_of_qos_0 },
    Measurement { name: "messages of QoS 1 in one burst", measure: burst_of_qos_1 },
];

/// Filters per SUBSCRIBE.
const BATCH: usize = 100;

fn subscriptions(broker: &Broker, count: u32) -> Duration {
    let mut client = Peer::connect(broker.address, "subscriber");
    let mut publisher = Peer::connect(broker.address, "publisher");
    let filter = |number: u32| format!("size/{}/{}/+", number % 100, number);
    let begin = Instant::now();
    let filters: Vec<String> = (0..count).map(filter).collect();
    for filters in filters.chunks(BATCH) {
        client.subscribe(filters, 0);
    }
    for number in 0..count {
        publisher.send(&peer::publish(&format!("size/{}/{}/x", number % 100, number), 0, 0, b"x"));
        // A window of one batch: what is measured is finding, not queueing.
        if number % 100 == 99 {
            client.each_packet(BATCH, |packet| assert_eq!(packet[0], 0x30));
        }
    }
    begin.elapsed()
}

/// Connections that are opened before the first of them is waited for.
const DIALS: u32 = 64;

fn connections(broker: &Broker, count: u32) -> Duration {
    let begin = Instant::now();
    let mut clients = Vec::new();
    for first in (0..count).step_by(DIALS as usize) {
        let dialled: Vec<Peer> = (first..(first + DIALS).min(count))
            .map(|number| Peer::dial(broker.address, &format!("client {number}")))
            .collect();
        for mut client in dialled {
            client.accepted();
            client.subscribe(&["size/all".into()], 0);
            clients.push(client);
        }
    }
    let mut publisher = Peer::connect(broker.address, "publisher");
    publisher.send(&peer::publish("size/all", 0, 0, b"x"));
    for client in &mut clients {
        client.each_packet(1, |packet| assert_eq!(packet[0], 0x30));
    }
    begin.elapsed()
}

fn burst_of_qos_0(broker: &Broker, count: u32) -> Duration {
    burst(broker, 0, count)
}

fn burst_of_qos_1(broker: &Broker, count: u32) -> Duration {
    burst(broker, 1, count)
}

/// All of it in one write; the subscriber reads while the publisher writes. QoS 1 goes in pieces of what the broker
/// takes unacknowledged.
fn burst(broker: &Broker, qos: u8, count: u32) -> Duration {
    const PIECE: u32 = 1000;
    const TOPIC: &str = "size/burst";
    let mut subscriber = Peer::connect(broker.address, "subscriber");
    subscriber.subscribe(&[TOPIC.into()], qos);
    let mut publisher = Peer::connect(broker.address, "publisher");
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut left = count as usize;
            let mut acknowledgements = Vec::new();
            while left > 0 {
                left -= subscriber.some_packets(left, |packet| {
                    if qos > 0 {
                        let [high, low] = peer::packet_id(packet, TOPIC);
                        acknowledgements.extend([PUBACK, 2, high, low]);
                    }
                });
                subscriber.send(&acknowledgements);
                acknowledgements.clear();
            }
        });
        let piece = if qos > 0 { PIECE } else { count };
        for first in (0..count).step_by(piece as usize) {
            let numbers = first..(first + piece).min(count);
            let length = numbers.len();
            let packets = numbers.map(|number| {
                let packet_id = u16::try_from(number % 60_000).unwrap() + 1;
                peer::publish(TOPIC, qos, packet_id, &number.to_be_bytes())
            });
            publisher.send(&packets.collect::<Vec<_>>().concat());
            if qos > 0 {
                publisher.each_packet(length, |packet| assert_eq!(packet[0], PUBACK));
            }
        }
    });
    begin.elapsed()
}
