//! A damaged database under the real binary: it is salvaged, what was lost is said, and `--strict` refuses.

use crate::support::broker::{Broker, Settings, finish};
use crate::support::wire::{Connect, Publish};
use std::fs;

/// A stopped broker with some users and retained messages.
fn stopped() -> Broker {
    let mut broker = Settings::open().start();
    broker.add_user("tina", "Teacher", "correct horse");
    let mut publisher = broker.connect(&Connect::v5("publisher"));
    for number in 0..60 {
        publisher.publish(Publish::new(&format!("t/{number}"), vec![b'x'; 400]).qos(1).retain());
    }
    publisher.disconnect();
    broker.stop();
    // A clean end takes the log into the file.
    assert!(!broker.data().join("securemq.db-wal").exists());
    broker
}

/// Makes nonsense of a page of retained messages.
fn damage(broker: &Broker) {
    let path = broker.data().join("securemq.db");
    let mut bytes = fs::read(&path).unwrap();
    // A leaf of a table whose rows are as long as the messages are.
    let is_of_messages = |page: &[u8]| {
        let [rows, begin] = [3, 5].map(|place| usize::from(u16::from_be_bytes([page[place], page[place + 1]])));
        page[0] == 0x0d && rows > 1 && (420..900).contains(&((4096 - begin) / rows))
    };
    let pages: Vec<_> = bytes.chunks_exact(4096).collect();
    let page = pages.iter().rposition(|page| is_of_messages(page)).expect("a page of messages");
    bytes[page * 4096..page * 4096 + 200].fill(0x5a);
    fs::write(&path, bytes).unwrap();
}

#[test]
fn a_damaged_database_is_salvaged_and_what_is_lost_is_said() {
    let broker = stopped();
    damage(&broker);
    let before = fs::read(broker.data().join("securemq.db")).unwrap();

    let refused = finish(broker.command(&["serve", "--strict", "--listen", "mqtt://127.0.0.1:0"]), "");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && said.contains("--strict forbids to salvage it; nothing was changed"),
        "{said}"
    );
    assert!(said.contains("restore a backup with `securemq restore FILE --force`"), "{said}");
    assert_eq!(fs::read(broker.data().join("securemq.db")).unwrap(), before);

    let mut broker = broker.restart_stopped();
    broker.wait_for_output("warning: the damaged files are set aside");
    let said = broker.output();
    assert!(
        said.contains("warning: the database is damaged") && said.contains("warning: salvaged retained: "),
        "{said}"
    );
    assert_eq!(fs::read(broker.data().join("securemq.db.damaged-1")).unwrap(), before);
    assert!(broker.run(&["user", "list"]).contains("tina"));
    assert!(broker.run(&["logs", "verify"]).contains("the log is whole"));
    assert!(broker.run(&["logs", "--limit", "100"]).contains("salvaged retained: "));
    let mut reader = broker.client("reader");
    reader.subscribe("t/#", 0);
    let first = reader.message();
    assert_eq!(first.payload.len(), 400);
}
