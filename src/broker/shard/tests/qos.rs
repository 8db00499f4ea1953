//! QoS 1 and 2 in both directions, over lost connections, within the receive maximum of both sides.

use super::stage::{Stage, client, id, puback, pubcomp, publish, pubrec, pubrel, retain, subscribe};
use crate::broker::effect::{CommitOutcome, ConnectionId};
use crate::broker::input::Input;
use crate::broker::limits::Limits;
use crate::broker::record::Record;
use crate::protocol::{Packet, ProtocolVersion, PubAck, Publish, ReasonCode};

/// A publisher, and a durable subscriber to everything under `t` at QoS 2.
fn stage_with_two(receive_maximum: u16) -> (Stage, ConnectionId, ConnectionId) {
    let mut stage = Stage::one();
    let publisher = stage.connect(client("p"));
    let subscriber = stage.connect(client("s").durable().receive_maximum(receive_maximum));
    stage.subscribed(subscriber, "t/#", 2);
    (stage, publisher, subscriber)
}

fn dup(publish: Publish) -> Publish {
    Publish { dup: true, ..publish }
}

/// [v5:MQTT-4.3.2-4] [v5:MQTT-4.3.2-5]
#[test]
fn a_message_of_qos_1_is_acknowledged_and_a_repetition_is_a_new_one() {
    let (mut stage, publisher, subscriber) = stage_with_two(10);
    stage.send(publisher, publish("t", "1", 1, 7));
    stage.send(publisher, dup(publish("t", "1", 1, 7)));
    assert_eq!(stage.hear(publisher), ["puback #7", "puback #7"]);
    assert_eq!(stage.hear(subscriber), ["publish t=1 q1 #1", "publish t=1 q1 #2"]);
}

/// [v5:MQTT-4.3.3-8] to [v5:MQTT-4.3.3-12]
#[test]
fn a_message_of_qos_2_is_routed_once_until_it_is_released() {
    let (mut stage, publisher, subscriber) = stage_with_two(10);
    stage.send(publisher, publish("t", "1", 2, 7));
    stage.send(publisher, dup(publish("t", "1", 2, 7)));
    assert_eq!(stage.hear(publisher), ["pubrec #7", "pubrec #7"]);
    stage.send(publisher, pubrel(7));
    stage.send(publisher, pubrel(7));
    assert_eq!(stage.hear(publisher), ["pubcomp #7", "pubcomp #7 0x92"]);
    stage.send(publisher, publish("t", "2", 2, 7));
    assert_eq!(stage.hear(subscriber), ["publish t=1 q2 #1", "publish t=2 q2 #2"]);
}

/// [v5:MQTT-4.3.3-10]: over a lost connection, too.
#[test]
fn a_message_of_qos_2_is_not_routed_again_after_a_reconnect() {
    let (mut stage, _, subscriber) = stage_with_two(10);
    let first = stage.connect(client("q").durable());
    stage.send(first, publish("t", "once", 2, 7));
    stage.lose(first);
    let second = stage.connect(client("q").durable());
    stage.send(second, dup(publish("t", "once", 2, 7)));
    stage.send(second, pubrel(7));
    assert_eq!(stage.hear(second), ["pubrec #7", "pubcomp #7"]);
    assert_eq!(stage.hear(subscriber), ["publish t=once q2 #1"]);
}

/// [v5:MQTT-4.3.3-4] to -7: the whole exchange with a receiver.
#[test]
fn the_broker_releases_a_message_of_qos_2_before_it_uses_the_identifier_again() {
    let (mut stage, publisher, subscriber) = stage_with_two(1);
    stage.send(publisher, publish("t", "1", 2, 1));
    stage.send(publisher, publish("t", "2", 2, 2));
    assert_eq!(stage.hear(subscriber), ["publish t=1 q2 #1"]);
    stage.send(subscriber, pubrec(1));
    assert_eq!(stage.hear(subscriber), ["pubrel #1"]);
    stage.send(subscriber, pubcomp(1));
    assert_eq!(stage.hear(subscriber), ["publish t=2 q2 #2"]);
}

/// [v5:MQTT-4.4.0-2]: a PUBREC that refuses ends the exchange.
#[test]
fn a_message_of_qos_2_that_the_receiver_refuses_is_over() {
    let (mut stage, publisher, subscriber) = stage_with_two(1);
    stage.send(publisher, publish("t", "1", 2, 1));
    stage.send(publisher, publish("t", "2", 2, 2));
    stage.hear(subscriber);
    stage.send(subscriber, Packet::PubRec(PubAck::new(id(1), ReasonCode::QuotaExceeded)));
    assert_eq!(stage.hear(subscriber), ["publish t=2 q2 #2"]);
}

