//! `securemq pub` and `securemq sub` against a real broker: what arrives, what is said when it does not, and with which
//! exit code.

use crate::support::PATIENCE;
use crate::support::broker::{Broker, Settings, finish, securemq};
use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};
use securemq::auth::{Authority, TlsFolder};
use securemq::broker::UserName;
use securemq::protocol::{Packet, ProtocolVersion, decode};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

/// A broker with TLS on which anybody is a student: who may read `school/#` and publish below `students/`.
fn school() -> Broker {
    Settings::secure().set("AUTH__ANONYMOUS_ROLE", "Student").start()
}

/// A broker with a listener of each kind, on which anybody may do anything.
fn open() -> Broker {
    Settings::open()
        .listen("mqtts://127.0.0.1:0")
        .listen("wss://127.0.0.1:0/mqtt")
        .listen("ws://127.0.0.1:0/mqtt")
        .start()
}

/// The admin's password in a file that only its owner may read.
fn password_file(broker: &Broker) -> PathBuf {
    let path = broker.scratch().join("password");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
    writeln!(file, "{}", broker.admin_password()).unwrap();
    path
}

/// `pub` or `sub` on the first listener of a broker. The CA is found in the data folder.
fn client(broker: &Broker, arguments: &[&str]) -> Command {
    let mut command = broker.command(arguments);
    command.args(["--port", &broker.port().to_string()]);
    command
}

fn admin(broker: &Broker, arguments: &[&str]) -> Command {
    let mut command = client(broker, arguments);
    command.args(["--user", "admin", "--password-file"]).arg(password_file(broker));
    command
}

/// How a command ended: its exit code and what it printed.
#[derive(Debug)]
struct Ended {
    exit: i32,
    out: Vec<u8>,
    err: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        let err = String::from_utf8(output.stderr).unwrap();
        Self { exit: output.status.code().unwrap(), out: output.stdout, err }
    }

    fn out(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    /// Insists on an exit code, and on words in what was said of it.
    #[track_caller]
    fn says(&self, exit: i32, words: &[&str]) {
        assert_eq!(self.exit, exit, "{}", self.err);
        for words in words {
            assert!(self.err.contains(words), "{words:?} is not in:\n{}", self.err);
        }
    }
}

fn run(command: Command, input: &str) -> Ended {
    Ended::of(finish(command, input))
}

#[track_caller]
fn published(command: Command, input: &str) {
    let ended = run(command, input);
    assert_eq!((ended.exit, ended.out(), ended.err.as_str()), (0, "", ""));
}

/// A `sub` that has subscribed; dropped, it is killed.
struct Subscriber {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
    heard: String,
}

