//! The command line from the first user to the log, as a stranger walks it.

use crate::support::broker::{Broker, Settings, finish};
use crate::support::wire::Connect;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

const PASSWORD: &str = "correct horse battery staple";

/// `pub` or `sub` as a user of this broker. The password travels by the environment or standard input, never as an
/// argument; here the certificate proves who it is.
fn client(broker: &Broker, arguments: &[&str], user: &str) -> Command {
    let (certificate, key) = broker.issue_certificate(user);
    let mut command = broker.command(arguments);
    command.args(["--port", &broker.port().to_string(), "--host", "localhost"]);
    command.arg("--cafile").arg(broker.ca()).arg("--cert").arg(certificate).arg("--key").arg(key);
    command
}

/// From `user add` to `logs`.
#[test]
fn a_stranger_finds_the_way_from_user_add_to_logs() {
    let broker = Settings::secure().start();
    broker.add_user("alice", "Teacher", PASSWORD);
    broker.add_user("bob", "Student", PASSWORD);
    let users = broker.run(&["user", "list"]);
    for (name, role) in [("alice", "Teacher"), ("bob", "Student"), ("admin", "Admin")] {
        assert!(users.lines().any(|line| line.contains(name) && line.contains(role)), "{users}");
    }
    assert!(broker.run(&["user", "show", "bob"]).contains("Student"));

    broker.add_rule(&["--user", "bob", "--topic", "lab/+/temperature", "--publish"]);
    let rules = broker.run(&["acl", "list"]);
    assert!(rules.lines().any(|line| line.contains("bob") && line.contains("lab/+/temperature")), "{rules}");
    assert_eq!(check(&broker, "lab/1/temperature", "publish"), 0);
    assert_eq!(check(&broker, "lab/1/pressure", "publish"), 4);
    assert_eq!(check(&broker, "lab/1/temperature", "subscribe"), 4);

    let mut subscriber = client(&broker, &["sub", "--topic", "school/board", "--qos", "1", "--count", "1"], "bob");
    let subscriber = subscriber.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_log(&broker, &["--action", "SUBSCRIBE"], "school/board");
    let publisher = client(&broker, &["pub", "--topic", "school/board", "--message", "hello", "--qos", "1"], "alice");
    let published = finish(publisher, "");
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
    let received = subscriber.wait_with_output().unwrap();
    assert!(received.status.success(), "{}", String::from_utf8_lossy(&received.stderr));
    assert!(String::from_utf8(received.stdout).unwrap().contains("hello"));

    let refused = client(&broker, &["pub", "--topic", "school/board", "--message", "x", "--qos", "1"], "bob");
    assert!(!finish(refused, "").status.success(), "a student publishes for the school");
    wait_for_log(&broker, &["--action", "PUBLISH", "--failed", "--user", "bob"], "school/board");
    let log = wait_for_log(&broker, &["--action", "CONNECT"], "alice");
    assert!(log.contains("bob"), "{log}");
    let log = wait_for_log(&broker, &["--action", "ADMIN"], "user add");
    assert!(!log.contains(PASSWORD), "{log}");
    for log in [broker.run(&["logs"]), broker.run(&["logs", "--json"])] {
        assert!(!log.contains("hello"), "the log holds a payload:\n{log}");
    }
}

