//! `securemq cert` as a stranger runs it: what is made, what is kept, and what is refused with which exit code.

use securemq::broker::{RoleName, UserName};
use securemq::store::{Access, Database, MasterKey, StoredUser, UnixMillis};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A data folder and the commands that are run on it.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With a database in which there are the users ann and, disabled, dis.
    fn with_users() -> Self {
        let desk = Self::new();
        let users = ["ann", "dis"].map(|name| StoredUser {
            name: UserName::new(name).unwrap(),
            role: RoleName::new("Student").unwrap(),
            enabled: true,
            password: None,
            certificate: None,
            created: UnixMillis::now(),
            changed: UnixMillis::now(),
        });
        let data = desk.data("");
        fs::create_dir(&data).unwrap();
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let key = MasterKey::create(&data.join("master.key")).unwrap();
            let database = Database::create(&data, &key).await.unwrap();
            for user in &users {
                database.add_user(user).await.unwrap();
            }
            database.set_enabled(&users[1].name, Access::Disabled, UnixMillis::now()).await.unwrap();
            database.close().await.unwrap();
        });
        desk
    }

    fn data(&self, file: &str) -> PathBuf {
        self.folder.path().join("securemq-data").join(file)
    }

    fn run(&self, arguments: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_securemq"))
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn json(&self, arguments: &str) -> Value {
        let output = self.run(&format!("{arguments} --json"));
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The exit code and what is said on standard error.
    fn refusal(&self, arguments: &str) -> (i32, String) {
        let output = self.run(arguments);
        assert_eq!(output.stdout, b"", "{arguments}");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

#[test]
fn init_makes_what_is_missing_and_keeps_what_is_there() {
    let desk = Desk::new();
    let first = desk.json("cert init");
    assert_eq!(
        (&first["ca"], &first["server"], &first["server_days_left"]),
        (&"created".into(), &"created".into(), &825.into())
    );
    let key = fs::read(desk.data("tls/ca.key")).unwrap();
    let second = desk.json("cert init");
    assert_eq!((&second["ca"], &second["server"]), (&"found".into(), &"found".into()));
    assert_eq!(first["ca_fingerprint"], second["ca_fingerprint"]);
    assert_eq!(fs::read(desk.data("tls/ca.key")).unwrap(), key);
    for secret in ["tls/ca.key", "tls/server.key"] {
        assert_eq!(fs::metadata(desk.data(secret)).unwrap().mode() & 0o777, 0o600, "{secret}");
    }
    let shown = String::from_utf8(desk.run("cert init").stdout).unwrap();
    assert!(shown.contains("authority found: securemq-data/tls/ca.crt\n  SHA-256 "), "{shown}");
}

#[test]
fn a_user_that_exists_gets_a_certificate_and_the_log_says_so() {
    let desk = Desk::with_users();
    desk.json("cert init");
    let issued = desk.json("cert issue --user ann --days 90");
    assert_eq!((&issued["days_left"], &issued["key_is_new"]), (&90.into(), &true.into()));
    assert_eq!(issued["certificate"], "securemq-data/tls/clients/ann.crt");
    assert_eq!(fs::metadata(desk.data("tls/clients/ann.key")).unwrap().mode() & 0o777, 0o600);
    assert_eq!(desk.json("cert issue --user ann")["key_is_new"], false, "a key is kept");
    assert_eq!(desk.json("cert issue --user ann --out elsewhere")["key"], "elsewhere/ann.key");

    let log = String::from_utf8(desk.run("logs --action ADMIN --json").stdout).unwrap();
    let fingerprint = issued["fingerprint"].as_str().unwrap();
    assert!(log.lines().any(|line| line.contains("cert issue") && line.contains(fingerprint)), "{log}");
    assert!(log.contains("cert init"), "{log}");
}

#[test]
fn a_certificate_for_nobody_is_refused() {
    let desk = Desk::with_users();
    desk.json("cert init");
    let (exit, said) = desk.refusal("cert issue --user bob");
    assert_eq!(exit, 3, "{said}");
    assert!(said.contains("there is no user bob") && said.contains("securemq user add bob"), "{said}");
    assert!(!desk.data("tls/clients").exists());
}

#[test]
fn a_certificate_of_a_disabled_user_comes_with_a_warning() {
    let desk = Desk::with_users();
    desk.json("cert init");
    let output = desk.run("cert issue --user dis");
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("warning: the user dis is disabled"), "{said}");
}

#[test]
fn the_server_certificate_is_issued_for_the_names_asked_for() {
    let desk = Desk::new();
    desk.json("cert init");
    desk.json("cert issue --server broker.example.com 192.0.2.7 --server other.example.com");
    let listed = desk.json("cert list");
    let names: Vec<_> =
        listed[1]["alternatives"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names[..3], ["broker.example.com", "192.0.2.7", "other.example.com"]);
    assert!(names.contains(&"localhost"), "{names:?}");
    let (exit, said) = desk.refusal("cert issue --server http://broker");
    assert_eq!(exit, 2, "{said}");
}

#[test]
fn without_an_authority_the_remedy_is_named() {
    let desk = Desk::with_users();
    for command in ["cert issue --server localhost", "cert issue --user ann"] {
        let (exit, said) = desk.refusal(command);
        assert_eq!(exit, 1, "{said}");
        assert!(said.trim_end().lines().last().unwrap().contains("securemq cert init"), "{said}");
    }
}

#[test]
fn a_number_of_days_that_makes_no_sense_is_refused() {
    let desk = Desk::with_users();
    desk.json("cert init");
    for days in ["0", "3653", "x"] {
        assert_eq!(desk.refusal(&format!("cert issue --user ann --days {days}")).0, 2, "{days}");
    }
}

#[test]
fn all_certificates_are_listed_with_the_days_they_have_left() {
    let desk = Desk::with_users();
    assert_eq!(desk.json("cert list"), Value::Array(Vec::new()));
    desk.json("cert init");
    desk.json("cert issue --user ann --days 7");
    let listed = desk.json("cert list");
    let shown: Vec<_> = listed.as_array().unwrap().iter().map(|row| (&row["purpose"], &row["days_left"])).collect();
    let expected = [("authority", 3652), ("server", 825), ("client", 7)].map(|(name, days)| (name.into(), days.into()));
    assert_eq!(shown, expected.iter().map(|(name, days): &(Value, Value)| (name, days)).collect::<Vec<_>>());
    let table = String::from_utf8(desk.run("cert list").stdout).unwrap();
    assert!(table.starts_with("FOR") && table.contains("securemq-data/tls/clients/ann.crt"), "{table}");
}
