//! `backup` beside a running broker, and `restore` on the same machine and on another.

use crate::support::broker::{Broker, Settings, finish, securemq};
use crate::support::wire::{Connect, Publish};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

/// A broker with a user, and a message that waits for a client that is away.
fn busy() -> Broker {
    let broker = Settings::open().start();
    broker.add_user("tina", "Teacher", "correct horse");
    let mut away = broker.connect(&Connect::v5("away").lasting());
    away.subscribe("school/#", 1);
    away.disconnect();
    let mut publisher = broker.client("publisher");
    publisher.publish(Publish::new("school/hello", "good morning").qos(1).retain());
    publisher.disconnect();
    broker
}

/// Runs a command on a folder where nothing runs; returns exit code and what it printed.
fn run(folder: &Path, arguments: &[&str], input: &str) -> (i32, String) {
    let mut command = securemq(folder);
    command.args(arguments);
    printed(command, input)
}

fn printed(command: Command, input: &str) -> (i32, String) {
    let output = finish(command, input);
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code().unwrap(), text)
}

/// The message is there for the client that was away, and is still retained.
fn check(folder: &Arc<TempDir>) {
    let broker = Settings::open().on(Arc::clone(folder)).start();
    let mut away = broker.connect(&Connect::v5("away").lasting());
    assert_eq!(away.payloads(1), ["good morning"]);
    let mut new = broker.client("new");
    new.subscribe("school/hello", 0);
    assert_eq!(new.payloads(1), ["good morning"]);
    let users = broker.run(&["user", "list"]);
    assert!(users.contains("tina"), "{users}");
    assert!(broker.run(&["logs", "verify"]).contains("the log is whole"));
    let events = broker.run(&["logs", "--action", "ADMIN"]);
    assert!(events.contains("restore"), "{events}");
}

fn same_identity(one: &Path, other: &Path) {
    for name in ["ca.crt", "ca.key", "server.crt", "server.key"] {
        let [one, other] = [one, other].map(|data| data.join("tls").join(name));
        assert_eq!(fs::read(&one).unwrap(), fs::read(&other).unwrap(), "{name}");
        let [one, other] = [one, other].map(|path| fs::metadata(path).unwrap().permissions().mode());
        assert_eq!(one, other, "{name}");
    }
}

#[test]
fn a_backup_of_a_running_broker_is_restored_on_another_machine_with_its_passphrase() {
    let broker = busy();
    let file = broker.scratch().join("move.smqb");
    let name = file.to_str().unwrap();
    let said = broker.run_with_input(&["backup", name, "--passphrase-stdin"], "correct horse battery\n");
    assert!(said.contains("users 2") && said.ends_with("it opens with the passphrase, on any machine\n"), "{said}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let other = Arc::new(TempDir::new().unwrap());
    let (exit, said) =
        run(other.path(), &["backup", "--verify", name, "--passphrase-stdin"], "correct horse battery\n");
    assert!(exit == 0 && said.contains("everything in it opens, and nothing is missing"), "{said}");
    let (exit, said) = run(other.path(), &["restore", name, "--passphrase-stdin"], "wrong horse battery\n");
    assert!(exit == 1 && said.contains("the passphrase does not open"), "{said}");
    assert!(!other.path().join("data/master.key").exists() && !other.path().join("data/securemq.db").exists());

    let (exit, said) = run(other.path(), &["restore", name, "--passphrase-stdin"], "correct horse battery\n");
    assert!(exit == 0 && said.contains("made the master key"), "{said}");
    same_identity(&broker.data(), &other.path().join("data"));
    check(&other);
}

#[test]
fn a_backup_takes_the_place_of_the_data_when_the_broker_is_stopped() {
    let mut broker = busy();
    let file = broker.scratch().join("monday.smqb");
    let name = file.to_str().unwrap();
    broker.run(&["backup", name]);
    broker.run(&["user", "remove", "tina"]);
    let (exit, said) = printed(broker.command(&["restore", name, "--force"]), "");
    assert!(exit == 1 && said.contains("stop the other broker"), "{said}");
    broker.stop();

    let (exit, said) = printed(broker.command(&["restore", name]), "");
    assert!(exit == 1 && said.contains("holds data already") && said.contains("--force"), "{said}");
    let said = broker.run(&["restore", name, "--force"]);
    let aside = broker.data().join("securemq.db.replaced-1");
    assert!(said.contains(&format!("the old data is {}", aside.display())) && aside.exists(), "{said}");
    check(&broker.folder());
}

#[test]
fn a_backup_names_what_is_wrong_and_what_to_do() {
    let mut broker = busy();
    broker.stop();
    let file = broker.scratch().join("a.smqb");
    let name = file.to_str().unwrap();
    let shown: serde_json::Value = serde_json::from_str(&broker.run(&["backup", name, "--json"])).unwrap();
    assert_eq!((&shown["rows"]["users"], &shown["opened_by"]), (&2.into(), &"master key".into()));

    let (exit, said) = printed(broker.command(&["backup", name]), "");
    assert!(exit == 1 && said.ends_with("choose another name, or replace it with --force\n"), "{said}");
    broker.run(&["backup", name, "--force"]);
    let (exit, said) = printed(broker.command(&["backup", "x.smqb", "--passphrase-stdin"]), "short\n");
    assert!(exit == 2 && said.contains("shorter than 12 characters"), "{said}");
    let (exit, said) = printed(broker.command(&["backup", "x.smqb", "--passphrase"]), "");
    assert!(exit == 1 && said.contains("nobody can be asked"), "{said}");

    // Another machine, and no master key.
    let other = TempDir::new().unwrap();
    let (exit, said) = run(other.path(), &["restore", name], "");
    assert!(exit == 1 && said.contains("there is no master key"), "{said}");
    let (exit, said) = run(other.path(), &["restore", "missing.smqb"], "");
    assert!(exit == 1 && said.contains("cannot read missing.smqb"), "{said}");

    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4000].fill(0);
    fs::write(&file, bytes).unwrap();
    let (exit, said) = printed(broker.command(&["backup", "--verify", name]), "");
    assert!(exit == 1 && said.ends_with("restore another backup\n"), "{said}");
}

/// A disk that is full ends the backup and nothing else.
#[test]
fn a_backup_that_does_not_fit_leaves_nothing_behind() {
    let broker = busy();
    let folder = broker.scratch().join("backups");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("a.smqb");
    let mut command = Command::new("sh");
    // The signal ignored, writing beyond the limit is an error.
    let script =
        format!("trap '' XFSZ; ulimit -f 40; exec {} backup {}", env!("CARGO_BIN_EXE_securemq"), file.display());
    command.args(["-c", &script]).env("SECUREMQ_DATA_DIR", broker.data()).current_dir(broker.scratch());
    let (exit, said) = printed(command, "");
    assert_eq!(exit, 1, "{said}");
    let left: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}: {said}");
    broker.add_user("sam", "Student", "correct horse");
}
