//! Several shards: what is published on one reaches the subscribers of all, and a shared group gets one copy.

use super::stage::{Stage, client, puback, publish, subscribe, unsubscribe};
use crate::broker::effect::{CommitOutcome, GroupKey, ShardId, partition_of_group, shard_of_partition};
use crate::broker::limits::Limits;
use crate::broker::record::Record;
use crate::protocol::{SharedFilter, TopicFilter};

/// A topic for which the group `g` is kept by that shard.
fn topic_of_group_on(owner: u16, shards: u16) -> String {
    let key = |topic: &str| GroupKey {
        share: SharedFilter::new(&super::stage::text("$share/g/x")).unwrap().share.unwrap(),
        filter: TopicFilter::try_from(topic).unwrap(),
    };
    let is_kept_there = |topic: &String| shard_of_partition(partition_of_group(&key(topic)), shards) == ShardId(owner);
    (0..).map(|number| format!("job{number}")).find(is_kept_there).unwrap()
}

/// A message for another shard goes there once, whoever is subscribed.
#[test]
fn subscribers_on_all_shards_get_a_message_once() {
    let mut stage = Stage::new(3, &Limits::default());
    let publisher = stage.connect(client("p").on(0));
    let subscribers: Vec<_> = (0..3).map(|shard| stage.connect(client(&format!("s{shard}")).on(shard))).collect();
    for &subscriber in &subscribers {
        stage.subscribed(subscriber, "t/+", 1);
        stage.subscribed(subscriber, "t/#", 1);
    }
    stage.send(publisher, publish("t/x", "hi", 1, 1));
    assert_eq!(stage.hear(publisher), ["puback #1"]);
    for &subscriber in &subscribers {
        assert_eq!(stage.hear(subscriber), ["publish t/x=hi q1 #1"]);
    }
}

/// SUBACK is a promise: what is published anywhere after it is delivered.
#[test]
fn a_suback_waits_until_every_shard_knows_of_the_subscription() {
    let mut stage = Stage::new(3, &Limits::default());
    let subscriber = stage.connect(client("s").on(0));
    let publisher = stage.connect(client("p").on(2));
    stage.holds_mail = true;
    stage.send(subscriber, subscribe(1, "t", 1));
    stage.deliver_mail_from(0, 1);
    stage.deliver_mail_from(1, 0);
    assert_eq!(stage.hear(subscriber), [""; 0]);
    stage.deliver_mail_from(0, 2);
    stage.deliver_mail_from(2, 0);
    assert_eq!(stage.hear(subscriber), ["suback #1 0x01"]);
    stage.send(publisher, publish("t", "hi", 1, 1));
    stage.deliver_mail();
    assert_eq!(stage.hear(subscriber), ["publish t=hi q1 #1"]);
}

/// A second subscriber to the same filter may not be told earlier than the first: the news may still be on its way.
#[test]
fn a_second_subscription_with_the_same_filter_waits_as_long() {
    let mut stage = Stage::new(2, &Limits::default());
    let (first, second) = (stage.connect(client("a")), stage.connect(client("b")));
    stage.holds_mail = true;
    stage.send(first, subscribe(1, "t", 1));
    stage.send(second, subscribe(1, "t", 1));
    assert_eq!(stage.hear(second), [""; 0]);
    stage.deliver_mail();
    assert_eq!(stage.hear(second), ["suback #1 0x01"]);
}

/// The shard that keeps a new group has to tell all others first: a message published there would miss the group.
#[test]
fn the_suback_of_a_shared_subscription_waits_until_every_shard_knows_of_the_group() {
    let mut stage = Stage::new(3, &Limits::default());
    let topic = topic_of_group_on(0, 3);
    let member = stage.connect(client("m").on(1));
    let publisher = stage.connect(client("p").on(2));
    stage.holds_mail = true;
    stage.send(member, subscribe(1, &format!("$share/g/{topic}"), 1));
    for (from, to) in [(1, 0), (1, 2), (2, 1), (0, 1), (1, 0), (0, 1)] {
        stage.deliver_mail_from(from, to);
    }
    assert_eq!(stage.hear(member), [""; 0]);
    stage.deliver_mail_from(0, 2);
    stage.send(publisher, publish(&topic, "hi", 1, 1));
    stage.deliver_mail();
    assert_eq!(stage.hear(member), ["suback #1 0x01", &format!("publish {topic}=hi q1 #1")]);
}

/// A refused subscription has nothing to wait for.
#[test]
fn a_suback_that_only_refuses_does_not_wait() {
    let mut stage = Stage::new(2, &Limits::default());
    stage.rules(&["Student allow pub #"]);
    let connection = stage.connect(client("a"));
    stage.holds_mail = true;
    stage.send(connection, subscribe(1, "t", 1));
    assert_eq!(stage.hear(connection), ["suback #1 0x87"]);
}

/// Nothing is left on any shard when the last subscriber is gone.
#[test]
fn interests_and_groups_end_with_their_subscribers() {
    let mut stage = Stage::new(3, &Limits::default());
    let first = stage.connect(client("a").on(0));
    let second = stage.connect(client("b").on(1));
    for connection in [first, second] {
        for filter in ["t/#", "+/x", "$share/g/t", "$share/h/t/#"] {
            stage.subscribed(connection, filter, 1);
        }
    }
    stage.send(first, unsubscribe(2, "t/#"));
    stage.lose(first);
    stage.lose(second);
    stage.assert_empty();
}

