//! How connections and sessions begin, go on and end.

use super::stage::{Stage, client, disconnect, puback, publish, subscribe, text};
use crate::broker::access::{Principal, UserName};
use crate::broker::effect::partition_of_session;
use crate::broker::frame::DurableId;
use crate::broker::input::Input;
use crate::broker::limits::Limits;
use crate::broker::message::SessionKey;
use crate::broker::record::Record;
use crate::broker::time::Timestamp;
use crate::protocol::{ClientId, Disconnect, DisconnectProperties, Packet, ProtocolVersion, ReasonCode};
use std::sync::Arc;
use std::time::Duration;

/// [v5:MQTT-3.2.2-2] [v5:MQTT-3.2.2-3]
#[test]
fn a_session_is_present_only_where_one_was_kept() {
    let mut stage = Stage::one();
    let first = stage.connect_and_hear(client("a").durable());
    assert_eq!(stage.hear(first), ["connack"]);
    stage.lose(first);
    let second = stage.connect_and_hear(client("a").durable());
    assert_eq!(stage.hear(second), ["connack present"]);
    stage.lose(second);
    let third = stage.connect_and_hear(client("a"));
    assert_eq!(stage.hear(third), ["connack"]);
    stage.lose(third);
    let fourth = stage.connect_and_hear(client("a").durable());
    assert_eq!(stage.hear(fourth), ["connack"]);
}

/// [v31:3.2]
#[test]
fn a_client_of_3_1_is_not_told_of_its_session() {
    let mut stage = Stage::one();
    let hello = || client("a").durable().version(ProtocolVersion::V3_1);
    let first = stage.connect(hello());
    stage.subscribed(first, "t", 1);
    stage.lose(first);
    let publisher = stage.connect(client("p"));
    stage.send(publisher, publish("t", "kept", 1, 1));
    let second = stage.connect_and_hear(hello());
    assert_eq!(stage.hear(second), ["connack", "publish t=kept q1 #1"]);
}

/// [v5:MQTT-3.1.4-3]
#[test]
fn the_same_client_takes_its_session_over_and_the_old_connection_is_told() {
    let mut stage = Stage::one();
    let old = stage.connect(client("a").durable());
    stage.subscribed(old, "t", 1);
    let new = stage.connect_and_hear(client("a").durable());
    assert_eq!(stage.hear(old), ["disconnect 0x8e", "closed"]);
    assert_eq!(stage.hear(new), ["connack present"]);
    stage.send(old, publish("t", "from the dead", 0, 0));
    stage.send(new, publish("t", "alive", 0, 0));
    assert_eq!(stage.hear(new), ["publish t=alive"]);
    assert_eq!(stage.hear(old), [""; 0]);
    stage.lose(old);
    assert_eq!(stage.shard(0).connection_count(), 1);
}

/// [v311:MQTT-3.1.4-2]
#[test]
fn before_5_a_takeover_just_closes() {
    let mut stage = Stage::one();
    let old = stage.connect(client("a").version(ProtocolVersion::V3_1_1));
    stage.connect(client("a").version(ProtocolVersion::V3_1_1));
    assert_eq!(stage.hear(old), ["closed"]);
}

/// Nobody inherits or ends a session by using its client identifier.
#[test]
fn another_user_with_the_same_client_id_has_a_session_of_its_own() {
    let mut stage = Stage::one();
    let ann = stage.connect(client("a").durable());
    stage.subscribed(ann, "t", 1);
    let bob = stage.connect_and_hear(client("a").user("bob").clean_start());
    assert_eq!(stage.hear(bob), ["connack"]);
    assert_eq!(stage.hear(ann), [""; 0]);
    stage.send(bob, publish("t", "hi", 1, 1));
    assert_eq!(stage.hear(ann), ["publish t=hi q1 #1"]);
    assert_eq!(stage.hear(bob), ["puback #1"]);
    assert_eq!(stage.shard(0).session_count(), 2);
}

/// [v5:MQTT-3.1.2-4]
#[test]
fn a_clean_start_discards_what_was_queued_in_flight_and_subscribed() {
    let mut stage = Stage::one();
    let old = stage.connect(client("a").durable());
    stage.subscribed(old, "t", 1);
    let publisher = stage.connect(client("p"));
    stage.send(publisher, publish("t", "in flight", 1, 1));
    stage.lose(old);
    stage.send(publisher, publish("t", "queued", 1, 2));
    let new = stage.connect_and_hear(client("a").durable().clean_start());
    stage.send(publisher, publish("t", "later", 1, 3));
    assert_eq!(stage.hear(new), ["connack"]);
    assert_eq!(stage.hear(publisher), ["puback #1", "puback #2", "puback #3 0x10"]);
}

/// [v5:MQTT-3.1.2-23]
#[test]
fn a_session_lasts_as_long_as_its_expiry_says_and_no_longer() {
    let mut stage = Stage::one();
    for (away, expected) in [(99, "connack present"), (100, "connack")] {
        let first = stage.connect(client("a").durable().expiry(100).clean_start());
        stage.lose(first);
        stage.pass(away);
        let second = stage.connect_and_hear(client("a").durable());
        assert_eq!(stage.hear(second), [expected]);
    }
}

