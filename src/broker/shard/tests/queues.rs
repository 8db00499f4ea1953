//! What happens when a queue is full, and what is lost never silently.

use super::stage::{Stage, client, publish, pubrec, subscribe};
use crate::broker::durability::{Durabilities, Durability, QueueFull, TopicSettings};
use crate::broker::event::EventKind;
use crate::broker::limits::Limits;
use crate::broker::reason::Reason;
use crate::protocol::{ProtocolVersion, TopicFilter};
use std::sync::Arc;

/// So many messages of a session may wait; of topics below `t` this becomes of more.
fn limits(max_queued_messages: usize, queue_full: QueueFull) -> Limits {
    let filter = TopicFilter::try_from("t/#").unwrap();
    let topics = vec![TopicSettings { filter, durability: None, queue_full }];
    let durabilities = Arc::new(Durabilities::new(Durability::Commit, [], topics));
    Limits { max_queued_messages, durabilities, ..Limits::default() }
}

/// A durable subscriber on the last shard, who is away.
fn stage_with_absent_subscriber(shards: u16, limits: &Limits) -> Stage {
    let mut stage = Stage::new(shards, limits);
    let subscriber = stage.connect(client("s").durable().on(shards - 1));
    stage.subscribed(subscriber, "#", 2);
    stage.lose(subscriber);
    stage.events();
    stage
}

fn drops(stage: &mut Stage) -> Vec<(Reason, u32)> {
    let drops = stage.events().into_iter().filter_map(|event| match event {
        EventKind::Dropped { reason, count, .. } => Some((reason, count)),
        _ => None,
    });
    drops.collect()
}

fn publish_numbers(stage: &mut Stage, topic: &str, numbers: std::ops::RangeInclusive<u32>) {
    let publisher = stage.connect(client("p"));
    for number in numbers {
        stage.send(publisher, publish(topic, &number.to_string(), 1, 1));
        if number % 100 == 0 {
            stage.close_frame(0);
        }
    }
    stage.lose(publisher);
}

