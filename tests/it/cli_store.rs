//! The commands on the database, from the command line to the exit code: `user`, `acl` and `logs`.

use securemq::audit::visible;
use securemq::broker::{AuditEvent, EventKind, Who};
use securemq::protocol::{QoS, Text};
use securemq::store::{Database, MasterKey, StoredEvent, UnixMillis};
use serde_json::Value;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A data folder with a new database, and nothing else around the commands.
struct Desk {
    folder: tempfile::TempDir,
}

/// What a command printed.
struct Shown {
    exit: i32,
    out: String,
    err: String,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        let key = MasterKey::create(&desk.data().join("master.key")).unwrap();
        block_on(async { Database::create(desk.data(), &key).await.unwrap().close().await.unwrap() });
        desk
    }

    fn data(&self) -> &Path {
        self.folder.path()
    }

    async fn database(&self) -> Database {
        let key = MasterKey::load(&self.data().join("master.key")).unwrap();
        Database::open(self.data(), &key).await.unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_securemq"));
        command.args(arguments).current_dir(self.data()).env_clear().env("SECUREMQ_DATA_DIR", self.data());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run_with_input(&self, arguments: &[&str], input: &str) -> Shown {
        let mut child = self.command(arguments).spawn().unwrap();
        // A command that needs no input may be gone before it gets some.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Shown {
            exit: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn run(&self, arguments: &str) -> Shown {
        self.run_with_input(&arguments.split_whitespace().collect::<Vec<_>>(), "")
    }

    /// Runs a command that must succeed and say nothing on the side.
    fn ok(&self, arguments: &str) -> String {
        let shown = self.run(arguments);
        assert_eq!((shown.exit, shown.err.as_str()), (0, ""), "{arguments}");
        shown.out
    }

    fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("{arguments} --json"))).unwrap()
    }

    fn add_user(&self, name: &str, role: &str) {
        let arguments = ["user", "add", name, "--role", role, "--password-stdin"];
        let shown = self.run_with_input(&arguments, "correct horse\n");
        assert_eq!(shown.exit, 0, "{}", shown.err);
    }

    fn append(&self, events: &[StoredEvent]) {
        block_on(async {
            let database = self.database().await;
            database.append_events(events).await.unwrap();
            database.close().await.unwrap();
        });
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn published(at: u64, user: &str, topic: &str) -> StoredEvent {
    let text = |text| Text::try_from(text).unwrap();
    let who = Who { user: Some(text(user)), client_id: Some(text("lamp")), address: None };
    let qos = QoS::AtLeastOnce;
    let kind = EventKind::Published { topic: text(topic), size: 3, qos, retain: false, delivered: 1, durability: None };
    StoredEvent { at: UnixMillis::from_millis(at), event: AuditEvent { who, kind } }
}

/// systemd hands a credential over in a file that belongs to root and that an access list opens to the service, which
/// looks like a file that a group may read.
#[test]
fn the_key_may_come_from_a_credential_of_systemd() {
    let desk = Desk::new();
    let credentials = tempfile::tempdir().unwrap();
    let path = credentials.path().join("securemq-master-key");
    std::fs::rename(desk.data().join("master.key"), &path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
    let output = desk.command(&["user", "list", "--json"]).env("CREDENTIALS_DIRECTORY", credentials.path()).output();
    assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), "[]\n");
}

#[test]
fn a_user_is_added_shown_changed_and_removed() {
    let desk = Desk::new();
    let arguments = ["user", "add", "tina", "--role", "Teacher", "--password-stdin"];
    assert_eq!(desk.run_with_input(&arguments, "correct horse\n").out, "user tina added with role Teacher\n");
    let user = &desk.json("user list")[0];
    assert_eq!((&user["name"], &user["role"]), (&"tina".into(), &"Teacher".into()));
    assert_eq!((&user["enabled"], &user["has_password"]), (&true.into(), &true.into()));
    assert_eq!(desk.ok("user role tina Admin"), "user tina has role Admin\n");
    assert_eq!(desk.ok("user disable tina"), "user tina is disabled\n");
    let shown = desk.ok("user show tina");
    assert!(shown.starts_with("name         tina\nrole         Admin\nenabled      no\npassword     yes\n"), "{shown}");
    assert!(shown.ends_with("rule         rule 2: role Admin may subscribe to \"$SYS/#\"\n"), "{shown}");
    assert_eq!(desk.ok("user enable tina"), "user tina is enabled\n");
    assert_eq!(desk.ok("user remove tina"), "user tina is removed, with its rules\n");
    assert_eq!(desk.json("user list"), Value::Array(Vec::new()));
}

