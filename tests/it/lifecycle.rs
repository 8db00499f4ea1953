//! The life of a broker: first start, restart, stop, crash.

use crate::support::broker::{Broker, Settings, finish, securemq};
use crate::support::wire::{Connect, Publish, Request, Will};
use std::os::unix::fs::PermissionsExt;

/// The first start makes everything and says so once; the second finds it.
#[test]
fn the_first_start_makes_everything_and_says_so_once() {
    let mut broker = Settings::secure().start();
    broker.wait_for_output("--cafile");
    let first = broker.output();
    assert!(first.contains("admin"), "the admin user:\n{first}");
    assert!(first.to_lowercase().contains("fingerprint"), "the fingerprint of the CA:\n{first}");
    assert!(first.contains("mosquitto_sub"), "a line to copy:\n{first}");
    let password = broker.admin_password();
    broker.connect_securely(&Connect::v5("admin's device").login("admin", &password)).ping();
    let broker = broker.restart();
    let second = broker.output();
    assert!(!second.contains(&password), "the password is printed once:\n{second}");
    assert!(second.contains("listening on mqtts://"), "{second}");
    broker.connect_securely(&Connect::v5("admin's device").login("admin", &password)).ping();
}

/// Whatever ends the first start, it has said the password of the account that it made.
#[test]
fn a_first_start_that_fails_has_said_the_password() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = securemq(folder.path());
    command.args(["serve", "--listen", &format!("mqtts://{}", taken.local_addr().unwrap())]);
    let output = finish(command, "");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("made the user admin with the password"));
}

/// Nobody else on the machine may read the folder or the key.
#[test]
fn the_data_is_for_its_owner_alone() {
    let broker = Settings::secure().start();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&broker.data()), 0o700);
    for path in broker.files() {
        let allowed = if path.extension().is_some_and(|end| end == "crt") { 0o644 } else { 0o600 };
        assert_eq!(mode(&path) & !allowed, 0, "{} has {:o}", path.display(), mode(&path));
    }
}

/// [v5:3.14] with 0x8B, and what was acknowledged is there after the next start.
#[test]
fn a_stop_says_goodbye_and_keeps_what_was_acknowledged() {
    let mut broker = Broker::start();
    let (mut new, mut old) = (broker.client("new"), broker.connect(&Connect::v311("old")));
    new.publish(Publish::new("kept", "by 5.0").qos(1).retain());
    old.publish(Publish::new("kept/too", "by 3.1.1").qos(2).retain());
    broker.stop();
    new.expect_disconnect(0x8B);
    old.expect_closed();
}

/// Retained messages survive a restart with everything that they say.
#[test]
fn retained_messages_survive_a_restart() {
    let broker = Broker::start();
    let mut keeper = broker.client("keeper");
    for number in 0..20 {
        let message = Publish::new(&format!("kept/{number}"), number.to_string()).qos(1 + number % 2).retain();
        keeper.publish(message.with(crate::support::wire::Property::ContentType("number".into())));
    }
    keeper.publish(Publish::new("kept/3", "").qos(1).retain());
    let broker = broker.restart();
    let mut client = broker.client("client");
    client.subscribe("kept/+", 2);
    let mut numbers: Vec<u8> = (0..19)
        .map(|_| {
            let message = client.message();
            let number = message.text().parse().unwrap();
            assert_eq!((message.qos, message.retain), (1 + number % 2, true));
            assert_eq!(message.topic, format!("kept/{number}"));
            assert_eq!(message.properties, [crate::support::wire::Property::ContentType("number".into())]);
            number
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..20).filter(|&number| number != 3).collect::<Vec<_>>());
    client.expect_quiet();
}

/// A retained message that was acknowledged is there after a crash, whatever its QoS was.
#[test]
fn acknowledged_retained_messages_survive_a_crash() {
    let mut broker = Broker::start();
    for round in 0..3 {
        let mut keeper = broker.client("keeper");
        for qos in [1, 2] {
            keeper.publish(Publish::new(&format!("kept/{qos}"), round.to_string()).qos(qos).retain());
        }
        broker = broker.crash();
        let mut client = broker.client("client");
        client.subscribe("kept/+", 0);
        assert_eq!(client.payloads(2), [round.to_string(), round.to_string()]);
    }
}

/// Users and rules survive as well, and the rules of the running broker are those of the file.
#[test]
fn users_and_rules_survive_a_crash() {
    let broker = Settings::default().listen("mqtt://127.0.0.1:0").start();
    broker.add_user("bob", "Student", "secret");
    broker.add_rule(&["--user", "bob", "--topic", "own/#", "--publish", "--subscribe"]);
    let broker = broker.crash();
    let mut bob = broker.connect(&Connect::v5("x").login("bob", "secret"));
    assert_eq!(bob.subscribe_with(&[Request::new("own/#", 1), Request::new("other", 1)], &[]), [1, 0x87]);
}

/// Two brokers on one folder would destroy each other's promises.
#[test]
fn a_second_broker_on_the_same_folder_is_refused() {
    let broker = Broker::start();
    let output = finish(broker.command(&["serve", "--listen", "mqtt://127.0.0.1:0"]), "");
    assert!(!output.status.success());
    assert!(!output.stderr.is_empty(), "it says why");
    broker.client("client").ping();
}

/// A client that dies by the hands of the system is a client that vanishes.
#[test]
fn the_will_of_a_killed_client_is_published() {
    let broker = Broker::start();
    let mut watcher = broker.client("watcher");
    watcher.subscribe("will", 1);
    broker.connect(&Connect::v5("killed").will(Will::new("will", "gone").qos(1))).reset();
    assert_eq!(watcher.message().text(), "gone");
}
