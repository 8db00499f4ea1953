//! Sessions: clean start, session present, expiry, takeover.

use crate::support::broker::{Broker, Settings};
use crate::support::wire::{Connect, Property, Publish, Will};

/// [v5:MQTT-3.1.2-5] [v5:MQTT-3.2.2-3]
#[test]
fn a_session_survives_its_connection() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v5("lasting").lasting());
    assert!(!client.connack.session_present);
    client.subscribe("news", 1);
    client.disconnect();
    assert_eq!(broker.client("publisher").publish(Publish::new("news", "while away").qos(1)), 0);
    let mut client = broker.connect(&Connect::v5("lasting").lasting());
    assert!(client.connack.session_present);
    assert_eq!(client.message().text(), "while away");
}

/// [v5:MQTT-3.1.2-4] [v5:MQTT-3.2.2-2]
#[test]
fn a_clean_start_throws_the_old_session_away() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v5("forgetful").lasting());
    client.subscribe("news", 1);
    client.disconnect();
    broker.client("publisher").publish(Publish::new("news", "while away").qos(1));
    let mut client = broker.connect(&Connect::v5("forgetful").lasting().clean(true));
    assert!(!client.connack.session_present);
    broker.client("publisher").publish(Publish::new("news", "again").qos(1));
    client.expect_quiet();
    client.disconnect();
    assert!(broker.connect(&Connect::v5("forgetful").lasting()).connack.session_present, "the new session lasts");
}

/// [v5:MQTT-3.1.2-6]
#[test]
fn without_an_old_session_a_new_one_begins() {
    let broker = Broker::start();
    assert!(!broker.connect(&Connect::v5("new").lasting()).connack.session_present);
}

/// Section 3.1.2.11.2: an absent interval is zero, and zero ends the session with the connection.
#[test]
fn a_session_without_expiry_interval_ends_with_its_connection() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v5("brief").clean(false));
    client.subscribe("news", 1);
    client.disconnect();
    assert!(!broker.connect(&Connect::v5("brief").clean(false)).connack.session_present);
}

/// [v5:MQTT-3.1.2-23]: the session lives for the interval. The will, due when the session ends, tells the time.
#[test]
fn a_session_ends_when_its_expiry_interval_has_passed() {
    let broker = Broker::start();
    let mut watcher = broker.client("watcher");
    watcher.subscribe("ended", 0);
    let will = Will::new("ended", "session").with(Property::WillDelay(1000));
    let expiring = Connect::v5("expiring").clean(false).with(Property::SessionExpiry(1)).will(will);
    broker.connect(&expiring).vanish();
    assert_eq!(watcher.message().text(), "session");
    assert!(!broker.connect(&expiring).connack.session_present);
}

/// Section 3.1.2.11.2: 0xFFFFFFFF never expires.
#[test]
fn a_session_may_last_for_ever() {
    let broker = Broker::start();
    let eternal = Connect::v5("eternal").clean(false).with(Property::SessionExpiry(u32::MAX));
    broker.connect(&eternal).vanish();
    assert!(broker.connect(&eternal).connack.session_present);
}

/// Section 3.2.2.3.2: a broker that keeps sessions for a shorter time says so.
#[test]
fn the_broker_says_if_it_keeps_the_session_for_a_shorter_time() {
    let broker = Settings::open().max_session_expiry_seconds(50).start();
    let told = |asked| {
        let client = broker.connect(&Connect::v5("modest").with(Property::SessionExpiry(asked)));
        property!(client.connack.properties, Property::SessionExpiry)
    };
    assert_eq!(told(u32::MAX), Some(50));
    assert_eq!(told(51), Some(50));
    assert_eq!(told(50).unwrap_or(50), 50);
}

/// Section 3.14.2.2.2: DISCONNECT may change the interval.
#[test]
fn disconnect_may_end_the_session_earlier() {
    let broker = Broker::start();
    let lasting = Connect::v5("changes its mind").lasting();
    broker.connect(&lasting).disconnect_with(0, &[Property::SessionExpiry(0)]);
    assert!(!broker.connect(&lasting).connack.session_present);
}

/// Section 3.14.2.2.2: DISCONNECT may make a session longer, if it was not zero.
#[test]
fn disconnect_may_make_the_session_last_longer() {
    let broker = Broker::start();
    let mut watcher = broker.client("watcher");
    watcher.subscribe("ended", 0);
    let short = Connect::v5("longer").clean(false).with(Property::SessionExpiry(1));
    broker.connect(&short).disconnect_with(0, &[Property::SessionExpiry(3600)]);
    // Another session of the first length is over before we look.
    let will = Will::new("ended", "session").with(Property::WillDelay(1000));
    broker.connect(&Connect::v5("clock").with(Property::SessionExpiry(1)).will(will)).vanish();
    watcher.message();
    assert!(broker.connect(&short).connack.session_present);
}

/// [v5:MQTT-3.1.4-3] and section 4.13
#[test]
fn the_same_client_identifier_takes_the_session_over() {
    let broker = Broker::start();
    let mut first = broker.connect(&Connect::v5("twin").lasting());
    first.subscribe("twin/news", 1);
    let mut second = broker.connect(&Connect::v5("twin").lasting());
    first.expect_disconnect(0x8E);
    assert!(second.connack.session_present);
    broker.client("publisher").publish(Publish::new("twin/news", "to the second").qos(1));
    assert_eq!(second.message().text(), "to the second");
}

/// [v5:MQTT-3.1.4-3]: also where the second wants nothing of the first.
#[test]
fn a_takeover_with_clean_start_begins_anew() {
    let broker = Broker::start();
    let mut first = broker.connect(&Connect::v5("twin").lasting());
    first.subscribe("twin/news", 1);
    let mut second = broker.client("twin");
    first.expect_disconnect(0x8E);
    assert!(!second.connack.session_present);
    broker.client("publisher").publish(Publish::new("twin/news", "to nobody").qos(1));
    second.expect_quiet();
}

/// Many takeovers at once leave one connection, and it works.
#[test]
fn a_storm_of_takeovers_leaves_one_connection() {
    let broker = Broker::start();
    let clients: Vec<_> = (0..30).map(|_| broker.connect(&Connect::v5("storm").lasting())).collect();
    let mut clients = clients;
    let mut last = clients.pop().unwrap();
    for mut client in clients {
        client.expect_disconnect(0x8E);
    }
    last.subscribe("storm", 1);
    last.publish(Publish::new("storm", "over").qos(1));
    assert_eq!(last.message().text(), "over");
}

/// Messages for somebody away come in the order in which they were published. [v5:MQTT-4.6.0-6]
#[test]
fn messages_wait_in_order_for_an_absent_session() {
    let broker = Broker::start();
    let lasting = Connect::v5("away").lasting();
    let mut client = broker.connect(&lasting);
    client.subscribe("queue", 2);
    client.disconnect();
    let mut publisher = broker.client("publisher");
    let payloads: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    for (number, payload) in payloads.iter().enumerate() {
        publisher.publish(Publish::new("queue", payload.as_str()).qos(1 + u8::from(number % 2 == 1)));
    }
    assert_eq!(broker.connect(&lasting).payloads(50), payloads);
}