#[test]
fn the_table_of_users_has_a_heading_and_a_row_for_each() {
    let desk = Desk::new();
    desk.add_user("sam", "Student");
    desk.ok("user add lamp-7 --role Student --no-password");
    let table = desk.ok("user list");
    let rows: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "ROLE", "ENABLED", "PASSWORD", "CERTIFICATE", "CHANGED"]);
    assert_eq!(rows[1][..5], ["lamp-7", "Student", "yes", "no", "any"]);
    assert_eq!(rows[2][..5], ["sam", "Student", "yes", "yes", "any"]);
}

#[test]
fn a_generated_password_is_printed_once_and_verifies() {
    let desk = Desk::new();
    let out = desk.ok("user add sam --role Student --generate");
    let password = out.lines().nth(1).unwrap().strip_prefix("password: ").unwrap();
    let json = desk.json("user passwd sam --generate");
    assert_ne!(json["password"], password);
    assert_eq!(json["name"], "sam");
    let stored = block_on(async { desk.database().await.users().await.unwrap().remove(0).password.unwrap() });
    let stored = secrecy::ExposeSecret::expose_secret(&stored).to_owned();
    let typed = json["password"].as_str().unwrap().as_bytes();
    assert!(securemq::auth::verify_password(typed, &stored, &mut Default::default()).unwrap());
    assert!(!desk.ok("user show sam --json").contains("password\":\""));
}

#[test]
fn a_password_comes_from_the_first_line_of_input() {
    let desk = Desk::new();
    for (input, password) in [("one two\r\nthree\n", "one two"), ("no line break", "no line break")] {
        let shown = desk.run_with_input(&["user", "add", "sam", "--role", "Student", "--password-stdin"], input);
        assert_eq!(shown.exit, 0, "{}", shown.err);
        let stored = block_on(async { desk.database().await.users().await.unwrap().remove(0).password.unwrap() });
        let stored = secrecy::ExposeSecret::expose_secret(&stored).to_owned();
        assert!(securemq::auth::verify_password(password.as_bytes(), &stored, &mut Default::default()).unwrap());
        desk.ok("user remove sam");
    }
}

#[test]
fn a_password_that_is_missing_empty_or_short_is_spoken_of() {
    let desk = Desk::new();
    let shown = desk.run("user add sam --role Student");
    assert_eq!(shown.exit, 2);
    assert!(shown.err.contains("no terminal") && shown.err.contains("--generate"), "{}", shown.err);
    let arguments = ["user", "add", "sam", "--role", "Student", "--password-stdin"];
    assert_eq!(desk.run_with_input(&arguments, "\n").exit, 2);
    let shown = desk.run_with_input(&arguments, "short\n");
    assert_eq!(shown.exit, 0);
    assert_eq!(shown.err, "warning: the password is shorter than 8 characters and easily guessed\n");
    assert_eq!(desk.run("user add sam --role Student --generate --password-stdin").exit, 2);
    assert_eq!(desk.run("user add sam --role Student --password secret").exit, 2);
}

#[test]
fn what_does_not_exist_is_3_and_what_is_taken_is_1() {
    let desk = Desk::new();
    desk.add_user("sam", "Student");
    for arguments in [
        "user show bob",
        "user passwd bob --generate",
        "user role bob Admin",
        "user role sam Boss",
        "user disable bob",
        "user enable bob",
        "user remove bob",
        "user add bob --role Techer --generate",
        "acl add --user bob --topic a --publish",
        "acl add --role Boss --topic a --publish",
        "acl remove 99",
        "acl check --user bob --topic a --action publish",
        "acl check --role Boss --topic a --action publish",
    ] {
        let shown = desk.run(arguments);
        assert_eq!((shown.exit, shown.out.as_str()), (3, ""), "{arguments}");
        assert!(shown.err.starts_with("error: there is no "), "{arguments}: {}", shown.err);
    }
    let taken = desk.run("user add sam --role Student --generate");
    assert_eq!(taken.exit, 1);
    assert!(taken.err.starts_with("error: there is already a user sam\n"), "{}", taken.err);
}

