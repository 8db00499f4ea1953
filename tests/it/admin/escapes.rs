//! Whose rows somebody finds: a student and a teacher find their own, whatever they ask for.

use crate::support::broker::Broker;
use crate::support::pages::{Browser, Pages, with_pages};
use crate::support::wire::Connect;
use serde_json::Value;

const PASSWORD: &str = "a long password";

struct School {
    broker: Broker,
    pages: Pages,
}

impl School {
    fn open() -> Self {
        let mut broker = with_pages().start();
        for (name, role) in [("root", "Admin"), ("tina", "Teacher"), ("sam", "Student"), ("ada", "Student")] {
            broker.add_user(name, role, PASSWORD);
        }
        broker.add_rule(&["--role", "Student", "--topic", "own/%u/#", "--publish", "--subscribe"]);
        let pages = Pages::of(&mut broker);
        Self { broker, pages }
    }

    fn log_in(&self, name: &str) -> Browser {
        self.pages.log_in(name, PASSWORD)
    }

    fn connect(&self, user: &str, client_id: &str) -> crate::support::raw::Client {
        self.broker.connect(&Connect::v5(client_id).login(user, PASSWORD))
    }
}

fn of<'a>(items: &'a [Value], name: &str) -> Vec<&'a str> {
    items.iter().map(|item| item[name].as_str().unwrap_or_default()).collect()
}

