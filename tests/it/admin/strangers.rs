//! Every address × everything that somebody else has: asked for by its own identifier, by a teacher of another class and
//! by a student of it. The addresses are those of `routes.rs`, so none that is added can be forgotten here.

use super::routes::ROUTES;
use crate::support::broker::Broker;
use crate::support::pages::{Browser, Pages, with_pages};
use crate::support::raw::Client;
use crate::support::wire::{Connect, Publish};
use serde_json::{Value, json};

const PASSWORD: &str = "a long password";
/// Part of every name, topic and payload that is none of the callers' business.
const HIDDEN: &str = "hidden";
const CLASS: &str = "hidden8";
const USER: &str = "hidden-zoe";
const TOPIC: &str = "c/hidden8/u/hidden-zoe/x";

/// Tina teaches 7b with sam. Whatever is hidden belongs to another class.
struct School {
    broker: Broker,
    pages: Pages,
    board: Client,
    zoe: Browser,
    root: Browser,
    /// The identifiers of what is hidden.
    client: String,
    key: String,
    rule: String,
    tag: String,
}

impl School {
    fn open() -> Self {
        let mut broker = with_pages().start();
        for (name, role) in
            [("root", "Admin"), ("tina", "Teacher"), ("sam", "Student"), ("hidden-tim", "Teacher"), (USER, "Student")]
        {
            broker.add_user(name, role, PASSWORD);
        }
        for command in [
            &["class", "add", "7b"][..],
            &["class", "add", CLASS],
            &["class", "assign", "7b", "tina", "sam"],
            &["class", "assign", CLASS, "hidden-tim", USER],
        ] {
            broker.run(command);
        }
        broker.add_rule(&["--user", USER, "--topic", "hidden/#", "--subscribe"]);
        let mut board = broker.connect(&Connect::v5("hidden-board").login(USER, PASSWORD));
        board.subscribe("c/hidden8/u/hidden-zoe/#", 1);
        let secret = Publish::new(TOPIC, "hidden secret").qos(1).retain();
        assert_eq!(board.publish(secret), 0);
        let pages = Pages::of(&mut broker);
        let (zoe, root) = (pages.log_in(USER, PASSWORD), pages.log_in("root", PASSWORD));
        let key = zoe.send("POST", "/keys", r#"{"name":"hidden key","scopes":["read"]}"#).json();
        let rules = root.get("/rules?limit=500").items();
        let rule = rules.iter().find(|rule| rule["topic"] == "hidden/#").unwrap();
        Self {
            client: root.get("/clients?search=hidden-board").items()[0]["id"].as_str().unwrap().to_owned(),
            key: key["info"]["id"].to_string(),
            rule: rule["id"].to_string(),
            tag: root.get(&format!("/users/{USER}")).header("etag").to_owned(),
            broker,
            pages,
            board,
            zoe,
            root,
        }
    }

    /// An address with what is hidden in its places.
    fn address(&self, path: &str) -> String {
        let id = if path.starts_with("/clients") {
            &self.client
        } else if path.starts_with("/keys") {
            &self.key
        } else if path.starts_with("/sessions") {
            &self.zoe.id
        } else {
            assert!(path.starts_with("/rules") || !path.contains("{id}"), "{path}: say here what its identifier is");
            &self.rule
        };
        let topic = data_encoding::BASE64URL_NOPAD.encode(TOPIC.as_bytes());
        let address = path.replace("{id}", id).replace("{name}", USER).replace("{class}", CLASS);
        let address = address.replace("{topic}", &topic);
        assert!(!address.contains('{'), "{path}: say here what belongs into its place");
        address
    }

    /// All that there is of it, as its owner and an administrator see it.
    fn hidden(&self) -> Value {
        let user = format!("/users/{USER}");
        let topic = data_encoding::BASE64URL_NOPAD.encode(TOPIC.as_bytes());
        json!([
            self.root.get(&user).json(),
            self.root.get(&format!("/classes/{CLASS}")).json(),
            self.root.get(&format!("/clients/{}", self.client)).json()["connected"],
            self.root.get(&format!("/clients/{}", self.client)).json()["subscription_list"],
            self.root.get(&format!("/retained/{topic}")).json(),
            self.root.get("/rules?limit=500").json(),
            self.zoe.get("/keys").json(),
            self.zoe.get("/sessions").items().len(),
        ])
    }
}

/// What names somebody else's things where an address takes a body.
fn body_of<'a>(method: &str, path: &str, usual: &'a str) -> &'a str {
    match (method, path) {
        ("POST", "/publish") => r#"{"topic":"c/hidden8/u/hidden-zoe/x","payload":"x","retain":true}"#,
        ("POST", "/retained/clear") => r##"{"filter":"#","preview":false}"##,
        ("PUT", "/retained/{topic}") => r#"{"payload":"x"}"#,
        ("PATCH", "/users/{name}") => r#"{"enabled":false}"#,
        ("POST", "/rules/check") => r#"{"user":"hidden-zoe","action":"publish","topic":"c/hidden8/shared/x"}"#,
        _ => usual,
    }
}