#[test]
fn names_and_topics_that_are_none_are_2() {
    let desk = Desk::new();
    for name in ["", " a", "a/b", "a+", "#", "%u", "a\nb", "a\u{1b}[31m", "a\u{202e}b"] {
        let shown = desk.run_with_input(&["user", "add", "--role", "Student", "--generate", "--", name], "");
        assert_eq!((shown.exit, shown.out.as_str()), (2, ""), "{}", visible(name));
    }
    for arguments in [
        "acl add --role Student --topic a#b --publish",
        "acl add --role Student --topic a/%x --publish",
        "acl add --role Student --topic $share/g/a --publish",
        "acl add --role Student --topic a",
        "acl add --role Student --user sam --topic a --publish",
        "acl add --topic a --publish",
        "acl remove first",
        "acl check --role Student --topic a/+ --action publish",
        "acl check --role Student --topic a#b --action subscribe",
        "acl check --role Student --topic a --action write",
        "acl check --role Student --client= --topic a --action publish",
        "logs --action PUB",
        "logs --since yesterday",
        "logs --topic a#",
        "logs --follow --until 1h",
        "logs verify --failed",
    ] {
        let shown = desk.run(arguments);
        assert_eq!((shown.exit, shown.out.as_str()), (2, ""), "{arguments}: {}", shown.err);
    }
}

#[test]
fn without_a_database_nothing_is_made_and_serve_is_named() {
    let desk = Desk { folder: tempfile::tempdir().unwrap() };
    for arguments in ["user list", "acl list", "logs", "logs verify"] {
        let shown = desk.run(arguments);
        assert_eq!(shown.exit, 1, "{arguments}");
        assert!(shown.err.contains("securemq serve"), "{arguments}: {}", shown.err);
    }
    assert_eq!(std::fs::read_dir(desk.data()).unwrap().count(), 0);
}

#[test]
fn rules_are_added_listed_tried_out_and_removed() {
    let desk = Desk::new();
    desk.add_user("sam", "Student");
    let added = desk.ok("acl add --user sam --topic school/exams/# --subscribe --deny");
    assert_eq!(added, "added rule 7: user sam may not subscribe to \"school/exams/#\"\n");
    let rules = desk.json("acl list");
    assert_eq!(rules.as_array().unwrap().len(), 7);
    let expected = serde_json::json!({
        "id": 7, "user": "sam", "effect": "deny", "access": ["subscribe"], "topic": "school/exams/#",
    });
    assert_eq!(rules[6], expected);
    assert_eq!(desk.json("acl list --user sam"), Value::Array(vec![expected]));
    assert_eq!(desk.json("acl list --role Student").as_array().unwrap().len(), 2);
    assert!(desk.ok("acl list").contains("user sam"));

    let check = |action: &str, topic: &str| {
        let shown = desk.run(&format!("acl check --user sam --topic {topic} --action {action}"));
        (shown.exit, shown.out)
    };
    let own = "allowed: rule 5: role Student may publish and subscribe to \"students/%u/#\"\n\
               an acknowledgement promises: commit (store.durability)\n";
    assert_eq!(check("publish", "students/sam/lamp"), (0, own.into()));
    assert_eq!(check("publish", "school/bell"), (4, "denied: no rule allows it\n".into()));
    let denied = "denied: rule 7: user sam may not subscribe to \"school/exams/#\"\n";
    assert_eq!(check("subscribe", "school/exams/1"), (4, denied.into()));
    let partly = "allowed: rule 6: role Student may subscribe to \"school/#\"\n\
                  but a denial speaks of some of its topics: their messages are not delivered\n";
    assert_eq!(check("subscribe", "school/#"), (0, partly.into()));
    assert_eq!(check("subscribe", "$share/g/school/exams/1").0, 4);
    assert_eq!(check("publish", "$SYS/x").0, 4);

    let removed = desk.ok("acl remove 7");
    assert_eq!(removed, "removed rule 7: user sam may not subscribe to \"school/exams/#\"\n");
    assert_eq!(check("subscribe", "school/exams/1").0, 0);
    desk.ok("user disable sam");
    assert_eq!(check("subscribe", "school/exams/1"), (4, "denied: the user is disabled\n".into()));
}

