//! The Locust file of `tests/stress`, as its users run it without a page: no request may fail.

use crate::support::broker::{Broker, Settings, finish};
use crate::support::clients::{cache, installed};
use std::path::Path;
use std::process::Command;

const USERS: &str = "50";
const PASSWORD: &str = "correct horse battery staple";

/// Runs Locust for a while against a broker and returns the numbers of requests and failures.
fn locust(broker: &Broker, seconds: u32, options: &[&str]) -> (u64, u64) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stress");
    let summary = broker.scratch().join("locust");
    let mut command = Command::new(installed(cache().join("python/bin/locust")));
    command.args(["--headless", "--users", USERS, "--spawn-rate", "25", "--run-time", &format!("{seconds}s")]);
    command.arg("--locustfile").arg(folder.join("locustfile.py"));
    command.args(["--host", &format!("mqtts://localhost:{}", broker.port())]);
    command.arg("--mqtt-ca").arg(broker.ca()).arg("--csv").arg(&summary);
    command.args(options).env("MQTT_PASSWORD", PASSWORD);
    let output = finish(command, "");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "locust ended with {}:\n{text}", output.status);
    let table = std::fs::read_to_string(broker.scratch().join("locust_stats.csv")).unwrap();
    for event in ["CONNECT", "PUBLISH", "MESSAGE"] {
        assert!(table.contains(event), "no {event} was measured:\n{table}");
    }
    let total = table.lines().find(|line| line.starts_with(",Aggregated,")).expect("a line with the sums");
    let number = |column: usize| total.split(',').nth(column).unwrap().parse().unwrap();
    (number(2), number(3))
}

/// Twenty seconds, fifty users with a password.
#[test]
fn fifty_users_work_for_twenty_seconds_without_a_failure() {
    let broker = Settings::secure().start();
    broker.add_user("teacher", "Teacher", PASSWORD);
    let (requests, failures) = locust(&broker, 20, &["--mqtt-user", "teacher", "--mqtt-qos", "1"]);
    assert_eq!(failures, 0, "of {requests} requests");
    assert!(requests > 2000, "{requests} requests are few for fifty users");
}

/// The same with a client certificate and QoS 2, shorter.
#[test]
fn users_may_have_a_certificate() {
    let broker = Settings::secure().start();
    broker.add_user("teacher", "Teacher", PASSWORD);
    let (certificate, key) = broker.issue_certificate("teacher");
    let options =
        ["--mqtt-cert", certificate.to_str().unwrap(), "--mqtt-key", key.to_str().unwrap(), "--mqtt-qos", "2"];
    let (requests, failures) = locust(&broker, 5, &options);
    assert_eq!(failures, 0, "of {requests} requests");
    assert!(requests > 100, "{requests} requests are few for fifty users");
}
