//! What a thief of the data folder finds: nothing that tells about people or traffic.

use crate::support::broker::{Broker, Settings, finish};
use crate::support::wire::{Connect, Property, Publish, Will};

/// Words that go through the broker in every place that a client or an operator can put them.
const WORDS: [&str; 14] = [
    "uxorious-user",
    "pristine-password",
    "curious-client",
    "torrential-topic",
    "plentiful-payload",
    "retained-rhapsody",
    "wistful-will",
    "restful-response",
    "correlated-cookie",
    "property-peacock",
    "valuable-vulture",
    "ruleful-rhinoceros",
    "failed-falcon",
    "content-chameleon",
];

fn use_every_word(broker: &Broker) {
    let [
        user,
        password,
        client,
        topic,
        payload,
        retained,
        will,
        response,
        correlation,
        name,
        value,
        rule,
        failed,
        content,
    ] = WORDS;
    broker.add_user(user, "Teacher", password);
    broker.add_rule(&["--user", user, "--topic", &format!("{rule}/#"), "--publish", "--subscribe"]);
    broker.add_rule(&["--user", user, "--topic", &format!("{topic}/#"), "--publish", "--subscribe"]);
    let connect =
        Connect::v5(client).lasting().login(user, password).will(Will::new(&format!("{topic}/will"), will).retain());
    let mut connection = broker.connect_securely(&connect);
    connection.subscribe(&format!("{topic}/#"), 1);
    let message = Publish::new(&format!("{topic}/kept"), retained).qos(1).retain();
    let message = message
        .with(Property::ResponseTopic(response.into()))
        .with(Property::CorrelationData(correlation.into()))
        .with(Property::ContentType(content.into()))
        .with(Property::User(name.into(), value.into()));
    assert!(connection.publish(message) < 0x80);
    connection.publish(Publish::new(&format!("{topic}/passing"), payload).qos(2));
    connection.vanish();
    let mut stranger = broker.trust().open(broker.address());
    assert_ne!(stranger.try_connect(&Connect::v5(failed).login(failed, password)).code, 0);
}

/// All files, while the broker runs and after it has stopped.
#[test]
fn the_files_of_the_broker_tell_nothing() {
    let mut broker = Settings::secure().start();
    use_every_word(&broker);
    expect_nothing(&broker);
    // The log is written in the background; the stop commits everything.
    broker.stop();
    expect_nothing(&broker);
}

fn expect_nothing(broker: &Broker) {
    let files = broker.files();
    assert!(files.len() >= 3, "{files:?}");
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        for word in WORDS {
            let found = bytes.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()));
            assert!(!found, "{word} can be read in {}", path.display());
            assert!(!path.to_string_lossy().contains(word), "{word} is in the name of {}", path.display());
        }
    }
}

/// With another key the database is an error that says what to do, and never garbage.
#[test]
fn another_key_opens_nothing() {
    let (mut broker, mut other) = (Settings::secure().start(), Settings::secure().start());
    use_every_word(&broker);
    broker.stop();
    other.stop();
    std::fs::copy(other.data().join("master.key"), broker.data().join("master.key")).unwrap();
    for arguments in [&["user", "list"][..], &["logs"], &["serve", "--listen", "mqtt://127.0.0.1:0"]] {
        let output = finish(broker.command(arguments), "");
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(text.contains("key") && !text.contains("panicked"), "{arguments:?}: {text}");
    }
}
