//! What happens, as it happens: soon, in order, without gaps, and as nothing but data.

use crate::support::pages::{Pages, with_pages};
use crate::support::wire::Publish;
use serde_json::Value;
use std::time::{Duration, Instant};

const PASSWORD: &str = "a long password";

/// What an attacker would like a page to take for markup, a link or a formula.
const HOSTILE: [&str; 5] = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "javascript:alert(1)",
    "\u{202e}gpj.exe",
    "=cmd|' /C calc'!A0",
];

#[test]
fn a_line_of_the_log_arrives_within_a_second() {
    let mut broker = with_pages().set("AUTH__ANONYMOUS_ROLE", "Admin").start();
    broker.add_user("root", "Admin", PASSWORD);
    let mut watching = Pages::of(&mut broker).log_in("root", PASSWORD).watch("/logs/live?action=PUBLISH");
    assert!(watching.hear().is_some());
    let mut client = broker.client("lamp");
    // The machine may be busy once, but not always.
    let soonest = (0..5).map(|number| {
        let topic = format!("t/{number}");
        let begin = Instant::now();
        client.publish(Publish::new(&topic, b"x").qos(1));
        watching.find("events", |event| event["topic"] == topic.as_str());
        begin.elapsed()
    });
    let soonest = soonest.min().unwrap();
    assert!(soonest < Duration::from_secs(1), "{soonest:?}");
}

#[test]
fn a_page_that_comes_back_misses_nothing_and_sees_nothing_twice() {
    let mut broker = with_pages().set("AUTH__ANONYMOUS_ROLE", "Admin").start();
    broker.add_user("root", "Admin", PASSWORD);
    let root = Pages::of(&mut broker).log_in("root", PASSWORD);
    let mut client = broker.client("lamp");
    let mut publish = |number: usize| {
        client.publish(Publish::new(&format!("t/{number}"), b"x").qos(1));
    };
    let mut first = root.watch("/logs/live?action=PUBLISH");
    let mut seq = first.hear().unwrap()["seq"].as_i64().unwrap();
    drop(first);
    let mut seen = Vec::new();
    for round in 0..5 {
        (0..20).for_each(|number| publish(round * 20 + number));
        let mut watching = root.watch(&format!("/logs/live?action=PUBLISH&since={seq}"));
        let last = format!("t/{}", round * 20 + 9 + round * 2);
        // It leaves in the middle of what is there.
        while seen.last() != Some(&last) && !seen.contains(&last) {
            let message = watching.hear().unwrap();
            assert_eq!((message["gap"].as_bool(), message["dropped"].as_i64()), (Some(false), Some(0)));
            seen.extend(
                message["events"].as_array().unwrap().iter().map(|event| event["topic"].as_str().unwrap().to_owned()),
            );
            seq = message["seq"].as_i64().unwrap();
        }
    }
    let expected: Vec<_> = (0..seen.len()).map(|number| format!("t/{number}")).collect();
    assert_eq!(seen, expected);
}