#[test]
fn a_check_explains_a_denial_and_says_it_to_programs() {
    let desk = Desk::new();
    let arguments = "acl check --role Student --client lamp --topic a --action publish";
    let shown = desk.run(arguments);
    assert!(shown.err.starts_with("error: role Student may not publish to \"a\"\n`securemq acl add`"), "{}", shown.err);
    let shown = desk.run(&format!("{arguments} --json"));
    let json: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(shown.exit, 4);
    let expected = serde_json::json!({
        "allowed": false, "partly_denied": false, "reason": "no rule allows it", "rule": null, "durability": null,
    });
    assert_eq!(json, expected);
}

#[test]
fn everything_that_is_administered_is_in_the_log_and_no_password_is() {
    let desk = Desk::new();
    desk.add_user("sam", "Student");
    let secret = desk.json("user passwd sam --generate")["password"].as_str().unwrap().to_owned();
    desk.ok("user role sam Teacher");
    desk.ok("user disable sam");
    desk.ok("user enable sam");
    desk.ok("acl add --user sam --topic a --publish");
    desk.ok("acl remove 7");
    desk.ok("user remove sam");
    let log = desk.ok("logs --action admin");
    let words: Vec<_> = log.lines().map(|line| line.split_once("from=local  ").unwrap().1).collect();
    let expected = [
        "user add \"sam: Student\"",
        "user passwd sam",
        "user role \"sam: Teacher\"",
        "user disable sam",
        "user enable sam",
        "acl add \"rule 7: user sam may publish to \\\"a\\\"\"",
        "acl remove \"rule 7: user sam may publish to \\\"a\\\"\"",
        "user remove sam",
    ];
    assert_eq!(words, expected);
    assert!(log.lines().all(|line| line.contains(" user=uid/")), "{log}");
    assert!(!log.contains(&secret) && !log.contains("correct horse") && !log.contains("argon2"));
}

#[test]
fn a_class_is_made_filled_shown_paused_and_removed() {
    let desk = Desk::new();
    desk.ok("user add tina --role Teacher --no-password");
    desk.ok("user add sam --role Student --no-password");
    assert_eq!(desk.ok("class add 7b"), "class 7b added; its topics begin with c/7b/\n");
    assert_eq!(desk.ok("class assign 7b tina sam"), "assigned to class 7b: tina, sam\n");
    let listed = desk.json("class list");
    let shown = desk.json("class show 7b");
    assert_eq!(listed[0], shown);
    assert_eq!(
        (&shown["teachers"][0], &shown["students"][0], &shown["paused"]),
        (&"tina".into(), &"sam".into(), &false.into())
    );
    assert!(desk.ok("class show 7b").contains("student      sam\n"));
    let check = |topic: &str| desk.run(&format!("acl check --user sam --topic {topic} --action publish"));
    assert_eq!(check("c/7b/u/sam/x").exit, 0);
    assert_eq!(check("c/7b/u/tina/x").exit, 4);
    desk.ok("class pause 7b");
    let paused = check("c/7b/u/sam/x");
    assert_eq!(paused.exit, 4);
    assert!(format!("{}{}", paused.out, paused.err).contains("the class is paused"), "{} {}", paused.out, paused.err);
    desk.ok("class resume 7b");
    assert_eq!(check("c/7b/u/sam/x").exit, 0);
    assert_eq!(desk.ok("class unassign 7b sam"), "no longer in class 7b: sam\n");
    for (arguments, exit, err) in [
        ("class unassign 7b sam", 3, "user sam is not in class 7b"),
        ("class assign 7b nobody", 3, "there is no user nobody"),
        ("class show 8a", 3, "there is no class 8a"),
        ("class add 7b", 1, "there is already a class 7b"),
        ("class add a/b", 2, "'/'"),
        ("class add $SYS", 2, "does not begin with '$'"),
    ] {
        let shown = desk.run(arguments);
        assert_eq!(shown.exit, exit, "{arguments}: {}", shown.err);
        assert!(shown.err.contains(err), "{arguments}: {}", shown.err);
    }
    assert_eq!(desk.ok("class remove 7b"), "class 7b is removed; its members stay users\n");
    assert_eq!(desk.json("class list"), serde_json::json!([]));
    assert!(desk.ok("logs --action ADMIN --limit 3").contains("class remove 7b"));
}

