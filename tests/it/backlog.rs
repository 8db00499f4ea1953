//! Many messages for clients that are away: on disk and not in memory, and delivered in order.
//!
//! `SECUREMQ_BACKLOG` sets how many wait for each of `SECUREMQ_BACKLOG_CLIENTS` clients.

use crate::support::broker::{Broker, Settings};
use crate::support::raw::Client;
use crate::support::setting;
use crate::support::wire::{self, Connect, Packet, Publish};
use std::time::Instant;

const PAYLOAD: usize = 200;
/// Messages under way.
const WINDOW: u32 = 500;
/// What queues may add to the memory of the broker, whatever their length.
const MEMORY: u64 = 100 * 1024 * 1024;

/// So many messages for each of so many clients wait over a restart.
#[test]
fn a_backlog_takes_no_memory_and_is_delivered_in_order_after_a_restart() {
    let (clients, count) = (setting("SECUREMQ_BACKLOG_CLIENTS", 10), setting("SECUREMQ_BACKLOG", 3000_u32));
    let mut broker = Settings::open().workers(2).set("LOG__PUBLISH", false).start();
    for number in 0..clients {
        let mut client = broker.connect(&absent(number));
        client.subscribe(&topic(number), 1);
        client.vanish();
    }
    let before = broker.resident_bytes();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for half in 0..2 {
            let client = broker.client(&format!("publisher {half}"));
            let receivers: Vec<_> = (half..clients).step_by(2).collect();
            scope.spawn(move || publish_all(client, &receivers, count));
        }
    });
    let publishing = begin.elapsed();
    let grown = broker.resident_bytes().saturating_sub(before);
    assert!(grown < MEMORY, "{clients} x {count} messages take {grown} bytes of memory");
    let mut starting = None;
    broker = broker.restart_and(|_| starting = Some(Instant::now()));
    let (starting, after) = (starting.unwrap().elapsed(), broker.resident_bytes());
    eprintln!(
        "{clients} x {count} messages: published in {publishing:.1?}, {} KiB more than {} KiB of memory, ready again in \
         {starting:.2?} with {} KiB",
        grown / 1024,
        before / 1024,
        after / 1024
    );
    assert!(after < before + MEMORY, "after the restart the broker has {after} bytes, once it had {before}");
    let begin = Instant::now();
    (0..clients).for_each(|number| receive_all(&broker, number, count));
    eprintln!("received in {:.1?}", begin.elapsed());
}

fn absent(number: u32) -> Connect {
    Connect::v5(&format!("absent {number}")).lasting()
}

fn topic(number: u32) -> String {
    format!("backlog/{number}")
}

fn publish_all(mut client: Client, receivers: &[u32], count: u32) {
    let mut open = 0;
    for number in 0..count {
        for receiver in receivers {
            let payload = format!("{number:0PAYLOAD$}");
            client.send_publish(Publish::new(&topic(*receiver), payload).qos(1));
            open += 1;
            while open >= WINDOW {
                take_puback(&mut client);
                open -= 1;
            }
        }
    }
    (0..open).for_each(|_| take_puback(&mut client));
}

fn take_puback(client: &mut Client) {
    match client.receive() {
        Packet::PubAck(ack) if ack.code == 0 => {}
        other => panic!("not taken: {other:?}"),
    }
}

fn receive_all(broker: &Broker, number: u32, count: u32) {
    let mut client = broker.connect(&absent(number));
    assert!(client.connack.session_present);
    for expected in 0..count {
        let publish = client.take_publish();
        assert_eq!(publish.text().parse(), Ok(expected), "client {number}");
        client.send(&wire::acknowledgement(wire::PUBACK, publish.packet_id));
    }
    client.expect_quiet();
}
