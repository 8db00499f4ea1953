//! Who may what, over time: a change of rights holds at once, for everything that is under way.

use super::stage::{Stage, client, pubcomp, publish, retain, subscribe};
use crate::broker::effect::CommitOutcome;
use crate::broker::event::EventKind;
use crate::broker::limits::Limits;
use crate::broker::reason::Reason;
use crate::protocol::ProtocolVersion;

/// [v5:MQTT-3.3.5-2] [v311:MQTT-3.3.5-2]
#[test]
fn a_publish_without_the_right_reaches_nobody_and_5_0_is_told() {
    let mut stage = Stage::one();
    stage.rules(&["Student allow sub #", "Student allow pub open"]);
    let watcher = stage.connect(client("w"));
    stage.subscribed(watcher, "#", 2);
    let new = stage.connect(client("new"));
    let old = stage.connect(client("old").version(ProtocolVersion::V3_1_1));
    for connection in [new, old] {
        for qos in 0..=2 {
            stage.send(connection, publish("secret", "x", qos, u16::from(qos)));
        }
    }
    assert_eq!(stage.hear(new), ["puback #1 0x87", "pubrec #2 0x87"]);
    assert_eq!(stage.hear(old), ["puback #1", "pubrec #2"]);
    assert_eq!(stage.hear(watcher), [""; 0]);
    let refused = stage.events().into_iter().filter(|event| matches!(event, EventKind::PublishRefused { .. }));
    assert_eq!(refused.count(), 6);
}

/// [v5:MQTT-4.4.0-2]: after a refusal the identifier is free, so the next message with it is a new one.
#[test]
fn the_identifier_of_a_refused_message_of_qos_2_is_free() {
    let mut stage = Stage::one();
    stage.rules(&["Student allow sub #", "Student allow pub open"]);
    let connection = stage.connect(client("a"));
    stage.subscribed(connection, "open", 0);
    stage.send(connection, publish("secret", "x", 2, 1));
    stage.send(connection, publish("open", "x", 2, 1));
    assert_eq!(stage.hear(connection), ["pubrec #1 0x87", "publish open=x", "pubrec #1"]);
}

/// What is known of the topics that a client published to last is forgotten with its rights.
#[test]
fn a_publisher_who_loses_the_right_is_refused_however_often_the_topic_was_published_to() {
    let mut stage = Stage::one();
    let (subscriber, publisher) = (stage.connect(client("s").user("bob")), stage.connect(client("p")));
    stage.subscribed(subscriber, "#", 0);
    let publish_twice = |stage: &mut Stage| {
        stage.send(publisher, publish("a/b", "x", 1, 1));
        stage.send(publisher, publish("a/b", "x", 1, 2));
        (stage.hear(publisher), stage.hear(subscriber).len())
    };
    let (taken, refused) = (["puback #1", "puback #2"], ["puback #1 0x87", "puback #2 0x87"]);
    assert_eq!(publish_twice(&mut stage), (taken.map(String::from).to_vec(), 2));
    stage.rules(&["Student allow pubsub #", "ann deny pub a/+"]);
    assert_eq!(publish_twice(&mut stage), (refused.map(String::from).to_vec(), 0));
    stage.rules(&["Student allow pubsub #"]);
    assert_eq!(publish_twice(&mut stage), (taken.map(String::from).to_vec(), 2));
}

/// A live subscription whose right is gone brings nothing, and works again when the right comes back.
#[test]
fn a_live_subscription_ends_with_its_right_and_returns_with_it() {
    let mut stage = Stage::new(2, &Limits::default());
    let subscriber = stage.connect(client("s").on(1));
    let publisher = stage.connect(client("p").user("bob"));
    stage.subscribed(subscriber, "a/#", 1);
    stage.subscribed(subscriber, "$share/g/a/#", 1);
    let everything = ["Student allow pubsub #"];
    let partly = ["Student allow pubsub #", "ann deny sub a/secret"];
    let nothing = ["Student allow pub #"];
    for (rules, expected) in [(&partly[..], 2), (&nothing, 0), (&everything, 4)] {
        stage.rules(rules);
        stage.send(publisher, publish("a/secret", "x", 0, 0));
        stage.send(publisher, publish("a/open", "x", 0, 0));
        assert_eq!(stage.hear(subscriber).len(), expected, "{rules:?}");
    }
}

