//! Keep alive: silence ends a connection, anything else keeps it.

use crate::support::broker::{Broker, Settings};
use crate::support::wire::{Connect, Property, Publish, Will};
use std::time::{Duration, Instant};

/// [v5:MQTT-3.1.2-22]: one and a half times the interval.
#[test]
fn a_silent_client_is_dropped_after_one_and_a_half_times_its_keep_alive() {
    let broker = Broker::start();
    let begin = Instant::now();
    let mut client = broker.connect(&Connect::v5("silent").keep_alive(2));
    client.expect_disconnect(0x8D);
    let waited = begin.elapsed().as_millis();
    assert!((2900..6000).contains(&waited), "dropped after {waited} ms instead of 3000");
}

/// [v5:MQTT-3.1.2-20]: any packet counts, not PINGREQ alone.
#[test]
fn a_client_that_says_something_is_kept() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v5("chatty").keep_alive(1));
    for _ in 0..2 {
        client.expect_silence_for(Duration::from_millis(900));
        client.ping();
        client.expect_silence_for(Duration::from_millis(900));
        client.publish(Publish::new("chat", "still here"));
    }
    client.ping();
}

/// What the broker sends does not count: the client is the one that must be heard.
#[test]
fn messages_to_a_silent_client_do_not_keep_it() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v5("listener").keep_alive(1));
    client.subscribe("talk", 0);
    let mut talker = broker.client("talker");
    let deadline = Instant::now() + crate::support::PATIENCE;
    loop {
        talker.publish(Publish::new("talk", "to you"));
        talker.ping();
        if let Some(code) = client.poll_disconnect(Duration::from_millis(50)) {
            assert_eq!(code, 0x8D);
            return;
        }
        assert!(Instant::now() < deadline, "the silent client is kept");
    }
}

/// [v5:MQTT-3.1.2-21] [v5:MQTT-3.2.2-21] [v5:MQTT-3.2.2-22]: the broker's own interval holds where it says one.
#[test]
fn the_broker_may_ask_for_a_shorter_keep_alive() {
    let broker = Settings::open().max_keep_alive_seconds(1).start();
    for asked in [100, 0] {
        let mut client = broker.connect(&Connect::v5("patient").keep_alive(asked));
        assert_eq!(property!(client.connack.properties, Property::ServerKeepAlive), Some(1));
        client.expect_disconnect(0x8D);
    }
    let client = broker.connect(&Connect::v5("short").keep_alive(1));
    assert_eq!(property!(client.connack.properties, Property::ServerKeepAlive).unwrap_or(1), 1);
}

/// Section 3.1.2.10: zero turns it off.
#[test]
fn without_keep_alive_silence_is_no_reason() {
    let broker = Broker::start();
    let mut silent = broker.client("silent");
    let mut clock = broker.connect(&Connect::v5("clock").keep_alive(1));
    clock.expect_disconnect(0x8D);
    silent.ping();
}

/// [v5:MQTT-3.1.2-8]: a connection that ended by silence ended without DISCONNECT.
#[test]
fn the_will_of_a_silent_client_is_published() {
    let broker = Broker::start();
    let mut watcher = broker.client("watcher");
    watcher.subscribe("will/silent", 1);
    let mut silent = broker.connect(&Connect::v5("silent").keep_alive(1).will(Will::new("will/silent", "gone")));
    silent.expect_disconnect(0x8D);
    assert_eq!(watcher.message().text(), "gone");
}