/// Everything that a list may be asked for, with what is hidden.
const QUESTIONS: [&str; 5] = [
    "?limit=500",
    "?search=hidden&limit=500",
    "?user=hidden-zoe&client=hidden-board&limit=500",
    "?text=hidden&filter=%23&limit=500",
    "?class=hidden8",
];

#[test]
fn nothing_of_others_is_found_or_changed_at_any_address() {
    let school = School::open();
    let before = school.hidden();
    // They look before they try anything: what they tried is in their own log, with the names of what is hidden.
    for (name, looks) in [("tina", true), ("sam", true), ("tina", false), ("sam", false)] {
        let mut browser = school.pages.log_in(name, PASSWORD);
        let routes = ROUTES.iter().filter(|(method, ..)| (*method == "GET") == looks);
        for &(method, path, _, usual) in routes.filter(|(_, path, ..)| *path != "/openapi.json") {
            let address = school.address(path);
            let what = format!("{method} {path} by {name}");
            if method == "SOCKET" {
                let mut feed = browser.watch(&address);
                // That of the log says something by itself.
                if path == "/live" {
                    feed.say(&json!({ "subscribe": ["#", TOPIC] }).to_string());
                }
                let first = feed.hear().unwrap_or_else(|| panic!("{what}: it was closed"));
                assert!(!first.to_string().contains("hidden secret"), "{what}: {first}");
                assert_eq!(first["events"].as_array().map_or(0, Vec::len), 0, "{what}: {first}");
                assert!(is_refused(&first["subscribed"]), "{what}: {first}");
                continue;
            }
            let questions = if method == "GET" { &QUESTIONS[..] } else { &[""] };
            for question in questions {
                let body = body_of(method, path, usual);
                let tag = [("If-Match", school.tag.as_str())];
                let answer = browser.send_with(method, &format!("{address}{question}"), &tag, body);
                let is_done = (200..300).contains(&answer.status);
                let names_it = path.contains('{') || *question == "?class=hidden8" && takes_class(path);
                assert!(!is_done || !names_it, "{what} {question}: {answer:?}");
                assert!(!names_it || [403, 404].contains(&answer.status), "{what} {question}: {answer:?}");
                assert!(!is_done || !answer.body.contains(HIDDEN), "{what} {question}: {answer:?}");
                if browser.get("/session").status == 401 {
                    browser = school.pages.log_in(name, PASSWORD);
                }
            }
        }
    }
    assert_eq!(school.hidden(), before);
    drop((school.board, school.broker));
}

/// Whether every subscription that was asked for was refused.
fn is_refused(subscribed: &Value) -> bool {
    subscribed.as_array().is_none_or(|answers| answers.iter().all(|answer| answer["ok"] == false))
}

fn takes_class(path: &str) -> bool {
    ["/clients", "/logs", "/logs/export", "/logs/histogram"].contains(&path)
}
