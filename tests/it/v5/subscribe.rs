//! SUBSCRIBE and UNSUBSCRIBE: filters, options, identifiers.

use crate::support::broker::Broker;
use crate::support::raw::Client;
use crate::support::wire::{Packet, Property, Publish, Request};

/// The topics, out of these, that arrive through the filter.
fn matching(client: &mut Client, filter: &str, topics: &[&str]) -> Vec<String> {
    client.subscribe(filter, 0);
    client.subscribe("the/mark", 0);
    for topic in topics {
        client.publish(Publish::new(topic, *topic));
    }
    client.publish(Publish::new("the/mark", "the/mark"));
    let mut arrived = Vec::new();
    loop {
        let message = client.message();
        assert_eq!(message.topic, message.text());
        if message.topic == "the/mark" {
            // The mark may come once more, through the filter itself.
            client.unsubscribe(&[filter]);
            while client.waiting_message().is_some() {}
            return arrived;
        }
        arrived.push(message.topic);
    }
}

/// Section 4.7: the examples of the specification and the corners between them.
#[test]
fn a_filter_matches_what_the_specification_says() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    for (filter, matches, others) in [
        (
            "sport/tennis/player1",
            &["sport/tennis/player1"][..],
            &["sport/tennis", "sport/tennis/player1/", "Sport/tennis/player1"][..],
        ),
        (
            "sport/tennis/player1/#",
            &["sport/tennis/player1", "sport/tennis/player1/", "sport/tennis/player1/score/wimbledon"],
            &["sport/tennis/player2", "sport/tennis/player11"],
        ),
        ("sport/#", &["sport", "sport/", "sport//", "sport/tennis"], &["sports", "/sport"]),
        (
            "sport/tennis/+",
            &["sport/tennis/player1", "sport/tennis/"],
            &["sport/tennis", "sport/tennis/player1/ranking"],
        ),
        ("sport/+", &["sport/", "sport/x"], &["sport", "sport//"]),
        ("+/+", &["/finance", "a/b", "/"], &["finance", "a/b/c", "//"]),
        ("/+", &["/finance", "/"], &["finance", "a/finance", "//"]),
        ("+", &["finance", " "], &["/finance", "/", "a/b"]),
        ("+/tennis/#", &["sport/tennis", "/tennis/x", "a/tennis/b/c"], &["tennis", "a/b/tennis"]),
        ("sport/+/player1", &["sport/tennis/player1", "sport//player1"], &["sport/player1", "sport/a/b/player1"]),
        ("a//b", &["a//b"], &["a/b", "a/x/b"]),
        ("a//+", &["a//b", "a//"], &["a/b", "a/b/c"]),
        ("//", &["//"], &["/", "///", "a//"]),
        ("/#", &["/", "/a", "//"], &["a", "a/"]),
        ("#", &["a", "/", "a/b/c", " "], &[]),
        ("+/#", &["a", "/", "a/b/c"], &[]),
        ("grüße/+/日本", &["grüße/an/日本"], &["grüsse/an/日本", "grüße/日本"]),
        ("a b/c", &["a b/c"], &["a%20b/c", "a  b/c"]),
    ] {
        let topics = [matches, others].concat();
        assert_eq!(matching(&mut client, filter, &topics), matches, "filter {filter}");
    }
}

/// [v5:MQTT-4.7.2-1] and section 4.7.2: topics that begin with a dollar are the broker's; nobody publishes to them, so
/// nobody who subscribed to everything can be told of one.
#[test]
fn topics_that_begin_with_a_dollar_are_not_for_clients() {
    let broker = Broker::start();
    let mut watcher = broker.client("watcher");
    for filter in ["#", "+/broker/uptime", "+/#"] {
        watcher.subscribe(filter, 0);
    }
    let mut client = broker.client("client");
    for topic in ["$SYS/broker/uptime", "$data/room/1", "$", "$share/group/a"] {
        for qos in [1, 2] {
            let code = client.publish(Publish::new(topic, "forged").qos(qos));
            assert!([0x87, 0x90].contains(&code), "{topic} is answered by {code:#04x}");
        }
    }
    client.publish(Publish::new("mark", "mark"));
    assert_eq!(watcher.message().text(), "mark");
}