impl Subscriber {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut subscriber = Self { child, said, heard: String::new() };
        while !subscriber.heard.contains("subscribed to") {
            let more = subscriber.said.read_line(&mut subscriber.heard).unwrap();
            assert!(more > 0, "it does not subscribe:\n{}", subscriber.heard);
        }
        subscriber
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id().try_into().unwrap()).unwrap(), signal).unwrap();
    }

    fn end(mut self) -> Ended {
        let mut out = Vec::new();
        self.child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
        self.said.read_to_string(&mut self.heard).unwrap();
        Ended { exit: self.child.wait().unwrap().code().unwrap(), out, err: std::mem::take(&mut self.heard) }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_message_travels_over_tls_with_a_password() {
    let broker = Settings::secure().start();
    let subscriber = Subscriber::start(admin(&broker, &["sub", "--topic", "school/#", "--count", "2"]));
    published(admin(&broker, &["pub", "--topic", "school/hello", "--message", "good morning"]), "");
    let mut command = client(&broker, &["pub", "--topic", "school/bye", "--message", "", "--user", "admin"]);
    command.arg("--password-stdin");
    published(command, &format!("{}\n", broker.admin_password()));
    let ended = subscriber.end();
    assert_eq!((ended.exit, ended.out()), (0, "school/hello good morning\nschool/bye \n"));
}

#[test]
fn a_certificate_stands_for_the_password() {
    let broker = Settings::secure().start();
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
    let (broker, other) = (Settings::secure().start(), Settings::secure().start());
    let authority = Authority::open(&TlsFolder::of(&other.data())).unwrap();
    let user = UserName::new("admin").unwrap();
    let issued = authority.issue_client(&user, 30, other.scratch(), SystemTime::now()).unwrap();
    let mut command = client(&broker, &["pub", "--topic", "a", "--message", "x"]);
    command.arg("--cert").arg(&issued.certificate).arg("--key").arg(&issued.key);
    run(command, "").says(4, &["it does not accept the client certificate", "--cert"]);
}

#[test]
fn a_login_that_is_refused_ends_with_4_and_says_why() {
    let broker = Settings::secure().start();
    for version in ["3.1", "3.1.1", "5"] {
        let wrong = ["pub", "--topic", "a", "--message", "x", "--mqtt", version, "--user", "admin", "--password-stdin"];
        run(client(&broker, &wrong), "wrong\n").says(4, &["bad user name or password", "--user"]);
        let nobody = ["sub", "--topic", "a", "--mqtt", version];
        run(client(&broker, &nobody), "").says(4, &["not authorized", "log in with --user or --cert"]);
    }
}

#[test]
fn a_message_or_subscription_that_is_not_allowed_ends_with_4() {
    let broker = school();
    for qos in ["1", "2"] {
        let command = client(&broker, &["pub", "--topic", "school/board", "--message", "forged", "--qos", qos]);
        run(command, "").says(4, &["the broker refuses the message: not authorized", "acl check"]);
    }
    let lines = client(&broker, &["pub", "--topic", "school/board", "--lines"]);
    let ended = run(lines, &"x\n".repeat(100));
    ended.says(4, &["message 1 is refused: not authorized", "refused 100 of 100 messages"]);
    assert_eq!(ended.err.lines().count(), 12, "not a line for each:\n{}", ended.err);
    for (version, words) in [("5", "students/#: not authorized"), ("3.1.1", "students/#: refused")] {
        let arguments = ["sub", "--topic", "school/#", "--topic", "students/#", "--mqtt", version];
        let ended = run(client(&broker, &arguments), "");
        ended.says(4, &["refuses the subscription", words]);
        assert!(!ended.err.contains("school/#"), "{}", ended.err);
    }
}

#[test]
fn a_retained_message_waits_until_it_is_cleared() {
    let broker = open();
    let plain = |arguments: &[&str]| {
        let mut command = client(&broker, arguments);
        command.arg("--plain");
        command
    };
    published(plain(&["pub", "--topic", "kept", "--message", "here", "--retain"]), "");
    let ended = run(plain(&["sub", "--topic", "kept", "--count", "1", "--json"]), "");
    let message: serde_json::Value = serde_json::from_str(ended.out()).unwrap();
    assert_eq!((&message["payload"], &message["retain"]), (&"here".into(), &true.into()));
    published(plain(&["pub", "--topic", "kept", "--clear"]), "");
    run(plain(&["sub", "--topic", "kept", "--timeout", "1"]), "").says(1, &["time is up: 0 messages came"]);
}

#[test]
fn lines_are_messages_in_every_version_and_at_every_level() {
    let broker = open();
    let lines: String = (0..2000).map(|number| format!("line {number}\n")).collect();
    for version in ["3.1", "3.1.1", "5"] {
        for qos in ["0", "1", "2"] {
            let shared = ["--topic", "lines", "--plain", "--mqtt", version, "--qos", qos];
            let subscribe = [&["sub", "--count", "2000", "--payload-only"][..], &shared].concat();
            let subscriber = Subscriber::start(client(&broker, &subscribe));
            published(client(&broker, &[&["pub", "--lines"][..], &shared].concat()), &lines);
            let ended = subscriber.end();
            assert_eq!(ended.exit, 0, "{}", ended.err);
            assert!(ended.out() == lines, "MQTT {version}, QoS {qos}: other lines came");
        }
    }
}

#[test]
fn the_password_may_be_the_line_before_the_others() {
    let broker = Settings::secure().start();
    let subscriber = Subscriber::start(admin(&broker, &["sub", "--topic", "a", "--count", "2"]));
    let from_stdin = |what: &[&str]| {
        client(&broker, &[&["pub", "--topic", "a", "--user", "admin", "--password-stdin"][..], what].concat())
    };
    let password = broker.admin_password();
    published(from_stdin(&["--lines"]), &format!("{password}\none"));
    published(from_stdin(&["--file", "-"]), &format!("{password}\ntwo\nlines"));
    assert_eq!(subscriber.end().out(), "a one\na two\nlines\n");
}

#[test]
fn a_file_arrives_as_it_is() {
    let broker = open();
    let payload: Vec<u8> = (0..300_000u32).map(|number| number.to_le_bytes()[0]).collect();
    fs::write(broker.scratch().join("file"), &payload).unwrap();
    let subscriber = Subscriber::start(client(&broker, &["sub", "--topic", "a", "--count", "3", "--plain"]));
    published(client(&broker, &["pub", "--topic", "a", "--plain", "--repeat", "3", "--file", "file"]), "");
    assert!(subscriber.end().out == [&b"a "[..], &payload, b"\n"].concat().repeat(3));
    let missing = client(&broker, &["pub", "--topic", "a", "--plain", "--file", "missing"]);
    run(missing, "").says(1, &["missing cannot be read"]);
}

#[test]
fn json_has_all_that_mqtt_5_says_of_a_message() {
    let broker = open();
    let subscriber = Subscriber::start(client(&broker, &["sub", "--topic", "a", "--count", "1", "--json", "--plain"]));
    let properties = ["--property", "room=12", "--property", "room=a=b", "--content-type", "text/plain"];
    let more = ["--response-topic", "answers", "--expiry", "60"];
    let arguments = [&["pub", "--topic", "a", "--message", "\u{1b}[31m é", "--plain"][..], &properties, &more].concat();
    published(client(&broker, &arguments), "");
    let ended = subscriber.end();
    assert!(!ended.out().contains('\u{1b}'), "{}", ended.out());
    let message: serde_json::Value = serde_json::from_str(ended.out()).unwrap();
    assert!(message["time"].as_str().unwrap().ends_with('Z'));
    assert_eq!(message["topic"], "a");
    assert_eq!(message["qos"], 1);
    assert_eq!(message["payload"], "\u{1b}[31m é");
    let expected = serde_json::json!({
        "content_type": "text/plain",
        "response_topic": "answers",
        "message_expiry_interval": 60,
        "user_properties": [["room", "12"], ["room", "a=b"]],
    });
    assert_eq!(message["properties"], expected);
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
    let (broker, other) = (open(), Settings::secure().start());
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

/// A server of something else, which answers the first bytes and hangs up.
fn impostor(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let _ = socket.read(&mut [0; 1024]);
        let _ = socket.write_all(answer);
    });
    port
}