#[test]
fn what_is_hostile_comes_as_data_and_no_formula_is_exported() {
    let mut broker = with_pages().set("AUTH__ANONYMOUS_ROLE", "Admin").start();
    broker.add_user("root", "Admin", PASSWORD);
    let pages = Pages::of(&mut broker);
    let root = pages.log_in("root", PASSWORD);
    let mut watching = root.watch("/live");
    watching.say(r##"{"subscribe":["#"]}"##);
    watching.find("subscribed", |one| one["ok"] == true);
    let mut log = root.watch("/logs/live?action=PUBLISH");
    assert!(log.hear().is_some());
    let mut clients = Vec::new();
    for text in HOSTILE {
        let mut client = broker.client(text);
        client.publish(Publish::new(text, text.as_bytes()).qos(1).retain());
        let seen = watching.find("messages", |_| true);
        assert_eq!((seen["topic"].as_str(), seen["text"].as_str()), (Some(text), Some(text)));
        clients.push(client);
    }
    log.find("events", |event| event["topic"] == HOSTILE[4]);
    let is_there = |items: &[Value], name: &str, text: &str| items.iter().any(|item| item[name] == text);
    for path in ["/clients", "/retained", "/logs?limit=200"] {
        let answer = root.get(path);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-store");
        let name = if path == "/retained" {
            "topic"
        } else if path == "/clients" {
            "client_id"
        } else {
            "client"
        };
        for text in HOSTILE {
            assert!(is_there(&answer.items(), name, text), "{path} {text}");
        }
    }
    let csv = root.get("/logs/export?format=csv");
    assert!(csv.header("content-disposition").starts_with("attachment"));
    assert!(csv.body.contains("\"'=cmd|' /C calc'!A0\""));
    assert!(!csv.body.contains(",\"=cmd") && !csv.body.contains(",=cmd"));
    let lines = root.get("/logs/export?format=ndjson").body;
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[test]
fn leaving_a_page_that_listens_is_no_lost_connection() {
    let mut broker = with_pages().start();
    broker.add_user("root", "Admin", PASSWORD);
    let root = Pages::of(&mut broker).log_in("root", PASSWORD);
    let mut log = root.watch("/logs/live?action=DISCONNECT");
    assert!(log.hear().is_some());
    let mut watching = root.watch("/live");
    watching.say(r##"{"subscribe":["#"]}"##);
    watching.find("subscribed", |one| one["ok"] == true);
    drop(watching);
    let end = log.find("events", |event| event["user"] == "root");
    assert_eq!((end["reason"].as_i64(), end["ok"].as_bool()), (Some(1), Some(true)), "{end}");
}

#[test]
fn the_log_is_searched_page_by_page() {
    let mut broker = with_pages().set("AUTH__ANONYMOUS_ROLE", "Admin").start();
    broker.add_user("root", "Admin", PASSWORD);
    let root = Pages::of(&mut broker).log_in("root", PASSWORD);
    let mut watching = root.watch("/logs/live?action=PUBLISH");
    let mut client = broker.client("lamp");
    for number in 0..25 {
        client.publish(Publish::new(&format!("t/{number}"), b"x").qos(1));
    }
    watching.find("events", |event| event["topic"] == "t/24");
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = root.get(&format!("/logs?action=PUBLISH&topic=t/%2B&limit=10&cursor={cursor}")).json();
        found.extend(page["items"].as_array().unwrap().iter().map(|event| event["topic"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    let expected: Vec<_> = (0..25).rev().map(|number| format!("t/{number}")).collect();
    assert_eq!(found, expected);
    assert_eq!(root.get("/logs?since=0s").items().len(), 0);
    for wrong in ["action=NOTHING", "since=yesterday", "topic=a%23", "cursor=x", "limit=x"] {
        assert_eq!(root.get(&format!("/logs?{wrong}")).code(), "invalid", "{wrong}");
    }
}

#[test]
fn the_overview_counts_what_passes() {
    let mut broker = with_pages().set("AUTH__ANONYMOUS_ROLE", "Admin").start();
    broker.add_user("root", "Admin", PASSWORD);
    let root = Pages::of(&mut broker).log_in("root", PASSWORD);
    let (mut publisher, mut subscriber) = (broker.client("p"), broker.client("s"));
    subscriber.subscribe("t", 0);
    for _ in 0..10 {
        publisher.publish(Publish::new("t", b"x").qos(1));
    }
    let shown = root.get("/overview").json();
    for (name, number) in [("connections", 2), ("sessions", 2), ("subscriptions", 1), ("received", 10), ("sent", 10)] {
        assert_eq!(shown[name], number, "{name}: {shown}");
    }
    assert!(shown["store_bytes"].as_u64().unwrap() > 0 && shown["rss_bytes"].as_u64().unwrap() > 0);
    let history = root.get("/overview/history?range=15m").json();
    assert_eq!(history["step_s"], 1);
    assert_eq!(root.get("/overview/history?range=1y").code(), "invalid");
}
