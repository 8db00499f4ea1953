//! What is published for a client that vanishes, when, and with whose rights.

use super::stage::{Hello, Stage, client, disconnect, publish};
use crate::broker::limits::Limits;
use crate::protocol::{Disconnect, Packet, ProtocolVersion, ReasonCode};

fn stage_with_watcher() -> (Stage, crate::broker::effect::ConnectionId) {
    let mut stage = Stage::one();
    let watcher = stage.connect(client("watcher").user("bob"));
    stage.subscribed(watcher, "will", 1);
    (stage, watcher)
}

/// [v5:MQTT-3.1.2-8]
#[test]
fn a_will_is_published_when_the_connection_is_lost() {
    let (mut stage, watcher) = stage_with_watcher();
    let doomed = stage.connect(client("a").will("will", 0));
    stage.lose(doomed);
    assert_eq!(stage.hear(watcher), ["publish will=gone q1 #1"]);
}

/// [v5:MQTT-3.1.2-8] [v5:MQTT-3.1.2-10] [v5:MQTT-3.14.4-3] [v311:MQTT-3.1.2-10]
#[test]
fn a_will_is_not_sent_after_a_normal_disconnect() {
    let (mut stage, watcher) = stage_with_watcher();
    for version in [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
        let polite = stage.connect(client("a").version(version).will("will", 0));
        stage.send(polite, disconnect());
        assert_eq!(stage.hear(polite), ["closed"]);
    }
    assert_eq!(stage.hear(watcher), [""; 0]);
}

/// [v5:MQTT-3.14.4-3]: only reason 0x00 discards it.
#[test]
fn a_client_may_disconnect_and_ask_for_its_will() {
    let (mut stage, watcher) = stage_with_watcher();
    let doomed = stage.connect(client("a").will("will", 0));
    stage.send(doomed, Packet::Disconnect(Box::new(Disconnect::new(ReasonCode::DisconnectWithWill))));
    assert_eq!(stage.hear(watcher), ["publish will=gone q1 #1"]);
}

/// [v5:MQTT-3.1.2-8]: also when the server closes, for silence or for an error of the client's.
#[test]
fn a_will_is_published_when_the_server_closes() {
    let (mut stage, watcher) = stage_with_watcher();
    let silent = stage.connect(client("a").keep_alive(10).will("will", 0));
    stage.pass(15);
    assert_eq!(stage.hear(silent), ["disconnect 0x8d", "closed"]);
    let rude = stage.connect(client("b").will("will", 0));
    stage.send(rude, Packet::PingResp);
    assert_eq!(stage.hear(watcher), ["publish will=gone q1 #1", "publish will=gone q1 #2"]);
}

/// [v5:MQTT-3.1.3-9]
#[test]
fn a_will_waits_for_its_delay_and_is_dropped_if_the_client_comes_back() {
    let (mut stage, watcher) = stage_with_watcher();
    let doomed = || client("a").durable().will("will", 10);
    let first = stage.connect(doomed());
    stage.lose(first);
    stage.pass(9);
    assert_eq!(stage.hear(watcher), [""; 0]);
    let second = stage.connect(doomed());
    stage.pass(100);
    assert_eq!(stage.hear(watcher), [""; 0]);
    stage.lose(second);
    stage.pass(10);
    assert_eq!(stage.hear(watcher), ["publish will=gone q1 #1"]);
    stage.pass(2000);
    assert_eq!(stage.hear(watcher), [""; 0]);
}

/// [v5:MQTT-3.1.3-9]: the second absence is counted on its own.
#[test]
fn the_delay_of_an_earlier_absence_does_not_shorten_a_later_one() {
    let (mut stage, watcher) = stage_with_watcher();
    let doomed = || client("a").durable().will("will", 10);
    let first = stage.connect(doomed());
    stage.lose(first);
    stage.pass(5);
    let second = stage.connect(doomed());
    stage.pass(2);
    stage.lose(second);
    stage.pass(9);
    assert_eq!(stage.hear(watcher), [""; 0]);
    stage.pass(1);
    assert_eq!(stage.hear(watcher), ["publish will=gone q1 #1"]);
}

/// [v5:MQTT-3.1.2-8]: the end of the session is soon enough.
#[test]
fn a_delay_longer_than_the_session_ends_with_it() {
    let (mut stage, watcher) = stage_with_watcher();
    let first = stage.connect(client("a").durable().expiry(20).will("will", 1000));
    stage.lose(first);
    stage.pass(19);
    assert_eq!(stage.hear(watcher), [""; 0]);
    stage.pass(1);
    assert_eq!(stage.hear(watcher), ["publish will=gone q1 #1"]);
    let second = stage.connect(client("b").will("will", 1000));
    stage.lose(second);
    assert_eq!(stage.hear(watcher), ["publish will=gone q1 #2"]);
}

