//! A disk that refuses: what needs it is refused, everything else goes on, and it is taken again when the disk does.

use crate::support::PATIENCE;
use crate::support::broker::{Broker, Threads, finish, securemq, unsynced_at};
use crate::support::raw::Client;
use crate::support::strace::Fault;
use crate::support::wire::{Connect, Publish};
use std::path::PathBuf;
use std::time::Instant;
use tempfile::TempDir;

const QUOTA_EXCEEDED: u8 = 0x97;

/// A database never comes into its place without the log that is beside it still: if the disk does not confirm that the log
/// was taken in, whoever makes it is refused, and the next one makes a whole of it.
#[test]
fn a_database_whose_making_the_disk_did_not_confirm_is_made_anew() {
    let mut refused = 0;
    // The sync of its end is the first one of the main thread, or the third of the one that works for SQLite: whichever is
    // the last to let go of it.
    for (thread, number) in [(Threads::Main, 1), (Threads::All, 3)].repeat(20) {
        let folder = TempDir::new().unwrap();
        let add = |user| ["user", "add", user, "--role", "Teacher", "--password-stdin"];
        let mut command = unsynced_at(folder.path(), "securemq.db.unfinished", thread, number);
        command.args(add("tina"));
        let output = finish(command, "correct horse\n");
        if output.status.success() {
            assert!(!folder.path().join("data/securemq.db.unfinished-wal").exists(), "{thread:?}");
        } else {
            assert!(String::from_utf8_lossy(&output.stderr).contains("error: "), "{thread:?}: {output:?}");
            assert!(!folder.path().join("data/securemq.db").exists(), "{thread:?}");
            refused += 1;
        }
        let mut command = securemq(folder.path());
        command.args(add("tom"));
        let output = finish(command, "correct horse\n");
        assert!(output.status.success(), "after {thread:?}: {output:?}");
        if refused == 2 {
            return;
        }
    }
    panic!("the disk confirmed everything");
}

/// The files of the database that a write goes to.
fn database(broker: &Broker) -> Vec<PathBuf> {
    ["securemq.db", "securemq.db-wal"].map(|name| broker.data().join(name)).into()
}

/// A subscriber that is away, and what was acknowledged for it.
struct Absent {
    acknowledged: Vec<String>,
}

impl Absent {
    fn of(broker: &Broker) -> Self {
        let mut reader = broker.connect(&Connect::v5("absent").lasting());
        reader.subscribe("kept/#", 2);
        reader.vanish();
        Self { acknowledged: Vec::new() }
    }

    fn publish(&mut self, client: &mut Client, qos: u8, text: &str) -> u8 {
        let code = client.publish(Publish::new("kept/here", text).qos(qos));
        if code < 0x80 {
            self.acknowledged.push(text.to_owned());
        }
        code
    }

    /// Publishes until it is taken.
    fn publish_until_taken(&mut self, client: &mut Client, qos: u8, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.publish(client, qos, text) >= 0x80 {
            assert!(Instant::now() < deadline, "QoS {qos} is refused although the disk takes it");
        }
    }

    /// It comes back, and everything is there in order.
    fn expect_everything(self, broker: &Broker) {
        let mut reader = broker.connect(&Connect::v5("absent").lasting());
        assert!(reader.connack.session_present);
        broker.client("last").publish(Publish::new("kept/end", "end").qos(1));
        let mut received = Vec::new();
        loop {
            let publish = reader.message();
            if publish.text() == "end" {
                break;
            }
            received.push(publish.text().to_owned());
        }
        received.dedup();
        let expected: Vec<_> = received.iter().filter(|text| self.acknowledged.contains(text)).cloned().collect();
        assert_eq!(expected, self.acknowledged, "of {received:?}");
    }
}

/// ENOSPC.
#[test]
fn a_full_disk_refuses_what_must_be_stored_and_serves_on() {
    refuse_what_must_be_stored("pwrite64", "ENOSPC", "the disk is full");
}

/// EIO.
#[test]
fn a_disk_that_cannot_sync_refuses_what_must_be_stored_and_serves_on() {
    refuse_what_must_be_stored("fsync,fdatasync", "EIO", "the database refuses");
}

/// 0x97 for those who understand it, the end of the connection for those who don't; QoS 0 and what is there go on; when
/// the disk works again no restart is needed. The log says once that it began and once that it ended.
fn refuse_what_must_be_stored(calls: &str, error: &str, said: &str) {
    let broker = Broker::start();
    let mut absent = Absent::of(&broker);
    let (mut new, mut old) = (broker.client("new"), broker.connect(&Connect::v311("old")));
    let mut live = broker.client("live");
    live.subscribe("passing", 0);
    assert!(absent.publish(&mut new, 1, "before 1") < 0x80);
    assert!(absent.publish(&mut old, 2, "before 2") < 0x80);

    let fault = Fault::begin(broker.process_id(), calls, error, &database(&broker));
    for qos in [1, 2, 1, 2] {
        assert_eq!(absent.publish(&mut new, qos, &format!("during {qos}")), QUOTA_EXCEEDED, "QoS {qos}");
    }
    old.send_publish(Publish::new("kept/here", "during, and old").qos(1));
    old.expect_closed();
    new.publish(Publish::new("passing", "by"));
    assert_eq!(live.message().text(), "by");
    let mut late = broker.client("late");
    late.subscribe("passing", 0);
    new.publish(Publish::new("passing", "again"));
    assert_eq!((live.message().text(), late.message().text()), ("again", "again"));
    assert_eq!(broker.refused(&Connect::v5("lasting").lasting()).code, QUOTA_EXCEEDED);

    fault.end();
    for qos in [1, 2] {
        absent.publish_until_taken(&mut new, qos, &format!("after {qos}"));
    }
    broker.connect(&Connect::v5("lasting").lasting()).disconnect();
    let log = log_with(&broker, "the store takes what is given to it again");
    let broker = broker.crash();
    absent.expect_everything(&broker);
    assert_eq!(log.matches("the store takes nothing").count(), 1, "{log}");
    assert!(log.contains(said), "{log}");
    assert_eq!(log.matches("the store takes what is given to it again").count(), 1, "{log}");
    assert!(log.contains("client=late"), "what happened meanwhile is in the log:\n{log}");
    assert!(!log.contains("left out"), "{log}");
}

/// The log as soon as it has these words.
fn log_with(broker: &Broker, words: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = broker.run(&["logs"]);
        if log.contains(words) {
            return log;
        }
        assert!(Instant::now() < deadline, "the log does not say {words:?}:\n{log}");
    }
}
