//! Retained messages: what is promised of them, on how many shards, and what the store is told.

use super::stage::{Stage, client, publish, retain, subscribe};
use crate::broker::effect::{CommitOutcome, RetainedVersion};
use crate::broker::input::Input;
use crate::broker::limits::Limits;
use crate::broker::message::{Message, Origin};
use crate::protocol::{Packet, ProtocolVersion, Publish, QoS, Rare, TopicName};
use bytes::Bytes;
use std::sync::Arc;

/// What a fresh client on a shard is sent for a filter.
fn retained_on(stage: &mut Stage, shard: u16, filter: &str) -> Vec<String> {
    let fresh = stage.connect(client("fresh").on(shard));
    stage.send(fresh, subscribe(1, filter, 0));
    let heard = stage.hear(fresh);
    stage.send(fresh, super::stage::disconnect());
    heard[1..].to_vec()
}

/// [v5:MQTT-3.3.1-5] [v5:MQTT-3.3.1-6] [v5:MQTT-3.3.1-7]
#[test]
fn the_last_retained_message_of_a_topic_replaces_the_others_and_an_empty_one_clears_it() {
    let mut stage = Stage::new(2, &Limits::default());
    let publisher = stage.connect(client("p"));
    stage.send(publisher, retain("t", "1", 1, 1));
    stage.send(publisher, retain("t", "2", 0, 0));
    for shard in [0, 1] {
        assert_eq!(retained_on(&mut stage, shard, "#"), ["publish t=2 retain"]);
    }
    stage.send(publisher, retain("t", "", 1, 2));
    for shard in [0, 1] {
        assert_eq!(retained_on(&mut stage, shard, "#"), [""; 0]);
    }
    assert_eq!(stage.stored, ["retain t=1 v1", "retain t=2 v2", "unretain t v3"]);
}

/// Acknowledged means stored, and known wherever somebody may ask.
#[test]
fn the_acknowledgement_of_a_retained_message_waits_for_the_disk_and_for_all_shards() {
    let mut stage = Stage::new(3, &Limits::default());
    let publisher = stage.connect(client("p"));
    stage.holds_commits = true;
    stage.holds_mail = true;
    stage.send(publisher, retain("t", "x", 1, 1));
    stage.commit(CommitOutcome::Stored);
    assert_eq!(stage.hear(publisher), [""; 0]);
    stage.deliver_mail_from(0, 1);
    stage.deliver_mail_from(1, 0);
    assert_eq!(stage.hear(publisher), [""; 0]);
    stage.deliver_mail();
    assert_eq!(stage.hear(publisher), ["puback #1 0x10"]);
    stage.send(publisher, retain("t", "y", 2, 2));
    stage.deliver_mail();
    assert_eq!(stage.hear(publisher), [""; 0]);
    stage.commit(CommitOutcome::Stored);
    assert_eq!(stage.hear(publisher), ["pubrec #2 0x10"]);
}

/// A message that is not retained need not wait for anything, whatever its level.
#[test]
fn a_message_that_is_not_retained_is_acknowledged_at_once() {
    let mut stage = Stage::new(2, &Limits::default());
    let publisher = stage.connect(client("p"));
    stage.holds_commits = true;
    stage.holds_mail = true;
    stage.send(publisher, publish("t", "x", 1, 1));
    assert_eq!(stage.hear(publisher), ["puback #1 0x10"]);
}

/// 5.0 is told with 0x97; an older client has to find out by connecting again.
#[test]
fn a_failed_commit_is_never_acknowledged_as_a_success() {
    let mut stage = Stage::one();
    stage.holds_commits = true;
    let new = stage.connect(client("new"));
    stage.send(new, retain("t", "1", 1, 1));
    stage.send(new, retain("t", "2", 2, 2));
    let old = stage.connect(client("old").version(ProtocolVersion::V3_1_1));
    stage.send(old, retain("t", "3", 1, 1));
    stage.commit(CommitOutcome::Failed);
    assert_eq!(stage.hear(new), ["puback #1 0x97", "pubrec #2 0x97"]);
    assert_eq!(stage.hear(old), ["closed"]);
    stage.send(new, retain("t", "4", 2, 2));
    stage.commit(CommitOutcome::Stored);
    assert_eq!(stage.hear(new), ["pubrec #2 0x10"]);
}