#[test]
fn nobody_finds_the_clients_of_others() {
    let school = School::open();
    let _clients = [school.connect("sam", "lamp"), school.connect("ada", "lamp"), school.connect("tina", "desk")];
    let root = school.log_in("root");
    let all = root.get("/clients").items();
    assert_eq!(of(&all, "user"), ["ada", "sam", "tina"]);
    for name in ["sam", "tina"] {
        let browser = school.log_in(name);
        assert_eq!(of(&browser.get("/clients").items(), "user"), [name]);
        assert_eq!(of(&browser.get("/clients?search=ada").items(), "user"), [""; 0]);
        let adas = all[0]["id"].as_str().unwrap();
        // The place to go on at is no way around it either.
        assert_eq!(of(&browser.get(&format!("/clients?cursor={adas}")).items(), "user"), [name]);
        let answer = browser.get(&format!("/clients/{adas}"));
        assert_eq!((answer.status, answer.code().as_str()), (404, "not-found"));
        let ended = browser.send("POST", &format!("/clients/{adas}/disconnect"), "").code();
        assert_eq!(ended, if name == "tina" { "not-found" } else { "forbidden" });
        assert_eq!(browser.send("DELETE", &format!("/clients/{adas}"), "").code(), "forbidden");
        let own = browser.get("/clients").items()[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(browser.get(&format!("/clients/{own}")).json()["user"], name);
    }
}

#[test]
fn nobody_finds_the_events_of_others() {
    let school = School::open();
    let _clients = [school.connect("sam", "lamp"), school.connect("ada", "lamp")];
    let root = school.log_in("root");
    assert!(root.get("/logs?user=ada").items().len() >= 2 || !root.get("/logs").items().is_empty());
    for name in ["sam", "tina"] {
        let browser = school.log_in(name);
        for query in
            ["", "?user=ada", "?client=lamp", "?action=ADMIN,BROKER", "?text=ada", "?topic=%23", "?cursor=999999-0"]
        {
            let events = browser.get(&format!("/logs{query}")).items();
            assert!(events.iter().all(|event| event["user"] == name), "{name} {query}: {events:?}");
            let exported = browser.get(&format!("/logs/export{}", query.replace("?cursor=999999-0", "")));
            let lines = exported.body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            assert!(lines.into_iter().all(|event| event["user"] == name), "{name} {query}");
        }
    }
    let mut sams = school.log_in("sam").watch("/logs/live?user=ada");
    let mut own = school.log_in("sam").watch("/logs/live");
    assert!(sams.hear().is_some() && own.hear().is_some());
    drop((school.connect("ada", "second"), school.connect("sam", "second")));
    let seen = own.find("events", |event| event["client"] == "second" && event["action"] == "CONNECT");
    assert_eq!(seen["user"], "sam");
    // Hers came first and would have been seen by now.
    school.broker.run(&["user", "disable", "sam"]);
    while let Some(message) = sams.hear() {
        assert_eq!(message["events"], serde_json::json!([]));
    }
}

#[test]
fn nobody_ends_or_asks_for_what_is_others() {
    let school = School::open();
    let (sam, ada) = (school.log_in("sam"), school.log_in("ada"));
    assert_eq!(sam.send("DELETE", &format!("/sessions/{}", ada.id), "").status, 404);
    assert_eq!(sam.get("/sessions").items().len(), 1);
    assert_eq!(ada.get("/session").status, 200);
    let check = |browser: &Browser, whom: &str| {
        let body = format!(r#"{{{whom},"action":"publish","topic":"own/ada/x"}}"#);
        browser.send("POST", "/rules/check", &body)
    };
    for whom in [r#""user":"ada""#, r#""user":"nobody""#, r#""role":"Admin""#] {
        assert_eq!(check(&sam, whom).code(), "forbidden", "{whom}");
    }
    let own = check(&sam, r#""user":"sam""#).json();
    assert_eq!((own["verdict"].as_str(), own["rule"].as_i64()), (Some("denied"), None));
    let hers = check(&school.log_in("root"), r#""user":"ada""#).json();
    assert_eq!(hers["verdict"], "allowed");
    let decides = hers["considered"].as_array().unwrap().iter().find(|one| one["decides"] == true).unwrap();
    assert_eq!(decides["rule"]["topic"], "own/%u/#");
}

#[test]
fn at_the_pages_everybody_publishes_and_watches_under_their_own_rules() {
    let school = School::open();
    let (sam, ada) = (school.log_in("sam"), school.log_in("ada"));
    let publish = |browser: &Browser, topic: &str, qos: u8| {
        let body = format!(r#"{{"topic":"{topic}","payload":"hello","qos":{qos}}}"#);
        browser.send("POST", "/publish", &body)
    };
    let mut watching = ada.watch("/live");
    watching.say(r##"{"subscribe":["own/ada/#","own/sam/#","#"]}"##);
    let mut told = Vec::new();
    while told.len() < 3 {
        let message = watching.hear().unwrap();
        told.extend(message["subscribed"].as_array().unwrap().iter().map(|one| one["ok"].as_bool().unwrap()));
    }
    assert_eq!(told, [true, false, false]);
    for qos in 0..=2 {
        let refused = publish(&sam, "own/ada/x", qos);
        assert_eq!((refused.status, refused.code().as_str()), (403, "not-allowed"), "QoS {qos}");
        assert_eq!(publish(&sam, "own/sam/x", qos).json()["matched"], 0);
        assert_eq!(publish(&ada, "own/ada/x", qos).json()["matched"], 1, "QoS {qos}");
        let seen = watching.find("messages", |_| true);
        assert_eq!((seen["topic"].as_str(), seen["text"].as_str()), (Some("own/ada/x"), Some("hello")));
    }
    let root = school.log_in("root");
    // The log is written in the background.
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    loop {
        let refused = root.get("/logs?user=sam&failed=true&action=PUBLISH").items();
        let logged = refused.iter().filter(|event| event["topic"] == "own/ada/x").count();
        if logged == 3 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the broker has logged {logged} of 3");
    }
}

#[test]
fn nobody_reads_replaces_or_clears_the_retained_messages_of_others() {
    let school = School::open();
    let (sam, ada) = (school.log_in("sam"), school.log_in("ada"));
    let id = data_encoding::BASE64URL_NOPAD.encode(b"own/ada/x");
    let put = |browser: &Browser| browser.send("PUT", &format!("/retained/{id}"), r#"{"payload":"secret"}"#);
    assert_eq!(put(&sam).code(), "not-allowed");
    assert_eq!(put(&ada).status, 204);
    assert_eq!(sam.get("/retained").items().len(), 0);
    assert_eq!(sam.get(&format!("/retained/{id}")).status, 404);
    assert_eq!(sam.send("DELETE", &format!("/retained/{id}"), "").code(), "not-allowed");
    let branch = |browser: &Browser| browser.send("POST", "/retained/clear", r##"{"filter":"#","preview":false}"##);
    assert_eq!(branch(&sam).json()["cleared"], 0);
    let hers = ada.get(&format!("/retained/{id}")).json();
    assert_eq!((hers["text"].as_str(), hers["publisher"]["user"].as_str()), (Some("secret"), Some("ada")));
    assert_eq!(branch(&ada).json()["cleared"], 1);
    assert_eq!(ada.get("/retained").items().len(), 0);
}
