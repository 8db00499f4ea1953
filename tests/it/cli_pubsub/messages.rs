//! What is published, what arrives, and how it ends.

use super::commands::{Subscriber, admin, client, open, password, published, run, school, secure};
use rustix::process::Signal;
use std::fs;

#[test]
fn a_message_travels_over_tls_with_a_password() {
    let broker = secure();
    let subscriber = Subscriber::start(admin(&broker, &["sub", "--topic", "school/#", "--count", "2"]));
    published(admin(&broker, &["pub", "--topic", "school/hello", "--message", "good morning"]), "");
    let mut command = client(&broker, &["pub", "--topic", "school/bye", "--message", "", "--user", "admin"]);
    command.arg("--password-stdin");
    published(command, &format!("{}\n", password(&broker)));
    let ended = subscriber.end();
    assert_eq!((ended.exit, ended.out()), (0, "school/hello good morning\nschool/bye \n"));
}

#[test]
fn a_message_or_subscription_that_is_not_allowed_ends_with_4() {
    let broker = school();
    for qos in ["1", "2"] {
        let command = client(&broker, &["pub", "--topic", "school/board", "--message", "forged", "--qos", qos]);
        run(command, "").says(4, &["the broker refuses the message: not authorized", "acl check"]);
    }
    let lines = client(&broker, &["pub", "--topic", "school/board", "--lines"]);
    let ended = run(lines, &"x\n".repeat(100));
    ended.says(4, &["message 1 is refused: not authorized", "refused 100 of 100 messages"]);
    assert_eq!(ended.err.lines().count(), 12, "not a line for each:\n{}", ended.err);
    for (version, words) in [("5", "students/#: not authorized"), ("3.1.1", "students/#: refused")] {
        let arguments = ["sub", "--topic", "school/#", "--topic", "students/#", "--mqtt", version];
        let ended = run(client(&broker, &arguments), "");
        ended.says(4, &["refuses the subscription", words]);
        assert!(!ended.err.contains("school/#"), "{}", ended.err);
    }
}

#[test]
fn a_retained_message_waits_until_it_is_cleared() {
    let broker = open();
    let plain = |arguments: &[&str]| {
        let mut command = client(&broker, arguments);
        command.arg("--plain");
        command
    };
    published(plain(&["pub", "--topic", "kept", "--message", "here", "--retain"]), "");
    let ended = run(plain(&["sub", "--topic", "kept", "--count", "1", "--json"]), "");
    let message: serde_json::Value = serde_json::from_str(ended.out()).unwrap();
    assert_eq!((&message["payload"], &message["retain"]), (&"here".into(), &true.into()));
    published(plain(&["pub", "--topic", "kept", "--clear"]), "");
    run(plain(&["sub", "--topic", "kept", "--timeout", "1"]), "").says(1, &["time is up: 0 messages came"]);
}

#[test]
fn lines_are_messages_in_every_version_and_at_every_level() {
    let broker = open();
    let lines: String = (0..2000).map(|number| format!("line {number}\n")).collect();
    for version in ["3.1", "3.1.1", "5"] {
        for qos in ["0", "1", "2"] {
            let shared = ["--topic", "lines", "--plain", "--mqtt", version, "--qos", qos];
            let subscribe = [&["sub", "--count", "2000", "--payload-only"][..], &shared].concat();
            let subscriber = Subscriber::start(client(&broker, &subscribe));
            published(client(&broker, &[&["pub", "--lines"][..], &shared].concat()), &lines);
            let ended = subscriber.end();
            assert_eq!(ended.exit, 0, "{}", ended.err);
            assert!(ended.out() == lines, "MQTT {version}, QoS {qos}: other lines came");
        }
    }
}

#[test]
fn the_password_may_be_the_line_before_the_others() {
    let broker = secure();
    let subscriber = Subscriber::start(admin(&broker, &["sub", "--topic", "a", "--count", "2"]));
    let from_stdin = |what: &[&str]| {
        client(&broker, &[&["pub", "--topic", "a", "--user", "admin", "--password-stdin"][..], what].concat())
    };
    let secret = password(&broker);
    published(from_stdin(&["--lines"]), &format!("{secret}\none"));
    published(from_stdin(&["--file", "-"]), &format!("{secret}\ntwo\nlines"));
    assert_eq!(subscriber.end().out(), "a one\na two\nlines\n");
}

