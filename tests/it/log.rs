//! The event log of a running broker: what happened, to whom, and why.

use crate::support::broker::{Broker, Settings};
use crate::support::wire::{Connect, Publish, Request};
use serde_json::Value;
use std::time::{Duration, Instant};

const PASSWORD: &str = "correct horse battery staple";

fn events(broker: &Broker, filter: &[&str]) -> Vec<Value> {
    let text = broker.run(&[&["logs", "--json", "--limit", "10000"], filter].concat());
    serde_json::from_str::<Vec<Value>>(&text).unwrap()
}

/// The first event that fits; the log is written in the background, so it may take a moment.
fn event(broker: &Broker, filter: &[&str], fits: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + crate::support::PATIENCE;
    loop {
        let events = events(broker, filter);
        if let Some(event) = events.iter().find(|event| fits(event)) {
            return event.clone();
        }
        assert!(Instant::now() < deadline, "no such event in {events:#?}");
    }
}

fn says(event: &Value, key: &str, value: &str) -> bool {
    event[key].as_str() == Some(value)
}

/// One event of every kind that clients make, with user, client, address and time.
#[test]
fn every_deed_of_a_client_is_an_event() {
    let broker = Settings::default().listen("mqtt://127.0.0.1:0").start();
    broker.add_user("bob", "Student", PASSWORD);
    assert_eq!(broker.refused(&Connect::v5("stranger").login("bob", "wrong")).code, 0x86);
    let mut bob = broker.connect(&Connect::v5("bob's device").login("bob", PASSWORD));
    bob.subscribe_with(&[Request::new("students/bob/#", 1), Request::new("forbidden/#", 1)], &[]);
    bob.publish(Publish::new("students/bob/letter", "a secret of Bob's").qos(1).retain());
    bob.message();
    bob.publish(Publish::new("forbidden/letter", "another secret").qos(1));
    bob.unsubscribe(&["students/bob/#"]);
    bob.disconnect();
    let mine = |event: &Value| says(event, "user", "bob") && says(event, "client", "bob's device");
    let ok = |event: &Value| event["ok"] == Value::Bool(true);
    let last = event(&broker, &["--action", "DISCONNECT"], |event| mine(event) && ok(event));
    assert!(last["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{last}");
    let time = last["time"].as_str().unwrap();
    assert!(time.len() == "2026-01-01T00:00:00.000Z".len() && time.ends_with('Z'), "{time}");
    let refused = event(&broker, &["--action", "CONNECT", "--failed"], |event| says(event, "client", "stranger"));
    assert!(says(&refused, "user", "bob"), "the name that was tried: {refused}");
    event(&broker, &["--action", "CONNECT"], |event| mine(event) && ok(event));
    event(&broker, &["--action", "SUBSCRIBE"], |event| mine(event) && ok(event));
    event(&broker, &["--action", "SUBSCRIBE", "--failed", "--topic", "forbidden/#"], mine);
    event(&broker, &["--action", "UNSUBSCRIBE"], |event| mine(event) && ok(event));
    event(&broker, &["--action", "PUBLISH", "--failed", "--topic", "forbidden/#"], mine);
    let published = event(&broker, &["--action", "PUBLISH", "--topic", "students/#"], |event| mine(event) && ok(event));
    assert_eq!(published["size"], 17, "{published}");
    assert_eq!(published["qos"], 1, "{published}");
    assert_eq!(published["retain"], Value::Bool(true), "{published}");
    assert_eq!(published["delivered"], 1, "{published}");
    let everything = broker.run(&["logs", "--limit", "10000"]);
    assert!(!everything.contains("secret"), "a payload or a password:\n{everything}");
    assert!(!everything.contains(PASSWORD) && !everything.contains("wrong"), "{everything}");
}

/// Why a connection ended: each way of ending has its own words.
#[test]
fn the_end_of_a_connection_has_its_reason() {
    let broker = Broker::start();
    broker.client("goodbye").disconnect();
    broker.client("vanished").vanish();
    broker.connect(&Connect::v5("silent").keep_alive(1)).expect_disconnect(0x8D);
    let mut taken_over = broker.client("taken over");
    let _second = broker.client("taken over");
    taken_over.expect_disconnect(0x8E);
    let mut malformed = broker.client("malformed");
    malformed.send(&[0x00, 0x00]);
    malformed.read_to_end();
    let reasons: Vec<_> = ["goodbye", "vanished", "silent", "taken over", "malformed"]
        .iter()
        .map(|client| {
            let event = event(&broker, &["--action", "DISCONNECT", "--client", client], |_| true);
            event["text"].as_str().unwrap().to_owned()
        })
        .collect();
    let mut different = reasons.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), 5, "{reasons:?}");
}

/// If more happens than can be kept, clients are not slowed, and the log says how much is missing.
#[test]
fn a_flood_of_events_slows_nobody_and_is_counted() {
    let broker = Settings::open().set("LOG__MAX_EVENTS_PER_SECOND", 20).start();
    let mut client = broker.client("flood");
    client.subscribe("flood", 0);
    let begin = Instant::now();
    for number in 0..2000u16 {
        client.publish(Publish::new("flood", number.to_be_bytes()));
        assert_eq!(client.take_publish().payload, number.to_be_bytes());
    }
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    let left_out = event(&broker, &["--action", "BROKER", "--failed"], |event| event["count"].is_u64());
    assert!(left_out["count"].as_u64().unwrap() > 100, "{left_out}");
}

/// What was acknowledged as done is in the log after a stop, and the chain of the log holds.
#[test]
fn the_log_survives_a_restart_unbroken() {
    let broker = Broker::start();
    for number in 0..50 {
        broker.client(&format!("client {number}")).disconnect();
    }
    let broker = broker.restart();
    let count = events(&broker, &["--action", "CONNECT"]).len();
    assert_eq!(count, 50);
    broker.run(&["logs", "verify"]);
}