/// [v5:MQTT-4.8.2-4] [v5:MQTT-4.8.2-6]
#[test]
fn a_shared_group_gets_each_message_once_wherever_its_members_are() {
    for owner in 0..3 {
        let mut stage = Stage::new(3, &Limits::default());
        let topic = topic_of_group_on(owner, 3);
        let members: Vec<_> = (0..3).map(|shard| stage.connect(client(&format!("m{shard}")).on(shard))).collect();
        for &member in &members {
            stage.subscribed(member, &format!("$share/g/{topic}"), 1);
        }
        let publisher = stage.connect(client("p").on(1));
        for number in 1..=6 {
            stage.send(publisher, publish(&topic, &number.to_string(), 1, number));
        }
        for &member in &members {
            assert_eq!(stage.hear(member).len(), 2, "the group on shard {owner}");
        }
        assert_eq!(stage.hear(publisher).len(), 6);
    }
}

/// Two groups, and a subscriber of its own, each get a copy.
#[test]
fn groups_of_different_names_are_served_apart() {
    let mut stage = Stage::new(2, &Limits::default());
    let member = stage.connect(client("m").on(1));
    for filter in ["$share/g/t", "$share/h/t", "t"] {
        stage.subscribed(member, filter, 0);
    }
    let publisher = stage.connect(client("p"));
    stage.send(publisher, publish("t", "x", 0, 0));
    assert_eq!(stage.hear(member).len(), 3);
}

/// Absent members are passed over while somebody is there, and their sessions keep messages when nobody is.
#[test]
fn a_group_prefers_members_that_are_connected() {
    for owner in 0..2 {
        let mut stage = Stage::new(2, &Limits::default());
        let topic = topic_of_group_on(owner, 2);
        let there = stage.connect(client("there").durable());
        let away = stage.connect(client("away").durable().on(1));
        for connection in [there, away] {
            stage.subscribed(connection, &format!("$share/g/{topic}"), 1);
        }
        stage.lose(away);
        let publisher = stage.connect(client("p").on(1));
        stage.send(publisher, publish(&topic, "1", 1, 1));
        stage.send(publisher, publish(&topic, "2", 1, 2));
        assert_eq!(stage.hear(there).len(), 2);
        stage.lose(there);
        stage.send(publisher, publish(&topic, "3", 1, 3));
        stage.send(publisher, publish(&topic, "4", 1, 4));
        let back =
            [stage.connect_and_hear(client("there").durable()), stage.connect_and_hear(client("away").durable().on(1))];
        let heard: Vec<_> = back.iter().flat_map(|&connection| stage.hear(connection)).collect();
        for payload in ["=3 ", "=4 "] {
            assert_eq!(heard.iter().filter(|line| line.contains(payload)).count(), 1, "{heard:?}");
        }
    }
}

/// A member that leaves while a message is on its way to it must not take the message along.
#[test]
fn a_message_on_its_way_to_a_member_that_left_goes_to_another() {
    for leaves_by in ["unsubscribe", "disconnect"] {
        let mut stage = Stage::new(3, &Limits::default());
        let topic = topic_of_group_on(0, 3);
        let (first, second) = (stage.connect(client("a").on(1)), stage.connect(client("b").on(2)));
        for connection in [first, second] {
            stage.subscribed(connection, &format!("$share/g/{topic}"), 1);
        }
        let publisher = stage.connect(client("p").on(0));
        stage.holds_mail = true;
        stage.send(publisher, publish(&topic, "1", 1, 1));
        match leaves_by {
            "unsubscribe" => stage.send(first, unsubscribe(2, &format!("$share/g/{topic}"))),
            _ => stage.lose(first),
        }
        stage.deliver_mail();
        assert_eq!(stage.hear(second), [format!("publish {topic}=1 q1 #1")], "{leaves_by}");
        let heard = stage.hear(first);
        assert!(heard.iter().all(|line| !line.starts_with("publish")), "{heard:?}");
    }
}

/// Order per publisher and topic holds across shards.
#[test]
fn messages_arrive_on_another_shard_in_order() {
    let mut stage = Stage::new(2, &Limits::default());
    let subscriber = stage.connect(client("s").on(1).receive_maximum(1));
    stage.subscribed(subscriber, "t", 1);
    let publisher = stage.connect(client("p"));
    stage.holds_mail = true;
    for number in 1..=3 {
        stage.send(publisher, publish("t", &number.to_string(), 1, number));
    }
    stage.deliver_mail();
    for number in 1..=3 {
        assert_eq!(stage.hear(subscriber), [format!("publish t={number} q1 #{number}")]);
        stage.send(subscriber, puback(number));
    }
}

/// Until the end of a publisher's session is on disk a crash brings the session back, and it publishes again what was not
/// acknowledged: its receivers have to know it until then.
#[test]
fn a_receiver_remembers_what_a_publisher_sent_until_the_end_of_its_session_is_stored() {
    let mut stage = Stage::new(2, &Limits::default());
    let receiver = stage.connect(client("r").durable());
    stage.subscribed(receiver, "t", 2);
    let publisher = stage.connect(client("p").durable().on(1));
    stage.send(publisher, publish("t", "once", 2, 1));
    let forgotten =
        |stage: &Stage| stage.journal.iter().filter(|(_, record)| matches!(record, Record::Forgotten { .. })).count();
    stage.holds_commits = true;
    let _ = stage.connect(client("p").clean_start().on(1));
    assert_eq!(forgotten(&stage), 0);
    stage.commit(CommitOutcome::Failed);
    assert_eq!(forgotten(&stage), 0);
    stage.close_frame(1);
    stage.commit(CommitOutcome::Stored);
    assert_eq!(forgotten(&stage), 1);
}