#[test]
fn a_server_of_something_else_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (answer, words) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "speaks HTTP"),
        (b"SSH-2.0-OpenSSH_10.0\r\n", "speaks SSH"),
        (b"\x15\x03\x03\0\x02\x02\x46", "speaks TLS"),
        (b"\x30\x04\0\x01ax", "does not keep to MQTT"),
        (b"", "ended the connection without an answer"),
        // CONNACK: use another server, with a reason in words.
        (b"\x20\x0c\0\x9c\x09\x1f\0\x06closed", "use another server (closed)"),
    ] {
        let mut command = securemq(folder.path());
        command.args(["sub", "--topic", "a", "--plain", "--port", &impostor(answer).to_string()]);
        run(command, "").says(1, &[words]);
    }
}

#[test]
fn a_password_file_that_others_may_read_is_refused() {
    let broker = Settings::secure().start();
    let command = admin(&broker, &["pub", "--topic", "a", "--message", "x"]);
    fs::set_permissions(broker.scratch().join("password"), fs::Permissions::from_mode(0o640)).unwrap();
    run(command, "").says(1, &["is open to others", "chmod 600"]);
    let unasked = client(&broker, &["pub", "--topic", "a", "--message", "x", "--user", "admin"]);
    run(unasked, "").says(2, &["the password cannot be asked for", "--password-stdin"]);
}

#[test]
fn the_exit_code_tells_whether_enough_messages_came() {
    let broker = open();
    let start =
        |more: &[&str]| Subscriber::start(client(&broker, &[&["sub", "--topic", "a", "--plain"][..], more].concat()));
    let send = || published(client(&broker, &["pub", "--topic", "a", "--message", "x", "--plain"]), "");
    let (enough, too_few, some) = (start(&["--count", "1"]), start(&["--count", "2"]), start(&[]));
    let (in_time, too_late) = (start(&["--timeout", "2"]), start(&["--timeout", "2", "--count", "2"]));
    send();
    enough.end().says(0, &[]);
    for subscriber in [&too_few, &some] {
        subscriber.signal(Signal::INT);
    }
    too_few.end().says(1, &["interrupted: 1 of 2 messages came"]);
    let ended = some.end();
    assert_eq!((ended.exit, ended.out()), (0, "a x\n"));
    in_time.end().says(0, &[]);
    too_late.end().says(1, &["time is up: 1 of 2 messages came"]);
}

/// [v5:MQTT-3.14.2-1]: the reason of a DISCONNECT from the server.
#[test]
fn the_end_of_a_connection_is_an_error_that_says_why() {
    let mut broker = open();
    let start = |id: &str, more: &[&str]| {
        let arguments = [&["sub", "--topic", "a", "--plain", "--client-id", id][..], more].concat();
        Subscriber::start(client(&broker, &arguments))
    };
    let first = start("one", &[]);
    let second = start("one", &[]);
    first.end().says(1, &["session taken over", "--client-id"]);
    let old = start("old", &["--mqtt", "3.1.1"]);
    broker.stop();
    second.end().says(1, &["server shutting down"]);
    old.end().says(1, &["ended the connection without a reason"]);
}

