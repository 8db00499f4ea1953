//! `key rotate`: beside a running broker, and killed at any moment.

use crate::support::broker::{Broker, Settings, finish, killed_at, securemq, write_private_file};
use crate::support::wire::{Connect, Publish};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A broker with a user, a retained message and messages that wait for a client that is away.
fn busy(settings: Settings) -> Broker {
    let broker = settings.start();
    broker.add_user("tina", "Teacher", "correct horse");
    let mut away = broker.connect(&Connect::v5("away").lasting());
    away.subscribe("school/#", 1);
    away.disconnect();
    let mut publisher = broker.client("publisher");
    publisher.publish(Publish::new("school/0", "0").qos(1).retain());
    publisher.disconnect();
    broker
}

/// What was acknowledged is there, once and in order.
fn check(broker: &Broker, messages: usize) {
    let mut away = broker.connect(&Connect::v5("away").lasting());
    let expected: Vec<_> = (0..messages).map(|number| number.to_string()).collect();
    assert_eq!(away.payloads(messages), expected);
    let mut new = broker.client("new");
    new.subscribe("school/0", 0);
    assert_eq!(new.payloads(1), ["0"]);
    assert!(broker.run(&["user", "list"]).contains("tina"));
    assert!(broker.run(&["logs", "verify"]).contains("the log is whole"));
}

/// How many rows the latest key opens, and how many the others.
fn rows_by_key(folder: &Path) -> (u64, u64) {
    let mut command = securemq(folder);
    command.args(["key", "list", "--json"]);
    let output = finish(command, "");
    assert!(output.status.success(), "{output:?}");
    let keys: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let (latest, others): (Vec<_>, Vec<_>) =
        keys.as_array().unwrap().iter().partition(|key| key["seals"].as_bool().unwrap());
    let rows = |keys: Vec<&serde_json::Value>| keys.iter().map(|key| key["rows"].as_u64().unwrap()).sum();
    (rows(latest), rows(others))
}

#[test]
fn a_key_is_rotated_beside_a_broker_that_stores_messages_all_the_time() {
    let broker = busy(Settings::open());
    let is_over = AtomicBool::new(false);
    let published = std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let mut publisher = broker.client("steady");
            let mut count = 1;
            while !is_over.load(Ordering::Relaxed) {
                publisher.publish(Publish::new("school/x", count.to_string()).qos(1));
                count += 1;
            }
            count
        });
        for _ in 0..3 {
            let said = broker.run(&["key", "rotate"]);
            assert!(said.contains("seals from now on"), "{said}");
        }
        is_over.store(true, Ordering::Relaxed);
        publishing.join().unwrap()
    });
    assert_eq!(rows_by_key(broker.scratch()).1, 0, "everything is sealed with the latest key");
    let broker = broker.crash();
    check(&broker, published);
    let listed = broker.run(&["key", "list"]);
    // The log keeps the keys that it was written with.
    assert!(listed.contains("key 4: opens") && listed.contains("key 1: opens 0 rows"), "{listed}");
}

#[test]
fn a_rotation_that_is_killed_at_any_write_loses_nothing_and_the_next_one_finishes_it() {
    let mut broker = busy(Settings::open());
    for run_beside in [true, false] {
        if !run_beside {
            broker.stop();
        }
        let mut killed = 0;
        for number in 1..=40 {
            let mut command = killed_at(broker.scratch(), number);
            command.args(["key", "rotate"]);
            killed += usize::from(!finish(command, "").status.success());
        }
        assert!(killed > 5, "{killed} of 40 rotations were killed");
        let mut command = securemq(broker.scratch());
        command.args(["key", "rotate"]);
        let output = finish(command, "");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(rows_by_key(broker.scratch()).1, 0);
    }
    let broker = broker.restart_stopped();
    check(&broker, 1);
}

#[test]
fn another_master_key_is_put_in_place_whole_or_not_at_all() {
    let mut broker = busy(Settings::open());
    let folder = broker.folder();
    let command = |arguments: &[&str]| {
        let mut command = securemq(folder.path());
        command.args(arguments);
        finish(command, "")
    };
    let refused = command(&["key", "rotate", "--master"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("stop the broker"), "{said}");
    broker.stop();
    let data = broker.data();
    let mut keys = vec![fs::read(data.join("master.key")).unwrap()];
    let mut number = 1;
    loop {
        let mut command = killed_at(broker.scratch(), number);
        command.args(["key", "rotate", "--master"]);
        let is_whole = finish(command, "").status.success();
        // Whatever was interrupted, the next command opens the store.
        assert!(rows_by_key(broker.scratch()).0 > 0, "killed at call {number}");
        let key = fs::read(data.join("master.key")).unwrap();
        if keys.last() != Some(&key) {
            keys.push(key);
        }
        if is_whole {
            break;
        }
        number += 1;
    }
    assert!(number > 8 && keys.len() > 2, "killed {number} times, {} keys", keys.len());
    assert!(!data.join("master.key.new").exists());
    let old = fs::read(data.join("master.key.old-1")).unwrap();
    assert_eq!(old, keys[0], "the first key is kept");
    // The old key opens nothing any more.
    let new = fs::read(data.join("master.key")).unwrap();
    fs::write(data.join("master.key"), &old).unwrap();
    let refused = command(&["key", "list"]);
    assert!(String::from_utf8(refused.stderr).unwrap().contains("master key"));
    fs::write(data.join("master.key"), new).unwrap();
    let broker = broker.restart_stopped();
    check(&broker, 1);
}

#[test]
fn a_passphrase_is_changed_in_its_file() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let file = folder.path().join("passphrase");
    write_private_file(&file, b"four words apart enough\n");
    let settings = Settings::open().set("key.passphrase_file", file.display()).on(Arc::clone(&folder));
    let mut broker = settings.start();
    broker.stop();
    let rotate = |passphrase: &str| {
        let mut command = securemq(folder.path());
        command.env("SECUREMQ__KEY__PASSPHRASE_FILE", &file);
        command.args(["key", "rotate", "--master", "--passphrase-stdin"]);
        finish(command, &format!("{passphrase}\n"))
    };
    assert!(!rotate("short").status.success());
    let output = rotate("other words that are long");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "other words that are long\n");
    let broker = broker.restart_stopped();
    broker.client("it opens").ping();
}
