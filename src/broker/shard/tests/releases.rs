//! When the identifier of a QoS 2 message is free again, whatever the disk does meanwhile: what is published with it next
//! must not be taken for the message before.

use super::stage::{Stage, client, publish, pubrel};
use crate::broker::durability::{Durabilities, Durability, QueueFull, TopicSettings};
use crate::broker::effect::{CommitOutcome, ConnectionId};
use crate::broker::input::Input;
use crate::broker::limits::Limits;
use crate::broker::record::Record;
use crate::protocol::{ProtocolVersion, Publish, TopicFilter};
use std::sync::Arc;

/// A receiver on the first shard, whose journal the stage keeps, and a publisher on the second.
fn receiver_and_publisher(version: ProtocolVersion) -> (Stage, ConnectionId, ConnectionId) {
    let mut stage = Stage::new(2, &Limits::default());
    let receiver = stage.connect(client("r").durable());
    stage.subscribed(receiver, "t", 2);
    let publisher = stage.connect(client("p").durable().version(version).on(1));
    stage.holds_commits = true;
    (stage, receiver, publisher)
}

fn forgotten(stage: &Stage) -> usize {
    stage.journal.iter().filter(|(_, record)| matches!(record, Record::Forgotten { .. })).count()
}

fn dup(publish: Publish) -> Publish {
    Publish { dup: true, ..publish }
}

#[test]
fn a_pubcomp_waits_until_the_disk_knows_of_the_release_however_often_it_fails() {
    for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        for failing in [0, 1] {
            let (mut stage, _, publisher) = receiver_and_publisher(version);
            stage.send(publisher, publish("t", "1", 2, 1));
            stage.commit(CommitOutcome::Stored);
            assert_eq!(stage.hear(publisher), ["pubrec #1"]);
            stage.send(publisher, pubrel(1));
            for _ in 0..3 {
                stage.commit_of(failing, CommitOutcome::Failed);
                stage.commit_of(1 - failing, CommitOutcome::Stored);
                assert_eq!(stage.hear(publisher), [""; 0], "shard {failing}");
                stage.pass(1);
                stage.close_frame(failing);
            }
            stage.commit(CommitOutcome::Stored);
            assert_eq!(stage.hear(publisher), ["pubcomp #1"], "shard {failing}");
        }
    }
}

/// The receiver has stored it, so it has to forget it on disk, too, before the identifier can mean another message.
#[test]
fn a_message_that_one_shard_could_not_store_is_refused_once_the_others_have_forgotten_it() {
    let (mut stage, receiver, publisher) = receiver_and_publisher(ProtocolVersion::V5);
    stage.send(publisher, publish("t", "1", 2, 1));
    stage.commit_of(0, CommitOutcome::Stored);
    stage.commit_of(1, CommitOutcome::Failed);
    assert_eq!(forgotten(&stage), 1);
    stage.commit_of(0, CommitOutcome::Failed);
    assert_eq!(stage.hear(publisher), [""; 0]);
    stage.close_frame(0);
    stage.commit_of(0, CommitOutcome::Stored);
    assert_eq!(stage.hear(publisher), ["pubrec #1 0x97"]);
    stage.hear(receiver);
    stage.send(publisher, publish("t", "2", 2, 1));
    stage.close_frame(1);
    stage.commit(CommitOutcome::Stored);
    assert_eq!(stage.hear(publisher), ["pubrec #1"]);
    assert_eq!(stage.hear(receiver), ["publish t=2 q2 #2"]);
}

/// A full disk takes nothing back, and nothing has to be: the publisher is told at once.
#[test]
fn a_message_that_nobody_could_store_is_refused_while_the_disk_is_full() {
    let (mut stage, _, publisher) = receiver_and_publisher(ProtocolVersion::V5);
    for number in 1..=3 {
        stage.send(publisher, publish("t", "x", 2, number));
        stage.commit(CommitOutcome::Failed);
        assert_eq!(stage.hear(publisher), [format!("pubrec #{number} 0x97")]);
    }
    assert_eq!(forgotten(&stage), 0);
}

/// Before 5.0 the publisher cannot be told, so it publishes again: who has it must not get it twice.
#[test]
fn a_message_that_was_stored_in_part_reaches_each_receiver_once_when_it_is_published_again() {
    let (mut stage, receiver, publisher) = receiver_and_publisher(ProtocolVersion::V3_1_1);
    stage.send(publisher, publish("t", "1", 2, 1));
    stage.commit_of(0, CommitOutcome::Stored);
    assert_eq!(stage.hear(receiver), ["publish t=1 q2 #1"]);
    stage.commit_of(1, CommitOutcome::Failed);
    assert_eq!(stage.hear(publisher), ["closed"]);
    let publisher = stage.connect(client("p").durable().version(ProtocolVersion::V3_1_1).on(1));
    stage.send(publisher, dup(publish("t", "1", 2, 1)));
    stage.close_frame(1);
    stage.commit(CommitOutcome::Stored);
    assert_eq!(stage.hear(publisher), ["connack present", "pubrec #1"]);
    assert_eq!(stage.hear(receiver), [""; 0]);
}

