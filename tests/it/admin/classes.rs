//! Two classes with a teacher each: what a teacher may do to the own students, and that it ends there.

use crate::support::PATIENCE;
use crate::support::broker::Broker;
use crate::support::pages::{Answer, Browser, Pages, with_pages};
use crate::support::raw::Client;
use crate::support::wire::{Connect, Publish};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Instant;

const PASSWORD: &str = "a long password";

/// Tina teaches 7b with sam and ada, tim teaches 8a with zoe; ada is in both. Everybody has a client with a retained
/// message in the own topics.
struct School {
    broker: Broker,
    pages: Pages,
    clients: Vec<Client>,
}

const PEOPLE: [(&str, &str); 6] = [
    ("root", "Admin"),
    ("tina", "Teacher"),
    ("tim", "Teacher"),
    ("sam", "Student"),
    ("ada", "Student"),
    ("zoe", "Student"),
];

impl School {
    fn open() -> Self {
        let mut broker = with_pages().start();
        for (name, role) in PEOPLE {
            broker.add_user(name, role, PASSWORD);
        }
        for command in [
            &["class", "add", "7b"][..],
            &["class", "add", "8a"],
            &["class", "assign", "7b", "tina", "sam", "ada"],
            &["class", "assign", "8a", "tim", "zoe", "ada"],
        ] {
            broker.run(command);
        }
        let clients = PEOPLE.map(|(name, _)| broker.connect(&Connect::v5(&format!("{name}-1")).login(name, PASSWORD)));
        let mut clients = Vec::from(clients);
        for (client, topic) in clients.iter_mut().skip(3).zip(["c/7b/u/sam/x", "c/7b/u/ada/x", "c/8a/u/zoe/x"]) {
            assert_eq!(client.publish(Publish::new(topic, "kept").qos(1).retain()), 0x10);
        }
        let pages = Pages::of(&mut broker);
        // The log is written in the background.
        let (root, begin) = (pages.log_in("root", PASSWORD), Instant::now());
        while named(&root.get("/logs?limit=500&action=CONNECT").items(), "user").len() < PEOPLE.len() {
            assert!(begin.elapsed() < PATIENCE, "the broker has not logged who connected");
        }
        Self { broker, pages, clients }
    }

    fn log_in(&self, name: &str) -> Browser {
        self.pages.log_in(name, PASSWORD)
    }

    /// The identifier of somebody's client in addresses.
    fn client_of(&self, name: &str) -> String {
        let found = self.log_in("root").get(&format!("/clients?search={name}-1")).items();
        found[0]["id"].as_str().unwrap().to_owned()
    }
}

fn named(items: &[Value], field: &str) -> BTreeSet<String> {
    items.iter().filter_map(|item| item[field].as_str()).map(str::to_owned).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn refused(answer: &Answer) -> (u16, String) {
    (answer.status, answer.code())
}

fn forbidden() -> (u16, String) {
    (403, "forbidden".into())
}

fn not_found() -> (u16, String) {
    (404, "not-found".into())
}

#[test]
fn everybody_finds_the_rows_of_their_own_and_no_others() {
    let school = School::open();
    for (name, users, classes) in [
        ("root", &["root", "tina", "tim", "sam", "ada", "zoe"][..], &["7b", "8a"][..]),
        ("tina", &["tina", "sam", "ada"], &["7b"]),
        ("tim", &["tim", "zoe", "ada"], &["8a"]),
        ("sam", &["sam"], &["7b"]),
        ("ada", &["ada"], &["7b", "8a"]),
    ] {
        let browser = school.log_in(name);
        assert_eq!(named(&browser.get("/clients?limit=100").items(), "user"), set(users), "{name}'s clients");
        assert_eq!(named(&browser.get("/classes").items(), "name"), set(classes), "{name}'s classes");
        let mut logged = named(&browser.get("/logs?limit=500&action=CONNECT").items(), "user");
        assert_eq!(logged, set(users), "{name}'s log");
        let export = browser.get("/logs/export?format=ndjson&action=CONNECT");
        logged = export.body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).fold(
            BTreeSet::new(),
            |mut all, event| {
                all.extend(event["user"].as_str().map(str::to_owned));
                all
            },
        );
        assert_eq!(logged, set(users), "{name}'s export");
        let bars = browser.get("/logs/histogram?action=CONNECT&buckets=5").json();
        let counted: u64 = bars["buckets"].as_array().unwrap().iter().map(|bar| bar["ok"].as_u64().unwrap()).sum();
        assert_eq!((counted, bars["complete"].as_bool()), (users.len() as u64, Some(true)), "{name}'s bars");
        if name != "sam" && name != "ada" {
            let mut seen = named(&browser.get("/users?limit=100").items(), "name");
            seen.remove("admin");
            assert_eq!(seen, set(users), "{name}'s users");
        }
        let me = browser.get("/me").json();
        assert_eq!((me["user"].as_str(), me["paused"].as_bool()), (Some(name), Some(false)));
    }
    let retained = |name: &str| named(&school.log_in(name).get("/retained?limit=100").items(), "topic");
    assert_eq!(retained("tina"), set(&["c/7b/u/sam/x", "c/7b/u/ada/x"]));
    assert_eq!(retained("tim"), set(&["c/8a/u/zoe/x"]));
    assert_eq!(retained("sam"), set(&["c/7b/u/sam/x"]));
    let of_class = |name: &str, class: &str| school.log_in(name).get(&format!("/clients?class={class}"));
    assert_eq!(named(&of_class("root", "8a").items(), "user"), set(&["tim", "zoe", "ada"]));
    assert_eq!(named(&of_class("tim", "8a").items(), "user"), set(&["tim", "zoe", "ada"]));
    for (name, class) in [("tina", "8a"), ("sam", "7b"), ("tina", "none")] {
        assert_eq!(refused(&of_class(name, class)), not_found(), "{name} {class}");
        assert_eq!(refused(&school.log_in(name).get(&format!("/logs?class={class}"))), not_found(), "{name} {class}");
    }
}

