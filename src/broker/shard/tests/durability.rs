//! What an acknowledgement promises, by class, and what never goes to the disk.

use super::stage::{Stage, client, puback, publish, pubrec, retain};
use crate::broker::durability::{Durabilities, Durability, QueueFull, TopicSettings};
use crate::broker::effect::CommitOutcome;
use crate::broker::event::EventKind;
use crate::broker::limits::Limits;
use crate::protocol::TopicFilter;
use std::sync::Arc;

fn limits(general: Durability, topics: &[(&str, Durability)]) -> Limits {
    let topic = |(filter, durability): &(&str, Durability)| TopicSettings {
        filter: TopicFilter::try_from(*filter).unwrap(),
        durability: Some(*durability),
        queue_full: QueueFull::default(),
    };
    let durabilities = Durabilities::new(general, [], topics.iter().map(topic).collect());
    Limits { durabilities: Arc::new(durabilities), ..Limits::default() }
}

/// A publisher on the first shard, and a durable subscriber on the last who is away.
fn stage_with_absent_subscriber(shards: u16, limits: &Limits, qos: u8) -> Stage {
    let mut stage = Stage::new(shards, limits);
    let subscriber = stage.connect(client("s").durable().on(shards - 1));
    stage.subscribed(subscriber, "#", qos);
    stage.lose(subscriber);
    stage
}

#[test]
fn a_message_of_the_class_memory_does_not_wait_for_the_disk_nor_is_it_written() {
    for shards in [1, 2] {
        let limits = limits(Durability::Commit, &[("fast/#", Durability::Memory)]);
        let mut stage = stage_with_absent_subscriber(shards, &limits, 1);
        let publisher = stage.connect(client("p"));
        stage.holds_commits = true;
        stage.send(publisher, publish("fast/1", "a", 1, 1));
        assert_eq!(stage.hear(publisher), ["puback #1"]);
        assert_eq!(stage.to_be_stored(), 0);
        stage.send(publisher, publish("slow/1", "b", 1, 2));
        assert_eq!(stage.hear(publisher), [""; 0]);
        stage.commit(CommitOutcome::Stored);
        assert_eq!(stage.hear(publisher), ["puback #2"]);
        stage.holds_commits = false;
        let back = stage.connect(client("s").durable().on(shards - 1));
        stage.send(back, puback(1));
        stage.send(back, puback(2));
    }
}

/// Both are kept in one order, though only some of them are written down.
#[test]
fn messages_of_all_classes_wait_in_the_order_in_which_they_came() {
    let limits = limits(Durability::Commit, &[("fast", Durability::Memory)]);
    let mut stage = stage_with_absent_subscriber(1, &limits, 1);
    let publisher = stage.connect(client("p"));
    for (topic, payload) in [("fast", "1"), ("slow", "2"), ("fast", "3"), ("fast", "4"), ("slow", "5")] {
        stage.send(publisher, publish(topic, payload, 1, 1));
    }
    let back = stage.connect_and_hear(client("s").durable());
    let payloads: Vec<_> = stage.hear_publishes(back).into_iter().map(|publish| publish.payload).collect();
    assert_eq!(payloads, ["1", "2", "3", "4", "5"]);
}

#[test]
fn a_message_of_the_class_memory_is_no_part_of_what_is_on_disk_whatever_becomes_of_it() {
    let limits = limits(Durability::Commit, &[("fast", Durability::Memory)]);
    let mut stage = Stage::new(1, &limits);
    let (publisher, subscriber) = (stage.connect(client("p")), stage.connect(client("s").durable()));
    stage.subscribed(subscriber, "#", 1);
    let before = stage.shard(0).durable_sessions();
    stage.holds_commits = true;
    stage.send(publisher, publish("fast", "1", 1, 1));
    assert_eq!(stage.shard(0).durable_sessions(), before);
    stage.send(subscriber, puback(1));
    assert_eq!((stage.shard(0).durable_sessions(), stage.to_be_stored()), (before, 0));
}

#[test]
fn the_class_of_a_listener_holds_where_the_topic_says_nothing() {
    let limits = limits(Durability::Commit, &[("safe", Durability::Commit)]);
    let mut stage = stage_with_absent_subscriber(1, &limits, 1);
    let publisher = stage.connect(client("p").through(Durability::Memory));
    stage.holds_commits = true;
    stage.send(publisher, publish("t", "a", 1, 1));
    stage.send(publisher, publish("safe", "b", 1, 2));
    assert_eq!(stage.hear(publisher), ["puback #1"]);
    stage.commit(CommitOutcome::Stored);
    assert_eq!(stage.hear(publisher), ["puback #2"]);
    let durabilities: Vec<_> = stage
        .events()
        .into_iter()
        .filter_map(|event| match event {
            EventKind::Published { durability, .. } => Some(durability),
            _ => None,
        })
        .collect();
    assert_eq!(durabilities, [Some(Durability::Memory), None], "said where it is not the general one");
}

#[test]
fn what_is_stored_says_what_it_must_survive() {
    let limits = limits(Durability::Commit, &[("os", Durability::Os), ("memory", Durability::Memory)]);
    let mut stage = stage_with_absent_subscriber(1, &limits, 1);
    let publisher = stage.connect(client("p"));
    stage.survives.clear();
    stage.send(publisher, publish("os", "a", 1, 1));
    stage.send(publisher, publish("memory", "b", 1, 2));
    stage.send(publisher, retain("memory", "c", 1, 3));
    stage.send(publisher, publish("t", "d", 1, 4));
    assert_eq!(stage.survives, [Durability::Os, Durability::Os, Durability::Commit]);
    // The third is the retained message, which is there after a restart in every class.
    assert_eq!(stage.stored, ["retain memory=c v1"]);
    stage.survives.clear();
    let back = stage.connect(client("s").durable());
    assert_eq!(stage.survives.iter().max(), Some(&Durability::Commit), "that it is connected");
    stage.survives.clear();
    stage.send(back, puback(1));
    assert_eq!(stage.survives, [Durability::Os], "that a message has arrived");
}