/// The clock of the core may be read before the timer is looked at.
#[test]
fn a_session_that_is_over_is_not_resumed_even_before_its_timer_is_looked_at() {
    let mut stage = Stage::one();
    let first = stage.connect(client("a").durable().expiry(100));
    stage.lose(first);
    stage.now = stage.now.after_secs(100);
    let second = stage.connect_and_hear(client("a").durable());
    assert_eq!(stage.hear(second), ["connack"]);
}

/// [v5:MQTT-3.14.4-1] and the session expiry interval of DISCONNECT
#[test]
fn disconnect_may_change_the_expiry_of_a_session_that_has_one() {
    let mut stage = Stage::one();
    let goodbye = |expiry| {
        let properties = DisconnectProperties { session_expiry_interval: Some(expiry), ..Default::default() };
        Packet::Disconnect(Box::new(Disconnect { reason: ReasonCode::Success, properties }))
    };
    let first = stage.connect(client("a").durable());
    stage.send(first, goodbye(0));
    assert_eq!(stage.hear(first), ["closed"]);
    stage.assert_empty();
    let second = stage.connect(client("a"));
    stage.send(second, goodbye(10));
    assert_eq!(stage.hear(second), ["disconnect 0x82", "closed"]);
    let third = stage.connect(client("a").durable());
    stage.send(third, goodbye(10));
    stage.pass(9);
    assert_eq!(stage.shard(0).session_count(), 1);
    stage.pass(1);
    stage.assert_empty();
}

/// [v5:MQTT-3.1.2-22] [v311:MQTT-3.1.2-24]
#[test]
fn silence_for_one_and_a_half_keep_alives_ends_the_connection() {
    let mut stage = Stage::one();
    let connection = stage.connect(client("a").keep_alive(10));
    let forever = stage.connect(client("b"));
    stage.pass(14);
    stage.send(connection, Packet::PingReq);
    stage.pass(14);
    assert_eq!(stage.hear(connection), ["pingresp"]);
    stage.pass(1);
    assert_eq!(stage.hear(connection), ["disconnect 0x8d", "closed"]);
    stage.pass(100_000);
    assert_eq!(stage.hear(forever), [""; 0]);
}

/// [v5:MQTT-3.2.2-21] [v5:MQTT-3.2.2-22]
#[test]
fn the_server_keep_alive_is_told_and_used() {
    let mut stage = Stage::new(1, &Limits { max_keep_alive: 10, ..Limits::default() });
    let connection = stage.connect(client("a").keep_alive(1000));
    let without = stage.connect(client("b").keep_alive(0));
    stage.pass(15);
    assert_eq!(stage.hear(connection), ["disconnect 0x8d", "closed"]);
    assert_eq!(stage.hear(without), ["disconnect 0x8d", "closed"]);
}

/// [v5:MQTT-3.1.0-2]
#[test]
fn a_second_connect_ends_the_connection_and_no_other() {
    let mut stage = Stage::one();
    let (rude, honest) = (stage.connect(client("rude")), stage.connect(client("honest")));
    let connect = super::stage::connect_packet("rude");
    stage.send(rude, connect);
    stage.send(honest, Packet::PingReq);
    assert_eq!(stage.hear(rude), ["disconnect 0x82", "closed"]);
    assert_eq!(stage.hear(honest), ["pingresp"]);
}

/// [v5:MQTT-4.13.1-1]
#[test]
fn packets_that_only_a_server_sends_and_auth_are_protocol_errors() {
    let mut stage = Stage::one();
    let auth =
        crate::protocol::Auth { reason: ReasonCode::Success, properties: crate::protocol::AuthProperties::default() };
    for packet in [Packet::PingResp, Packet::Auth(Box::new(auth))] {
        let rude = stage.connect(client("rude"));
        stage.send(rude, packet);
        assert_eq!(stage.hear(rude), ["disconnect 0x82", "closed"]);
        stage.assert_empty();
    }
}

/// Beyond the limit a new session is refused; one that exists goes on.
#[test]
fn too_many_sessions_are_refused_but_a_known_one_comes_back() {
    let mut stage = Stage::new(1, &Limits { max_sessions: 1, ..Limits::default() });
    let first = stage.connect(client("a").durable());
    let second = stage.connect_and_hear(client("b"));
    assert_eq!(stage.hear(second), ["connack 0x97", "closed"]);
    let again = stage.connect_and_hear(client("a").durable());
    assert_eq!(stage.hear(first), ["disconnect 0x8e", "closed"]);
    assert_eq!(stage.hear(again), ["connack present"]);
}

/// [v5:MQTT-4.12.0-1]
#[test]
fn extended_authentication_is_refused_before_anything_happens() {
    let mut stage = Stage::one();
    let old = stage.connect(client("a").durable());
    let method = |connect: &mut crate::protocol::Connect| {
        connect.properties.authentication_method = Some(text("SCRAM"));
    };
    let new = stage.connect_and_hear(client("a").clean_start().change(method));
    assert_eq!(stage.hear(new), ["connack 0x8c", "closed"]);
    stage.send(old, Packet::PingReq);
    assert_eq!(stage.hear(old), ["pingresp"]);
}

