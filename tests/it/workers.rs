//! Several workers: clients that are served by different ones get the same promises.
//!
//! Which worker serves a client follows from its identifier, so every test uses many of them.

use crate::support::broker::{Broker, Settings};
use crate::support::raw::Client;
use crate::support::wire::{Connect, Publish, Request, Will};
use std::collections::HashMap;
use std::time::{Duration, Instant};

const CLIENTS: usize = 12;

fn broker() -> Broker {
    Settings::open().workers(3).start()
}

fn subscribers(broker: &Broker, filter: &str, qos: u8) -> Vec<Client> {
    let subscriber = |number| {
        let mut client = broker.client(&format!("subscriber {number}"));
        client.subscribe(filter, qos);
        client
    };
    (0..CLIENTS).map(subscriber).collect()
}

/// Every publisher to every subscriber, all levels; each publisher's order holds at each subscriber.
#[test]
fn messages_reach_everybody_in_order() {
    const EACH: u16 = 40;
    let broker = broker();
    for qos in [0, 1, 2] {
        let mut subscribers = subscribers(&broker, "all/+", qos);
        let publishers: Vec<_> = (0..4)
            .map(|publisher| {
                let mut client = broker.client(&format!("publisher {publisher}"));
                std::thread::spawn(move || {
                    for number in 0..EACH {
                        client.publish(Publish::new(&format!("all/{publisher}"), number.to_be_bytes()).qos(qos));
                    }
                    client.ping();
                })
            })
            .collect();
        for subscriber in &mut subscribers {
            let mut next = HashMap::<String, u16>::new();
            for _ in 0..4 * EACH {
                let message = subscriber.message();
                let expected = next.entry(message.topic).or_default();
                assert_eq!(message.payload, expected.to_be_bytes(), "QoS {qos}");
                *expected += 1;
            }
            subscriber.expect_quiet();
        }
        for publisher in publishers {
            publisher.join().unwrap();
        }
    }
}

/// SUBACK is a promise: whatever is published anywhere after it was sent, is delivered.
#[test]
fn nothing_published_after_suback_is_missed() {
    let broker = broker();
    let mut publishers: Vec<_> = (0..CLIENTS).map(|number| broker.client(&format!("publisher {number}"))).collect();
    for round in 0..5 {
        for number in 0..CLIENTS {
            let mut subscriber = broker.client(&format!("subscriber {round} {number}"));
            let topic = format!("promise/{round}/{number}");
            subscriber.subscribe(&topic, 1);
            for publisher in &mut publishers {
                publisher.send_publish(Publish::new(&topic, "x"));
            }
            for _ in 0..CLIENTS {
                assert_eq!(subscriber.message().text(), "x");
            }
        }
    }
}

/// UNSUBACK is one as well: nothing that is published after it comes.
#[test]
fn nothing_published_after_unsuback_comes() {
    let broker = broker();
    let mut subscribers = subscribers(&broker, "left", 1);
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.unsubscribe(&["left"]), [0]);
    }
    let mut publisher = broker.client("publisher");
    publisher.publish(Publish::new("left", "x").qos(1));
    for subscriber in &mut subscribers {
        subscriber.subscribe("mark", 1);
    }
    publisher.publish(Publish::new("mark", "mark").qos(1));
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.message().text(), "mark");
    }
}

/// A group whose members are served by different workers is one group.
#[test]
fn a_shared_message_goes_to_one_member() {
    let broker = broker();
    let mut members = subscribers(&broker, "$share/group/work", 1);
    let mut publishers: Vec<_> = (0..4).map(|number| broker.client(&format!("publisher {number}"))).collect();
    for number in 0..120usize {
        publishers[number % 4].publish(Publish::new("work", number.to_string()).qos(1));
    }
    let mut received = Vec::new();
    let deadline = Instant::now() + crate::support::PATIENCE;
    while received.len() < 120 {
        assert!(Instant::now() < deadline, "{} of 120 messages came", received.len());
        for member in &mut members {
            while let Some(message) = member.poll_message(Duration::from_millis(5)) {
                received.push(message.text().parse::<usize>().unwrap());
            }
        }
    }
    received.sort_unstable();
    assert_eq!(received, (0..120).collect::<Vec<_>>());
    for member in &mut members {
        member.expect_quiet();
    }
}

/// Retained messages are known to all workers once the publisher has its acknowledgement.
#[test]
fn retained_messages_are_known_everywhere() {
    let broker = broker();
    let mut keepers: Vec<_> = (0..4).map(|number| broker.client(&format!("keeper {number}"))).collect();
    for round in 0..20 {
        let payload = round.to_string();
        keepers[round % 4].publish(Publish::new("kept", payload.as_str()).qos(1).retain());
        let mut client = broker.client(&format!("client {round}"));
        client.subscribe("kept", 1);
        assert_eq!(client.message().text(), payload);
        client.expect_quiet();
    }
}

/// Takeover, resume and wills, for identifiers of every worker.
#[test]
fn sessions_live_on_every_worker() {
    let broker = broker();
    let mut watcher = broker.client("watcher");
    watcher.subscribe("will/#", 1);
    let mut publisher = broker.client("publisher");
    for number in 0..CLIENTS {
        let topic = format!("session/{number}");
        let lasting = Connect::v5(&format!("session {number}")).lasting();
        let mut first = broker.connect(&lasting);
        first.subscribe(&topic, 2);
        let will = Will::new(&format!("will/{number}"), number.to_string());
        let second = broker.connect(&lasting.clone().will(will));
        first.expect_disconnect(0x8E);
        assert!(second.connack.session_present);
        second.vanish();
        assert_eq!(watcher.message().text(), number.to_string());
        publisher.publish(Publish::new(&topic, "while away").qos(2));
        assert_eq!(broker.connect(&lasting).message().text(), "while away");
    }
}

/// One worker alone is a broker too.
#[test]
fn one_worker_is_enough() {
    let broker = Settings::open().workers(1).start();
    let mut clients = subscribers(&broker, "all", 2);
    clients[0].subscribe_with(&[Request::new("$share/group/all", 1)], &[]);
    clients[1].publish(Publish::new("all", "x").qos(2));
    assert_eq!(clients[0].payloads(2), ["x", "x"]);
    for client in &mut clients[1..] {
        assert_eq!(client.message().text(), "x");
    }
}

/// A worker that has no connections would be the first to leave, and the wills that others send it with their last breath
/// would be lost.
#[test]
fn the_wills_of_a_clean_stop_reach_absent_subscribers_on_every_worker() {
    for _ in 0..3 {
        let mut broker = broker();
        let lasting = |number: usize| Connect::v5(&format!("away {number}")).lasting();
        for number in 0..CLIENTS {
            let mut away = broker.connect(&lasting(number));
            away.subscribe("will", 1);
            away.disconnect();
        }
        let leaving = broker.connect(&Connect::v5("leaving").will(Will::new("will", "last words").qos(1)));
        broker.stop();
        drop(leaving);
        let broker = broker.restart_stopped();
        for number in 0..CLIENTS {
            assert_eq!(broker.connect(&lasting(number)).payloads(1), ["last words"], "client {number}");
        }
    }
}