/// Section 4.7.2: a dollar further back means nothing.
#[test]
fn a_dollar_inside_a_topic_is_a_letter() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    let topics = ["a/$data/x", "a/b"];
    assert_eq!(matching(&mut client, "a/$data/#", &topics), ["a/$data/x"]);
    assert_eq!(matching(&mut client, "a/+/x", &topics), ["a/$data/x"]);
}

/// [v5:MQTT-4.7.3-4] [v5:MQTT-1.5.4-3]: topics are compared byte by byte; nothing is normalised, folded or stripped.
#[test]
fn topics_are_compared_byte_by_byte() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    let composed = "caf\u{e9}";
    let topics = [composed, "cafe\u{301}", "CAF\u{c9}", "\u{feff}caf\u{e9}", "caf\u{e9} "];
    for topic in topics {
        assert_eq!(matching(&mut client, topic, &topics), [topic]);
    }
}

/// [v5:MQTT-4.7.1-1] [v5:MQTT-4.7.1-2] [v5:MQTT-4.7.3-1]: the filter is answered with a failure, or the connection ends.
#[test]
fn malformed_filters_are_refused() {
    let broker = Broker::start();
    for filter in ["", "a/#/b", "#/", "##", "a#", "a/b#", "#a", "a+", "+a", "a/+b", "a/++/b", "a/b+/c"] {
        let mut client = broker.client("client");
        client.send_subscribe(&[Request::new("good", 1), Request::new(filter, 1)], &[]);
        match client.receive() {
            Packet::SubAck(suback) => assert_eq!(suback.codes, [1, 0x8F], "filter {filter:?}"),
            Packet::Disconnect(farewell) => {
                assert!([0x81, 0x82, 0x8F].contains(&farewell.code), "filter {filter:?}: {farewell:?}");
            }
            other => panic!("filter {filter:?} is answered by {other:?}"),
        }
    }
}

/// [v5:MQTT-3.8.4-1] [v5:MQTT-3.8.4-2] [v5:MQTT-3.8.4-6] [v5:MQTT-3.9.3-1]
#[test]
fn every_filter_has_its_code_in_order() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    let requests = [Request::new("a", 2), Request::new("b/+", 0), Request::new("c/#", 1), Request::new("a", 0)];
    assert_eq!(client.subscribe_with(&requests, &[]), [2, 0, 1, 0]);
}

/// [v5:MQTT-3.8.4-3]: the same filter again replaces the subscription, nothing is lost or doubled.
#[test]
fn a_second_subscription_replaces_the_first() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    client.subscribe("replaced", 2);
    client.subscribe("replaced", 0);
    client.publish(Publish::new("replaced", "x").qos(2));
    assert_eq!(client.message().qos, 0);
    client.expect_quiet();
}

/// [v5:MQTT-3.10.4-1] [v5:MQTT-3.10.4-4] [v5:MQTT-3.10.4-5] [v5:MQTT-3.11.3-1] [v5:MQTT-3.11.3-2]
#[test]
fn every_unsubscription_has_its_code_in_order() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    client.subscribe("a/+", 0);
    client.subscribe("b", 0);
    assert_eq!(client.unsubscribe(&["b", "a/b", "a/#", "a/+", "a/+"]), [0x00, 0x11, 0x11, 0x00, 0x11]);
}

/// [v5:MQTT-3.10.4-2]
#[test]
fn nothing_comes_after_unsubscribing() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    client.subscribe("left", 1);
    client.subscribe("left/behind", 1);
    client.publish(Publish::new("left", "before").qos(1));
    assert_eq!(client.message().text(), "before");
    client.unsubscribe(&["left"]);
    client.publish(Publish::new("left", "after").qos(1));
    client.publish(Publish::new("left/behind", "still").qos(1));
    assert_eq!(client.message().text(), "still");
    client.expect_quiet();
}

/// [v5:MQTT-3.10.4-3]: what was sent before is finished.
#[test]
fn messages_under_way_are_finished_after_unsubscribing() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    client.subscribe("left", 2);
    client.publish(Publish::new("left", "under way").qos(2));
    let publish = client.take_publish();
    client.unsubscribe(&["left"]);
    client.acknowledge(&publish);
    client.expect_quiet();
}

