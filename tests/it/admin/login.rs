//! Logging in: nobody learns who exists, guessing is slowed, and a session ends when it should.

use crate::support::pages::{Answer, Pages, with_pages};

const PASSWORD: &str = "a long password";

/// Everything of an answer that may not depend on the user.
fn shown(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| name != "date");
    headers.sort();
    (answer.status, headers, answer.body.clone())
}

#[test]
fn an_unknown_user_a_disabled_one_and_a_wrong_password_are_answered_alike() {
    let mut broker = with_pages().start();
    broker.add_user("sam", "Student", PASSWORD);
    broker.add_user("gone", "Student", PASSWORD);
    broker.run(&["user", "disable", "gone"]);
    broker.run(&["user", "add", "lamp", "--role", "Student", "--no-password"]);
    let pages = Pages::of(&mut broker);
    let wrong = shown(&pages.try_log_in("sam", "not the password"));
    assert_eq!(wrong.0, 401);
    for (user, password) in
        [("gone", PASSWORD), ("nobody", PASSWORD), ("lamp", ""), ("", ""), ("a/#", "x"), ("sam\0", "x")]
    {
        assert_eq!(shown(&pages.try_log_in(user, password)), wrong, "{user:?}");
    }
}

#[test]
fn guessing_is_slowed_for_the_one_who_is_guessed_at() {
    let mut broker = with_pages().start();
    broker.add_user("sam", "Student", PASSWORD);
    broker.add_user("tina", "Teacher", PASSWORD);
    let pages = Pages::of(&mut broker);
    let guesses: Vec<_> = (0..30).map(|guess| pages.try_log_in("sam", &format!("guess {guess}"))).collect();
    let first = guesses.iter().position(|answer| answer.status == 429).expect("it is throttled");
    assert!(guesses[..first].iter().all(|answer| answer.code() == "login-failed"));
    assert_eq!(guesses[first].code(), "throttled");
    assert!(guesses[first].header("retry-after").parse::<u32>().unwrap() > 0);
    pages.log_in("tina", PASSWORD);
}

#[test]
fn an_identifier_that_was_planted_is_not_the_one_after_the_login() {
    let mut broker = with_pages().start();
    broker.add_user("sam", "Student", PASSWORD);
    let pages = Pages::of(&mut broker);
    let body = format!(r#"{{"user":"sam","password":"{PASSWORD}"}}"#);
    let answer = pages.request("POST", "/api/v1/login", &[("Cookie", "sid=planted")], &body);
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("sid=") && !cookie.contains("planted"), "{cookie}");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Path=/"), "{cookie}");
    assert_eq!(pages.request("GET", "/api/v1/session", &[("Cookie", "sid=planted")], "").status, 401);
    // Logging in again in the same browser ends what was before.
    let first = cookie.split(';').next().unwrap().to_owned();
    pages.request("POST", "/api/v1/login", &[("Cookie", &first)], &body);
    assert_eq!(pages.request("GET", "/api/v1/session", &[("Cookie", &first)], "").status, 401);
}

#[test]
fn a_session_ends_with_the_user_the_role_the_password_and_the_logout() {
    let mut broker = with_pages().start();
    let pages = Pages::of(&mut broker);
    for (name, command) in [
        ("a", vec!["user", "disable", "a"]),
        ("b", vec!["user", "role", "b", "Teacher"]),
        ("c", vec!["user", "remove", "c"]),
        ("e", vec!["user", "passwd", "e", "--generate"]),
    ] {
        broker.add_user(name, "Student", PASSWORD);
        let browser = pages.log_in(name, PASSWORD);
        let mut watching = browser.watch("/logs/live");
        assert!(watching.hear().is_some());
        broker.run(&command);
        assert_eq!(browser.get("/session").code(), "not-logged-in", "{command:?}");
        while watching.hear().is_some() {}
    }
    broker.add_user("d", "Student", PASSWORD);
    let (here, there) = (pages.log_in("d", PASSWORD), pages.log_in("d", PASSWORD));
    assert_eq!(here.send("POST", "/logout", "").status, 204);
    assert_eq!((here.get("/session").status, there.get("/session").status), (401, 200));
    let mut watching = there.watch("/logs/live");
    assert!(watching.hear().is_some());
    assert_eq!(pages.log_in("d", PASSWORD).send("DELETE", "/sessions", "").status, 204);
    assert_eq!(there.get("/session").status, 401);
    while watching.hear().is_some() {}
}

#[test]
fn who_takes_another_password_stays_where_it_was_done_and_is_logged_out_elsewhere() {
    let mut broker = with_pages().start();
    broker.add_user("root", "Admin", PASSWORD);
    broker.add_user("tina", "Admin", PASSWORD);
    let pages = Pages::of(&mut broker);
    let (here, there, tina) =
        (pages.log_in("root", PASSWORD), pages.log_in("root", PASSWORD), pages.log_in("tina", PASSWORD));
    let body = r#"{"password":"another long password"}"#;
    assert_eq!(here.send("POST", "/users/root/password", body).status, 200);
    assert_eq!([&here, &there, &tina].map(|browser| browser.get("/session").status), [200, 401, 200]);
    assert_eq!(tina.send("POST", "/users/root/password", r#"{"generate":true}"#).status, 200);
    assert_eq!([&here, &tina].map(|browser| browser.get("/session").status), [401, 200]);
}

#[test]
fn what_is_too_long_too_deep_or_no_json_is_refused() {
    let mut broker = with_pages().start();
    let pages = Pages::of(&mut broker);
    let post = |body: &str| pages.request("POST", "/api/v1/login", &[], body);
    let long = format!(r#"{{"user":"{}","password":""}}"#, "x".repeat(70_000));
    assert_eq!(post(&long).code(), "too-large");
    assert_eq!(post(&"[".repeat(10_000)).code(), "invalid");
    assert_eq!(post("{").code(), "invalid");
    assert_eq!(post(r#"["a","b"]"#).code(), "invalid");
    assert_eq!(post(r#"{"user":"a","password":"b","more":1}"#).code(), "invalid");
    // What a form on another page could send.
    let body = r#"{"user":"a","password":"b"}"#;
    let form = format!(
        "POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(pages.exchange(form.as_bytes()).code(), "not-json");
    // Two lengths are two meanings.
    let smuggled = "POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    assert_eq!(pages.exchange(smuggled.as_bytes()).status, 400);
}