/// A receiver has it in memory alone: to say so would be a promise that a crash breaks.
#[test]
fn a_message_that_is_published_again_waits_for_the_disk_of_those_who_have_it() {
    let (mut stage, _, publisher) = receiver_and_publisher(ProtocolVersion::V3_1_1);
    stage.send(publisher, publish("t", "1", 2, 1));
    stage.commit_of(1, CommitOutcome::Stored);
    stage.commit_of(0, CommitOutcome::Failed);
    assert_eq!(stage.hear(publisher), ["closed"]);
    let publisher = stage.connect_and_hear(client("p").durable().version(ProtocolVersion::V3_1_1).on(1));
    stage.commit_of(1, CommitOutcome::Stored);
    stage.send(publisher, dup(publish("t", "1", 2, 1)));
    stage.commit_of(1, CommitOutcome::Stored);
    assert_eq!(stage.hear(publisher), ["connack present"]);
    stage.close_frame(0);
    stage.commit_of(0, CommitOutcome::Stored);
    assert_eq!(stage.hear(publisher), ["pubrec #1"]);
}

/// The first PUBREL is on its way to the disk when its connection ends: the answer to the second says no more than it.
#[test]
fn a_repeated_pubrel_is_not_answered_before_the_first_is_stored() {
    let (mut stage, _, publisher) = receiver_and_publisher(ProtocolVersion::V3_1_1);
    stage.send(publisher, publish("t", "1", 2, 1));
    stage.commit(CommitOutcome::Stored);
    stage.send(publisher, pubrel(1));
    stage.lose(publisher);
    let publisher = stage.connect_and_hear(client("p").durable().version(ProtocolVersion::V3_1_1).on(1));
    stage.send(publisher, pubrel(1));
    stage.commit_of(1, CommitOutcome::Stored);
    assert_eq!(stage.hear(publisher), ["connack present"]);
    stage.commit_of(0, CommitOutcome::Stored);
    assert_eq!(stage.hear(publisher), ["pubcomp #1 0x92"]);
}

/// [v5:4.9]: "The send quota and Receive Maximum value are not preserved across Network Connections".
#[test]
fn what_was_published_on_an_earlier_connection_does_not_use_up_the_receive_maximum() {
    let mut stage = Stage::new(1, &Limits { receive_maximum: 2, ..Limits::default() });
    let first = stage.connect(client("p").durable());
    stage.send(first, publish("t", "1", 2, 1));
    stage.send(first, publish("t", "2", 2, 2));
    assert_eq!(stage.hear(first), ["pubrec #1 0x10", "pubrec #2 0x10"]);
    stage.lose(first);
    let second = stage.connect(client("p").durable());
    stage.send(second, publish("t", "3", 2, 3));
    stage.send(second, dup(publish("t", "1", 2, 1)));
    assert_eq!(stage.hear(second), ["pubrec #3 0x10", "pubrec #1"]);
    stage.send(second, publish("t", "4", 2, 4));
    assert_eq!(stage.hear(second), ["disconnect 0x93", "closed"]);
}

/// What was taken over before a crash is on disk, so a refusal now has to be written down, too.
#[test]
fn a_message_of_before_a_crash_that_finds_its_queue_full_is_released_on_disk() {
    let mut before = Stage::one();
    let publisher = before.connect(client("p").durable());
    before.send(publisher, publish("t", "1", 2, 1));
    let filter = TopicFilter::try_from("t").unwrap();
    let refuse = TopicSettings { filter, durability: None, queue_full: QueueFull::Refuse };
    let durabilities = Arc::new(Durabilities::new(Durability::Commit, [], vec![refuse]));
    let mut stage = Stage::new(1, &Limits { max_queued_messages: 0, durabilities, ..Limits::default() });
    for (_, records) in before.shard(0).durable_sessions() {
        stage.input(0, Input::Checkpointed(records));
    }
    stage.input(0, Input::Recovered { went_down: stage.now, run: 2 });
    let receiver = stage.connect(client("r").durable());
    stage.subscribed(receiver, "t", 2);
    stage.lose(receiver);
    let publisher = stage.connect(client("p").durable());
    stage.send(publisher, dup(publish("t", "1", 2, 1)));
    assert_eq!(stage.hear(publisher), ["pubrec #1 0x97"]);
    let is_released = |(_, record): &(_, Record)| matches!(record, Record::Released { .. });
    assert!(stage.journal.iter().any(is_released), "{:?}", stage.journal);
}