/// One failed group does not taint the next.
#[test]
fn only_the_messages_of_the_failed_commit_are_refused() {
    let mut stage = Stage::one();
    stage.holds_commits = true;
    let publisher = stage.connect(client("p"));
    stage.send(publisher, retain("t", "1", 1, 1));
    stage.commit(CommitOutcome::Failed);
    stage.send(publisher, retain("t", "2", 1, 2));
    stage.commit(CommitOutcome::Stored);
    assert_eq!(stage.hear(publisher), ["puback #1 0x97", "puback #2 0x10"]);
}

/// [v5:MQTT-3.3.2-5] [v5:MQTT-3.3.2-6]
#[test]
fn a_retained_message_expires_in_memory_and_in_the_store() {
    let mut stage = Stage::new(2, &Limits::default());
    let publisher = stage.connect(client("p"));
    let mut message = retain("t", "x", 0, 0);
    message.properties.message_expiry_interval = Some(10);
    stage.send(publisher, message);
    stage.pass(4);
    assert_eq!(retained_on(&mut stage, 1, "t"), ["publish t=x retain expiry=6"]);
    stage.pass(6);
    assert_eq!(retained_on(&mut stage, 0, "t"), [""; 0]);
    assert_eq!(stage.stored, ["retain t=x v1", "unretain t v1"]);
    assert_eq!(stage.shard(0).retained_count() + stage.shard(1).retained_count(), 0);
}

/// An expired message is still later than one that was on its way.
#[test]
fn an_older_message_does_not_come_back_after_a_newer_one_expired() {
    let mut stage = Stage::new(3, &Limits::default());
    let (first, second) = (stage.connect(client("a").on(0)), stage.connect(client("b").on(1)));
    stage.holds_mail = true;
    stage.send(first, retain("t", "old", 0, 0));
    stage.deliver_mail_from(0, 1);
    let mut message = retain("t", "new", 0, 0);
    message.properties.message_expiry_interval = Some(1);
    stage.send(second, message);
    stage.deliver_mail_from(1, 2);
    stage.pass(1);
    stage.deliver_mail();
    assert_eq!(stage.shard(2).retained_count(), 0);
}

/// What the store kept is there after a restart, and later messages are later than it.
#[test]
fn restored_messages_are_retained_and_older_than_what_is_published_next() {
    let mut stage = Stage::one();
    let message = Message {
        topic: TopicName::try_from("t").unwrap(),
        payload: Bytes::from_static(b"kept"),
        qos: QoS::AtLeastOnce,
        retain: true,
        expires_at: None,
        origin: Origin::System,
        durability: crate::broker::Durability::Commit,
        properties: Rare::NOTHING,
    };
    let version = RetainedVersion { counter: 41, shard: 3 };
    stage.input(0, Input::Restored { message: Arc::new(message), version });
    assert_eq!(retained_on(&mut stage, 0, "t"), ["publish t=kept retain"]);
    let publisher = stage.connect(client("p"));
    stage.send(publisher, retain("t", "new", 0, 0));
    assert_eq!(stage.stored, ["retain t=new v42"]);
}

/// A subscriber whose SUBACK waits is not told an older state after a newer one.
#[test]
fn a_retained_message_that_was_replaced_meanwhile_does_not_follow_the_suback() {
    let mut stage = Stage::new(2, &Limits::default());
    let publisher = stage.connect(client("p"));
    let subscriber = stage.connect(client("s"));
    stage.send(publisher, retain("t", "old", 0, 0));
    stage.holds_mail = true;
    stage.send(subscriber, subscribe(1, "t", 0));
    stage.send(publisher, retain("t", "new", 0, 0));
    stage.deliver_mail();
    assert_eq!(stage.hear(subscriber), ["publish t=new", "suback #1 0x00"]);
}

