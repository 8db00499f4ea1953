//! What lets somebody in beside a password: codes of a second factor, and keys of programs.

use crate::support::broker::Broker;
use crate::support::pages::{Answer, Browser, Pages, with_pages};
use aws_lc_rs::hmac;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const PASSWORD: &str = "a long password";

fn open(people: &[(&str, &str)]) -> (Broker, Pages) {
    let mut broker = with_pages().start();
    for (name, role) in people {
        broker.add_user(name, role, PASSWORD);
    }
    let pages = Pages::of(&mut broker);
    (broker, pages)
}

fn post(browser: &Browser, path: &str, body: &Value) -> Answer {
    browser.send("POST", path, &body.to_string())
}

/// The step of RFC 6238 that it is now. What follows holds a step later, too, so nobody waits for one.
fn step() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 30
}

/// What an app shows in a step.
fn code(secret: &str, step: u64) -> String {
    let secret = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret), &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag[19] & 15);
    let number = u32::from_be_bytes(tag[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// Sets a second factor up: its secret and recovery codes, and the step whose code is used up by that.
fn set_up(browser: &Browser) -> (String, Vec<String>, u64) {
    let begun = post(browser, "/totp", &json!({ "password": PASSWORD })).json();
    let secret = begun["secret"].as_str().unwrap().to_owned();
    assert!(begun["uri"].as_str().unwrap().contains(&secret));
    assert_eq!(post(browser, "/totp/confirm", &json!({ "code": "000000" })).code(), "totp-wrong");
    assert_eq!(browser.get("/totp").json()["enabled"], false, "nothing holds before the app has proved it");
    let step = step();
    let confirmed = post(browser, "/totp/confirm", &json!({ "code": code(&secret, step) })).json();
    let recovery = confirmed["recovery"].as_array().unwrap();
    (secret, recovery.iter().map(|code| code.as_str().unwrap().to_owned()).collect(), step)
}

#[test]
fn with_a_second_factor_a_password_is_not_enough_and_no_code_is_good_twice() {
    let (broker, pages) = open(&[("sam", "Student"), ("root", "Admin")]);
    let sam = pages.log_in("sam", PASSWORD);
    let try_with = |password: &str, code: Option<&str>| {
        let body = json!({ "user": "sam", "password": password, "code": code }).to_string();
        pages.request("POST", "/api/v1/login", &[], &body)
    };
    assert_eq!(post(&sam, "/totp", &json!({ "password": "wrong" })).code(), "password-wrong");
    assert_eq!(post(&sam, "/totp/confirm", &json!({ "code": "000000" })).code(), "not-found");
    let (secret, recovery, step) = set_up(&sam);
    assert_eq!(try_with(PASSWORD, None).code(), "totp-required");
    assert_eq!(try_with("wrong password", None).code(), "login-failed", "who has no password learns nothing of it");
    assert_eq!(try_with("wrong password", Some(&code(&secret, step + 1))).code(), "login-failed");
    assert_eq!(try_with(PASSWORD, Some(&code(&secret, step))).code(), "totp-wrong", "it was used to set it up");
    assert_eq!(try_with(PASSWORD, Some(&code(&secret, step + 1))).status, 200);
    assert_eq!(try_with(PASSWORD, Some(&code(&secret, step + 1))).code(), "totp-wrong");
    assert_eq!(try_with(PASSWORD, Some(&recovery[0])).status, 200);
    assert_eq!(try_with(PASSWORD, Some(&recovery[0])).code(), "totp-wrong");
    assert_eq!(sam.get("/totp").json(), json!({ "enabled": true, "recovery_left": 9 }));
    assert_eq!(post(&sam, "/totp", &json!({ "password": PASSWORD })).code(), "totp-on");
    // Clients of the broker have no codes.
    broker.connect(&crate::support::wire::Connect::v5("lamp").login("sam", PASSWORD));
    assert_eq!(post(&sam, "/totp/remove", &json!({ "password": "wrong" })).code(), "password-wrong");
    assert_eq!(post(&sam, "/totp/remove", &json!({ "password": PASSWORD })).status, 204);
    assert_eq!(try_with(PASSWORD, None).status, 200);
    // One who has lost everything is helped by an administrator, here or at the command line.
    let root = pages.log_in("root", PASSWORD);
    for help in 0..2 {
        set_up(&sam);
        assert_eq!(try_with(PASSWORD, None).code(), "totp-required");
        if help == 0 {
            assert_eq!(root.send("DELETE", "/users/sam/totp", "").status, 204);
        } else {
            broker.run(&["user", "reset-totp", "sam"]);
        }
        assert_eq!(try_with(PASSWORD, None).status, 200);
    }
}

#[test]
fn guessing_codes_is_slowed() {
    let (_broker, pages) = open(&[("sam", "Student")]);
    set_up(&pages.log_in("sam", PASSWORD));
    let guess = |guess: u32| {
        let body = json!({ "user": "sam", "password": PASSWORD, "code": format!("{guess:06}") }).to_string();
        pages.request("POST", "/api/v1/login", &[], &body).code()
    };
    let codes: Vec<_> = (0..20).map(guess).collect();
    assert!(codes.contains(&"throttled".to_owned()), "{codes:?}");
}

fn with(pages: &Pages, key: &str, method: &str, path: &str, body: &str) -> Answer {
    pages.request(method, &format!("/api/v1{path}"), &[("Authorization", &format!("Bearer {key}"))], body)
}

#[test]
fn a_key_is_good_for_what_it_says_and_never_for_more_than_its_owner() {
    let (broker, pages) = open(&[("root", "Admin"), ("sam", "Student")]);
    broker.add_rule(&["--role", "Student", "--topic", "own/%u/#", "--publish", "--subscribe"]);
    let (root, sam) = (pages.log_in("root", PASSWORD), pages.log_in("sam", PASSWORD));
    let make = |browser: &Browser, scopes: &[&str]| {
        let made = post(browser, "/keys", &json!({ "name": "report", "scopes": scopes, "days": 1 }));
        assert_eq!(made.status, 201, "{made:?}");
        let made = made.json();
        (made["key"].as_str().unwrap().to_owned(), made["info"]["id"].as_i64().unwrap())
    };
    let (reading, _) = make(&root, &["read"]);
    let (managing, managing_id) = make(&root, &["read", "manage"]);
    let (students, students_id) = make(&sam, &["read", "publish", "manage"]);
    assert_eq!(with(&pages, &reading, "GET", "/users", "").status, 200);
    let add = r#"{"name":"new","role":"Student"}"#;
    assert_eq!(with(&pages, &reading, "POST", "/users", add).code(), "key-scope");
    assert_eq!(with(&pages, &managing, "POST", "/users", add).status, 201, "no token is needed");
    assert_eq!(with(&pages, &managing, "DELETE", "/users/new", "").status, 204);
    assert_eq!(with(&pages, &students, "GET", "/users", "").code(), "forbidden");
    assert_eq!(with(&pages, &students, "POST", "/users", add).code(), "forbidden");
    let publish = |key: &str| with(&pages, key, "POST", "/publish", r#"{"topic":"own/sam/x","payload":"1"}"#);
    assert_eq!(publish(&students).status, 200);
    assert_eq!(publish(&managing).code(), "key-scope");
    // What is about logins no key does: none makes another, and none takes a second factor away.
    for (method, path, body) in [
        ("GET", "/keys", ""),
        ("POST", "/keys", r#"{"name":"more","scopes":["manage"]}"#),
        ("DELETE", "/keys/1", ""),
        ("GET", "/session", ""),
        ("DELETE", "/sessions", ""),
        ("POST", "/session/confirm", r#"{"password":"a long password"}"#),
        ("POST", "/totp", r#"{"password":"a long password"}"#),
    ] {
        assert_eq!(with(&pages, &managing, method, path, body).code(), "key-scope", "{method} {path}");
    }
    // Nobody finds those of others, but an administrator.
    assert_eq!(sam.get("/keys").items().len(), 1);
    assert_eq!(root.get("/keys").items().len(), 3);
    assert!(!root.get("/keys").body.contains("smq_"));
    assert_eq!(sam.send("DELETE", &format!("/keys/{managing_id}"), "").code(), "not-found");
    assert_eq!(root.send("DELETE", &format!("/keys/{students_id}"), "").status, 204);
    assert_eq!(with(&pages, &students, "GET", "/clients", "").code(), "not-logged-in");
    // It goes with what its owner is.
    broker.run(&["user", "role", "root", "Student"]);
    assert_eq!(with(&pages, &managing, "GET", "/users", "").code(), "forbidden");
    broker.run(&["user", "disable", "root"]);
    assert_eq!(with(&pages, &managing, "GET", "/clients", "").code(), "not-logged-in");
}

#[test]
fn a_key_of_the_command_line_opens_and_wrong_ones_are_slowed() {
    let (broker, pages) = open(&[("root", "Admin")]);
    let made: Value = serde_json::from_str(
        &broker.run(&["apikey", "add", "--user", "root", "--name", "sync", "--scope", "read", "--json"]),
    )
    .unwrap();
    let key = made["key"].as_str().unwrap();
    assert_eq!(with(&pages, key, "GET", "/rules", "").status, 200);
    let wrong: Vec<_> =
        (0..20).map(|number| with(&pages, &format!("smq_{number}"), "GET", "/rules", "").code()).collect();
    assert!(wrong[0] == "not-logged-in" && wrong.contains(&"throttled".to_owned()), "{wrong:?}");
    assert_eq!(with(&pages, key, "GET", "/rules", "").status, 200, "wrong ones hold no right one up");
    let id = made["info"]["id"].to_string();
    assert!(broker.run(&["apikey", "remove", &id]).contains("removed key"));
    assert_ne!(with(&pages, key, "GET", "/rules", "").status, 200);
}

#[test]
fn no_other_way_in_goes_with_a_key() {
    let (_broker, pages) = open(&[("root", "Admin")]);
    let root = pages.log_in("root", PASSWORD);
    let made = post(&root, "/keys", &json!({ "name": "feed", "scopes": ["read"] })).json();
    let bearer = format!("Bearer {}", made["key"].as_str().unwrap());
    // A wrong key is not made up for by a right cookie.
    let both = [("Cookie", root.cookie.as_str()), ("Authorization", "Bearer smq_wrong")];
    assert_eq!(pages.request("GET", "/api/v1/users", &both, "").code(), "not-logged-in");
    for header in ["", "Bearer", "Basic cm9vdDp4", "Bearer x"] {
        assert_eq!(pages.request("GET", "/api/v1/users", &[("Authorization", header)], "").code(), "not-logged-in");
    }
    let mut feed = root.try_watch("/logs/live", &[("Authorization", &bearer)]).unwrap();
    assert!(feed.hear().is_some());
    assert_eq!(root.send("DELETE", &format!("/keys/{}", made["info"]["id"]), "").status, 204);
    while feed.hear().is_some() {}
}