fn strings(numbers: impl Iterator<Item = u32>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

#[test]
fn the_newest_is_dropped_unless_its_topic_says_otherwise() {
    for (topic, kept) in [("t/1", 3..=5), ("other", 1..=3)] {
        let mut stage = stage_with_absent_subscriber(1, &limits(3, QueueFull::DropOldest));
        publish_numbers(&mut stage, topic, 1..=5);
        assert_eq!(stage.replayed(), stage.shard(0).durable_sessions());
        let back = stage.connect_and_hear(client("s").durable());
        assert_eq!(stage.drain(back), strings(kept));
        assert_eq!(stage.shard(0).counters().dropped.get(&Reason::QueueFull), Some(&2));
    }
}

/// The oldest are on disk then, and leave it a part at a time.
#[test]
fn the_oldest_of_a_long_queue_are_dropped_in_parts_and_what_is_left_is_in_order() {
    let mut stage = stage_with_absent_subscriber(1, &limits(4000, QueueFull::DropOldest));
    publish_numbers(&mut stage, "t/1", 1..=9000);
    assert!(stage.shard(0).waiting().messages <= 4000);
    assert_eq!(stage.replayed(), stage.shard(0).durable_sessions());
    let on_disk = stage.chunks.len();
    assert!((1..=4).contains(&on_disk), "{on_disk}");
    let back = stage.connect_and_hear(client("s").durable());
    let heard = stage.drain(back);
    let first = 9001 - u32::try_from(heard.len()).unwrap();
    assert!(first > 5000 && first <= 9000 - 2900, "{first}");
    assert_eq!(heard, strings(first..=9000));
    let dropped = stage.shard(0).counters().dropped.get(&Reason::QueueFull).copied();
    assert_eq!(dropped, Some(u64::from(first) - 1));
    assert_eq!(stage.shard(0).waiting(), Default::default());
}

#[test]
fn the_log_says_the_first_drop_at_once_and_the_others_in_sums() {
    let mut stage = stage_with_absent_subscriber(1, &limits(3, QueueFull::DropNewest));
    publish_numbers(&mut stage, "t/1", 1..=1003);
    assert_eq!(drops(&mut stage), [(Reason::QueueFull, 1)]);
    stage.pass(9);
    assert_eq!(drops(&mut stage), []);
    stage.pass(1);
    assert_eq!(drops(&mut stage), [(Reason::QueueFull, 999)]);
    publish_numbers(&mut stage, "t/1", 1..=5);
    assert_eq!(drops(&mut stage), []);
    let last = stage.connect(client("s"));
    assert_eq!(drops(&mut stage), [(Reason::QueueFull, 5)], "its session ends");
    stage.lose(last);
    stage.assert_empty();
}

/// [v5:MQTT-3.4.2-1]: nobody gets it, so that it can be published again.
#[test]
fn a_publisher_is_refused_when_a_queue_of_its_own_shard_is_full() {
    let mut stage = stage_with_absent_subscriber(1, &limits(1, QueueFull::Refuse));
    let other = stage.connect(client("other"));
    stage.subscribed(other, "#", 1);
    let publisher = stage.connect(client("p"));
    stage.send(publisher, publish("t/1", "a", 1, 1));
    stage.hear(other);
    for (qos, answer) in [(1, "puback #2 0x97"), (2, "pubrec #2 0x97")] {
        stage.send(publisher, publish("t/1", "b", qos, 2));
        assert_eq!((stage.hear(publisher).last().map(String::as_str), stage.hear(other)), (Some(answer), vec![]));
    }
    assert_eq!(drops(&mut stage), [(Reason::QueueFull, 1)]);
    stage.send(publisher, publish("elsewhere", "c", 1, 3));
    assert_eq!(stage.hear(publisher), ["puback #3"]);
    // There is no way to tell an older client, so at least the others have it.
    let old = stage.connect(client("old").version(ProtocolVersion::V3_1_1));
    stage.send(old, publish("t/1", "d", 1, 1));
    assert_eq!(stage.hear(old), ["puback #1"]);
    assert_eq!(stage.hear_publishes(other).last().map(|publish| publish.payload.clone()), Some("d".into()));
    assert_eq!(stage.shard(0).counters().dropped.get(&Reason::QueueFull), Some(&4));
}

#[test]
fn a_publisher_is_refused_when_a_queue_of_another_shard_is_full() {
    for hello in [client("p"), client("p").durable()] {
        let mut stage = stage_with_absent_subscriber(2, &limits(1, QueueFull::Refuse));
        let publisher = stage.connect(hello);
        stage.send(publisher, publish("t/1", "a", 1, 1));
        assert_eq!(stage.hear(publisher), ["puback #1"]);
        stage.send(publisher, publish("t/1", "b", 1, 2));
        stage.send(publisher, publish("t/1", "c", 2, 3));
        assert_eq!(stage.hear(publisher), ["puback #2 0x97", "pubrec #3 0x97"]);
        let back = stage.connect_and_hear(client("s").durable().on(1));
        assert_eq!(stage.drain(back), ["a"]);
        // The identifier is free, and a message with it is a new one.
        stage.send(publisher, publish("t/1", "d", 2, 3));
        assert_eq!(stage.hear(publisher), ["pubrec #3"]);
        assert_eq!(stage.hear(back), ["publish t/1=d q2 #2"]);
        stage.send(back, pubrec(2));
    }
}

#[test]
fn the_queues_of_a_shard_have_a_bound_together() {
    let limits = Limits { max_all_queued_messages: 3, ..limits(100, QueueFull::DropNewest) };
    let mut stage = Stage::new(1, &limits);
    for id in ["a", "b"] {
        let subscriber = stage.connect(client(id).durable());
        stage.send(subscriber, subscribe(1, "#", 1));
        stage.lose(subscriber);
    }
    publish_numbers(&mut stage, "x", 1..=2);
    assert_eq!(stage.shard(0).waiting().messages, 3);
    assert_eq!(stage.shard(0).counters().dropped.get(&Reason::BrokerFull), Some(&1));
    let back = stage.connect_and_hear(client("a").durable());
    assert_eq!(stage.drain(back), ["1", "2"]);
    assert_eq!(stage.shard(0).waiting().messages, 1);
    publish_numbers(&mut stage, "x", 3..=4);
    assert_eq!(stage.drain(back), ["3", "4"]);
    for id in ["a", "b"] {
        let last = stage.connect(client(id));
        stage.lose(last);
    }
    assert_eq!(stage.shard(0).waiting(), Default::default());
    stage.assert_empty();
}

/// 9000 messages for somebody who is away: 256 in memory at its head, then parts on disk.
fn stage_with_long_queue() -> Stage {
    let mut stage = stage_with_absent_subscriber(1, &Limits::default());
    publish_numbers(&mut stage, "x", 1..=3000);
    assert!(stage.chunks.len() >= 2);
    stage
}

#[test]
fn a_part_of_a_queue_that_cannot_be_read_is_read_again_later() {
    let mut stage = stage_with_long_queue();
    stage.unreadable = 4;
    let back = stage.connect_and_hear(client("s").durable());
    let mut heard = stage.drain(back);
    assert_eq!(heard, strings(1..=256));
    for seconds in [1, 2, 4] {
        stage.pass(seconds);
        assert_eq!(stage.drain(back), [""; 0]);
    }
    stage.pass(8);
    heard.extend(stage.drain(back));
    assert_eq!(heard, strings(1..=3000));
    let notices = stage.events().into_iter().filter(|event| matches!(event, EventKind::Notice { .. }));
    assert_eq!(notices.count(), 0);
}

#[test]
fn a_part_of_a_queue_that_stays_unreadable_is_set_aside_and_spoken_of() {
    let mut stage = stage_with_long_queue();
    stage.unreadable = 6;
    let on_disk: Vec<_> = stage.chunks.keys().copied().collect();
    let back = stage.connect_and_hear(client("s").durable());
    assert_eq!(stage.drain(back), strings(1..=256));
    stage.pass(31);
    let heard = stage.drain(back);
    let lost = 3000 - 256 - heard.len();
    assert_eq!(heard, strings(u32::try_from(257 + lost).unwrap()..=3000));
    assert_eq!(stage.shard(0).counters().dropped.get(&Reason::Unreadable), Some(&(lost as u64)));
    let notices = stage.events().into_iter().filter_map(|event| match event {
        EventKind::Notice { text } => Some(text),
        _ => None,
    });
    let notices: Vec<_> = notices.collect();
    assert!(notices.len() == 1 && notices[0].starts_with(&format!("{lost} queued messages cannot be read")));
    stage.close_frame(0);
    let left: Vec<_> = stage.chunks.keys().copied().collect();
    assert_eq!(left, on_disk[..1], "it is still in the store, and the others are not");
}