#[test]
fn the_latest_events_are_shown_in_their_order() {
    let desk = Desk::new();
    let events: Vec<_> = (0..50).map(|at| published(at * 1000, "alice", "school/bell")).collect();
    desk.append(&events);
    let log = desk.ok("logs");
    assert_eq!(log.lines().count(), 20);
    assert_eq!(
        log.lines().last().unwrap(),
        "1970-01-01T00:00:49.000Z PUBLISH     ok     user=alice client=lamp  \
         \"school/bell\", 3 bytes, QoS 1, delivered to 1"
    );
    assert!(log.starts_with("1970-01-01T00:00:30.000Z "), "{log}");
    assert_eq!(desk.ok("logs --limit 0"), "");
    let json = desk.json("logs --limit 3");
    let times: Vec<_> = json.as_array().unwrap().iter().map(|event| event["time"].as_str().unwrap()).collect();
    assert_eq!(times, ["1970-01-01T00:00:47.000Z", "1970-01-01T00:00:48.000Z", "1970-01-01T00:00:49.000Z"]);
    assert_eq!(desk.ok("logs --since 1970-01-01T00:00:10Z --until 1970-01-01T00:00:12Z").lines().count(), 2);
    assert_eq!(desk.ok("logs --failed"), "");
    assert_eq!(desk.ok("logs --user bob"), "");
    assert_eq!(desk.ok("logs --topic school/+ --client lamp --user alice --limit 100").lines().count(), 50);
}

#[test]
fn no_topic_forges_a_line_of_the_log() {
    let desk = Desk::new();
    desk.append(&[published(0, "x\u{1b}[2J", "a\n1970-01-01T00:00:00.000Z ADMIN ok user=root\u{202e}")]);
    for arguments in ["logs", "logs --json"] {
        let out = desk.ok(arguments);
        assert_eq!(out.lines().count(), 1, "{out}");
        assert!(!out.trim_end().chars().any(|c| c.is_control() || c == '\u{202e}'), "{out}");
    }
}

#[test]
fn a_whole_log_is_told_from_one_that_was_altered() {
    let desk = Desk::new();
    for at in 0..5 {
        desk.append(&[published(at, "alice", "t")]);
    }
    assert_eq!(desk.ok("logs verify"), "the log is whole: 5 events in 5 batches\n");
    assert_eq!(desk.json("logs verify")["whole"], true);
    // A byte of the last page that is in use is a byte of what was written last.
    let path = desk.data().join("securemq.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let sealed = bytes.windows(5).rposition(|window| window == [1, 0, 0, 0, 1]).unwrap();
    bytes[sealed + 40] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let shown = desk.run("logs verify");
    assert_eq!(shown.exit, 1);
    assert!(shown.err.starts_with("error: the event log is not as it was written\n  "), "{}", shown.err);
    assert_eq!(desk.run("logs verify --json").exit, 1);
}

#[test]
fn following_shows_the_latest_and_then_what_is_written() {
    use std::io::{BufRead, BufReader};
    let desk = Desk::new();
    desk.append(&[published(1000, "alice", "old"), published(2000, "alice", "t")]);
    let mut child = desk.command(&["logs", "--follow", "--limit", "1", "--json", "--topic", "t"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["time"], "1970-01-01T00:00:02.000Z");
    desk.append(&[published(3000, "alice", "other"), published(4000, "alice", "t")]);
    assert_eq!(next()["time"], "1970-01-01T00:00:04.000Z");
    desk.append(&[published(5000, "alice", "t")]);
    assert_eq!(next()["time"], "1970-01-01T00:00:05.000Z");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_command_waits_for_another_that_writes() {
    let desk = Desk::new();
    let children: Vec<_> = (0..6)
        .map(|number| {
            let name = format!("u{number}");
            desk.command(&["user", "add", &name, "--role", "Student", "--generate"]).spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(desk.json("user list").as_array().unwrap().len(), 6);
    assert_eq!(desk.json("logs verify")["whole"], true);
}