/// [v5:MQTT-4.4.0-1] [v5:MQTT-3.3.1-1] [v5:MQTT-4.6.0-1]
#[test]
fn what_was_in_flight_is_sent_again_in_order_with_its_identifier_and_dup() {
    let (mut stage, publisher, subscriber) = stage_with_two(10);
    stage.send(publisher, publish("t", "1", 1, 1));
    stage.send(publisher, publish("t", "2", 2, 2));
    stage.send(publisher, publish("t", "3", 2, 3));
    stage.hear(subscriber);
    stage.send(subscriber, pubrec(2));
    stage.lose(subscriber);
    stage.send(publisher, publish("t", "4", 1, 4));
    let again = stage.connect_and_hear(client("s").durable());
    assert_eq!(
        stage.hear(again),
        ["connack present", "publish t=1 q1 #1 dup", "pubrel #2", "publish t=3 q2 #3 dup", "publish t=4 q1 #4"]
    );
    for ack in [puback(1), pubcomp(2), pubrec(3), puback(4), pubcomp(3)] {
        stage.send(again, ack);
    }
    stage.lose(again);
    let third = stage.connect_and_hear(client("s").durable());
    assert_eq!(stage.hear(third), ["connack present"]);
}

/// [v5:MQTT-4.4.0-1]: the PUBREL is sent until its PUBCOMP comes, and a late PUBREC is answered with it.
#[test]
fn a_pubrel_is_sent_again_until_it_is_answered() {
    let (mut stage, publisher, subscriber) = stage_with_two(10);
    stage.send(publisher, publish("t", "1", 2, 1));
    stage.send(subscriber, pubrec(1));
    stage.lose(subscriber);
    for _ in 0..2 {
        let again = stage.connect_and_hear(client("s").durable());
        assert_eq!(stage.hear(again), ["connack present", "pubrel #1"]);
        stage.send(again, pubrec(1));
        assert_eq!(stage.hear(again), ["pubrel #1"]);
        stage.lose(again);
    }
    let last = stage.connect(client("s").durable());
    stage.send(last, pubcomp(1));
    stage.lose(last);
    let none = stage.connect_and_hear(client("s").durable());
    assert_eq!(stage.hear(none), ["connack present"]);
}

/// Acknowledgements of what was never sent, or of the wrong kind, change nothing.
#[test]
fn unknown_acknowledgements_are_harmless() {
    let (mut stage, publisher, subscriber) = stage_with_two(10);
    stage.send(publisher, publish("t", "1", 1, 1));
    stage.send(publisher, publish("t", "2", 2, 2));
    stage.hear(subscriber);
    for ack in [puback(9), pubcomp(9), puback(2), pubcomp(1), pubcomp(2)] {
        stage.send(subscriber, ack);
    }
    assert_eq!(stage.hear(subscriber), [""; 0]);
    stage.send(subscriber, pubrec(9));
    assert_eq!(stage.hear(subscriber), ["pubrel #9 0x92"]);
    stage.lose(subscriber);
    let again = stage.connect(client("s").durable().receive_maximum(1));
    stage.send(again, puback(1));
    assert_eq!(stage.hear(again), ["publish t=2 q2 #2 dup"]);
}

/// [v5:MQTT-3.3.4-9] [v5:MQTT-3.3.4-10] [v5:MQTT-4.9.0-1] [v5:MQTT-4.9.0-2]
#[test]
fn no_more_is_in_flight_than_the_receiver_takes() {
    let (mut stage, publisher, subscriber) = stage_with_two(2);
    for number in 1..=4 {
        stage.send(publisher, publish("t", &number.to_string(), 1, number));
    }
    stage.send(publisher, publish("t", "zero", 0, 0));
    assert_eq!(stage.hear(subscriber), ["publish t=1 q1 #1", "publish t=2 q1 #2", "publish t=zero"]);
    stage.send(subscriber, puback(2));
    assert_eq!(stage.hear(subscriber), ["publish t=3 q1 #3"]);
    stage.send(subscriber, puback(1));
    stage.send(subscriber, puback(3));
    assert_eq!(stage.hear(subscriber), ["publish t=4 q1 #4"]);
}