/// The identifiers of QoS 2 are shared by all classes.
#[test]
fn a_message_of_qos_2_is_written_and_waited_for_in_every_class() {
    let limits = limits(Durability::Memory, &[]);
    let mut stage = stage_with_absent_subscriber(1, &limits, 2);
    let publisher = stage.connect(client("p"));
    stage.holds_commits = true;
    stage.survives.clear();
    stage.send(publisher, publish("t", "a", 2, 1));
    assert_eq!((stage.hear(publisher), stage.survives.as_slice()), (vec![], &[Durability::Os][..]));
    stage.commit(CommitOutcome::Stored);
    assert_eq!(stage.hear(publisher), ["pubrec #1"]);
}

/// Nobody needs on disk what everybody has.
#[test]
fn a_message_that_all_have_acknowledged_before_its_frame_is_closed_is_never_stored() {
    for shards in [1, 2] {
        let mut stage = Stage::new(shards, &Limits::default());
        let publisher = stage.connect(client("p"));
        let subscribers: Vec<_> =
            ["s", "t"].map(|id| stage.connect(client(id).durable().on(shards - 1))).into_iter().collect();
        subscribers.iter().for_each(|subscriber| stage.subscribed(*subscriber, "#", 1));
        stage.holds_commits = true;
        for number in 1..=100 {
            stage.send(publisher, publish("t", "x", 1, number));
            assert_eq!(stage.hear(publisher), [""; 0]);
            stage.send(subscribers[0], puback(number));
            assert_eq!((stage.hear(publisher), stage.to_be_stored()), (vec![], 2));
            stage.send(subscribers[1], puback(number));
            assert_eq!(stage.hear(publisher), [format!("puback #{number}")]);
            assert_eq!(stage.to_be_stored(), 0, "neither the message nor that it has arrived");
        }
        assert_eq!(stage.shard(0).promise_count(), 0);
    }
}

#[test]
fn a_message_whose_frame_is_closed_is_waited_for_and_its_end_written() {
    let mut stage = Stage::one();
    let (publisher, subscriber) = (stage.connect(client("p")), stage.connect(client("s").durable()));
    stage.subscribed(subscriber, "#", 1);
    stage.holds_commits = true;
    stage.send(publisher, publish("t", "x", 1, 1));
    stage.close_frame(0);
    let of_frame = stage.to_be_stored();
    stage.send(subscriber, puback(1));
    assert_eq!(stage.to_be_stored(), of_frame + 1);
    assert_eq!(stage.hear(publisher), [""; 0]);
    stage.commit(CommitOutcome::Stored);
    assert_eq!(stage.hear(publisher), ["puback #1"]);
}

/// What one of its receivers has still to acknowledge is kept, and so is that the other has.
#[test]
fn a_message_that_one_receiver_has_not_acknowledged_is_stored_with_what_is_known_of_the_others() {
    let mut stage = Stage::one();
    let publisher = stage.connect(client("p"));
    let subscribers = ["s", "t"].map(|id| stage.connect(client(id).durable()));
    subscribers.iter().for_each(|subscriber| stage.subscribed(*subscriber, "#", 1));
    stage.holds_commits = true;
    stage.send(publisher, publish("t", "x", 1, 1));
    stage.send(subscribers[0], puback(1));
    assert_eq!(stage.to_be_stored(), 2);
    stage.commit(CommitOutcome::Stored);
    assert_eq!(stage.hear(publisher), ["puback #1"]);
}

/// What is retained must be on disk, whoever has it already.
#[test]
fn the_acknowledgement_of_a_retained_message_waits_though_all_receivers_have_it() {
    let mut stage = Stage::one();
    let (publisher, subscriber) = (stage.connect(client("p")), stage.connect(client("s").durable()));
    stage.subscribed(subscriber, "#", 1);
    stage.holds_commits = true;
    stage.send(publisher, retain("t", "x", 1, 1));
    stage.send(subscriber, puback(1));
    assert_eq!((stage.hear(publisher), stage.to_be_stored()), (vec![], 1));
    stage.commit(CommitOutcome::Stored);
    assert_eq!(stage.hear(publisher), ["puback #1"]);
}

/// A message behind one of QoS 2 must not wait for a change that is never stored.
#[test]
fn a_message_behind_one_that_waits_for_the_disk_goes_with_it() {
    let mut stage = Stage::one();
    let publisher = stage.connect(client("p"));
    let (slow, fast) = (stage.connect(client("s").durable()), stage.connect(client("t").durable()));
    stage.subscribed(slow, "a/#", 2);
    stage.subscribed(fast, "b", 1);
    stage.holds_commits = true;
    stage.send(publisher, publish("a/1", "1", 2, 1));
    stage.close_frame(0);
    stage.send(publisher, publish("b", "2", 1, 2));
    stage.send(publisher, publish("a/2", "3", 0, 0));
    stage.send(fast, puback(1));
    stage.commit(CommitOutcome::Stored);
    assert_eq!(stage.hear(slow), ["publish a/1=1 q2 #1", "publish a/2=3"]);
    assert_eq!(stage.hear(publisher), ["pubrec #1", "puback #2"]);
    stage.send(slow, pubrec(1));
}