/// A partial denial exists at SUBSCRIBE already: it is granted and then asked message by message.
#[test]
fn a_denial_of_a_part_holds_on_delivery_of_live_and_retained_messages() {
    let mut stage = Stage::one();
    stage.rules(&["Student allow pubsub #", "ann deny sub a/secret"]);
    let bob = stage.connect(client("b").user("bob"));
    stage.send(bob, retain("a/secret", "1", 0, 0));
    stage.send(bob, retain("a/open", "1", 0, 0));
    let ann = stage.connect(client("a"));
    stage.send(ann, subscribe(1, "a/+", 1));
    stage.send(bob, publish("a/secret", "2", 0, 0));
    stage.send(bob, publish("a/open", "2", 0, 0));
    assert_eq!(stage.hear(ann), ["suback #1 0x01", "publish a/open=1 retain", "publish a/open=2"]);
}

/// What was queued while the right was there is not sent after it is gone.
#[test]
fn queued_messages_are_asked_about_again_when_they_are_sent() {
    let mut stage = Stage::one();
    let subscriber = stage.connect(client("s").durable());
    stage.subscribed(subscriber, "#", 1);
    stage.lose(subscriber);
    let publisher = stage.connect(client("p").user("bob"));
    stage.send(publisher, publish("secret", "x", 1, 1));
    stage.send(publisher, publish("open", "x", 1, 2));
    stage.rules(&["bob allow pub #", "Student allow sub open"]);
    let again = stage.connect_and_hear(client("s").durable());
    assert_eq!(stage.hear(again), ["connack present", "publish open=x q1 #1"]);
}

/// In flight counts as not received: what is sent again is asked about again.
#[test]
fn messages_in_flight_are_asked_about_again_when_they_are_sent_again() {
    let mut stage = Stage::one();
    let subscriber = stage.connect(client("s").durable());
    stage.subscribed(subscriber, "#", 1);
    let publisher = stage.connect(client("p").user("bob"));
    stage.send(publisher, publish("secret", "x", 1, 1));
    assert_eq!(stage.hear(subscriber), ["publish secret=x q1 #1"]);
    stage.rules(&["bob allow pub #", "Student allow sub open"]);
    stage.send(publisher, publish("open", "x", 1, 2));
    stage.send(subscriber, super::stage::puback(2));
    stage.lose(subscriber);
    let again = stage.connect_and_hear(client("s").durable());
    assert_eq!(stage.hear(again), ["connack present"]);
}

/// [v5:MQTT-4.3.3-5]: the receiver may hold the identifier of a forbidden message of QoS 2, so that is released.
#[test]
fn a_forbidden_message_of_qos_2_in_flight_is_released_without_being_sent_again() {
    let mut stage = Stage::one();
    let subscriber = stage.connect(client("s").durable());
    stage.subscribed(subscriber, "#", 2);
    let publisher = stage.connect(client("p").user("bob"));
    stage.send(publisher, publish("secret", "x", 2, 1));
    stage.lose(subscriber);
    stage.rules(&["bob allow pub #", "Student allow sub open"]);
    for _ in 0..2 {
        let again = stage.connect_and_hear(client("s").durable());
        assert_eq!(stage.hear(again), ["connack present", "pubrel #1"]);
    }
    let last = stage.connect(client("s").durable());
    stage.send(last, pubcomp(1));
    stage.lose(last);
    let none = stage.connect_and_hear(client("s").durable());
    assert_eq!(stage.hear(none), ["connack present"]);
}