/// What a refused CONNECT asks for has no effect.
#[test]
fn a_disabled_user_neither_takes_over_nor_wipes_a_session() {
    let mut stage = Stage::one();
    let old = stage.connect(client("a").durable());
    stage.subscribed(old, "t", 1);
    stage.lose(old);
    stage.users_and_rules(&["ann!", "bob"], &["Student allow pubsub #"]);
    let refused = stage.connect_and_hear(client("a").clean_start());
    assert_eq!(stage.hear(refused), ["connack 0x87", "closed"]);
    stage.rules(&["Student allow pubsub #"]);
    let again = stage.connect_and_hear(client("a").durable());
    assert_eq!(stage.hear(again), ["connack present"]);
}

/// Whatever a connection does after its end is nobody's.
#[test]
fn packets_of_a_connection_that_is_gone_do_nothing() {
    let mut stage = Stage::one();
    let gone = stage.connect(client("a"));
    stage.send(gone, disconnect());
    stage.hear(gone);
    stage.send(gone, subscribe(1, "t", 1));
    stage.send(gone, puback(1));
    stage.lose(gone);
    stage.written(gone);
    assert_eq!(stage.hear(gone), [""; 0]);
    stage.assert_empty();
}

/// [v5:MQTT-3.14.2-1] with 0x8B
#[test]
fn at_the_end_wills_go_out_and_everybody_is_told() {
    let mut stage = Stage::one();
    let watcher = stage.connect(client("w"));
    stage.subscribed(watcher, "will", 1);
    let old = stage.connect(client("o").version(ProtocolVersion::V3_1_1).will("will", 0));
    stage.shut_down();
    assert_eq!(stage.hear(watcher), ["publish will=gone q1 #1", "disconnect 0x8b", "closed"]);
    assert_eq!(stage.hear(old), ["closed"]);
    stage.assert_empty();
}

/// The checkpoint of the later session is read before the journal, which still tells how the earlier one began and ended.
#[test]
fn an_earlier_session_in_the_journal_does_not_hide_the_later_one_of_its_client() {
    let mut stage = Stage::one();
    let hello = || client("a").durable().expiry(100);
    let key = Arc::new(SessionKey {
        principal: Principal::User(UserName::new("ann").unwrap()),
        client_id: ClientId::new(text("a")).unwrap(),
    });
    let partition = partition_of_session(&key);
    let (earlier, later) = (DurableId::new(1, partition), DurableId::new(2, partition));
    let (expiry, gone_since) = (Some(Duration::from_secs(100_000)), Some(Timestamp::from_millis(0)));
    stage.input(
        0,
        Input::Checkpointed(vec![
            Record::Began { session: later, key: Arc::clone(&key) },
            Record::Changed { session: later, expiry, gone_since, will: None },
        ]),
    );
    stage.input(0, Input::Replayed(Record::Began { session: earlier, key }));
    stage.input(0, Input::Replayed(Record::Ended { session: earlier }));
    stage.input(0, Input::Recovered { went_down: Timestamp::from_millis(0), run: 1 });
    let again = stage.connect_and_hear(hello());
    assert_eq!(stage.hear(again), ["connack present"]);
}

/// [v5:MQTT-3.1.2-23]
#[test]
fn a_session_that_was_to_end_with_its_connection_is_over_when_the_broker_went_down() {
    let mut before = Stage::one();
    let kept = before.connect(client("a").durable());
    before.lose(kept);
    before.connect(client("a").durable().expiry(0));
    let restarted = || {
        let mut stage = Stage::one();
        for (_, records) in before.shard(0).durable_sessions() {
            stage.input(0, Input::Checkpointed(records));
        }
        stage.input(0, Input::Recovered { went_down: stage.now, run: 2 });
        stage
    };
    let mut stage = restarted();
    let again = stage.connect_and_hear(client("a").durable());
    assert_eq!(stage.hear(again), ["connack"]);
    let mut stage = restarted();
    stage.pass(0);
    stage.assert_empty();
}

/// A client that comes and goes leaves timers behind that are due in an hour.
#[test]
fn timers_of_connections_that_are_gone_do_not_pile_up() {
    let mut stage = Stage::one();
    for _ in 0..5000 {
        let connection = stage.connect(client("c").durable().keep_alive(3600).will("gone", 100));
        stage.lose(connection);
    }
    assert!(stage.shard(0).timers.len() <= 2048, "{}", stage.shard(0).timers.len());
    let watcher = stage.connect(client("w"));
    stage.subscribed(watcher, "gone", 0);
    let last = stage.connect(client("silent").keep_alive(10));
    stage.pass(99);
    assert_eq!((stage.hear(watcher), stage.hear(last)), (vec![], vec!["disconnect 0x8d".into(), "closed".into()]));
    stage.pass(1);
    assert_eq!(stage.hear(watcher), ["publish gone=gone"], "those of use are still there");
    stage.pass(900);
    stage.lose(watcher);
    stage.assert_empty();
}
