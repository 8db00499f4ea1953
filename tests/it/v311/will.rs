//! Wills.

use crate::support::broker::Broker;
use crate::support::wire::{Connect, Publish, Will};

/// [v311:MQTT-3.1.2-8] [v311:MQTT-3.1.2-16] [v311:MQTT-3.1.2-17]
#[test]
fn a_will_is_published_when_the_client_vanishes() {
    let broker = Broker::start();
    let mut watcher = broker.connect(&Connect::v311("watcher"));
    watcher.subscribe("will", 2);
    for qos in [0, 1, 2] {
        let will = Will::new("will", [qos]).qos(qos).retain();
        broker.connect(&Connect::v311("doomed").will(will)).vanish();
        let message = watcher.message();
        assert_eq!((message.payload, message.qos, message.retain), (vec![qos], qos, false));
    }
    let mut late = broker.connect(&Connect::v311("late"));
    late.subscribe("will", 2);
    assert!(late.message().retain);
}

/// [v311:MQTT-3.1.2-10] [v311:MQTT-3.14.4-3]
#[test]
fn a_will_is_not_sent_after_disconnect() {
    let broker = Broker::start();
    let mut watcher = broker.connect(&Connect::v311("watcher"));
    watcher.subscribe("will", 0);
    broker.connect(&Connect::v311("polite").will(Will::new("will", "gone"))).disconnect();
    broker.connect(&Connect::v311("marker")).publish(Publish::new("will", "mark").qos(1));
    assert_eq!(watcher.message().text(), "mark");
}

/// [v311:MQTT-3.1.2-8]: the next connection of the same client and errors of the client count as vanishing.
#[test]
fn a_will_is_published_after_a_takeover_and_after_an_error() {
    let broker = Broker::start();
    let mut watcher = broker.connect(&Connect::v311("watcher"));
    watcher.subscribe("will", 0);
    let mut first = broker.connect(&Connect::v311("twin").will(Will::new("will", "taken over")));
    let mut second = broker.connect(&Connect::v311("twin").will(Will::new("will", "clumsy")));
    first.expect_closed();
    assert_eq!(watcher.message().text(), "taken over");
    second.send(&[0x00, 0x00]);
    second.expect_closed();
    assert_eq!(watcher.message().text(), "clumsy");
}