/// The same with passwords, lines and the older version.
#[test]
fn lines_of_a_program_are_published_with_a_password() {
    let broker = Settings::secure().start();
    broker.add_user("alice", "Teacher", PASSWORD);
    let as_alice = |arguments: &[&str]| {
        let mut command = broker.command(arguments);
        command.args(["--port", &broker.port().to_string(), "--user", "alice", "--password-stdin"]);
        command
    };
    let lines: Vec<_> = (0..30).map(|number| format!("line {number}, größer & \"quoted\"")).collect();
    for mqtt in ["3.1.1", "5"] {
        for qos in ["0", "1", "2"] {
            let topic = format!("school/{mqtt}/{qos}");
            let common = ["--topic", &topic, "--qos", qos, "--mqtt", mqtt];
            let mut subscriber = as_alice(&[&["sub", "--count", "30", "--payload-only"], &common[..]].concat());
            subscriber.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut subscriber = subscriber.spawn().unwrap();
            writeln!(subscriber.stdin.take().unwrap(), "{PASSWORD}").unwrap();
            wait_for_log(&broker, &["--action", "SUBSCRIBE"], &topic);
            let publisher = as_alice(&[&["pub", "--lines"], &common[..]].concat());
            let published = finish(publisher, &format!("{PASSWORD}\n{}\n", lines.join("\n")));
            assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
            let received = subscriber.wait_with_output().unwrap();
            assert!(received.status.success(), "{}", String::from_utf8_lossy(&received.stderr));
            assert_eq!(String::from_utf8(received.stdout).unwrap().lines().collect::<Vec<_>>(), lines, "{topic}");
        }
    }
}

/// The exit code of `acl check` for Bob: 0 allowed, 4 denied.
fn check(broker: &Broker, topic: &str, action: &str) -> i32 {
    let command = broker.command(&["acl", "check", "--user", "bob", "--topic", topic, "--action", action]);
    finish(command, "").status.code().unwrap()
}

/// The log is written in the background: looks until the words are there.
fn wait_for_log(broker: &Broker, filter: &[&str], words: &str) -> String {
    let deadline = Instant::now() + crate::support::PATIENCE;
    loop {
        let log = broker.run(&[&["logs", "--limit", "100"], filter].concat());
        if log.contains(words) {
            return log;
        }
        assert!(Instant::now() < deadline, "the log does not say {words:?}:\n{log}");
    }
}

/// Every listing has a machine-readable form.
#[test]
fn every_listing_can_be_json() {
    let broker = Settings::secure().start();
    broker.add_user("bob", "Student", PASSWORD);
    for command in [&["user", "list"][..], &["user", "show", "bob"], &["acl", "list"], &["cert", "list"], &["logs"]] {
        let text = broker.run(&[command, &["--json"]].concat());
        let mut values = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>();
        assert!(values.next().is_some(), "{command:?} prints nothing");
        assert!(values.all(|value| value.is_ok()), "{command:?} prints no JSON:\n{text}");
    }
}

/// Names from the network can't forge a line of the log or take the terminal over.
#[test]
fn hostile_names_are_harmless_in_the_log() {
    let broker = Settings::open().start();
    let hostile =
        "line\nforged 2026-01-01 CONNECT admin\r\u{1b}[31m\u{1b}]52;c;eA==\u{7}<img src=x onerror=alert(1)>\u{202e}end";
    broker.connect(&Connect::v5(hostile)).disconnect();
    let log = wait_for_log(&broker, &["--action", "CONNECT"], "forged");
    let line = log.lines().find(|line| line.contains("forged")).unwrap();
    assert!(line.contains("onerror"), "the name stays on one line:\n{log}");
    assert!(!log.contains(['\r', '\u{1b}', '\u{7}', '\u{202e}']), "{log:?}");
}

/// Passwords come from the terminal, standard input or nowhere; exit codes tell what went wrong.
#[test]
fn exit_codes_tell_what_went_wrong() {
    let broker = Settings::secure().start();
    let code = |arguments: &[&str]| finish(broker.command(arguments), "").status.code();
    assert_eq!(code(&["user", "show", "nobody"]), Some(3));
    assert_eq!(code(&["user", "remove", "nobody"]), Some(3));
    assert_eq!(code(&["acl", "remove", "999999"]), Some(3));
    assert_eq!(code(&["user", "add", "x", "--role", "Student", "--password", "secret"]), Some(2));
    assert_eq!(code(&["no such command"]), Some(2));
    let generated = broker.run(&["user", "add", "carol", "--role", "Student", "--generate"]);
    assert!(generated.split_whitespace().any(|word| word.len() >= 16), "a password is made:\n{generated}");
}