/// [v5:MQTT-3.3.4-2]: with overlapping subscriptions the highest QoS is kept; copies are allowed, loss is not.
#[test]
fn overlapping_subscriptions_keep_the_highest_qos() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    for (filter, qos) in [("over/#", 1), ("over/+", 2), ("over/lap", 0)] {
        client.subscribe(filter, qos);
    }
    client.publish(Publish::new("over/lap", "x").qos(2));
    client.publish(Publish::new("over/lap", "mark").qos(2));
    let mut levels = Vec::new();
    loop {
        let message = client.message();
        if message.text() == "mark" {
            break;
        }
        levels.push(message.qos);
    }
    assert!((1..=3).contains(&levels.len()), "{levels:?}");
    assert_eq!(levels.iter().max(), Some(&2), "{levels:?}");
}

/// [v5:MQTT-3.3.4-3] [v5:MQTT-3.8.2-1]: from the smallest to the largest.
#[test]
fn a_subscription_identifier_comes_back_with_each_message() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    for number in [1, 127, 128, 16_384, 268_435_455] {
        client.subscribe_with(&[Request::new("numbered", 0)], &[Property::SubscriptionId(number)]);
        client.publish(Publish::new("numbered", "x"));
        assert_eq!(client.message().properties, [Property::SubscriptionId(number)]);
    }
    client.subscribe("numbered", 0);
    client.publish(Publish::new("numbered", "x"));
    assert_eq!(client.message().properties, [], "the new subscription has none");
}

/// [v5:MQTT-3.3.4-4] [v5:MQTT-3.3.4-5]: one copy with all identifiers, or one copy for each.
#[test]
fn every_subscription_that_matched_is_named() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    for (filter, number) in [("named/#", 1), ("named/+", 2), ("named/x", 300), ("other", 4)] {
        client.subscribe_with(&[Request::new(filter, 1)], &[Property::SubscriptionId(number)]);
    }
    client.subscribe("named/x/#", 1);
    client.publish(Publish::new("named/x", "x").qos(1));
    client.publish(Publish::new("other", "mark").qos(1));
    let mut numbers = Vec::new();
    loop {
        let message = client.message();
        if message.topic == "other" {
            break;
        }
        numbers.extend(message.properties.into_iter().filter_map(|property| match property {
            Property::SubscriptionId(number) => Some(number),
            _ => None,
        }));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 300]);
}

/// Retained messages are named too. [v5:MQTT-3.3.4-3]
#[test]
fn a_retained_message_names_its_subscription() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    client.publish(Publish::new("kept", "x").qos(1).retain());
    client.subscribe_with(&[Request::new("kept", 1)], &[Property::SubscriptionId(5)]);
    assert_eq!(client.message().properties, [Property::SubscriptionId(5)]);
}

/// [v5:MQTT-3.8.3-3]
#[test]
fn no_local_keeps_ones_own_messages_away() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    client.subscribe_with(&[Request::new("room", 1).no_local()], &[]);
    client.publish(Publish::new("room", "mine").qos(1));
    broker.client("other").publish(Publish::new("room", "theirs").qos(1));
    assert_eq!(client.message().text(), "theirs");
    client.expect_quiet();
}

/// A message to oneself, without the option.
#[test]
fn without_no_local_ones_own_messages_come_back() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    client.subscribe("room", 2);
    client.publish(Publish::new("room", "mine").qos(2));
    assert_eq!(client.message().text(), "mine");
}

/// A topic may have as many levels as its length allows. SECURITY: a broker once ran out of stack here.
#[test]
fn the_deepest_topic_is_an_ordinary_topic_or_refused() {
    let broker = Broker::start();
    let mut client = broker.client("deep");
    let topic = "/".repeat(65_535);
    client.try_send(&Publish::new(&topic, "x").qos(1).id(1).encode(crate::support::wire::Connect::v5("").version));
    let mut other = broker.client("other");
    other.subscribe("alive", 0);
    other.publish(Publish::new("alive", "yes"));
    assert_eq!(other.message().text(), "yes");
}

/// SUBACK is a promise: what is published after it, arrives.
#[test]
fn nothing_published_after_suback_is_missed() {
    let broker = Broker::start();
    let mut publisher = broker.client("publisher");
    for number in 0..50 {
        let mut subscriber = broker.client(&format!("subscriber {number}"));
        subscriber.subscribe("promise", 0);
        publisher.publish(Publish::new("promise", [number]));
        assert_eq!(subscriber.message().payload, [number]);
    }
}