/// [v5:MQTT-4.9.0-3]: QoS 0 does not need a quota.
#[test]
fn qos_0_goes_on_while_the_quota_is_used_up() {
    let (mut stage, publisher, subscriber) = stage_with_two(1);
    stage.send(publisher, publish("t", "1", 1, 1));
    stage.send(publisher, publish("t", "0", 0, 0));
    assert_eq!(stage.hear(subscriber), ["publish t=1 q1 #1", "publish t=0"]);
}

/// [v5:MQTT-3.3.4-9]: a resumed client may take less than before.
#[test]
fn a_smaller_receive_maximum_holds_for_what_is_sent_again() {
    let (mut stage, publisher, subscriber) = stage_with_two(3);
    for number in 1..=4 {
        stage.send(publisher, publish("t", &number.to_string(), 1, number));
    }
    stage.lose(subscriber);
    let again = stage.connect(client("s").durable().receive_maximum(1));
    let _ = stage.hear(again);
    stage.send(again, puback(1));
    assert_eq!(stage.hear(again), ["publish t=2 q1 #2 dup"]);
    stage.send(again, puback(2));
    assert_eq!(stage.hear(again), ["publish t=3 q1 #3 dup"]);
    stage.send(again, puback(3));
    assert_eq!(stage.hear(again), ["publish t=4 q1 #4"]);
}

/// [v5:MQTT-3.3.4-7] [v5:MQTT-4.13.1-1]
#[test]
fn a_publisher_that_exceeds_the_receive_maximum_is_disconnected() {
    let mut stage = Stage::new(1, &Limits { receive_maximum: 2, ..Limits::default() });
    let rude = stage.connect(client("rude"));
    for number in 1..=3 {
        stage.send(rude, publish("t", "x", 2, number));
    }
    assert_eq!(stage.hear(rude), ["pubrec #1 0x10", "pubrec #2 0x10", "disconnect 0x93", "closed"]);
    let polite = stage.connect(client("polite"));
    for number in 1..=3 {
        stage.send(polite, publish("t", "x", 2, number));
        stage.send(polite, pubrel(number));
    }
    assert_eq!(stage.hear(polite).last().unwrap(), "pubcomp #3");
}

/// The receive maximum is a word of 5.0: older clients were never told of it.
#[test]
fn a_publisher_of_3_1_1_is_not_held_to_a_maximum_it_cannot_know() {
    let mut stage = Stage::new(1, &Limits { receive_maximum: 2, ..Limits::default() });
    let old = stage.connect(client("old").version(ProtocolVersion::V3_1_1));
    for number in 1..=3 {
        stage.send(old, publish("t", "x", 2, number));
    }
    assert_eq!(stage.hear(old), ["pubrec #1", "pubrec #2", "pubrec #3"]);
}

/// [v5:MQTT-4.6.0-2] [v5:MQTT-4.6.0-3]: acknowledgements keep the order of what they acknowledge.
#[test]
fn acknowledgements_queue_behind_one_that_waits_for_the_disk() {
    let (mut stage, publisher, _) = stage_with_two(10);
    stage.holds_commits = true;
    stage.send(publisher, retain("t", "1", 1, 1));
    stage.send(publisher, publish("t", "2", 1, 2));
    stage.send(publisher, publish("t", "3", 2, 3));
    stage.send(publisher, subscribe(4, "x", 0));
    assert_eq!(stage.hear(publisher), [""; 0]);
    stage.send(publisher, Packet::PingReq);
    assert_eq!(stage.hear(publisher), ["pingresp"]);
    stage.commit(CommitOutcome::Stored);
    assert_eq!(stage.hear(publisher), ["puback #1", "puback #2", "pubrec #3", "suback #4 0x00"]);
}

/// A repetition is no proof that the first copy is safe.
#[test]
fn a_repeated_qos_2_message_is_not_acknowledged_before_its_commit_either() {
    let mut stage = Stage::one();
    let first = stage.connect(client("q").durable());
    stage.holds_commits = true;
    stage.send(first, retain("t", "once", 2, 7));
    stage.lose(first);
    let second = stage.connect(client("q").durable());
    stage.send(second, Publish { dup: true, ..retain("t", "once", 2, 7) });
    assert_eq!(stage.hear(second), [""; 0]);
    stage.commit(CommitOutcome::Stored);
    assert_eq!(stage.hear(second), ["connack present", "pubrec #7"]);
    assert_eq!(stage.stored.len(), 1);
}

