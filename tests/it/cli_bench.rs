//! `securemq bench` against a real broker: every shape of traffic moves, and everything arrives.

use crate::support::broker::{Broker, Settings, finish};
use serde_json::Value;
use std::process::Output;

fn bench(broker: &Broker, arguments: &str) -> Output {
    let mut command = broker.command(&["bench", "--json", "--warm-up", "0", "--seconds", "0.2"]);
    command.args(["--port", &broker.port().to_string(), "--pid", &broker.process_id().to_string()]);
    command.args(arguments.split_whitespace());
    finish(command, "")
}

#[track_caller]
fn measured(broker: &Broker, arguments: &str) -> Value {
    let output = bench(broker, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{arguments}: {said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for fault in ["lost", "duplicates", "out_of_order", "refused"] {
        assert_eq!(report[fault], 0, "{arguments}: {report}");
    }
    assert!(number(&report, "operations") > 0.0, "{arguments}: {report}");
    assert!(report["broker"]["resident_after"].as_u64().unwrap() > 1_000_000, "{report}");
    report
}

fn number(report: &Value, name: &str) -> f64 {
    report[name].as_f64().unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[test]
fn messages_of_every_shape_arrive_once_and_in_order() {
    let broker = Settings::open().start();
    for version in ["3.1", "3.1.1", "5"] {
        for qos in ["0", "1", "2"] {
            let common = format!("--plain --mqtt {version} --qos {qos}");
            for shape in [
                "pairs --publishers 3",
                "pairs --publishers 4 --receivers 2 --payload 5000 --threads 2",
                "pairs --publishers 2 --durable --idle 5 --filters 100",
                "fan-out --receivers 7",
                "fan-in --publishers 5 --receivers 2",
                "wildcard --publishers 2 --receivers 3 --filters 600",
                "ping-pong",
            ] {
                let report = measured(&broker, &format!("{shape} {common}"));
                assert!(number(&report["latency"], "p50_us") > 0.0, "{shape} {common}: {report}");
                assert_eq!(report["acknowledgement"].is_object(), qos > "0", "{shape} {common}: {report}");
            }
        }
    }
}

#[test]
fn absent_subscribers_fetch_all_that_was_acknowledged() {
    let broker = Settings::open().start();
    for (version, qos) in [("3.1.1", "1"), ("5", "1"), ("5", "2")] {
        let report = measured(&broker, &format!("offline --publishers 3 --plain --mqtt {version} --qos {qos}"));
        assert!(number(&report, "queued_messages") >= number(&report, "operations"), "{report}");
    }
}

#[test]
fn retained_messages_come_to_who_subscribes_and_are_taken_away_again() {
    let broker = Settings::open().start();
    let report = measured(&broker, "retained --amount 300 --plain --qos 1");
    assert_eq!(report["operations"], 300);
    assert!(number(&report, "talk_per_second") > 0.0, "{report}");
    let mut left = broker.command(&["sub", "--plain", "--topic", "bench/#", "--count", "1", "--timeout", "1"]);
    left.args(["--port", &broker.port().to_string()]);
    assert!(!finish(left, "").status.success(), "a retained message is left");
}

#[test]
fn connections_are_counted_over_tls_and_without() {
    let broker = Settings::open().listen("mqtts://127.0.0.1:0").start();
    let report = measured(&broker, "connections --amount 50 --plain");
    assert_eq!(report["operations"], 50);
    assert!(number(&report, "bytes_per_connection") >= 0.0, "{report}");
    let tls = format!("--url mqtts://127.0.0.1:{}", broker.address_of(1).port());
    for arguments in ["connections --amount 10", "connections --amount 10 --resume", "churn --at-once 3"] {
        let mut command = broker.command(&["bench", "--json", "--warm-up", "0", "--seconds", "0.2"]);
        command.args(arguments.split_whitespace()).args(tls.split_whitespace());
        let output = finish(command, "");
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let report = measured(&broker, "churn --at-once 3 --plain");
    assert!(number(&report["latency"], "p50_us") > 0.0, "{report}");
}

/// A message that was due a second ago has waited a second, whenever it was sent.
#[test]
fn an_open_loop_keeps_its_pace_and_counts_from_when_a_message_was_due() {
    let broker = Settings::open().start();
    for qos in ["0", "1", "2"] {
        let report = measured(&broker, &format!("pairs --publishers 4 --rate 2000 --plain --qos {qos}"));
        assert!(number(&report, "published_per_second") < 3000.0, "{report}");
        assert_eq!(report["pace"], "2000/s");
    }
}

#[test]
fn what_the_broker_refuses_ends_the_measurement_with_the_reason() {
    let broker = Settings::open().set("AUTH__ANONYMOUS_ROLE", "Student").start();
    let output = bench(&broker, "pairs --plain");
    assert_eq!(output.status.code(), Some(4));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("refuses the subscription") && said.contains("--topic"), "{said}");
}