/// Whoever subscribes ends up with the last message, wherever it was published while the SUBACK waited.
#[test]
fn a_retained_message_published_elsewhere_while_the_suback_waits_is_not_missed() {
    let mut stage = Stage::new(2, &Limits::default());
    let publisher = stage.connect(client("p").on(1));
    let subscriber = stage.connect(client("s"));
    stage.send(publisher, retain("t", "old", 1, 1));
    stage.hear(publisher);
    stage.holds_mail = true;
    stage.send(subscriber, subscribe(1, "t", 0));
    stage.send(publisher, retain("t", "new", 1, 2));
    stage.deliver_mail();
    let heard = stage.hear(subscriber);
    assert_eq!(heard, ["publish t=new", "suback #1 0x00"]);
}

/// Retained messages carry their publisher: they do not outlive its right.
#[test]
fn a_retained_message_is_not_sent_once_its_publisher_lost_the_right() {
    let mut stage = Stage::one();
    let (ann, bob) = (stage.connect(client("a")), stage.connect(client("b").user("bob")));
    stage.send(ann, retain("t/ann", "1", 0, 0));
    stage.send(bob, retain("t/bob", "2", 0, 0));
    stage.rules(&["Student allow sub #", "ann allow pub t/ann"]);
    assert_eq!(retained_on(&mut stage, 0, "#"), ["publish t/ann=1 retain"]);
    stage.rules(&["Student allow pubsub #"]);
    assert_eq!(retained_on(&mut stage, 0, "#").len(), 2);
}

/// Beyond the limit a new topic is refused with 0x97; known topics are still replaced and cleared.
#[test]
fn too_many_retained_messages_are_refused() {
    let mut stage = Stage::new(1, &Limits { max_retained_messages: 1, ..Limits::default() });
    let publisher = stage.connect(client("p"));
    for (topic, payload, expected) in [
        ("a", "1", "puback #1 0x10"),
        ("b", "1", "puback #1 0x97"),
        ("a", "2", "puback #1 0x10"),
        ("a", "", "puback #1 0x10"),
        ("b", "1", "puback #1 0x10"),
    ] {
        stage.send(publisher, retain(topic, payload, 1, 1));
        assert_eq!(stage.hear(publisher), [expected], "{topic}={payload}");
    }
}

/// [v5:MQTT-4.8.2-1]: a shared subscription brings no retained messages.
#[test]
fn a_shared_subscription_brings_no_retained_messages() {
    let mut stage = Stage::one();
    let publisher = stage.connect(client("p"));
    stage.send(publisher, Publish { retain: true, ..publish("t", "x", 0, 0) });
    assert_eq!(retained_on(&mut stage, 0, "$share/g/t"), [""; 0]);
    assert_eq!(retained_on(&mut stage, 0, "t").len(), 1);
    stage.send(publisher, Packet::PingReq);
}

/// Its publisher was told 0x97, but subscribers are told of it: then it must be there after a restart, too.
#[test]
fn a_retained_message_whose_commit_failed_is_stored_with_the_next_frame() {
    let mut stage = Stage::new(2, &Limits::default());
    let publisher = stage.connect(client("p"));
    stage.holds_commits = true;
    stage.send(publisher, retain("t", "1", 1, 1));
    stage.send(publisher, retain("u", "1", 1, 2));
    stage.send(publisher, retain("u", "", 1, 3));
    stage.send(publisher, retain("u", "2", 1, 4));
    stage.stored.clear();
    stage.commit(CommitOutcome::Failed);
    assert_eq!(stage.hear(publisher), ["puback #1 0x97", "puback #2 0x97", "puback #3 0x97", "puback #4 0x97"]);
    stage.pass(1);
    stage.close_frame(0);
    assert_eq!(stage.stored, ["retain t=1 v1", "retain u=2 v4"]);
    stage.stored.clear();
    stage.commit(CommitOutcome::Stored);
    stage.pass(10);
    stage.close_frame(0);
    assert_eq!(stage.stored, [""; 0]);
}
