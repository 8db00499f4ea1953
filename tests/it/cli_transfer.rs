//! `export` and `import`: accounts and rules as lines of JSON, all of them or none.

use crate::support::broker::{Broker, Settings, finish};
use crate::support::wire::Connect;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn source() -> Broker {
    let broker = Settings::default().listen("mqtt://127.0.0.1:0").start();
    broker.add_user("tina", "Teacher", "correct horse");
    broker.add_user("sam", "Student", "battery staple");
    broker.run(&["user", "disable", "sam"]);
    broker.add_rule(&["--user", "sam", "--topic", "school/exams/#", "--subscribe", "--deny"]);
    broker
}

fn failed(broker: &Broker, arguments: &[&str], input: &str) -> String {
    let output = finish(broker.command(arguments), input);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn users_and_rules_go_from_one_broker_to_another_while_both_run() {
    let (from, to) = (source(), Settings::default().listen("mqtt://127.0.0.1:0").start());
    let file = from.scratch().join("users.jsonl");
    let name = file.to_str().unwrap();
    from.run(&["export", "users", name]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(failed(&from, &["export", "users", name], "").contains("exists already"));
    let rules = from.run(&["export", "rules"]);

    // The account admin is there already, with another password.
    let said = failed(&to, &["import", "users", name], "");
    assert!(said.contains("line 1: there is already a user admin") && said.contains("nothing was imported"), "{said}");
    let said = to.run(&["import", "users", name, "--skip-existing", "--dry-run"]);
    assert_eq!(said, "users: 2 added, 0 replaced, 1 left as they are; nothing was changed, this was a dry run\n");
    assert!(!to.run(&["user", "list"]).contains("tina"));
    let said = to.run(&["import", "users", name, "--skip-existing"]);
    assert_eq!(said, "users: 2 added, 0 replaced, 1 left as they are\n");
    assert_eq!(
        to.run_with_input(&["import", "rules", "-", "--skip-existing"], &rules),
        "rules: 1 added, 0 replaced, 6 left as they are\n"
    );

    // Who could log in there can log in here, at once, and nobody else.
    to.connect(&Connect::v5("c").login("tina", "correct horse")).disconnect();
    assert_ne!(to.open().try_connect(&Connect::v5("c").login("sam", "battery staple")).code, 0);
    assert_eq!(to.run(&["export", "rules"]), rules);
    let again = to.run(&["import", "users", name, "--replace"]);
    assert_eq!(again, "users: 0 added, 3 replaced, 0 left as they are\n");
    assert_eq!(to.run(&["export", "users"]), fs::read_to_string(&file).unwrap());
}

#[test]
fn every_wrong_line_is_told_with_its_number_and_nothing_is_imported() {
    let broker = source();
    let before = broker.run(&["export", "users"]);
    let lines = r#"{"name":"good","role":"Student"}
{"name":"bad role","role":"Nobody","password":"plain text"}

{"name":"x","role":"Student","extra":1}
{"name":"y","role":"Student","certificate":"12"}
{"role":"Student"}
not json
"#;
    let said = failed(&broker, &["import", "users", "-"], lines);
    for line in [
        "line 2: the password is no argon2id hash",
        "line 4: unknown field `extra`",
        "line 5: the certificate",
        "line 6: missing field `name`",
        "line 7: ",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let said = failed(
        &broker,
        &["import", "users", "-"],
        "{\"name\":\"good\",\"role\":\"Student\"}\n{\"name\":\"x\",\"role\":\"Nobody\"}\n",
    );
    assert!(said.contains("line 2: there is no role Nobody"), "{said}");
    assert_eq!(broker.run(&["export", "users"]), before);
    let rules = r#"{"topic":"a","publish":true,"subscribe":true,"effect":"allow"}
{"user":"nobody","topic":"a/#/b","publish":true,"subscribe":true,"effect":"allow"}
{"user":"sam","topic":"a","publish":false,"subscribe":false,"effect":"deny"}
"#;
    let said = failed(&broker, &["import", "rules", "-"], rules);
    assert!(said.contains("3 lines are wrong"), "{said}");
    let unknown = r#"{"user":"nobody","topic":"a","publish":true,"subscribe":true,"effect":"allow"}"#;
    assert!(failed(&broker, &["import", "rules", "-"], unknown).contains("line 1: there is no user nobody"));
}
