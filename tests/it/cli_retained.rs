//! `export retained` and `import retained`, while the broker runs and while it does not.

use crate::support::broker::{Broker, Settings, finish, securemq};
use crate::support::wire::{Property, Publish, Request};

/// What a new subscriber gets, in the order of topics and without what differs from client to client.
fn seen(broker: &Broker) -> Vec<Publish> {
    let mut client = broker.client("seer");
    client.subscribe("#", 2);
    client.ping();
    let mut seen: Vec<_> = std::iter::from_fn(|| client.waiting_message()).collect();
    for message in &mut seen {
        message.packet_id = 0;
        message.properties.retain(|property| !matches!(property, Property::MessageExpiry(_)));
    }
    seen.sort_by(|one, other| one.topic.cmp(&other.topic));
    seen
}

fn keep(broker: &Broker, topic: &str, payload: &[u8]) {
    let code = broker.client("keeper").publish(Publish::new(topic, payload).qos(1).retain());
    assert!(code < 0x80, "PUBACK {code:#04x}");
}

fn source() -> Broker {
    let broker = Settings::open().workers(2).start();
    let rich = Publish::new("rich", [0xff, 0, 1])
        .qos(2)
        .retain()
        .with(Property::PayloadFormat(0))
        .with(Property::MessageExpiry(5000))
        .with(Property::ContentType("application/x".into()))
        .with(Property::ResponseTopic("answers/here".into()))
        .with(Property::CorrelationData(vec![0, 0xfe, 7]))
        .with(Property::User("a".into(), "1".into()))
        .with(Property::User("a".into(), "2 \"ü\"\n".into()));
    broker.client("publisher").publish(rich);
    keep(&broker, "plain", b"21.5 \xc2\xb0C");
    keep(&broker, "gone", b"x");
    keep(&broker, "gone", b"");
    broker
}

#[test]
fn retained_messages_go_from_one_running_broker_to_another_with_everything_that_belongs_to_them() {
    let (from, to) = (source(), Settings::open().workers(2).start());
    let lines = from.run(&["export", "retained"]);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    let rich = lines.lines().find(|line| line.contains("\"rich\"")).unwrap();
    let rich: serde_json::Value = serde_json::from_str(rich).unwrap();
    assert_eq!((&rich["payload_base64"], &rich["qos"]), (&"/wAB".into(), &2.into()));
    assert_eq!(rich["publisher"]["client_id"], "publisher");
    let left = rich["message_expiry_interval"].as_u64().unwrap();
    assert!((1..=5000).contains(&left), "{left}");

    // The other broker has cleared a topic and holds an older message, and both must give way.
    for _ in 0..20 {
        keep(&to, "plain", b"before");
        keep(&to, "rich", b"before");
    }
    keep(&to, "rich", b"");
    let mut there = to.client("there");
    there.subscribe_with(&[Request::new("#", 1).retain_handling(2)], &[]);
    let refused = finish(to.command(&["import", "retained", "-"]), &lines);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("line 1: there is already a retained message of plain"), "{said}");
    assert!(said.contains("nothing was imported"), "{said}");
    let import = |options: &[&str]| to.run_with_input(&[&["import", "retained", "-"], options].concat(), &lines);
    let said = import(&["--replace", "--dry-run"]);
    assert_eq!(said, "retained: 1 added, 1 replaced, 0 left as they are; nothing was changed, this was a dry run\n");
    assert_eq!(seen(&to).len(), 1);
    assert_eq!(import(&["--replace"]), "retained: 1 added, 1 replaced, 0 left as they are\n");
    assert_eq!(seen(&to), seen(&from));
    assert_eq!(import(&["--skip-existing"]), "retained: 0 added, 0 replaced, 2 left as they are\n");
    there.expect_quiet();

    // It is as if it had been published: a later one takes its place, and the next start finds what was there last.
    keep(&to, "plain", b"after");
    let to = to.crash();
    let found = seen(&to);
    assert_eq!((found[0].text(), &found[1]), ("after", &seen(&from)[1]));
    let said = to.run_with_input(&["import", "retained", "-", "--replace"], &lines);
    assert_eq!(said, "retained: 0 added, 2 replaced, 0 left as they are\n");
    assert_eq!(seen(&to), seen(&from));
}

#[test]
fn retained_messages_go_from_one_stopped_broker_to_another() {
    let mut from = source();
    let expected = seen(&from);
    from.stop();
    let lines = from.run(&["export", "retained"]);
    let to = Settings::open().start().restart_and(|data| {
        let mut command = securemq(data.parent().unwrap());
        command.args(["import", "retained", "-"]);
        let output = finish(command, &lines);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "retained: 2 added, 0 replaced, 0 left as they are\n");
    });
    assert_eq!(seen(&to), expected);
    keep(&to, "plain", b"");
    assert_eq!(seen(&to.crash()).len(), 1);
}

#[test]
fn a_thousand_messages_and_more_go_in_several_changes_and_all_of_them_arrive() {
    let broker = Settings::open().workers(2).start();
    let lines: String =
        (0..2500).map(|number| format!("{{\"topic\":\"t/{number:04}\",\"payload\":\"{number}\"}}\n")).collect();
    let said = broker.run_with_input(&["import", "retained", "-"], &lines);
    assert_eq!(said, "retained: 2500 added, 0 replaced, 0 left as they are\n");
    let texts = |broker: &Broker| seen(broker).iter().map(|message| message.text().to_owned()).collect::<Vec<_>>();
    let expected: Vec<_> = (0..2500).map(|number| number.to_string()).collect();
    assert_eq!(texts(&broker), expected);
    assert_eq!(texts(&broker.crash()), expected);
}

#[test]
fn lines_that_are_no_retained_messages_are_told_and_so_is_what_a_broker_may_not_hold() {
    let broker = Settings::open().start();
    let lines = r#"{"topic":"a/#","payload":"x"}
{"topic":"$SYS/a","payload":"x"}
{"topic":"a","payload":""}
{"topic":"a","payload":"x","payload_base64":"eA=="}
{"topic":"a","payload_base64":"?"}
{"topic":"a","payload":"x","qos":3}
{"topic":"a","payload":"x","publisher":{"client_id":"c"}}
"#;
    let output = finish(broker.command(&["import", "retained", "-"]), lines);
    let said = String::from_utf8(output.stderr).unwrap();
    for line in [
        "line 1: the topic ",
        "line 2: topics that begin with $",
        "line 3: the payload is empty",
        "line 4: a message has either",
        "line 5: payload_base64 is no base64",
        "line 6: the qos is 0, 1 or 2",
        "line 7: a publisher has either",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let mut command = broker.command(&["import", "retained", "-"]);
    command.env("SECUREMQ__LIMITS__MAX_RETAINED_MESSAGES", "1");
    let lines = "{\"topic\":\"a\",\"payload\":\"1\"}\n{\"topic\":\"b\",\"payload\":\"2\"}\n";
    let output = finish(command, lines);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("2 retained messages of ") && said.contains("raise max_retained_messages"), "{said}");
    assert!(seen(&broker).is_empty());
}
