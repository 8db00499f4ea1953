//! Retained messages.

use crate::support::broker::Broker;
use crate::support::raw::Client;
use crate::support::wire::{Connect, Property, Publish, Request, user_properties};
use std::time::Instant;

fn keep(broker: &Broker, topic: &str, payload: &str) {
    let code = broker.client("keeper").publish(Publish::new(topic, payload).qos(1).retain());
    assert!(code < 0x80, "PUBACK {code:#04x}");
}

/// What a new subscriber gets to see at once, in the order of topics.
fn seen(broker: &Broker, filter: &str) -> Vec<(String, String)> {
    let mut client = broker.client("seer");
    client.subscribe(filter, 2);
    client.ping();
    let mut seen = Vec::new();
    while let Some(message) = client.waiting_message() {
        assert!(message.retain, "{message:?}");
        seen.push((message.topic.clone(), message.text().to_owned()));
    }
    seen.sort();
    seen
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(topic, payload)| ((*topic).into(), (*payload).into())).collect()
}

/// [v5:MQTT-3.3.1-5] [v5:MQTT-3.3.1-9]
#[test]
fn a_retained_message_is_kept_for_later_subscribers() {
    let broker = Broker::start();
    keep(&broker, "weather", "sunny");
    assert_eq!(seen(&broker, "weather"), pairs(&[("weather", "sunny")]));
    assert_eq!(seen(&broker, "weather"), pairs(&[("weather", "sunny")]), "and for the next");
}

/// [v5:MQTT-3.3.1-5]: a newer one replaces it.
#[test]
fn a_newer_retained_message_replaces_the_older() {
    let broker = Broker::start();
    keep(&broker, "weather", "sunny");
    keep(&broker, "weather", "rainy");
    assert_eq!(seen(&broker, "weather"), pairs(&[("weather", "rainy")]));
}

/// [v5:MQTT-3.3.1-6] [v5:MQTT-3.3.1-7]: an empty payload clears it, is passed on, and is not kept itself.
#[test]
fn an_empty_retained_message_clears_the_topic() {
    let broker = Broker::start();
    keep(&broker, "weather", "sunny");
    let mut watcher = broker.client("watcher");
    watcher.subscribe_with(&[Request::new("weather", 0).retain_handling(2)], &[]);
    keep(&broker, "weather", "");
    assert!(watcher.message().payload.is_empty());
    assert_eq!(seen(&broker, "weather"), []);
}

/// [v5:MQTT-3.3.1-8]
#[test]
fn other_messages_leave_the_retained_one_alone() {
    let broker = Broker::start();
    keep(&broker, "weather", "sunny");
    broker.client("passer-by").publish(Publish::new("weather", "passing").qos(1));
    broker.client("passer-by").publish(Publish::new("weather", "").qos(1));
    assert_eq!(seen(&broker, "weather"), pairs(&[("weather", "sunny")]));
}

/// [v5:MQTT-3.3.1-5]: QoS 0 may be kept too, and is.
#[test]
fn a_retained_message_may_have_any_qos() {
    let broker = Broker::start();
    let mut keeper = broker.client("keeper");
    for qos in [0, 1, 2] {
        keeper.publish(Publish::new(&format!("kept/{qos}"), "x").qos(qos).retain());
        keeper.ping();
        for granted in [0, 1, 2] {
            let mut client = broker.client("client");
            client.subscribe("kept/+", granted);
            let message = (0..=qos).map(|_| client.message()).find(|it| it.topic == format!("kept/{qos}"));
            assert_eq!(message.unwrap().qos, qos.min(granted));
        }
    }
}

/// Wildcards find retained messages as they find others.
#[test]
fn wildcards_find_retained_messages() {
    let broker = Broker::start();
    for topic in ["home", "home/", "home/kitchen", "home/kitchen/lamp", "/home", "house/kitchen"] {
        keep(&broker, topic, topic);
    }
    let topics = |filter| seen(&broker, filter).into_iter().map(|(topic, _)| topic).collect::<Vec<_>>();
    assert_eq!(topics("home/#"), ["home", "home/", "home/kitchen", "home/kitchen/lamp"]);
    assert_eq!(topics("+/kitchen"), ["home/kitchen", "house/kitchen"]);
    assert_eq!(topics("home/+"), ["home/", "home/kitchen"]);
    assert_eq!(topics("+"), ["home"]);
    assert_eq!(topics("/+"), ["/home"]);
    assert_eq!(topics("#").len(), 6);
}

