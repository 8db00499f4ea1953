//! Where the broker is, whether it is the right one, and who the client is.

use super::commands::{Subscriber, admin, client, open, password, published, run, secure};
use crate::support::PATIENCE;
use crate::support::broker::{Settings, securemq};
use securemq::auth::{Authority, TlsFolder};
use securemq::broker::UserName;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::SystemTime;

#[test]
fn a_certificate_stands_for_the_password() {
    let broker = secure();
    let authority = Authority::open(&TlsFolder::of(&broker.data())).unwrap();
    let user = UserName::new("admin").unwrap();
    let issued = authority.issue_client(&user, 30, broker.scratch(), SystemTime::now()).unwrap();
    let with_certificate = |arguments: &[&str]| {
        let mut command = client(&broker, arguments);
        command.arg("--cert").arg(&issued.certificate).arg("--key").arg(&issued.key);
        command
    };
    let subscriber = Subscriber::start(with_certificate(&["sub", "--topic", "a", "--count", "1", "--payload-only"]));
    published(with_certificate(&["pub", "--topic", "a", "--message", "from the certificate"]), "");
    assert_eq!(subscriber.end().out(), "from the certificate\n");
    fs::set_permissions(&issued.key, fs::Permissions::from_mode(0o644)).unwrap();
    run(with_certificate(&["pub", "--topic", "a", "--message", "x"]), "").says(1, &["is open to others", "chmod 600"]);
}

#[test]
fn a_certificate_of_another_authority_is_denied() {
    let (broker, other) = (secure(), secure());
    let authority = Authority::open(&TlsFolder::of(&other.data())).unwrap();
    let user = UserName::new("admin").unwrap();
    let issued = authority.issue_client(&user, 30, other.scratch(), SystemTime::now()).unwrap();
    let mut command = client(&broker, &["pub", "--topic", "a", "--message", "x"]);
    command.arg("--cert").arg(&issued.certificate).arg("--key").arg(&issued.key);
    run(command, "").says(4, &["it does not accept the client certificate", "--cert"]);
}

#[test]
fn a_login_that_is_refused_ends_with_4_and_says_why() {
    let broker = secure();
    for version in ["3.1", "3.1.1", "5"] {
        let wrong = ["pub", "--topic", "a", "--message", "x", "--mqtt", version, "--user", "admin", "--password-stdin"];
        run(client(&broker, &wrong), "wrong\n").says(4, &["bad user name or password", "--user"]);
        let nobody = ["sub", "--topic", "a", "--mqtt", version];
        run(client(&broker, &nobody), "").says(4, &["not authorized", "log in with --user or --cert"]);
    }
}

#[test]
fn websocket_carries_the_same() {
    let broker = open();
    let urls = [("wss", 2), ("ws", 3)]
        .map(|(scheme, listener)| format!("{scheme}://localhost:{}/mqtt", broker.address_of(listener).port()));
    let [encrypted, plain] = &urls;
    let subscriber = Subscriber::start(broker.command(&[
        "sub",
        "--topic",
        "a",
        "--count",
        "1",
        "--payload-only",
        "--url",
        encrypted,
    ]));
    let payload = "x".repeat(100_000);
    published(broker.command(&["pub", "--topic", "a", "--file", "-", "--url", plain]), &payload);
    assert_eq!(subscriber.end().out().trim_end(), payload);
    let elsewhere = plain.replace("/mqtt", "/other");
    run(broker.command(&["pub", "--topic", "a", "--message", "x", "--url", &elsewhere]), "")
        .says(1, &["is no WebSocket for MQTT", "--url"]);
}

#[test]
fn what_is_wrong_with_the_place_is_said_in_words() {
    let (broker, other) = (open(), secure());
    let port = |listener| broker.address_of(listener).port().to_string();
    let (plain, tls, websocket) = (port(0), port(1), port(3));
    let message = ["pub", "--topic", "a", "--message", "x"];
    let at = |more: &[&str]| run(broker.command(&[&message[..], more].concat()), "");
    let other_ca = other.ca().display().to_string();
    at(&["--port", &tls, "--ca", &other_ca]).says(1, &["not signed by the CA that is trusted here", "--ca"]);
    at(&["--port", &tls, "--cafile", "missing.crt"]).says(1, &["missing.crt cannot be read", "--ca"]);
    at(&["--port", &plain]).says(1, &["it does not speak TLS on this port", "--plain"]);
    at(&["--port", &tls, "--plain"]).says(1, &["ended the connection without an answer", "TLS"]);
    at(&["--port", &websocket, "--plain"]).says(1, &["port is for MQTT"]);
    at(&["--port", &tls, "--host", "127.0.0.3"]).says(1, &["cannot be reached", "--host"]);
    at(&["--host", "securemq.invalid"]).says(1, &["cannot be found", "--host"]);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    at(&["--port", &nobody]).says(1, &[&nobody, "cannot be reached", "securemq serve"]);
    // Another data folder has no CA.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = securemq(elsewhere.path());
    command.args(message).args(["--port", &tls]);
    run(command, "").says(1, &["no CA certificate", "--ca"]);
}