/// Messages that follow a SUBACK are asked about when it goes out, not when it was asked for.
#[test]
fn retained_messages_behind_a_waiting_suback_are_asked_about_again() {
    let mut stage = Stage::new(2, &Limits::default());
    let subscriber = stage.connect(client("s"));
    let publisher = stage.connect(client("p").user("bob"));
    stage.send(publisher, retain("t/1", "x", 1, 1));
    stage.holds_mail = true;
    stage.send(subscriber, subscribe(1, "t/#", 0));
    stage.rules(&["bob allow pub #"]);
    stage.send(subscriber, super::stage::puback(9));
    stage.deliver_mail();
    assert_eq!(stage.hear(subscriber), ["suback #1 0x00"]);
}

/// Retained messages do not outlive the right of their publisher while they wait to be sent, either.
#[test]
fn retained_messages_that_wait_are_dropped_when_their_publisher_loses_the_right() {
    let mut stage = Stage::new(2, &Limits::default());
    let publisher = stage.connect(client("p").user("bob"));
    for topic in ["t/1", "t/2"] {
        stage.send(publisher, retain(topic, "x", 1, 1));
    }
    let slow = stage.connect(client("slow").receive_maximum(1));
    stage.send(slow, subscribe(1, "t/#", 1));
    assert_eq!(stage.hear(slow), ["suback #1 0x01", "publish t/1=x q1 #1 retain"]);
    let late = stage.connect(client("late"));
    stage.holds_mail = true;
    stage.send(late, subscribe(1, "t/#", 1));
    stage.rules(&["Student allow sub #"]);
    stage.deliver_mail();
    assert_eq!(stage.hear(late), ["suback #1 0x01"]);
    stage.send(slow, super::stage::puback(1));
    assert_eq!(stage.hear(slow), [""; 0]);
}

/// ... nor while it waits for the disk with the session that is to have it.
#[test]
fn a_retained_message_that_waits_for_the_disk_is_dropped_when_its_publisher_loses_the_right() {
    let mut stage = Stage::one();
    let publisher = stage.connect(client("p").user("bob"));
    stage.send(publisher, retain("t", "x", 2, 1));
    let subscriber = stage.connect(client("s").durable());
    stage.holds_commits = true;
    stage.send(subscriber, subscribe(1, "t", 2));
    stage.commit_first(CommitOutcome::Stored);
    assert_eq!(stage.hear(subscriber), ["suback #1 0x02"]);
    stage.rules(&["Student allow sub #"]);
    stage.commit(CommitOutcome::Stored);
    assert_eq!(stage.hear(subscriber), [""; 0]);
}

/// ... nor while it is in flight to a client that is away.
#[test]
fn a_retained_message_in_flight_is_not_sent_again_when_its_publisher_lost_the_right() {
    let mut stage = Stage::one();
    let publisher = stage.connect(client("p").user("bob"));
    stage.send(publisher, retain("t", "x", 1, 1));
    let subscriber = stage.connect(client("s").durable());
    stage.send(subscriber, subscribe(1, "t", 1));
    assert_eq!(stage.hear(subscriber), ["suback #1 0x01", "publish t=x q1 #1 retain"]);
    stage.lose(subscriber);
    stage.rules(&["Student allow sub #"]);
    let again = stage.connect_and_hear(client("s").durable());
    assert_eq!(stage.hear(again), ["connack present"]);
}

/// The shard that keeps a group may not know yet that a member lost its right.
#[test]
fn a_shared_message_chosen_under_the_old_rights_is_asked_about_where_the_member_is() {
    let mut stage = Stage::new(2, &Limits::default());
    let publisher = stage.connect(client("p").user("bob"));
    let member = stage.connect(client("m").on(1));
    let topics: Vec<String> = (0..8).map(|number| format!("job{number}")).collect();
    for topic in &topics {
        stage.subscribed(member, &format!("$share/g/{topic}"), 0);
    }
    stage.holds_mail = true;
    for topic in &topics {
        stage.send(publisher, publish(topic, "x", 0, 0));
    }
    stage.rules(&["bob allow pub #"]);
    stage.deliver_mail();
    assert_eq!(stage.hear(member), [""; 0]);
}

