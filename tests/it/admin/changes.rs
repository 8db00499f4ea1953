//! Users, rules and certificates changed at the pages: it holds at once, it is in the log, and it is safe to try.

use crate::support::pages::{Browser, Pages, with_pages};
use crate::support::wire::Connect;
use serde_json::{Value, json};

const PASSWORD: &str = "a long password";

fn admin(broker: &mut crate::support::broker::Broker) -> Browser {
    broker.add_user("root", "Admin", PASSWORD);
    broker.run(&["user", "remove", "admin"]);
    Pages::of(broker).log_in("root", PASSWORD)
}

fn post(browser: &Browser, path: &str, body: &Value) -> Value {
    let answer = browser.send("POST", path, &body.to_string());
    assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
    answer.json()
}

#[test]
fn a_user_who_was_just_added_logs_in_and_a_removed_one_does_not() {
    let mut broker = with_pages().start();
    let root = admin(&mut broker);
    let made = post(&root, "/users", &json!({ "name": "sam", "role": "Student", "generate": true }));
    let password = made["password"].as_str().unwrap();
    assert_eq!(made["user"]["has_password"], true);
    let mut client = broker.connect(&Connect::v5("lamp").login("sam", password));
    let again = post(&root, "/users/sam/password", &json!({ "generate": true }));
    assert_ne!(again["password"], made["password"]);
    assert_eq!(root.send("DELETE", "/users/sam", "").status, 204);
    client.expect_disconnect(0x98);
    assert_eq!(root.get("/users/sam").status, 404);
    let commands: Vec<_> = root.get("/logs?action=ADMIN&user=root").items();
    let commands: Vec<_> = commands.iter().map(|event| event["command"].as_str().unwrap()).collect();
    assert_eq!(commands, ["user remove", "user passwd", "user add", "web login"]);
}

