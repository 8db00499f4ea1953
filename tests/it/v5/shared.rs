//! Shared subscriptions: every message to one member of the group.

use crate::support::broker::Broker;
use crate::support::raw::Client;
use crate::support::wire::{self, Connect, Packet, Property, Publish, Request};
use std::time::Duration;

/// Collects what the members get until they have so many together.
fn drain(members: &mut [Client], expected: usize) -> Vec<Vec<String>> {
    let mut received = vec![Vec::new(); members.len()];
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while received.iter().map(Vec::len).sum::<usize>() < expected {
        assert!(std::time::Instant::now() < deadline, "not all messages came: {received:?}");
        for (member, received) in members.iter_mut().zip(&mut received) {
            while let Some(message) = member.poll_message(Duration::from_millis(10)) {
                received.push(message.text().to_owned());
            }
        }
    }
    received
}

fn members(broker: &Broker, count: usize, filter: &str, qos: u8) -> Vec<Client> {
    let member = |number| {
        let mut member = broker.client(&format!("member {number}"));
        member.subscribe(filter, qos);
        member
    };
    (0..count).map(member).collect()
}

/// Section 4.8.2: each message to exactly one, and all of them busy.
#[test]
fn every_message_goes_to_one_member() {
    let broker = Broker::start();
    for qos in [0, 1, 2] {
        let mut members = members(&broker, 3, "$share/group/work/#", qos);
        let mut publisher = broker.client("publisher");
        for number in 0..60 {
            publisher.publish(Publish::new("work/item", number.to_string()).qos(qos));
        }
        let received = drain(&mut members, 60);
        assert!(received.iter().all(|part| part.len() >= 10), "one member does the work alone: {received:?}");
        let mut all: Vec<u32> = received.concat().iter().map(|number| number.parse().unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..60).collect::<Vec<_>>());
        for member in &mut members {
            member.expect_quiet();
        }
    }
}

/// Section 4.8.2: groups do not know each other, nor ordinary subscriptions.
#[test]
fn groups_and_ordinary_subscriptions_get_their_own_copies() {
    let broker = Broker::start();
    let mut first = members(&broker, 2, "$share/first/work", 1);
    let mut second = broker.client("second");
    second.subscribe("$share/second/work", 1);
    let mut ordinary = broker.client("ordinary");
    ordinary.subscribe("work", 1);
    let mut publisher = broker.client("publisher");
    for number in 0..10 {
        publisher.publish(Publish::new("work", number.to_string()).qos(1));
    }
    assert_eq!(drain(&mut first, 10).concat().len(), 10);
    assert_eq!(second.payloads(10), ordinary.payloads(10));
}

/// One session may be in a group and subscribe for itself.
#[test]
fn a_member_may_also_subscribe_for_itself() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    client.subscribe("$share/group/work", 1);
    client.subscribe("work", 1);
    client.publish(Publish::new("work", "x").qos(1));
    assert_eq!(client.payloads(2), ["x", "x"]);
    client.expect_quiet();
}

/// [v5:MQTT-4.8.2-1] [v5:MQTT-4.8.2-2]
#[test]
fn malformed_share_names_are_refused() {
    let broker = Broker::start();
    for filter in ["$share/", "$share/group", "$share//work", "$share/group/", "$share/gr+up/work", "$share/gr#up/work"]
    {
        let mut client = broker.client("client");
        client.send_subscribe(&[Request::new(filter, 1)], &[]);
        match client.receive() {
            Packet::SubAck(suback) => assert_eq!(suback.codes, [0x8F], "filter {filter:?}"),
            Packet::Disconnect(farewell) => {
                assert!([0x81, 0x82, 0x8F].contains(&farewell.code), "filter {filter:?}: {farewell:?}");
            }
            other => panic!("filter {filter:?} is answered by {other:?}"),
        }
    }
}

/// A member that leaves or unsubscribes leaves its work to the others.
#[test]
fn the_others_do_the_work_of_one_that_left() {
    let broker = Broker::start();
    let mut members = members(&broker, 3, "$share/group/work", 1);
    members.pop().unwrap().disconnect();
    let mut lazy = members.pop().unwrap();
    assert_eq!(lazy.unsubscribe(&["$share/group/work"]), [0]);
    let mut publisher = broker.client("publisher");
    for number in 0..10 {
        publisher.publish(Publish::new("work", number.to_string()).qos(1));
    }
    assert_eq!(drain(&mut members, 10).concat().len(), 10);
    lazy.expect_quiet();
}

/// [v5:MQTT-4.8.2-6]: a message that its member refuses is for nobody else.
#[test]
fn a_refused_message_is_not_given_to_another_member() {
    let broker = Broker::start();
    let mut members = members(&broker, 2, "$share/group/work", 1);
    let mut publisher = broker.client("publisher");
    publisher.publish(Publish::new("work", "refused").qos(1));
    let place = (0..2).cycle().find(|&place| {
        let message = members[place].poll_publish(Duration::from_millis(20));
        message.is_some_and(|message| {
            members[place].send(&wire::acknowledgement_with(wire::PUBACK, message.packet_id, 0x83, &[]));
            true
        })
    });
    members[place.unwrap()].ping();
    for number in 0..4 {
        publisher.publish(Publish::new("work", number.to_string()).qos(1));
    }
    let mut rest = drain(&mut members, 4).concat();
    rest.sort();
    assert_eq!(rest, ["0", "1", "2", "3"]);
}

/// [v5:MQTT-4.8.2-3]: each member has the QoS that it was granted.
#[test]
fn a_member_gets_the_qos_that_it_was_granted() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    client.subscribe("$share/group/work", 1);
    for qos in [0, 1, 2] {
        client.publish(Publish::new("work", "x").qos(qos));
        assert_eq!(client.message().qos, qos.min(1));
    }
}

/// Shared subscriptions have identifiers as others have.
#[test]
fn a_shared_subscription_may_be_numbered() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    client.subscribe_with(&[Request::new("$share/group/work", 1)], &[Property::SubscriptionId(8)]);
    client.publish(Publish::new("work", "x").qos(1));
    assert_eq!(client.message().properties, [Property::SubscriptionId(8)]);
}

/// A group whose members are all away keeps messages for one that comes back, and for one only.
#[test]
fn a_group_that_is_away_loses_nothing() {
    let broker = Broker::start();
    let lasting = |number| Connect::v5(&format!("member {number}")).lasting();
    for number in 0..2 {
        let mut member = broker.connect(&lasting(number));
        member.subscribe("$share/group/work", 1);
        member.disconnect();
    }
    let mut publisher = broker.client("publisher");
    for number in 0..10 {
        publisher.publish(Publish::new("work", number.to_string()).qos(1));
    }
    let mut members: Vec<_> = (0..2).map(|number| broker.connect(&lasting(number))).collect();
    let mut all = drain(&mut members, 10).concat();
    all.sort();
    assert_eq!(all, (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
    for member in &mut members {
        member.expect_quiet();
    }
}