/// [v5:MQTT-3.3.1-12] [v5:MQTT-3.3.1-13]
#[test]
fn retain_is_passed_on_only_where_it_is_asked_for() {
    let broker = Broker::start();
    let mut plain = broker.client("plain");
    plain.subscribe("flag", 0);
    let mut as_published = broker.client("as published");
    as_published.subscribe_with(&[Request::new("flag", 0).retain_as_published()], &[]);
    let mut publisher = broker.client("publisher");
    publisher.publish(Publish::new("flag", "1").retain());
    publisher.publish(Publish::new("flag", "0"));
    assert_eq!([plain.message().retain, plain.message().retain], [false, false]);
    assert_eq!([as_published.message().retain, as_published.message().retain], [true, false]);
}

/// [v5:MQTT-3.3.1-9] [v5:MQTT-3.3.1-10] [v5:MQTT-3.3.1-11]
#[test]
fn a_subscription_says_which_retained_messages_it_wants() {
    let broker = Broker::start();
    keep(&broker, "kept", "x");
    let mut client = broker.client("client");
    let mut arrivals = |handling| {
        client.subscribe_with(&[Request::new("kept", 1).retain_handling(handling)], &[]);
        client.ping();
        client.waiting_message().is_some()
    };
    assert!(!arrivals(2), "never");
    assert!(!arrivals(1), "only for a new subscription, and this one is known");
    assert!(arrivals(0), "always");
    assert!(arrivals(0), "always, again");
    client.unsubscribe(&["kept"]);
    client.subscribe_with(&[Request::new("kept", 1).retain_handling(1)], &[]);
    assert_eq!(client.message().text(), "x", "the subscription was new");
}

/// Section 4.8.2: shared subscriptions get none.
#[test]
fn a_shared_subscription_is_sent_no_retained_messages() {
    let broker = Broker::start();
    keep(&broker, "kept", "x");
    let mut client = broker.client("client");
    client.subscribe("$share/group/kept", 1);
    client.expect_quiet();
}

/// Everything that the message said is kept, and its age is counted. [v5:MQTT-3.3.2-6]
#[test]
fn a_retained_message_keeps_its_properties() {
    let broker = Broker::start();
    let properties = [
        Property::PayloadFormat(1),
        Property::ContentType("text/plain".into()),
        Property::ResponseTopic("answers".into()),
        Property::CorrelationData(vec![9]),
        Property::User("z".into(), "1".into()),
        Property::User("a".into(), "2".into()),
    ];
    let message = properties.iter().fold(Publish::new("kept", "x").retain(), |it, property| it.with(property.clone()));
    broker.client("keeper").publish(message.qos(1).with(Property::MessageExpiry(100)));
    let mut client = broker.client("client");
    client.subscribe("kept", 1);
    let received = client.message().properties;
    for property in &properties {
        assert!(received.contains(property), "{property:?} is missing in {received:?}");
    }
    assert_eq!(user_properties(&received), [("z", "1"), ("a", "2")]);
    assert!(matches!(property!(received, Property::MessageExpiry), Some(90..=100)));
}

/// [v5:MQTT-3.3.2-5]
#[test]
fn a_retained_message_expires() {
    let broker = Broker::start();
    let message = Publish::new("kept", "x").qos(1).retain().with(Property::MessageExpiry(1));
    broker.client("keeper").publish(message);
    let deadline = Instant::now() + crate::support::PATIENCE;
    while !seen(&broker, "kept").is_empty() {
        assert!(Instant::now() < deadline, "the message does not expire");
    }
}

/// A retained will and a retained message are the same thing.
#[test]
fn one_topic_keeps_one_message() {
    let broker = Broker::start();
    keep(&broker, "status", "online");
    let will = crate::support::wire::Will::new("status", "offline").retain().qos(1);
    let mut watcher: Client = broker.client("watcher");
    watcher.subscribe_with(&[Request::new("status", 0).retain_handling(2)], &[]);
    broker.connect(&Connect::v5("doomed").will(will)).vanish();
    assert_eq!(watcher.message().text(), "offline");
    assert_eq!(seen(&broker, "status"), pairs(&[("status", "offline")]));
}
