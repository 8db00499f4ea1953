//! SUBSCRIBE, UNSUBSCRIBE, and which subscription brings what.

use super::stage::{
    Stage, client, publish, request, retain, subscribe, subscribe_with, subscription_id, text, unsubscribe,
};
use crate::broker::limits::Limits;
use crate::protocol::{QoS, RetainHandling, Subscribe, SubscribeRequest};

/// [v5:MQTT-3.8.4-2] [v5:MQTT-3.8.4-6] [v5:MQTT-3.9.3-1]
#[test]
fn a_suback_answers_every_request_in_order() {
    let mut stage = Stage::one();
    stage.rules(&["Student allow sub ok/#", "Student deny sub ok/secret"]);
    let connection = stage.connect(client("a"));
    let requests = ["ok/1", "no", "ok/#/bad", "ok/secret", "ok/#", "$share//ok", "$share/g/ok/2"];
    let requests: Vec<_> =
        requests.iter().map(|filter| SubscribeRequest::new(text(filter), QoS::ExactlyOnce)).collect();
    stage.send(connection, subscribe_with(5, &requests));
    assert_eq!(stage.hear(connection), ["suback #5 0x02,0x87,0x8f,0x87,0x02,0x8f,0x02"]);
}

/// [v5:MQTT-3.3.4-2] [v5:MQTT-3.3.4-3] [v5:MQTT-3.3.4-4]
#[test]
fn overlapping_subscriptions_bring_one_copy_of_the_highest_level_with_all_identifiers() {
    let mut stage = Stage::one();
    let (publisher, subscriber) = (stage.connect(client("p")), stage.connect(client("s")));
    for (filter, qos, number) in [("a/#", 0, Some(5)), ("a/+", 2, Some(9)), ("a/b", 1, None), ("x", 2, Some(7))] {
        let id = number.and_then(subscription_id);
        stage.send(subscriber, Subscribe { subscription_id: id, ..subscribe(1, filter, qos) });
    }
    stage.hear(subscriber);
    stage.send(publisher, publish("a/b", "hi", 2, 1));
    let heard = stage.hear(subscriber);
    assert_eq!(heard.len(), 1);
    assert!(heard[0].starts_with("publish a/b=hi q2 #1"), "{heard:?}");
    assert!(heard[0].contains("id=5") && heard[0].contains("id=9") && !heard[0].contains("id=7"), "{heard:?}");
}

/// [v5:MQTT-3.8.4-3]
#[test]
fn a_repeated_subscription_replaces_the_first() {
    let mut stage = Stage::one();
    let (publisher, subscriber) = (stage.connect(client("p")), stage.connect(client("s")));
    stage.subscribed(subscriber, "t", 2);
    let replaced = Subscribe { subscription_id: subscription_id(3), ..subscribe(1, "t", 0) };
    stage.send(subscriber, replaced);
    stage.send(publisher, publish("t", "hi", 2, 1));
    assert_eq!(stage.hear(subscriber), ["suback #1 0x00", "publish t=hi id=3"]);
    stage.send(subscriber, unsubscribe(2, "t"));
    stage.send(publisher, publish("t", "hi", 0, 0));
    assert_eq!(stage.hear(subscriber), ["unsuback #2 0x00"]);
}

/// [v5:MQTT-3.10.4-1] [v5:MQTT-3.10.4-4] [v5:MQTT-3.11.3-2]
#[test]
fn unsubscribe_takes_the_filter_that_is_the_same_character_by_character() {
    let mut stage = Stage::one();
    let connection = stage.connect(client("a"));
    stage.subscribed(connection, "a/+", 0);
    for (filter, expected) in [("a/b", "0x11"), ("a/#/x", "0x8f"), ("$share/g/a/+", "0x11"), ("a/+", "0x00")] {
        stage.send(connection, unsubscribe(1, filter));
        assert_eq!(stage.hear(connection), [format!("unsuback #1 {expected}")]);
    }
    stage.send(connection, publish("a/b", "x", 0, 0));
    assert_eq!(stage.hear(connection), [""; 0]);
}