#[test]
fn of_two_who_change_a_user_at_once_the_second_is_told() {
    let mut broker = with_pages().start();
    let root = admin(&mut broker);
    post(&root, "/users", &json!({ "name": "sam", "role": "Student" }));
    let tag = root.get("/users/sam").header("etag").to_owned();
    let change = |body: &str, headers: &[(&str, &str)]| root.send_with("PATCH", "/users/sam", headers, body);
    assert_eq!(change(r#"{"role":"Teacher"}"#, &[]).code(), "if-match-missing");
    let changed = change(r#"{"role":"Teacher","enabled":false}"#, &[("If-Match", &tag)]);
    assert_eq!((changed.json()["role"].as_str(), changed.json()["enabled"].as_bool()), (Some("Teacher"), Some(false)));
    assert_eq!(change(r#"{"enabled":true}"#, &[("If-Match", &tag)]).code(), "changed");
    let tag = changed.header("etag").to_owned();
    assert_eq!(change(r#"{"enabled":true}"#, &[("If-Match", &tag)]).status, 200);
}

#[test]
fn the_last_administrator_cannot_lock_everybody_out() {
    let mut broker = with_pages().start();
    let root = admin(&mut broker);
    let tag = root.get("/users/root").header("etag").to_owned();
    for body in [r#"{"enabled":false}"#, r#"{"role":"Student"}"#] {
        assert_eq!(root.send_with("PATCH", "/users/root", &[("If-Match", &tag)], body).code(), "last-admin");
    }
    assert_eq!(root.send("DELETE", "/users/root", "").code(), "last-admin");
    post(&root, "/users", &json!({ "name": "second", "role": "Admin", "password": PASSWORD }));
    assert_eq!(root.send("DELETE", "/users/root", "").status, 204);
    assert_eq!(root.get("/users").status, 401, "who is removed is no longer here");
}

#[test]
fn a_list_of_users_is_added_as_a_whole_or_not_at_all() {
    let mut broker = with_pages().start();
    let root = admin(&mut broker);
    let import = |csv: &str, preview: bool| post(&root, "/users/import", &json!({ "csv": csv, "preview": preview }));
    let wrong = import(
        "name,role,password\nsam,Student,\na/b,Student,\nroot,Admin,\nada,Nothing,\nsam,Student,\nbob,Student,short",
        false,
    );
    assert_eq!((wrong["right"].as_bool(), wrong["written"].as_i64()), (Some(false), Some(0)));
    let errors: Vec<_> = wrong["rows"].as_array().unwrap().iter().map(|row| row["error"].is_string()).collect();
    assert_eq!(errors, [false, true, true, true, true, true]);
    let right = "sam,Student,\nada,Teacher,her own password";
    assert_eq!(import(right, true)["written"], 0);
    assert_eq!(root.get("/users").items().len(), 1);
    let done = import(right, false);
    assert_eq!(done["written"], 2);
    let password = done["rows"][0]["password"].as_str().unwrap();
    Pages::of(&mut broker).log_in("sam", password);
    assert!(done["rows"][1]["password"].is_null());
    Pages::of(&mut broker).log_in("ada", "her own password");
}

#[test]
fn a_rule_is_tried_out_added_and_seen_to_act() {
    let mut broker = with_pages().start();
    let root = admin(&mut broker);
    post(&root, "/users", &json!({ "name": "sam", "role": "Student", "password": PASSWORD }));
    let allow = json!({ "subject": { "user": "sam" }, "topic": "lab/#", "publish": true, "subscribe": true, "effect": "allow" });
    post(&root, "/rules", &allow);
    let mut client = broker.connect(&Connect::v5("lamp").login("sam", PASSWORD));
    client.subscribe("lab/#", 0);
    let deny = json!({ "subject": { "user": "sam" }, "topic": "lab/exam", "subscribe": true, "effect": "deny" });
    let cut_off = |plan: &Value| post(&root, "/rules/preview", plan)["cut_off"].clone();
    assert_eq!(cut_off(&json!({ "add": deny })), json!([{ "client_id": "lamp", "user": "sam", "filter": "lab/#" }]));
    assert_eq!(cut_off(&json!({ "add": allow })), json!([]));
    let id = post(&root, "/rules", &deny)["id"].as_i64().unwrap();
    let check = || {
        let question = json!({ "user": "sam", "action": "subscribe", "topic": "lab/exam" });
        post(&root, "/rules/check", &question)
    };
    assert_eq!((check()["verdict"].as_str(), check()["rule"].as_i64()), (Some("denied"), Some(id)));
    assert_eq!(root.send("DELETE", &format!("/rules/{id}"), "").status, 204);
    assert_eq!(check()["verdict"], "allowed");
    assert_eq!(root.send("DELETE", &format!("/rules/{id}"), "").status, 404);
}

#[test]
fn a_client_is_looked_at_disconnected_and_ended() {
    let mut broker = with_pages().start();
    let root = admin(&mut broker);
    broker.add_rule(&["--role", "Student", "--topic", "own/%u/#", "--publish", "--subscribe"]);
    post(&root, "/users", &json!({ "name": "sam", "role": "Student", "password": PASSWORD }));
    let connect = || Connect::v5("lamp").login("sam", PASSWORD);
    let mut client = broker.connect(&connect());
    client.subscribe("own/sam/#", 1);
    let id = root.get("/clients").items()[0]["id"].as_str().unwrap().to_owned();
    let shown = root.get(&format!("/clients/{id}")).json();
    assert_eq!(shown["subscription_list"][0]["filter"], "own/sam/#");
    assert!(shown["events"].as_array().unwrap().iter().all(|event| event["client"] == "lamp"));
    assert_eq!(root.send("POST", &format!("/clients/{id}/disconnect"), "").status, 204);
    client.expect_disconnect(0x98);
    let mut client = broker.connect(&connect());
    assert_eq!(root.send("DELETE", &format!("/clients/{id}"), "").status, 204);
    client.expect_disconnect(0x98);
    assert_eq!(root.get(&format!("/clients/{id}")).status, 404);
}

#[test]
fn what_carries_a_client_is_told() {
    let settings = with_pages().listen("ws://127.0.0.1:0/mqtt").listen("mqtts://127.0.0.1:0");
    let mut broker = settings.start();
    let root = admin(&mut broker);
    let connect = |name: &str| Connect::v5(name).login("root", PASSWORD);
    let _clients = [
        broker.connect(&connect("plain")),
        broker.open_websocket(1).connect(&connect("socket")),
        broker.trust().open(broker.address_of(2)).connect(&connect("secret")),
    ];
    let mut page = root.watch("/live");
    page.say(r##"{"subscribe":["#"]}"##);
    assert_eq!(page.hear().unwrap()["subscribed"][0]["ok"], true);
    let told = |name: &str| {
        let client = root.get(&format!("/clients?search={name}")).items()[0].clone();
        (client["transport"].as_str().unwrap().to_owned(), client["encrypted"].as_bool().unwrap())
    };
    for (name, transport, is_encrypted) in
        [("plain", "tcp", false), ("socket", "websocket", false), ("secret", "tls", true), ("web-", "pages", false)]
    {
        assert_eq!(told(name), (transport.to_owned(), is_encrypted), "{name}");
    }
}

#[test]
fn a_certificate_is_issued_with_its_key_once() {
    let mut broker = with_pages().start();
    let root = admin(&mut broker);
    post(&root, "/users", &json!({ "name": "lamp", "role": "Student" }));
    let issue = || post(&root, "/certificates", &json!({ "user": "lamp", "days": 30 }));
    let first = issue();
    assert!(first["certificate"].as_str().unwrap().contains("BEGIN CERTIFICATE"));
    assert!(first["key"].as_str().unwrap().contains("PRIVATE KEY"));
    assert!(issue()["key"].is_null());
    let listed = root.get("/certificates").items();
    assert!(listed.iter().any(|one| one["purpose"] == "client" && one["name"] == "lamp"));
    assert_eq!(root.send("POST", "/certificates", r#"{"user":"nobody"}"#).code(), "not-found");
}
