//! `securemq web` as its own process, with and without a broker beside it.

use crate::support::PATIENCE;
use crate::support::broker::{Broker, Settings};
use crate::support::pages::{Alone, with_pages};
use crate::support::wire::{Connect, Publish};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Instant;

const PASSWORD: &str = "a long password";

#[test]
fn without_a_broker_what_is_at_rest_works_and_the_rest_says_why_not() {
    let mut broker = Settings::default().listen("mqtt://127.0.0.1:0").start();
    broker.add_user("root", "Admin", PASSWORD);
    broker.stop();
    let alone = Alone::start(&broker);
    let root = alone.pages.log_in("root", PASSWORD);
    assert_eq!(root.get("/session").json()["broker"], "stopped");
    let made = root.send("POST", "/users", r#"{"name":"sam","role":"Student","generate":true}"#);
    assert_eq!(made.status, 201);
    for path in ["/users", "/rules", "/roles", "/logs", "/certificates", "/settings"] {
        assert!(!root.get(path).items().is_empty(), "{path}");
    }
    for path in ["/overview", "/clients", "/retained"] {
        let answer = root.get(path);
        assert_eq!((answer.status, answer.code().as_str()), (503, "broker-stopped"), "{path}");
    }
    let mut watching = root.watch("/logs/live?action=ADMIN");
    assert!(watching.hear().is_some());
    broker.run(&["user", "disable", "sam"]);
    watching.find("events", |event| event["command"] == "user disable");
}

#[test]
fn beside_a_broker_it_shows_what_is_alive_and_asks_in_the_name_of_who_is_logged_in() {
    let broker = Settings::default().listen("mqtt://127.0.0.1:0").start();
    for (name, role) in [("root", "Admin"), ("sam", "Student")] {
        broker.add_user(name, role, PASSWORD);
    }
    broker.add_rule(&["--role", "Student", "--topic", "own/%u/#", "--publish", "--subscribe"]);
    socket_of(&broker);
    let alone = Alone::start(&broker);
    let (root, sam) = (alone.pages.log_in("root", PASSWORD), alone.pages.log_in("sam", PASSWORD));
    assert_eq!(root.get("/session").json()["broker"], "running");
    let mut admin = broker.connect(&Connect::v5("desk").login("root", PASSWORD));
    assert_eq!(root.get("/overview").json()["connections"], 1);
    assert_eq!(root.get("/clients").items().len(), 1);
    assert_eq!(sam.get("/clients").items().len(), 0);
    assert_eq!(sam.get("/overview").code(), "forbidden");
    let desk = root.get("/clients").items()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(sam.get(&format!("/clients/{desk}")).status, 404);
    let mut watching = sam.watch("/live");
    watching.say(r##"{"subscribe":["own/sam/#","#"]}"##);
    watching.find("subscribed", |one| one["filter"] == "#" && one["ok"] == false);
    admin.publish(Publish::new("own/other", b"no").qos(1));
    admin.publish(Publish::new("own/sam/x", b"yes").qos(1));
    assert_eq!(watching.find("messages", |_| true)["text"], "yes");
    let publish =
        |topic: &str| sam.send("POST", "/publish", &format!(r#"{{"topic":"{topic}","payload":"x","qos":1}}"#));
    assert_eq!(publish("own/sam/y").json()["matched"], 1);
    assert_eq!(publish("own/root/y").code(), "not-allowed");
    // Without the session the socket through two processes ends, too.
    assert_eq!(sam.send("POST", "/logout", "").status, 204);
    while watching.hear().is_some() {}
}

#[test]
fn the_socket_is_the_owners_alone_and_goes_with_the_broker() {
    let mut broker = Settings::default().listen("mqtt://127.0.0.1:0").start();
    let socket = socket_of(&broker);
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    broker.stop();
    assert!(!socket.exists());
}

#[test]
fn beyond_this_machine_there_is_no_plain_http_unless_asked_for() {
    let beyond = || with_pages().set("WEB__LISTEN", "0.0.0.0");
    let mut broker = beyond().start();
    broker.wait_for_output("web pages on http");
    assert!(broker.output().contains("web pages on https://"), "{}", broker.output());
    let mut plain = beyond().set("WEB__PLAIN", true).start();
    plain.wait_for_output("web pages on http");
    let output = plain.output();
    assert!(output.contains("web pages on http://") && output.contains("reads every password"), "{output}");
}

#[test]
fn over_tls_the_cookie_is_for_tls_alone() {
    let mut broker = with_pages().set("WEB__LISTEN", "0.0.0.0").start();
    broker.add_user("root", "Admin", PASSWORD);
    broker.wait_for_output("web pages on http");
    let output = broker.output();
    let (_, rest) = output.split_once("web pages on https://localhost:").unwrap();
    let port: u16 = rest.split('/').next().unwrap().parse().unwrap();
    let body = format!(r#"{{"user":"root","password":"{PASSWORD}"}}"#);
    let mut stream = broker.trust().handshake(([127, 0, 0, 1], port).into()).unwrap();
    let head =
        "POST /api/v1/login HTTP/1.1\r\nHost: broker.example\r\nConnection: close\r\nContent-Type: application/json";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    // The other end closes without a farewell of TLS.
    let _ = stream.read_to_string(&mut answer);
    let answer = answer.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    let cookie = answer.lines().find(|line| line.starts_with("set-cookie: ")).unwrap();
    assert!(cookie.starts_with("set-cookie: __host-sid=") && cookie.contains("secure"), "{cookie}");
    assert!(!cookie.contains("domain") && cookie.contains("path=/"), "{cookie}");
    assert!(answer.contains("strict-transport-security: max-age="));
}

/// The broker's socket, once it is there: it comes after the listeners.
fn socket_of(broker: &Broker) -> PathBuf {
    let socket = broker.data().join("admin.sock");
    let begin = Instant::now();
    while UnixStream::connect(&socket).is_err() {
        assert!(begin.elapsed() < PATIENCE, "there is no socket");
        std::thread::yield_now();
    }
    socket
}