/// [v5:MQTT-3.8.3-3]
#[test]
fn no_local_keeps_ones_own_messages_away_and_nobody_elses() {
    let mut stage = Stage::one();
    let (own, other) = (stage.connect(client("a")), stage.connect(client("a").user("bob")));
    let no_local = SubscribeRequest { no_local: true, ..SubscribeRequest::new(text("t"), QoS::AtMostOnce) };
    stage.send(own, subscribe_with(1, &[no_local]));
    stage.send(own, publish("t", "mine", 0, 0));
    stage.send(other, publish("t", "yours", 0, 0));
    assert_eq!(stage.hear(own), ["suback #1 0x00", "publish t=yours"]);
    stage.subscribed(own, "+", 0);
    stage.send(own, publish("t", "mine", 0, 0));
    assert_eq!(stage.hear(own), ["publish t=mine"]);
}

/// [v5:MQTT-3.8.3-3] speaks of all messages, retained ones included.
#[test]
fn no_local_keeps_ones_own_retained_messages_away() {
    let mut stage = Stage::one();
    let (own, other) = (stage.connect(client("a")), stage.connect(client("b")));
    stage.send(own, retain("t/mine", "1", 0, 0));
    stage.send(other, retain("t/yours", "2", 0, 0));
    let no_local = SubscribeRequest { no_local: true, ..SubscribeRequest::new(text("t/#"), QoS::AtMostOnce) };
    stage.send(own, subscribe_with(1, &[no_local]));
    assert_eq!(stage.hear(own), ["suback #1 0x00", "publish t/yours=2 retain"]);
}

/// [v5:MQTT-3.8.3-4] [v5:MQTT-4.13.1-1]
#[test]
fn no_local_on_a_shared_subscription_is_a_protocol_error() {
    let mut stage = Stage::one();
    let rude = stage.connect(client("a"));
    let shared = SubscribeRequest { no_local: true, ..SubscribeRequest::new(text("$share/g/t"), QoS::AtMostOnce) };
    stage.send(rude, subscribe_with(1, &[shared]));
    assert_eq!(stage.hear(rude), ["disconnect 0x82", "closed"]);
}

/// [v5:MQTT-4.7.2-1]
#[test]
fn leading_wildcards_do_not_reach_topics_that_begin_with_a_dollar() {
    let mut stage = Stage::one();
    let connection = stage.connect(client("a"));
    for filter in ["#", "+/x", "$SYS/#"] {
        stage.send(connection, subscribe(1, filter, 0));
        assert_eq!(stage.hear(connection), ["suback #1 0x00"]);
    }
    stage.send(connection, publish("$SYS/x", "forged", 1, 1));
    assert_eq!(stage.hear(connection), ["puback #1 0x87"]);
}

/// Beyond the limit: 0x97, and what exists can still be replaced.
#[test]
fn too_many_subscriptions_are_refused() {
    let mut stage = Stage::new(1, &Limits { max_subscriptions: 1, ..Limits::default() });
    let connection = stage.connect(client("a"));
    for (filter, expected) in [("a", "0x00"), ("b", "0x97"), ("a", "0x00")] {
        stage.send(connection, subscribe(1, filter, 0));
        assert_eq!(stage.hear(connection), [format!("suback #1 {expected}")]);
    }
}