#[test]
fn a_file_arrives_as_it_is() {
    let broker = open();
    let payload: Vec<u8> = (0..300_000u32).map(|number| number.to_le_bytes()[0]).collect();
    fs::write(broker.scratch().join("file"), &payload).unwrap();
    let subscriber = Subscriber::start(client(&broker, &["sub", "--topic", "a", "--count", "3", "--plain"]));
    published(client(&broker, &["pub", "--topic", "a", "--plain", "--repeat", "3", "--file", "file"]), "");
    assert!(subscriber.end().out == [&b"a "[..], &payload, b"\n"].concat().repeat(3));
    let missing = client(&broker, &["pub", "--topic", "a", "--plain", "--file", "missing"]);
    run(missing, "").says(1, &["missing cannot be read"]);
}

#[test]
fn json_has_all_that_mqtt_5_says_of_a_message() {
    let broker = open();
    let subscriber = Subscriber::start(client(&broker, &["sub", "--topic", "a", "--count", "1", "--json", "--plain"]));
    let properties = ["--property", "room=12", "--property", "room=a=b", "--content-type", "text/plain"];
    let more = ["--response-topic", "answers", "--expiry", "60"];
    let arguments = [&["pub", "--topic", "a", "--message", "\u{1b}[31m é", "--plain"][..], &properties, &more].concat();
    published(client(&broker, &arguments), "");
    let ended = subscriber.end();
    assert!(!ended.out().contains('\u{1b}'), "{}", ended.out());
    let message: serde_json::Value = serde_json::from_str(ended.out()).unwrap();
    assert!(message["time"].as_str().unwrap().ends_with('Z'));
    assert_eq!(message["topic"], "a");
    assert_eq!(message["qos"], 1);
    assert_eq!(message["payload"], "\u{1b}[31m é");
    let expected = serde_json::json!({
        "content_type": "text/plain",
        "response_topic": "answers",
        "message_expiry_interval": 60,
        "user_properties": [["room", "12"], ["room", "a=b"]],
    });
    assert_eq!(message["properties"], expected);
}

#[test]
fn the_exit_code_tells_whether_enough_messages_came() {
    let broker = open();
    let start =
        |more: &[&str]| Subscriber::start(client(&broker, &[&["sub", "--topic", "a", "--plain"][..], more].concat()));
    let send = || published(client(&broker, &["pub", "--topic", "a", "--message", "x", "--plain"]), "");
    let (enough, too_few, some) = (start(&["--count", "1"]), start(&["--count", "2"]), start(&[]));
    let (in_time, too_late) = (start(&["--timeout", "2"]), start(&["--timeout", "2", "--count", "2"]));
    send();
    enough.end().says(0, &[]);
    for subscriber in [&too_few, &some] {
        subscriber.signal(Signal::INT);
    }
    too_few.end().says(1, &["interrupted: 1 of 2 messages came"]);
    let ended = some.end();
    assert_eq!((ended.exit, ended.out()), (0, "a x\n"));
    in_time.end().says(0, &[]);
    too_late.end().says(1, &["time is up: 1 of 2 messages came"]);
}

/// [v5:MQTT-3.14.2-1]: the reason of a DISCONNECT from the server.
#[test]
fn the_end_of_a_connection_is_an_error_that_says_why() {
    let mut broker = open();
    let start = |id: &str, more: &[&str]| {
        let arguments = [&["sub", "--topic", "a", "--plain", "--client-id", id][..], more].concat();
        Subscriber::start(client(&broker, &arguments))
    };
    let first = start("one", &[]);
    let second = start("one", &[]);
    first.end().says(1, &["session taken over", "--client-id"]);
    let old = start("old", &["--mqtt", "3.1.1"]);
    broker.stop();
    second.end().says(1, &["server shutting down"]);
    old.end().says(1, &["ended the connection without a reason"]);
}

/// Nothing is lost that was not printed: it is acknowledged only then.
#[test]
fn a_session_goes_on_where_count_ended() {
    let broker = open();
    for (version, client_id) in [("3.1.1", "old"), ("5", "new")] {
        let lasting = ["--plain", "--client-id", client_id, "--session-expiry", "60", "--mqtt", version];
        let subscribe = |more: &[&str]| {
            client(&broker, &[&["sub", "--topic", "queue", "--payload-only"][..], &lasting, more].concat())
        };
        let subscriber = Subscriber::start(subscribe(&[]));
        subscriber.signal(Signal::TERM);
        subscriber.end().says(0, &[]);
        let lines: String = (1..=9).map(|number| format!("{number}\n")).collect();
        published(client(&broker, &["pub", "--topic", "queue", "--lines", "--plain"]), &lines);
        let mut came = String::new();
        for _ in 0..3 {
            let ended = run(subscribe(&["--count", "3"]), "");
            ended.says(0, &[]);
            came += ended.out();
        }
        assert_eq!(came, lines, "MQTT {version}");
    }
}