/// ... and if that was never stored, the repetition is taken as new.
#[test]
fn a_qos_2_message_whose_commit_failed_meanwhile_is_taken_again() {
    for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        let mut stage = Stage::one();
        let hello = || client("q").durable().version(version);
        let first = stage.connect(hello());
        stage.holds_commits = true;
        stage.send(first, retain("t", "once", 2, 7));
        stage.lose(first);
        stage.commit(CommitOutcome::Failed);
        let second = stage.connect(hello());
        stage.send(second, Publish { dup: true, ..retain("t", "once", 2, 7) });
        assert_eq!(stage.hear(second), [""; 0]);
        stage.commit(CommitOutcome::Stored);
        assert!(stage.hear(second)[1].starts_with("pubrec #7"));
        assert_eq!(stage.stored.len(), 2);
    }
}

/// [v5:MQTT-3.3.4-7]: an identifier that is in use is no way around the bound.
#[test]
fn repeating_one_identifier_does_not_make_the_broker_hold_ever_more() {
    let mut stage = Stage::new(1, &Limits { receive_maximum: 10, ..Limits::default() });
    stage.holds_commits = true;
    let rude = stage.connect(client("rude"));
    stage.send(rude, retain("t", "x", 2, 1));
    for _ in 0..20 {
        stage.send(rude, publish("t", "x", 1, 1));
    }
    assert_eq!(stage.hear(rude), ["disconnect 0x93", "closed"]);
    for packet in [pubrel(9), super::stage::unsubscribe(9, "x"), Packet::from(subscribe(9, "x", 0))] {
        let rude = stage.connect(client("rude"));
        stage.send(rude, retain("t", "x", 2, 1));
        for _ in 0..=Limits::MAX_HELD_ACKS {
            stage.send(rude, packet.clone());
        }
        assert_eq!(stage.hear(rude), ["disconnect 0x97", "closed"]);
    }
}

/// [v5:MQTT-3.3.1-12]: to each the lower of both levels.
#[test]
fn a_message_is_sent_with_the_lower_of_the_two_levels() {
    let mut stage = Stage::one();
    let (publisher, subscriber) = (stage.connect(client("p")), stage.connect(client("s")));
    for qos in 0..=2 {
        stage.subscribed(subscriber, &format!("t{qos}"), qos);
    }
    for qos in 0..=2 {
        for level in 0..=2 {
            stage.send(publisher, publish(&format!("t{level}"), "x", qos, 1));
            stage.send(publisher, pubrel(1));
            let heard = stage.hear(subscriber);
            let expected = qos.min(level);
            assert_eq!(heard[0].contains(&format!("q{expected}")), expected > 0, "{heard:?}");
        }
    }
}

/// What was taken before the broker was started is asked about again; refused, it leaves its identifier to another message.
/// [v5:MQTT-4.3.3-9]
#[test]
fn a_message_that_is_refused_after_a_restart_leaves_its_identifier_to_a_new_one() {
    let mut before = Stage::one();
    let receiver = before.connect(client("r").user("bob").durable());
    before.subscribed(receiver, "t", 2);
    let publisher = before.connect(client("p").durable());
    before.send(publisher, publish("t", "old", 2, 1));
    let mut stage = Stage::one();
    for (_, records) in before.shard(0).durable_sessions() {
        stage.input(0, Input::Checkpointed(records));
    }
    stage.input(0, Input::Recovered { went_down: stage.now, run: 2 });
    stage.rules(&["Student allow pubsub #", "ann deny pub t"]);
    let publisher = stage.connect(client("p").durable());
    stage.send(publisher, dup(publish("t", "old", 2, 1)));
    assert_eq!(stage.hear(publisher), ["pubrec #1 0x87"]);
    let taken = |stage: &Stage| {
        let records = stage.shard(0).durable_sessions().into_iter().flat_map(|(_, records)| records);
        records.filter(|record| matches!(record, Record::Taken { .. } | Record::Once { .. })).count()
    };
    assert_eq!(taken(&stage), 0);
    stage.rules(&["Student allow pubsub #"]);
    let receiver = stage.connect_and_hear(client("r").user("bob").durable());
    assert_eq!(stage.hear(receiver), ["connack present", "publish t=old q2 #1 dup"]);
    stage.send(publisher, publish("t", "new", 2, 1));
    assert_eq!(stage.hear(receiver), ["publish t=new q2 #2"]);
}
