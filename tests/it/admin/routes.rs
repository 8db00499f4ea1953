//! Every address × every role, without a session, without the token, from another page, under another name.

use crate::support::pages::{Answer, Browser, Pages, with_pages};
use std::collections::BTreeSet;

/// Who may use an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Anyone,
    Student,
    Teacher,
    Admin,
}

/// Written down a second time on purpose: whoever changes the table of routes has to say so here.
pub(super) const ROUTES: &[(&str, &str, Who, &str)] = &[
    ("POST", "/login", Who::Anyone, r#"{"user":"sam","password":"wrong password"}"#),
    ("GET", "/openapi.json", Who::Anyone, ""),
    ("GET", "/look", Who::Anyone, ""),
    ("GET", "/session", Who::Student, ""),
    ("POST", "/logout", Who::Student, ""),
    ("GET", "/sessions", Who::Student, ""),
    ("DELETE", "/sessions/{id}", Who::Student, ""),
    ("DELETE", "/sessions", Who::Student, ""),
    ("POST", "/session/confirm", Who::Student, r#"{"password":""}"#),
    ("GET", "/totp", Who::Student, ""),
    ("POST", "/totp", Who::Student, r#"{"password":""}"#),
    ("POST", "/totp/confirm", Who::Student, r#"{"code":""}"#),
    ("POST", "/totp/remove", Who::Student, r#"{"password":""}"#),
    ("GET", "/keys", Who::Student, ""),
    ("POST", "/keys", Who::Student, r#"{"name":"","scopes":[]}"#),
    ("DELETE", "/keys/{id}", Who::Student, ""),
    ("DELETE", "/users/{name}/totp", Who::Admin, ""),
    ("GET", "/overview", Who::Teacher, ""),
    ("GET", "/overview/history", Who::Teacher, ""),
    ("GET", "/clients", Who::Student, ""),
    ("GET", "/clients/{id}", Who::Student, ""),
    ("POST", "/clients/{id}/disconnect", Who::Teacher, ""),
    ("DELETE", "/clients/{id}", Who::Admin, ""),
    ("GET", "/retained", Who::Student, ""),
    ("POST", "/retained/clear", Who::Student, r#"{"filter":"nothing/here","preview":true}"#),
    ("GET", "/retained/{topic}", Who::Student, ""),
    ("PUT", "/retained/{topic}", Who::Student, r#"{"payload":""}"#),
    ("DELETE", "/retained/{topic}", Who::Student, ""),
    ("POST", "/publish", Who::Student, r##"{"topic":"#/#","payload":""}"##),
    ("SOCKET", "/live", Who::Student, ""),
    ("GET", "/users", Who::Teacher, ""),
    ("POST", "/users", Who::Teacher, r#"{"name":"","role":"Nothing"}"#),
    ("POST", "/users/import", Who::Admin, r#"{"csv":"","preview":true}"#),
    ("GET", "/users/{name}", Who::Teacher, ""),
    ("PATCH", "/users/{name}", Who::Teacher, "{}"),
    ("DELETE", "/users/{name}", Who::Admin, ""),
    ("POST", "/users/{name}/password", Who::Teacher, r#"{"generate":true}"#),
    ("GET", "/roles", Who::Admin, ""),
    ("GET", "/me", Who::Student, ""),
    ("GET", "/connect", Who::Student, ""),
    ("GET", "/classes", Who::Student, ""),
    ("POST", "/classes", Who::Admin, r#"{"name":""}"#),
    ("GET", "/classes/{class}", Who::Student, ""),
    ("DELETE", "/classes/{class}", Who::Admin, ""),
    ("POST", "/classes/{class}/members", Who::Admin, r#"{"users":[]}"#),
    ("DELETE", "/classes/{class}/members/{name}", Who::Teacher, ""),
    ("POST", "/classes/{class}/pause", Who::Teacher, ""),
    ("POST", "/classes/{class}/resume", Who::Teacher, ""),
    ("GET", "/rules", Who::Admin, ""),
    ("POST", "/rules", Who::Admin, r#"{"subject":{"user":"nobody"},"topic":"a","publish":true,"effect":"allow"}"#),
    ("POST", "/rules/check", Who::Student, r#"{"action":"publish","topic":"a"}"#),
    ("POST", "/rules/preview", Who::Admin, "{}"),
    ("DELETE", "/rules/{id}", Who::Admin, ""),
    ("GET", "/logs", Who::Student, ""),
    ("SOCKET", "/logs/live", Who::Student, ""),
    ("GET", "/logs/export", Who::Student, ""),
    ("GET", "/logs/histogram", Who::Student, ""),
    ("GET", "/certificates", Who::Admin, ""),
    ("POST", "/certificates", Who::Admin, r#"{"user":"nobody"}"#),
    ("GET", "/settings", Who::Admin, ""),
];

const USERS: [(&str, Who); 3] = [("root", Who::Admin), ("tina", Who::Teacher), ("sam", Who::Student)];
const PASSWORD: &str = "a long password";

fn in_place(path: &str) -> String {
    path.replace("{id}", "none").replace("{name}", "nobody").replace("{topic}", "YQ").replace("{class}", "none")
}

/// Whether a refusal is about who asks, and not about what is asked for.
fn is_refused(answer: &Answer) -> bool {
    ["not-logged-in", "forbidden", "csrf", "foreign-origin", "unknown-host"].contains(&answer.code().as_str())
}

fn ask(browser: &Browser, method: &str, path: &str, body: &str) -> Option<Answer> {
    if method == "SOCKET" {
        let origin = browser.send("GET", "/session", "");
        assert!(origin.status == 200 || origin.status == 401);
        return None;
    }
    Some(browser.send(method, path, body))
}

#[test]
fn every_address_is_open_to_its_roles_and_to_nobody_else() {
    let mut broker = with_pages().start();
    for (name, role) in USERS {
        broker.add_user(name, &format!("{role:?}"), PASSWORD);
    }
    let pages = Pages::of(&mut broker);
    for &(method, path, least, body) in ROUTES {
        let address = in_place(path);
        for (name, role) in USERS {
            // A session of its own, since some of these end it.
            let browser = pages.log_in(name, PASSWORD);
            let what = format!("{method} {path} as {role:?}");
            match ask(&browser, method, &address, body) {
                Some(answer) if role >= least => assert!(!is_refused(&answer), "{what}: {answer:?}"),
                Some(answer) => assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{what}"),
                None => drop(browser.watch(&address)),
            }
        }
        let method = if method == "SOCKET" { "GET" } else { method };
        let answer = pages.request(method, &format!("/api/v1{address}"), &[("Origin", &pages.origin())], body);
        if least == Who::Anyone {
            assert_ne!(answer.code(), "not-logged-in", "{method} {path}: {answer:?}");
        } else {
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (401, "not-logged-in"),
                "{method} {path} by a stranger"
            );
        }
    }
}

#[test]
fn no_change_is_made_without_the_token_or_from_another_page() {
    let mut broker = with_pages().start();
    broker.add_user("root", "Admin", PASSWORD);
    let pages = Pages::of(&mut broker);
    let browser = pages.log_in("root", PASSWORD);
    for &(method, path, least, body) in ROUTES.iter().filter(|(method, ..)| *method != "GET") {
        let (address, what) = (format!("/api/v1{}", in_place(path)), format!("{method} {path}"));
        let own = ("Cookie", browser.cookie.as_str());
        let token = ("X-CSRF-Token", browser.csrf.as_str());
        if method == "SOCKET" {
            for origin in [None, Some("http://evil.example"), Some("null"), Some("https://localhost")] {
                let origin = origin.map(|origin| ("Origin", origin));
                let headers: Vec<_> = [Some(own), origin].into_iter().flatten().collect();
                let refused = browser.try_watch(&in_place(path), &headers).expect_err(&what);
                assert_eq!((refused.status, refused.code().as_str()), (403, "foreign-origin"), "{what}");
            }
            continue;
        }
        if least != Who::Anyone {
            for headers in [&[own][..], &[own, ("X-CSRF-Token", "wrong")], &[own, ("X-CSRF-Token", "")]] {
                let answer = pages.request(method, &address, headers, body);
                assert_eq!((answer.status, answer.code().as_str()), (403, "csrf"), "{what}");
            }
        }
        for strange in [("Origin", "http://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")] {
            let answer = pages.request(method, &address, &[own, token, strange], body);
            assert_eq!((answer.status, answer.code().as_str()), (403, "foreign-origin"), "{what} {strange:?}");
        }
    }
    assert_eq!(browser.get("/session").status, 200, "nothing of that had an effect");
}

#[test]
fn a_name_that_is_not_ours_finds_nothing_here() {
    let mut broker = with_pages().start();
    let pages = Pages::of(&mut broker);
    for path in ["/", "/assets/app.js", "/api/v1/session", "/api/v1/openapi.json"] {
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:5000"] {
            let answer = pages.request("GET", path, &[("Host", host)], "");
            assert_eq!((answer.status, answer.code().as_str()), (421, "unknown-host"), "{path} {host}");
        }
    }
}

#[test]
fn the_description_lists_every_address_and_nothing_else() {
    let mut broker = with_pages().start();
    let pages = Pages::of(&mut broker);
    let described = pages.request("GET", "/api/v1/openapi.json", &[], "").json();
    let mut found = BTreeSet::new();
    for (path, operations) in described["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            found.insert((method.to_uppercase(), path.clone(), operation["x-access"].as_str().unwrap().to_owned()));
        }
    }
    let access = |who| match who {
        Who::Anyone => "anyone",
        Who::Student => "logged-in",
        Who::Teacher => "teacher",
        Who::Admin => "admin",
    };
    let method = |method: &str| if method == "SOCKET" { "GET".to_owned() } else { method.to_owned() };
    let written: BTreeSet<_> =
        ROUTES.iter().map(|&(m, path, who, _)| (method(m), path.to_owned(), access(who).to_owned())).collect();
    assert_eq!(found, written);
    // What it does not list is not there, and what it lists is there with these methods only.
    assert_eq!(pages.request("GET", "/api/v1/nothing", &[], "").code(), "not-found");
    for path in ["/users", "/login", "/overview"] {
        let answer = pages.request("PROPFIND", &format!("/api/v1{path}"), &[], "");
        assert_eq!(answer.code(), "method-not-allowed");
        let allowed = if path == "/users" {
            "GET, POST"
        } else if path == "/login" {
            "POST"
        } else {
            "GET"
        };
        assert_eq!(answer.header("allow"), allowed, "{path}");
    }
}
