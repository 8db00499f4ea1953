//! What a receiver takes: expiry, packet size, aliases, queues, and reading slowly.

use super::stage::{Stage, client, disconnect, puback, publish, subscribe, text};
use crate::broker::event::EventKind;
use crate::broker::limits::Limits;
use crate::broker::reason::Reason;
use crate::protocol::{Connect, Packet, ProtocolVersion, Publish};

fn expiring(topic: &str, payload: &str, qos: u8, packet_id: u16, seconds: u32) -> Publish {
    let mut message = publish(topic, payload, qos, packet_id);
    message.properties.message_expiry_interval = Some(seconds);
    message
}

/// [v5:MQTT-3.3.2-5] [v5:MQTT-3.3.2-6]
#[test]
fn the_expiry_of_a_queued_message_is_counted_down_and_then_it_is_gone() {
    let mut stage = Stage::one();
    let subscriber = stage.connect(client("s").durable());
    stage.subscribed(subscriber, "t", 1);
    stage.lose(subscriber);
    let publisher = stage.connect(client("p"));
    stage.send(publisher, expiring("t", "short", 1, 1, 10));
    stage.send(publisher, expiring("t", "long", 1, 2, 60));
    stage.pass(15);
    let again = stage.connect_and_hear(client("s").durable());
    assert_eq!(stage.hear(again), ["connack present", "publish t=long q1 #1 expiry=45"]);
    assert_eq!(stage.shard(0).counters().dropped.get(&Reason::Expired), Some(&1));
}

/// [v5:MQTT-3.3.2-6]: a live message carries what it came with.
#[test]
fn the_expiry_of_a_live_message_is_as_published() {
    let mut stage = Stage::one();
    let subscriber = stage.connect(client("s"));
    stage.subscribed(subscriber, "t", 0);
    stage.send(subscriber, expiring("t", "x", 0, 0, 10));
    assert_eq!(stage.hear(subscriber), ["publish t=x expiry=10"]);
}

