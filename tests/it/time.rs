//! Time from run to run: what the wall clock did while the broker was down, told by the last sign of life in its folder.

use crate::support::broker::Broker;
use crate::support::raw::Client;
use crate::support::wire::{Connect, Property, Publish};
use std::path::Path;

const HOUR: i64 = 3_600_000;

/// Moves the last sign of life, in milliseconds: that of the broker's clock and that of the wall clock.
fn move_beat(data: &Path, clock: i64, wall: i64) {
    let path = data.join("lock");
    let text = std::fs::read_to_string(&path).unwrap();
    let (at, wall_ms) = text.trim().split_once(' ').unwrap();
    let moved = |number: &str, by: i64| number.parse::<u64>().unwrap().checked_add_signed(by).unwrap();
    std::fs::write(&path, format!("{:020} {:020}\n", moved(at, clock), moved(wall_ms, wall))).unwrap();
}

fn session(client_id: &str, expiry: u32) -> Connect {
    Connect::v5(client_id).clean(false).with(Property::SessionExpiry(expiry))
}

fn message(topic: &str, expiry: Option<u32>) -> Publish {
    let publish = Publish::new(topic, "x").qos(1);
    expiry.into_iter().fold(publish, |publish, expiry| publish.with(Property::MessageExpiry(expiry)))
}

/// The seconds that the next message has left.
fn seconds_left(client: &mut Client) -> Option<u32> {
    let properties = client.message().properties;
    properties.into_iter().find_map(|property| match property {
        Property::MessageExpiry(seconds) => Some(seconds),
        _ => None,
    })
}

/// A subscriber that is away, for whom there is something with little time left, with much, and with any.
fn broker_with_an_absent_subscriber() -> Broker {
    let broker = Broker::start();
    for (client_id, expiry) in [("short", 3600), ("long", 14_400)] {
        let mut client = broker.connect(&session(client_id, expiry));
        client.subscribe("queue/#", 1);
        client.vanish();
    }
    let mut publisher = broker.client("publisher");
    for topic in ["queue/here", "kept/short", "kept/long", "kept/always"] {
        let expiry =
            [("short", 600), ("here", 14_000), ("long", 14_000)].into_iter().find(|(end, _)| topic.ends_with(end));
        let publish = message(topic, expiry.map(|(_, seconds)| seconds));
        publisher.publish(if topic.starts_with("kept") { publish.retain() } else { publish });
    }
    broker
}

/// Three hours back: nothing ends early, and nothing lives three hours longer.
#[test]
fn a_wall_clock_that_went_back_ends_nothing_and_prolongs_nothing() {
    let broker = broker_with_an_absent_subscriber().crash_and(|data| move_beat(data, 0, 3 * HOUR));
    let mut short = broker.connect(&session("short", 3600));
    assert!(short.connack.session_present);
    let left = seconds_left(&mut short).unwrap();
    assert!((13_000..=14_000).contains(&left), "{left}");
    let mut client = broker.client("curious");
    client.subscribe("kept/short", 1);
    let left = seconds_left(&mut client).unwrap();
    assert!((1..=600).contains(&left), "{left}");
}

/// From one clean stop to the next start.
#[test]
fn the_time_of_a_stop_counts() {
    expect_three_hours_to_count(|broker| broker.restart_and(|data| move_beat(data, 0, -3 * HOUR)));
}

/// From a crash to the next start.
#[test]
fn the_time_after_a_crash_counts() {
    expect_three_hours_to_count(|broker| broker.crash_and(|data| move_beat(data, 0, -3 * HOUR)));
}

/// What had less left is over, what had more has three hours less.
fn expect_three_hours_to_count(go_down: impl FnOnce(Broker) -> Broker) {
    let broker = broker_with_an_absent_subscriber();
    // Connected until the end.
    let _until_the_end =
        [("late short", 3600), ("late long", 14_400)].map(|(name, expiry)| broker.connect(&session(name, expiry)));
    let broker = go_down(broker);
    for (name, expiry, is_kept) in
        [("short", 3600, false), ("late short", 3600, false), ("late long", 14_400, true), ("long", 14_400, true)]
    {
        let present = broker.connect(&session(name, expiry)).connack.session_present;
        assert_eq!(present, is_kept, "{name}");
    }
    let left = seconds_left(&mut broker.connect(&session("long", 14_400))).unwrap();
    assert!((1..=14_000 - 3 * 3600).contains(&left), "{left}");
    let mut client = broker.client("curious");
    client.subscribe("kept/#", 1);
    let mut topics = [client.message().topic, client.message().topic];
    topics.sort();
    assert_eq!(topics, ["kept/always", "kept/long"]);
    client.expect_quiet();
}

/// A broker that had nothing to store for three hours was alive all the same when it crashed.
#[test]
fn who_was_connected_to_an_idle_broker_keeps_the_whole_expiry_interval() {
    let broker = Broker::start();
    let mut client = broker.connect(&session("idle", 3600));
    client.subscribe("queue/#", 1);
    let broker = broker.crash_and(|data| move_beat(data, 3 * HOUR, 0));
    assert!(broker.connect(&session("idle", 3600)).connack.session_present);
}