/// Nothing is lost that was not printed: it is acknowledged only then.
#[test]
fn a_session_goes_on_where_count_ended() {
    let broker = open();
    for (version, client_id) in [("3.1.1", "old"), ("5", "new")] {
        let lasting = ["--plain", "--client-id", client_id, "--session-expiry", "60", "--mqtt", version];
        let subscribe = |more: &[&str]| {
            client(&broker, &[&["sub", "--topic", "queue", "--payload-only"][..], &lasting, more].concat())
        };
        let subscriber = Subscriber::start(subscribe(&[]));
        subscriber.signal(Signal::TERM);
        subscriber.end().says(0, &[]);
        let lines: String = (1..=9).map(|number| format!("{number}\n")).collect();
        published(client(&broker, &["pub", "--topic", "queue", "--lines", "--plain"]), &lines);
        let mut came = String::new();
        for _ in 0..3 {
            let ended = run(subscribe(&["--count", "3"]), "");
            ended.says(0, &[]);
            came += ended.out();
        }
        assert_eq!(came, lines, "MQTT {version}");
    }
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
    let broker = Settings::secure().start();
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
    let password = broker.admin_password();
    let typing = std::thread::spawn(move || {
        // What is typed before the echo is off is thrown away, so it is typed until the terminal is gone.
        while writeln!(keyboard, "{password}").is_ok() {
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

/// A server that takes everything and acknowledges nothing but pings.
fn lazy_server() -> (u16, std::thread::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut version = None;
        let (mut unread, mut messages, mut pings) = (Vec::new(), 0, 0);
        while pings < 2 {
            match next_packet(&mut socket, &mut unread, version) {
                Packet::Connect(_) => {
                    socket.write_all(b"\x20\x03\0\0\0").unwrap();
                    version = Some(ProtocolVersion::V5);
                }
                Packet::Publish(_) => messages += 1,
                Packet::PingReq => {
                    socket.write_all(b"\xd0\0").unwrap();
                    pings += 1;
                }
                packet => panic!("unexpected: {packet:?}"),
            }
        }
        messages
    });
    (port, serving)
}

fn next_packet(socket: &mut TcpStream, unread: &mut Vec<u8>, version: Option<ProtocolVersion>) -> Packet {
    loop {
        let mut bytes = Bytes::copy_from_slice(unread);
        if let Some(packet) = decode(&mut bytes, version, u32::MAX).unwrap() {
            *unread = bytes.to_vec();
            return packet;
        }
        let mut chunk = [0; 4096];
        let count = socket.read(&mut chunk).unwrap();
        assert!(count > 0, "the client went away");
        unread.extend(&chunk[..count]);
    }
}

/// Standard input is read no further than the broker keeps up, however much there is.
#[test]
fn an_endless_input_is_not_read_ahead() {
    let (port, serving) = lazy_server();
    let folder = tempfile::tempdir().unwrap();
    let mut command = securemq(folder.path());
    command.args(["pub", "--topic", "a", "--lines", "--plain", "--keep-alive", "1", "--port", &port.to_string()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let written = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&written);
    let line = [&[b'x'; 999][..], b"\n"].concat();
    std::thread::spawn(move || {
        while stdin.write_all(&line).is_ok() {
            counter.fetch_add(line.len(), Ordering::Relaxed);
        }
    });
    let messages = serving.join().unwrap();
    let read_ahead = written.load(Ordering::Relaxed).saturating_sub(messages * 1000);
    assert!(messages <= 1000 && read_ahead < 200_000, "{messages} messages, {read_ahead} bytes read ahead");
    // The server has gone, and with it the connection.
    Ended::of(child.wait_with_output().unwrap()).says(1, &["ended the connection without a reason"]);
}

/// A signal waits a little for the acknowledgements and says which are missing.
#[test]
fn an_interrupted_publisher_says_what_was_not_acknowledged() {
    let (port, serving) = lazy_server();
    let folder = tempfile::tempdir().unwrap();
    let mut command = securemq(folder.path());
    command.args([
        "pub",
        "--topic",
        "a",
        "--message",
        "x",
        "--plain",
        "--keep-alive",
        "1",
        "--port",
        &port.to_string(),
    ]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    // The second ends the wait for answers at once.
    for _ in 0..2 {
        std::thread::park_timeout(Duration::from_millis(700));
        kill_process(pid, Signal::INT).unwrap();
    }
    Ended::of(child.wait_with_output().unwrap())
        .says(1, &["interrupted: 1 messages were sent, and 1 of them not answered"]);
    drop(serving);
}