/// [v5:MQTT-3.1.2-24] [v5:MQTT-3.1.2-25]
#[test]
fn a_message_larger_than_the_receiver_takes_is_left_out_as_if_it_were_sent() {
    let mut stage = Stage::one();
    let small = |connect: &mut Connect| connect.properties.maximum_packet_size = Some(40);
    let subscriber = stage.connect(client("s").durable().receive_maximum(1).change(small));
    stage.subscribed(subscriber, "t", 1);
    stage.send(subscriber, publish("t", &"x".repeat(40), 1, 1));
    stage.send(subscriber, publish("t", "fits", 1, 2));
    assert_eq!(stage.hear(subscriber), ["puback #1", "publish t=fits q1 #1", "puback #2"]);
    let reasons = stage.events().into_iter().filter_map(|event| match event {
        EventKind::Dropped { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(reasons.collect::<Vec<_>>(), [Reason::TooLargeForReceiver]);
}

/// [v5:MQTT-3.1.2-24]: with everything that the packet carries.
#[test]
fn a_topic_alias_does_not_make_a_packet_larger_than_the_receiver_takes() {
    for maximum in 20..=60 {
        for topic in ["t", "topic", "a/topic/of/some/length"] {
            let mut stage = Stage::one();
            let hello = client("s").change(|connect| {
                connect.properties.maximum_packet_size = Some(maximum);
                connect.properties.topic_alias_maximum = Some(10);
            });
            let subscriber = stage.connect(hello);
            stage.subscribed(subscriber, topic, 1);
            let (full, twice) = (publish(topic, "some payload", 1, 1), publish(topic, "some payload", 1, 2));
            stage.send(subscriber, full);
            stage.send(subscriber, twice);
            let publishes = stage.hear_publishes(subscriber);
            let fits = publish(topic, "some payload", 1, 1).view().encoded_len(ProtocolVersion::V5);
            assert_eq!(publishes.len(), if fits <= maximum as usize { 2 } else { 0 });
            for publish in publishes {
                assert!(publish.view().encoded_len(ProtocolVersion::V5) <= maximum as usize, "{topic} {maximum}");
            }
        }
    }
}

/// [v5:MQTT-3.1.2-26] [v5:MQTT-3.1.2-27] [v5:MQTT-3.3.2-7]
#[test]
fn topics_get_aliases_as_far_as_the_receiver_takes_them_and_anew_on_each_connection() {
    let mut stage = Stage::one();
    let aliases = |connect: &mut Connect| connect.properties.topic_alias_maximum = Some(1);
    let subscriber = stage.connect(client("s").durable().change(aliases));
    stage.subscribed(subscriber, "#", 1);
    for topic in ["a", "b", "a"] {
        stage.send(subscriber, publish(topic, "x", 0, 0));
    }
    assert_eq!(stage.hear(subscriber), ["publish a=x alias=1", "publish b=x", "publish =x alias=1"]);
    let again = stage.connect(client("s").durable().change(aliases));
    stage.send(again, publish("b", "x", 1, 1));
    assert_eq!(stage.hear(again), ["publish b=x q1 #1 alias=1", "puback #1"]);
    stage.lose(again);
    let without = stage.connect_and_hear(client("s").durable());
    assert_eq!(stage.hear(without), ["connack present", "publish b=x q1 #1 dup"]);
}

/// [v5:MQTT-3.3.2-8] to [v5:MQTT-3.3.2-12]
#[test]
fn a_publisher_may_use_aliases_that_it_introduced_on_this_connection() {
    let mut stage = Stage::new(1, &Limits { topic_alias_maximum: 2, ..Limits::default() });
    let with_alias = |topic: &str, alias| {
        let mut message = publish("x", "hi", 0, 0);
        message.topic = text(topic);
        message.properties.topic_alias = Some(alias);
        message
    };
    let publisher = stage.connect(client("p").durable());
    stage.subscribed(publisher, "a", 0);
    stage.send(publisher, with_alias("a", 2));
    stage.send(publisher, with_alias("", 2));
    assert_eq!(stage.hear(publisher), ["publish a=hi", "publish a=hi"]);
    stage.send(publisher, with_alias("a", 3));
    assert_eq!(stage.hear(publisher), ["disconnect 0x94", "closed"]);
    let again = stage.connect(client("p").durable());
    stage.send(again, with_alias("", 2));
    assert_eq!(stage.hear(again), ["disconnect 0x82", "closed"]);
}

/// Rights are asked for the topic that an alias stands for.
#[test]
fn an_alias_is_no_way_around_the_rules() {
    let mut stage = Stage::one();
    let publisher = stage.connect(client("p"));
    let mut message = publish("secret", "x", 1, 1);
    message.properties.topic_alias = Some(1);
    stage.send(publisher, message);
    stage.rules(&["Student allow pub open"]);
    let mut message = publish("x", "x", 1, 2);
    message.topic = text("");
    message.properties.topic_alias = Some(1);
    stage.send(publisher, message);
    assert_eq!(stage.hear(publisher), ["puback #1 0x10", "puback #2 0x87"]);
}

/// The newest is dropped, which leaves what is older in order; the log says so.
#[test]
fn a_full_queue_takes_no_more() {
    let mut stage = Stage::new(1, &Limits { max_queued_messages: 2, ..Limits::default() });
    let subscriber = stage.connect(client("s").durable());
    stage.subscribed(subscriber, "t", 1);
    stage.lose(subscriber);
    let publisher = stage.connect(client("p"));
    for number in 1..=4 {
        stage.send(publisher, publish("t", &number.to_string(), 1, number));
    }
    assert_eq!(stage.shard(0).counters().dropped.get(&Reason::QueueFull), Some(&2));
    let again = stage.connect_and_hear(client("s").durable());
    assert_eq!(stage.hear(again), ["connack present", "publish t=1 q1 #1", "publish t=2 q1 #2"]);
}

/// [v5:MQTT-3.1.2-5]: what is kept for an absent client.
#[test]
fn messages_of_qos_0_are_not_kept_for_an_absent_client() {
    let mut stage = Stage::one();
    let subscriber = stage.connect(client("s").durable());
    stage.subscribed(subscriber, "t", 2);
    stage.send(subscriber, disconnect());
    let publisher = stage.connect(client("p"));
    for qos in 0..=2 {
        stage.send(publisher, publish("t", &qos.to_string(), qos, 1));
    }
    let again = stage.connect_and_hear(client("s").durable());
    assert_eq!(stage.hear(again), ["connack present", "publish t=1 q1 #1", "publish t=2 q2 #2"]);
}

/// A receiver that reads slowly holds back its own messages and nobody else's.
#[test]
fn messages_wait_for_a_receiver_that_does_not_read() {
    let mut stage = Stage::new(1, &Limits { high_water: 100, ..Limits::default() });
    stage.writes_at_once = false;
    let (slow, quick) = (stage.connect(client("slow")), stage.connect(client("quick")));
    stage.subscribed(slow, "t", 1);
    stage.subscribed(quick, "t", 1);
    let publisher = stage.connect(client("p"));
    let long = "x".repeat(60);
    for number in 1..=4 {
        stage.send(publisher, publish("t", &long, (number % 2) as u8, number));
        stage.written(quick);
    }
    assert_eq!(stage.hear(quick).len(), 4);
    assert_eq!(stage.hear(slow).len(), 2);
    stage.written(slow);
    assert_eq!(stage.hear(slow), [format!("publish t={long}"), format!("publish t={long} q1 #2")]);
}

/// What waits for a slow receiver is bounded.
#[test]
fn messages_of_qos_0_are_dropped_for_a_receiver_that_never_reads() {
    let mut stage = Stage::new(1, &Limits { high_water: 1, ..Limits::default() });
    stage.writes_at_once = false;
    let slow = stage.connect(client("slow"));
    stage.subscribed(slow, "t", 0);
    let publisher = stage.connect(client("p"));
    let long = "x".repeat(1 << 18);
    (0..10).for_each(|_| stage.send(publisher, publish("t", &long, 0, 0)));
    let dropped = stage.shard(0).counters().dropped.get(&Reason::SlowReceiver).copied().unwrap_or_default();
    assert!((4..=6).contains(&dropped), "{dropped}");
    stage.send(slow, puback(1));
    stage.send(slow, Packet::PingReq);
}

/// A client that asks on without reading its answers is bounded by what it may hold, retained messages included.
#[test]
fn an_absent_clients_suback_leaves_nothing_behind() {
    let mut stage = Stage::new(2, &Limits::default());
    let connection = stage.connect(client("a"));
    stage.holds_mail = true;
    stage.send(connection, subscribe(1, "t", 1));
    stage.lose(connection);
    stage.deliver_mail();
    assert_eq!(stage.hear(connection), ["closed"; 0]);
    stage.assert_empty();
}