/// A removed user loses connections and sessions; a disabled one keeps its session for better days.
#[test]
fn removed_users_lose_their_sessions_and_disabled_ones_their_connections() {
    let mut stage = Stage::one();
    let connection = stage.connect(client("a").durable());
    stage.subscribed(connection, "t", 1);
    stage.users_and_rules(&["ann!", "bob"], &["Student allow pubsub #"]);
    assert_eq!(stage.hear(connection), ["disconnect 0x87", "closed"]);
    assert_eq!(stage.shard(0).session_count(), 1);
    let bob = stage.connect(client("b").user("bob"));
    stage.send(bob, publish("t", "secret", 1, 1));
    stage.rules(&["Student allow pubsub #"]);
    let again = stage.connect_and_hear(client("a").durable());
    assert_eq!(stage.hear(again), ["connack present"]);
    stage.users_and_rules(&["bob"], &["Student allow pubsub #"]);
    assert_eq!(stage.hear(again), ["disconnect 0x98", "closed"]);
    assert_eq!(stage.shard(0).session_count(), 1);
    stage.send(bob, super::stage::disconnect());
    stage.assert_empty();
}

/// Policies may arrive in any order; the latest stays.
#[test]
fn an_older_policy_does_not_replace_a_newer_one() {
    let mut stage = Stage::one();
    let connection = stage.connect(client("a"));
    stage.rules(&["Student allow pubsub #"]);
    stage.rules(&["Student allow sub #"]);
    stage.forget_generations();
    stage.rules(&["Student allow pubsub #"]);
    stage.send(connection, publish("t", "x", 1, 1));
    assert_eq!(stage.hear(connection), ["puback #1 0x87"]);
}

/// The log says which rule it was.
#[test]
fn a_refused_subscription_is_recorded_with_its_rule() {
    let mut stage = Stage::one();
    stage.rules(&["Student allow sub #", "ann deny sub secret/#"]);
    let connection = stage.connect(client("a"));
    stage.events();
    stage.send(connection, subscribe(1, "secret/x", 0));
    let events = stage.events();
    let [EventKind::SubscribeRefused { reason: Reason::Denied, rule: Some(rule), .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(rule.0, 2);
}

/// The others of the group may, so the message is not lost to it.
#[test]
fn a_member_without_the_right_is_passed_over_wherever_it_is() {
    for (shards, places) in [(1, [0, 0]), (2, [0, 0]), (2, [0, 1]), (2, [1, 0]), (2, [1, 1])] {
        let mut stage = Stage::new(shards, &Limits::default());
        let publisher = stage.connect(client("p").user("bob"));
        let ann = stage.connect(client("a").on(places[0]));
        let bob = stage.connect(client("b").user("bob").on(places[1]));
        [ann, bob].iter().for_each(|member| stage.subscribed(*member, "$share/g/t", 1));
        stage.rules(&["Student allow pub #", "bob allow sub #"]);
        for number in 1..=4 {
            stage.send(publisher, publish("t", &number.to_string(), 1, number));
            let heard: Vec<_> = stage.hear_publishes(bob).into_iter().map(|publish| publish.payload).collect();
            assert_eq!(heard, [number.to_string()], "{shards} {places:?}");
            stage.send(bob, super::stage::puback(number));
        }
        stage.rules(&["Student allow pub #"]);
        stage.send(publisher, publish("t", "nobody", 1, 5));
        assert_eq!((stage.hear(ann), stage.hear(bob)), (vec![], vec![]));
        let denied: u64 = (0..shards).filter_map(|id| stage.shard(id).counters().dropped.get(&Reason::Denied)).sum();
        assert_eq!(denied, 1, "each was asked once");
        assert_eq!(stage.hear(publisher).len(), 5);
    }
}