/// [v5:MQTT-3.8.4-4] [v5:MQTT-3.3.1-9] [v5:MQTT-3.3.1-10] [v5:MQTT-3.3.1-11]
#[test]
fn retain_handling_says_which_subscriptions_bring_the_retained_messages() {
    let mut stage = Stage::one();
    let connection = stage.connect(client("a"));
    stage.send(connection, retain("t", "kept", 1, 1));
    stage.hear(connection);
    let mut ask = |handling| {
        stage.send(connection, subscribe_with(1, &[request("t", 0, handling)]));
        stage.hear(connection).len() - 1
    };
    assert_eq!(ask(RetainHandling::DoNotSend), 0);
    assert_eq!(ask(RetainHandling::Send), 1);
    assert_eq!(ask(RetainHandling::Send), 1);
    assert_eq!(ask(RetainHandling::SendIfNew), 0);
    stage.send(connection, unsubscribe(2, "t"));
    stage.hear(connection);
    stage.send(connection, subscribe_with(1, &[request("t", 0, RetainHandling::SendIfNew)]));
    assert_eq!(stage.hear(connection), ["suback #1 0x00", "publish t=kept retain"]);
}

/// [v5:MQTT-3.3.1-8] [v5:MQTT-3.3.1-12] [v5:MQTT-3.3.1-13]
#[test]
fn the_retain_flag_is_cleared_on_live_messages_unless_it_is_wanted_as_published() {
    let mut stage = Stage::one();
    let (plain, as_published) = (stage.connect(client("a")), stage.connect(client("b")));
    stage.subscribed(plain, "t", 0);
    let wanted = SubscribeRequest { retain_as_published: true, ..SubscribeRequest::new(text("t"), QoS::AtMostOnce) };
    stage.send(as_published, subscribe_with(1, &[wanted]));
    stage.send(plain, retain("t", "kept", 0, 0));
    stage.send(plain, publish("t", "not kept", 0, 0));
    assert_eq!(stage.hear(plain), ["publish t=kept", "publish t=not kept"]);
    assert_eq!(stage.hear(as_published), ["suback #1 0x00", "publish t=kept retain", "publish t=not kept"]);
    stage.send(plain, subscribe(1, "t", 0));
    assert_eq!(stage.hear(plain), ["suback #1 0x00", "publish t=kept retain"]);
}

/// [v5:MQTT-3.4.2-1]: "no matching subscribers" is a success.
#[test]
fn a_publisher_of_5_learns_that_nobody_listens() {
    let mut stage = Stage::one();
    let connection = stage.connect(client("a"));
    stage.send(connection, publish("t", "x", 1, 1));
    assert_eq!(stage.hear(connection), ["puback #1 0x10"]);
    stage.subscribed(connection, "t", 0);
    stage.send(connection, publish("t", "x", 1, 2));
    assert_eq!(stage.hear(connection), ["publish t=x", "puback #2"]);
}

/// What is known of the topics that a client published to last holds only while nobody subscribes or unsubscribes.
#[test]
fn who_subscribes_or_goes_between_two_messages_of_one_publisher_is_counted_in_or_out() {
    let mut stage = Stage::new(2, &Limits::default());
    let publisher = stage.connect(client("p"));
    let (near, far) = (stage.connect(client("near")), stage.connect(client("far").on(1)));
    let mut counts = Vec::new();
    let mut count = |stage: &mut Stage| {
        stage.send(publisher, publish("a/b", "x", 0, 0));
        counts.push((stage.hear(near).len(), stage.hear(far).len()));
    };
    count(&mut stage);
    stage.subscribed(near, "a/b", 0);
    count(&mut stage);
    stage.subscribed(far, "a/#", 0);
    count(&mut stage);
    stage.subscribed(near, "+/b", 0);
    count(&mut stage);
    for (packet_id, filter) in [(1, "a/b"), (2, "+/b")] {
        stage.send(near, unsubscribe(packet_id, filter));
        assert_eq!(stage.hear(near).len(), 1, "UNSUBACK");
    }
    count(&mut stage);
    stage.send(far, unsubscribe(1, "a/#"));
    assert_eq!(stage.hear(far).len(), 1, "UNSUBACK");
    count(&mut stage);
    assert_eq!(counts, [(0, 0), (1, 0), (1, 1), (1, 1), (0, 1), (0, 0)]);
}