/// A takeover with Clean Start 0 cancels a delayed will; with Clean Start 1 the session ends and so the will is due.
#[test]
fn a_takeover_cancels_a_delayed_will_unless_it_starts_clean() {
    let (mut stage, watcher) = stage_with_watcher();
    let doomed = || client("a").durable().will("will", 10);
    stage.connect(doomed());
    stage.connect(client("a").durable());
    stage.pass(100);
    assert_eq!(stage.hear(watcher), [""; 0]);
    stage.connect(doomed());
    stage.connect(client("a").clean_start());
    assert_eq!(stage.hear(watcher), ["publish will=gone q1 #1"]);
    stage.connect(client("a").durable().will("will", 0));
    stage.connect(client("a").durable());
    assert_eq!(stage.hear(watcher), ["publish will=gone q1 #2"]);
}

/// Wills are checked at CONNECT: nothing of a refused one happens.
#[test]
fn a_will_that_may_not_be_published_is_refused_at_connect() {
    let mut stage = Stage::one();
    stage.rules(&["Student allow sub #", "Student allow pub mine/#"]);
    let kept = stage.connect(client("a").durable());
    let refused = stage.connect_and_hear(client("a").will("will", 0));
    assert_eq!(stage.hear(refused), ["connack 0x87", "closed"]);
    let reserved = stage.connect_and_hear(client("a").will("$SYS/x", 0));
    assert_eq!(stage.hear(reserved), ["connack 0x87", "closed"]);
    stage.send(kept, Packet::PingReq);
    assert_eq!(stage.hear(kept), ["pingresp"]);
}

/// ... and again when they are published, with the rights of that moment.
#[test]
fn a_will_whose_right_is_lost_before_it_fires_is_not_published() {
    let (mut stage, watcher) = stage_with_watcher();
    let doomed = stage.connect(client("a").durable().will("will", 10));
    let live = stage.connect(client("b").will("will", 0));
    stage.lose(doomed);
    stage.rules(&["Student allow sub #"]);
    stage.pass(10);
    stage.lose(live);
    assert_eq!(stage.hear(watcher), [""; 0]);
}

/// Disabling a user ends its connections; its will is not its last word.
#[test]
fn the_will_of_a_disabled_or_removed_user_is_not_published() {
    for users in [&["ann!", "bob"][..], &["bob"]] {
        let (mut stage, watcher) = stage_with_watcher();
        let doomed = stage.connect(client("a").will("will", 0));
        let away = stage.connect(client("b").durable().will("will", 10));
        stage.lose(away);
        stage.users_and_rules(users, &["Student allow pubsub #"]);
        let code = if users.len() == 2 { "disconnect 0x87" } else { "disconnect 0x98" };
        assert_eq!(stage.hear(doomed), [code, "closed"]);
        stage.pass(100);
        assert_eq!(stage.hear(watcher), [""; 0]);
    }
}

/// [v5:MQTT-3.1.2-15]: the expiry of a will begins when it is published.
#[test]
fn a_will_expires_from_its_publication_on_and_may_be_retained() {
    let (mut stage, _) = stage_with_watcher();
    let change = |connect: &mut crate::protocol::Connect| {
        let will = connect.will.as_mut().unwrap();
        will.retain = true;
        will.properties.message_expiry_interval = Some(30);
    };
    let doomed: Hello = client("a").durable().will("state", 10).change(change);
    let connection = stage.connect(doomed);
    stage.lose(connection);
    stage.pass(20);
    assert_eq!(stage.stored, ["retain state=gone v1"]);
    let late = stage.connect(client("late"));
    stage.send(late, super::stage::subscribe(1, "state", 1));
    assert_eq!(stage.hear(late), ["suback #1 0x01", "publish state=gone q1 #1 retain expiry=20"]);
}

/// The dying session is no member of a group any more when its will is shared out.
#[test]
fn a_will_is_not_given_to_the_session_that_dies_with_it() {
    let (mut stage, _) = stage_with_watcher();
    let doomed = stage.connect(client("a").will("job", 0));
    stage.subscribed(doomed, "$share/g/job", 1);
    let other = stage.connect(client("b"));
    stage.subscribed(other, "$share/g/job", 1);
    stage.lose(doomed);
    assert_eq!(stage.hear(other), ["publish job=gone q1 #1"]);
}

/// A will is no way around the bound of retained messages.
#[test]
fn a_will_that_would_exceed_the_retained_messages_is_published_but_not_retained() {
    let mut stage = Stage::new(1, &Limits { max_retained_messages: 1, ..Limits::default() });
    let watcher = stage.connect(client("watcher"));
    stage.subscribed(watcher, "#", 1);
    stage.send(watcher, super::stage::retain("full", "x", 0, 0));
    stage.hear(watcher);
    let retained = |connect: &mut crate::protocol::Connect| connect.will.as_mut().unwrap().retain = true;
    let doomed = stage.connect(client("a").will("will", 0).change(retained));
    stage.lose(doomed);
    assert_eq!(stage.hear(watcher), ["publish will=gone q1 #1"]);
    assert_eq!(stage.shard(0).retained_count(), 1);
    stage.send(watcher, publish("after", "x", 0, 0));
}