/// The certificate is for the addresses of this machine, of which 127.0.0.2 is none, but where it answers all the same.
#[test]
fn a_certificate_for_another_host_is_refused_and_its_names_are_said() {
    let broker = Settings::secure().listen("mqtts://127.0.0.2:0").start();
    let port = broker.address_of(1).port().to_string();
    let command = broker.command(&["pub", "--topic", "a", "--message", "x", "--host", "127.0.0.2", "--port", &port]);
    run(command, "").says(1, &["its certificate is for localhost", "127.0.0.1", "--host"]);
}

#[test]
fn a_password_file_that_others_may_read_is_refused() {
    let broker = secure();
    let command = admin(&broker, &["pub", "--topic", "a", "--message", "x"]);
    fs::set_permissions(broker.scratch().join("password"), fs::Permissions::from_mode(0o640)).unwrap();
    run(command, "").says(1, &["is open to others", "chmod 600"]);
    let unasked = client(&broker, &["pub", "--topic", "a", "--message", "x", "--user", "admin"]);
    run(unasked, "").says(2, &["the password cannot be asked for", "--password-stdin"]);
}

#[test]
fn a_command_line_that_makes_no_sense_is_answered_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, words) in [
        ("pub --topic a", "--message <TEXT>|--file <FILE>|--lines|--clear"),
        ("pub --topic a --message x --lines", "cannot be used with"),
        ("pub --topic a/+ --message x", "it holds a wildcard"),
        ("pub --topic a --message x --expiry 1 --mqtt 3.1.1", "--expiry needs MQTT 5"),
        ("pub --topic a --message x --property a", "it is not of the form NAME=VALUE"),
        ("pub --topic a --message x --lines --repeat 2", "cannot be used with"),
        ("pub --topic a --message x --password-stdin", "--user"),
        ("pub --topic a --message x --cert a.crt", "--key"),
        ("pub --topic a --message x --plain --ca a.crt", "cannot be used with"),
        ("pub --topic a --message x --url mqtt://localhost --ca a.crt", "is not encrypted"),
        ("pub --topic a --message x --url mqtts://localhost --port 1", "cannot be used with"),
        ("sub --topic a --session-expiry 60", "--client-id"),
        ("sub --topic a#", "it has '#' elsewhere"),
        ("sub --topic a --qos 3", "[possible values: 0, 1, 2]"),
        ("sub", "--topic"),
    ] {
        let mut command = securemq(folder.path());
        command.args(arguments.split_whitespace());
        run(command, "").says(2, &[words]);
    }
}

/// `script` gives the command a terminal: the password is asked for there, without an echo, and what a publisher
/// sends cannot move its cursor.
#[test]
fn on_a_terminal_the_password_is_asked_for_and_control_characters_are_shown() {
    let broker = secure();
    let payload = "\u{1b}[2J\u{9b}31m\u{7}\n\u{202e}x";
    published(admin(&broker, &["pub", "--topic", "a\u{1b}[2J", "--message", payload, "--retain"]), "");
    let subscribe = format!(
        "{} sub --topic '#' --count 1 --user admin --port {} --data-dir {}",
        env!("CARGO_BIN_EXE_securemq"),
        broker.port(),
        broker.data().display()
    );
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &subscribe, "/dev/null"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    let secret = password(&broker);
    let typing = std::thread::spawn(move || {
        // What is typed before the echo is off is thrown away, so it is typed until the terminal is gone.
        while writeln!(keyboard, "{secret}").is_ok() {
            std::thread::park_timeout(PATIENCE / 100);
        }
    });
    let mut shown = String::new();
    screen.read_to_string(&mut shown).unwrap();
    // What moves the cursor is dialoguer's prompt.
    let message = "a\\u{1b}[2J \\u{1b}[2J\\u{9b}31m\\u{7}\\n\\u{202e}x";
    assert!(shown.contains("Password of admin") && shown.lines().any(|line| line.trim_end() == message), "{shown}");
    assert!(child.wait().unwrap().success());
    typing.join().unwrap();
}