#[test]
fn a_teacher_manages_the_own_students() {
    let mut school = School::open();
    let tina = school.log_in("tina");
    let made = tina.send("POST", "/users", r#"{"name":"new","role":"Student","class":"7b","generate":true}"#);
    assert_eq!(made.status, 201, "{made:?}");
    let password = made.json()["password"].as_str().unwrap().to_owned();
    let mut fresh = school.broker.connect(&Connect::v5("new-1").login("new", &password));
    assert_eq!(fresh.publish(Publish::new("c/7b/u/new/x", "1").qos(1)), 0x10);
    let reset = tina.send("POST", "/users/sam/password", r#"{"password":"another password"}"#);
    assert_eq!(reset.status, 200, "{reset:?}");
    school.broker.connect(&Connect::v5("sam-2").login("sam", "another password"));
    let tag = tina.get("/users/sam").header("etag").to_owned();
    let disabled = tina.send_with("PATCH", "/users/sam", &[("If-Match", &tag)], r#"{"enabled":false}"#);
    assert_eq!(disabled.status, 200, "{disabled:?}");
    assert_eq!(school.broker.refused(&Connect::v5("sam-3").login("sam", "another password")).code, 0x86);
    let hers = school.client_of("ada");
    assert_eq!(tina.send("POST", &format!("/clients/{hers}/disconnect"), "").status, 204);
    school.clients[4].expect_disconnect(0x98);
    assert_eq!(tina.send("DELETE", "/classes/7b/members/ada", "").status, 204);
    assert_eq!(refused(&tina.get("/users/ada")), not_found(), "no student of hers any more");
    let members = tina.get("/classes/7b").json()["members"].as_array().unwrap().clone();
    assert_eq!(named(&members, "name"), set(&["tina", "sam", "new"]));
}

#[test]
fn nobody_reaches_beyond_their_classes() {
    let school = School::open();
    let (zoes, roots) = (school.client_of("zoe"), school.client_of("root"));
    let tina = school.log_in("tina");
    let password = r#"{"password":"another password"}"#;
    // ada is in the class of another teacher, too: whoever has her password is in that class.
    for (name, answer) in
        [("zoe", not_found()), ("tim", not_found()), ("root", not_found()), ("tina", forbidden()), ("ada", forbidden())]
    {
        let patch = |body| {
            let tag = school.log_in("root").get(&format!("/users/{name}")).header("etag").to_owned();
            refused(&tina.send_with("PATCH", &format!("/users/{name}"), &[("If-Match", &tag)], body))
        };
        assert_eq!(patch(r#"{"enabled":false}"#), answer, "{name}");
        assert_eq!(patch(r#"{"role":"Admin"}"#), answer, "{name}");
        assert_eq!(refused(&tina.send("POST", &format!("/users/{name}/password"), password)), answer, "{name}");
        assert_eq!(refused(&tina.send("DELETE", &format!("/users/{name}"), "")), forbidden(), "{name}");
    }
    let tag = tina.get("/users/sam").header("etag").to_owned();
    let promoted = tina.send_with("PATCH", "/users/sam", &[("If-Match", &tag)], r#"{"role":"Teacher"}"#);
    assert_eq!(refused(&promoted), forbidden());
    for body in [
        r#"{"name":"x","role":"Admin","class":"7b"}"#,
        r#"{"name":"x","role":"Teacher","class":"7b"}"#,
        r#"{"name":"x","role":"Student","class":"8a"}"#,
        r#"{"name":"x","role":"Student"}"#,
        r#"{"name":"zoe","role":"Student","class":"8a"}"#,
    ] {
        assert_eq!(refused(&tina.send("POST", "/users", body)), forbidden(), "{body}");
    }
    assert_eq!(tina.send("POST", "/users", r#"{"name":"zoe","role":"Student","class":"7b"}"#).code(), "user-exists");
    assert_eq!(refused(&tina.send("POST", "/classes/7b/members", r#"{"users":["zoe"]}"#)), forbidden());
    assert_eq!(refused(&tina.send("DELETE", "/classes/7b/members/tina", "")), forbidden());
    assert_eq!(refused(&tina.send("DELETE", "/classes/7b", "")), forbidden());
    for path in ["/classes/8a/pause", "/classes/8a/resume"] {
        assert_eq!(refused(&tina.send("POST", path, "")), not_found(), "{path}");
        assert_eq!(refused(&school.log_in("sam").send("POST", path, "")), forbidden(), "{path}");
    }
    assert_eq!(refused(&tina.send("DELETE", "/classes/8a/members/zoe", "")), not_found());
    assert_eq!(refused(&tina.get("/classes/8a")), not_found());
    for id in [&zoes, &roots] {
        assert_eq!(refused(&tina.get(&format!("/clients/{id}"))), not_found());
        assert_eq!(refused(&tina.send("POST", &format!("/clients/{id}/disconnect"), "")), not_found());
        assert_eq!(refused(&tina.send("DELETE", &format!("/clients/{id}"), "")), forbidden());
    }
    let check = |user: &str| {
        let body = json!({ "user": user, "action": "publish", "topic": "c/7b/shared/x" }).to_string();
        tina.send("POST", "/rules/check", &body)
    };
    assert_eq!(refused(&check("zoe")), forbidden());
    let hers = check("sam").json();
    assert_eq!((hers["verdict"].as_str(), hers["considered"][0]["why"].is_string()), (Some("allowed"), true));
    let publish = |topic: &str| {
        let body = json!({ "topic": topic, "payload": "x" }).to_string();
        tina.send("POST", "/publish", &body)
    };
    assert_eq!(publish("c/7b/announce/x").status, 200);
    assert_eq!(refused(&publish("c/8a/announce/x")), (403, "not-allowed".into()));
    // A student sees the class, and not who else is in it.
    let class = school.log_in("sam").get("/classes/7b").json();
    assert_eq!((class["students"].is_null(), class["topics"]["own"].as_str()), (true, Some("c/7b/u/sam/#")));
    assert_eq!(named(class["members"].as_array().unwrap(), "name"), set(&["sam"]));
}

#[test]
fn a_paused_class_hears_its_teacher_and_says_nothing() {
    let mut school = School::open();
    let tina = school.log_in("tina");
    assert_eq!(tina.send("POST", "/classes/7b/pause", "").json()["paused"], true);
    assert_eq!(school.log_in("sam").get("/me").json()["paused"], true);
    let sam = &mut school.clients[3];
    sam.subscribe("c/7b/announce/#", 1);
    assert_eq!(sam.publish(Publish::new("c/7b/u/sam/x", "1").qos(1)), 0x87);
    // Of ada one class is paused, so it says nothing in the other one either.
    assert_eq!(school.clients[4].publish(Publish::new("c/8a/u/ada/x", "1").qos(1)), 0x87);
    assert_eq!(school.clients[5].publish(Publish::new("c/8a/u/zoe/x", "1").qos(1)), 0x10);
    assert_eq!(school.clients[1].publish(Publish::new("c/7b/announce/now", "listen").qos(1)), 0);
    assert_eq!(school.clients[3].message().text(), "listen");
    // Whoever comes now may come, with a will, too, and what was said before is still there.
    let mut late = school.broker.connect(&Connect::v5("sam-2").login("sam", PASSWORD));
    late.subscribe("c/7b/u/sam/#", 1);
    assert_eq!(late.message().text(), "kept");
    let body = json!({ "user": "sam", "action": "publish", "topic": "c/7b/u/sam/x" }).to_string();
    let why = tina.send("POST", "/rules/check", &body).json();
    assert_eq!((why["verdict"].as_str(), why["reason"].as_str()), (Some("denied"), Some("the class is paused")));
    assert_eq!(tina.send("POST", "/classes/7b/resume", "").json()["paused"], false);
    assert_eq!(late.publish(Publish::new("c/7b/u/sam/x", "2").qos(1)), 0);
}

#[test]
fn whoever_no_longer_teaches_a_class_no_longer_watches_it() {
    let school = School::open();
    let tina = school.log_in("tina");
    let mut watching = tina.watch("/logs/live");
    assert!(watching.hear().is_some());
    school.broker.run(&["class", "unassign", "7b", "tina"]);
    while watching.hear().is_some() {}
    assert_eq!(tina.get("/session").status, 200, "the login goes on");
    assert_eq!(named(&tina.get("/clients").items(), "user"), set(&["tina"]));
}
