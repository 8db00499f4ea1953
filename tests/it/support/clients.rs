//! Real clients of four independent implementations, all asked the same three things.
//!
//! Nothing is skipped: where a client is missing the test fails and says what installs it.

use super::PATIENCE;
use super::broker::Broker;
use super::tls::Trust;
use rumqttc::{Outgoing, TlsConfiguration, Transport};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// An implementation of MQTT that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Implementation {
    /// `mosquitto_pub` and `mosquitto_sub`, in C.
    Mosquitto,
    /// Eclipse Paho, in Python.
    Paho,
    /// MQTT.js, in JavaScript.
    MqttJs,
    /// rumqttc, in Rust.
    Rumqttc,
}

impl Implementation {
    pub const ALL: [Self; 4] = [Self::Mosquitto, Self::Paho, Self::MqttJs, Self::Rumqttc];
}

/// The version that a client is told to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V311,
    V5,
}

impl Version {
    pub const ALL: [Self; 2] = [Self::V311, Self::V5];
}

/// How a client proves who it is.
#[derive(Debug, Clone)]
pub enum Proof {
    Password { user: String, password: String },
    Certificate { certificate: PathBuf, key: PathBuf },
}

/// A client to be started: who, how, and where.
#[derive(Debug, Clone)]
pub struct Peer {
    pub implementation: Implementation,
    pub version: Version,
    pub proof: Proof,
    pub port: u16,
    pub ca: PathBuf,
    pub client_id: String,
}

impl Peer {
    pub fn new(implementation: Implementation, version: Version, broker: &Broker, proof: &Proof) -> Self {
        let client_id = format!("{implementation:?}-{version:?}");
        let (port, ca) = (broker.port(), broker.ca());
        Self { implementation, version, proof: proof.clone(), port, ca, client_id }
    }

    pub fn named(mut self, client_id: &str) -> Self {
        self.client_id = client_id.into();
        self
    }

    /// Subscribes; returns once that is acknowledged.
    pub fn subscribe(&self, topic: &str, qos: u8, count: usize) -> Subscriber {
        if self.implementation == Implementation::Rumqttc {
            return rumqttc_subscriber(self, topic, qos, count);
        }
        let mut command = match self.implementation {
            Implementation::Mosquitto => {
                let mut command = self.mosquitto("mosquitto_sub");
                command.args(["--debug", "-F", "message %x", "-C", &count.to_string()]);
                command
            }
            Implementation::Paho | Implementation::MqttJs | Implementation::Rumqttc => {
                self.script("subscribe", &["--count", &count.to_string()])
            }
        };
        command.args(["--topic", topic, "--qos", &qos.to_string()]);
        let (process, lines) = Process::start(command);
        let ready = match self.implementation {
            Implementation::Mosquitto => "received SUBACK",
            Implementation::Paho | Implementation::MqttJs | Implementation::Rumqttc => "ready",
        };
        let early = process.wait_for(&lines, ready);
        Subscriber { messages: Messages::Lines { process, early, lines }, count }
    }

    /// Publishes these payloads one after the other; returns once all of them are acknowledged.
    pub fn publish(&self, topic: &str, qos: u8, payloads: &[Vec<u8>]) {
        self.publish_with(topic, qos, Retain::No, payloads);
    }

    pub fn publish_with(&self, topic: &str, qos: u8, retain: Retain, payloads: &[Vec<u8>]) {
        let hex = |payload: &Vec<u8>| data_encoding::HEXLOWER.encode(payload) + "\n";
        let (mut command, input) = match self.implementation {
            Implementation::Rumqttc => return rumqttc_publish(self, topic, qos, retain, payloads),
            Implementation::Mosquitto => {
                // It takes lines, so the payloads have to be some.
                let lines: Vec<u8> = payloads.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect();
                let mut command = self.mosquitto("mosquitto_pub");
                command.arg("--stdin-line");
                (command, lines)
            }
            Implementation::Paho | Implementation::MqttJs => {
                (self.script("publish", &[]), payloads.iter().map(hex).collect::<String>().into_bytes())
            }
        };
        command.args(["--topic", topic, "--qos", &qos.to_string()]);
        if retain == Retain::Yes {
            command.arg("--retain");
        }
        let (mut process, lines) = Process::start(command);
        process.input().write_all(&input).unwrap();
        process.finish(&lines);
    }

    /// Connects with a will, and stays until it is killed.
    pub fn linger(&self, topic: &str, qos: u8) -> Lingering {
        let mut command = match self.implementation {
            Implementation::Mosquitto => {
                let mut command = self.mosquitto("mosquitto_sub");
                command.args(["--debug", "--topic", "school/nothing/comes/here", "--will-topic", topic]);
                command.args(["--will-payload", "gone", "--will-qos", &qos.to_string()]);
                command
            }
            Implementation::Paho | Implementation::MqttJs => {
                self.script("linger", &["--topic", topic, "--qos", &qos.to_string()])
            }
            Implementation::Rumqttc => panic!("it has no process of its own that could be killed"),
        };
        command.stdin(Stdio::null());
        let (process, lines) = Process::start(command);
        let ready = if self.implementation == Implementation::Mosquitto { "received SUBACK" } else { "ready" };
        process.wait_for(&lines, ready);
        Lingering { process, _lines: lines }
    }

    fn mosquitto(&self, program: &str) -> Command {
        // Into a pipe it would print in blocks, and we wait for its lines.
        let mut command = Command::new("stdbuf");
        command.args([
            "--output=L",
            program,
            "--host",
            "localhost",
            "--port",
            &self.port.to_string(),
            "--id",
            &self.client_id,
        ]);
        command.args(["--protocol-version", if self.version == Version::V5 { "mqttv5" } else { "mqttv311" }]);
        command.arg("--cafile").arg(&self.ca);
        match &self.proof {
            Proof::Password { user, password } => command.args(["--username", user, "--pw", password]),
            Proof::Certificate { certificate, key } => command.arg("--cert").arg(certificate).arg("--key").arg(key),
        };
        command
    }

    /// Our small programs around the libraries take the same arguments.
    fn script(&self, task: &str, arguments: &[&str]) -> Command {
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        let mut command = match self.implementation {
            Implementation::Paho => {
                let mut command = Command::new(installed(cache().join("python/bin/python")));
                command.arg(clients.join("paho_client.py"));
                command
            }
            Implementation::MqttJs => {
                let modules = installed(cache().join("node/node_modules"));
                let mut command = Command::new("node");
                command.arg(clients.join("mqttjs_client.js")).env("NODE_PATH", modules);
                command
            }
            Implementation::Mosquitto | Implementation::Rumqttc => unreachable!("it is no script"),
        };
        let version = if self.version == Version::V5 { "5" } else { "3" };
        command.args([task, "--port", &self.port.to_string(), "--version", version, "--client-id", &self.client_id]);
        command.arg("--ca").arg(&self.ca).args(arguments);
        match &self.proof {
            Proof::Password { user, password } => command.args(["--user", user, "--password", password]),
            Proof::Certificate { certificate, key } => command.arg("--cert").arg(certificate).arg("--key").arg(key),
        };
        command
    }
}

/// Whether a message is to be kept by the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retain {
    Yes,
    No,
}

/// A client that has subscribed and receives.
pub struct Subscriber {
    messages: Messages,
    count: usize,
}

enum Messages {
    /// What a process prints; a message may overtake the news that it is subscribed.
    Lines {
        process: Process,
        early: Vec<String>,
        lines: Receiver<String>,
    },
    Payloads(Receiver<Vec<u8>>),
}

impl Subscriber {
    /// All payloads that it was asked to wait for; the client ends by itself after them.
    pub fn payloads(self) -> Vec<Vec<u8>> {
        match self.messages {
            Messages::Payloads(payloads) => (0..self.count).map(|_| payloads.recv_timeout(PATIENCE).unwrap()).collect(),
            Messages::Lines { mut process, early, lines } => {
                let mut payloads = Vec::new();
                let mut early = early.into_iter();
                while payloads.len() < self.count {
                    let line = early.next().unwrap_or_else(|| process.next_line(&lines));
                    let hex = line.strip_prefix("message ").unwrap_or(&line);
                    // Anything else is what mosquitto_sub tells about its packets.
                    payloads.extend(data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()));
                }
                process.finish(&lines);
                payloads
            }
        }
    }
}

/// A client that waits for its end.
pub struct Lingering {
    process: Process,
    _lines: Receiver<String>,
}

impl Lingering {
    /// Ends it as the system does: SIGKILL.
    pub fn kill(mut self) {
        self.process.child.kill().unwrap();
        self.process.child.wait().unwrap();
    }
}

/// Where `scripts/test` puts the clients.
pub fn cache() -> PathBuf {
    let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache");
    std::env::var_os("SECUREMQ_CACHE").map_or_else(usual, PathBuf::from)
}

/// The path, if it exists; else the test fails and says what makes it.
pub fn installed(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: run scripts/test, which installs it", path.display());
    path
}

/// A client in a process of its own; dropped, it is killed.
struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts it and collects the lines that it prints, errors included.
    fn start(mut command: Command) -> (Self, Receiver<String>) {
        let name = format!("{command:?}");
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{name}: {error}; run scripts/test, which installs it"));
        let (sender, lines) = mpsc::channel();
        let pipes: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for pipe in pipes {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let lines = BufReader::new(pipe).lines().map_while(Result::ok);
                lines.take_while(|line| sender.send(line.clone()).is_ok()).count()
            });
        }
        (Self { child, name }, lines)
    }

    fn input(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    fn next_line(&self, lines: &Receiver<String>) -> String {
        lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{} prints nothing more", self.name))
    }

    /// Waits for a line with this text; returns those that came before it.
    fn wait_for(&self, lines: &Receiver<String>, text: &str) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return seen,
                Ok(line) => seen.push(line),
                Err(_) => panic!("{} does not print {text:?} but {seen:#?}", self.name),
            }
        }
    }

    /// Waits for its end, which must be a good one.
    fn finish(&mut self, lines: &Receiver<String>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let printed: Vec<_> = lines.iter().collect();
                assert!(status.success(), "{} ended with {status}: {printed:#?}", self.name);
                return;
            }
            assert!(Instant::now() < deadline, "{} does not end", self.name);
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rumqttc_transport(peer: &Peer) -> Transport {
    let trust = match &peer.proof {
        Proof::Password { .. } => Trust::anonymous(&peer.ca),
        Proof::Certificate { certificate, key } => Trust::with_certificate(&peer.ca, certificate, key),
    };
    Transport::tls_with_config(TlsConfiguration::Rustls(trust.config()))
}

fn rumqttc_subscriber(peer: &Peer, topic: &str, qos: u8, count: usize) -> Subscriber {
    let payloads = match peer.version {
        Version::V311 => old_rumqttc::subscribe(peer, topic, qos, count),
        Version::V5 => new_rumqttc::subscribe(peer, topic, qos, count),
    };
    Subscriber { messages: Messages::Payloads(payloads), count }
}

fn rumqttc_publish(peer: &Peer, topic: &str, qos: u8, retain: Retain, payloads: &[Vec<u8>]) {
    match peer.version {
        Version::V311 => old_rumqttc::publish(peer, topic, qos, retain, payloads),
        Version::V5 => new_rumqttc::publish(peer, topic, qos, retain, payloads),
    }
}

/// It takes 10 KiB unless it is told otherwise.
const RUMQTTC_LARGEST: u32 = 1 << 20;

/// rumqttc has the same words for both versions, but they are different types.
macro_rules! rumqttc_module {
    ($module:ident, ($($largest:expr),+), $($library:tt)+) => {
        mod $module {
            use super::*;
            use $($library)+::mqttbytes::qos as level;
            use $($library)+::{Client, Connection, Event, Incoming, MqttOptions};

            fn connect(peer: &Peer, capacity: usize) -> (Client, Connection) {
                let mut options = MqttOptions::new(&peer.client_id, "localhost", peer.port);
                options.set_transport(rumqttc_transport(peer));
                options.set_max_packet_size($($largest),+);
                if let Proof::Password { user, password } = &peer.proof {
                    options.set_credentials(user, password);
                }
                Client::new(options, capacity)
            }

            pub(super) fn subscribe(peer: &Peer, topic: &str, qos: u8, count: usize) -> Receiver<Vec<u8>> {
                let (client, mut connection) = connect(peer, 10);
                client.subscribe(topic, level(qos).unwrap()).unwrap();
                let (ready, is_ready) = mpsc::channel();
                let (sender, payloads) = mpsc::channel();
                std::thread::spawn(move || {
                    let mut left = count;
                    for event in connection.iter() {
                        match event.expect("rumqttc stays connected") {
                            Event::Incoming(Incoming::SubAck(_)) => ready.send(()).unwrap(),
                            Event::Incoming(Incoming::Publish(publish)) => {
                                // The receiver may have given up.
                                let _ = sender.send(publish.payload.to_vec());
                                left -= 1;
                                if left == 0 {
                                    client.disconnect().unwrap();
                                }
                            }
                            Event::Outgoing(Outgoing::Disconnect) => return,
                            _ => {}
                        }
                    }
                });
                is_ready.recv_timeout(PATIENCE).expect("rumqttc is subscribed");
                payloads
            }

            pub(super) fn publish(peer: &Peer, topic: &str, qos: u8, retain: Retain, payloads: &[Vec<u8>]) {
                let (client, mut connection) = connect(peer, payloads.len() + 10);
                for payload in payloads {
                    client.publish(topic, level(qos).unwrap(), retain == Retain::Yes, payload.clone()).unwrap();
                }
                let mut left = payloads.len();
                for event in connection.iter() {
                    let done = match event.expect("rumqttc stays connected") {
                        Event::Outgoing(Outgoing::Publish(_)) => qos == 0,
                        Event::Incoming(Incoming::PubAck(_)) => qos == 1,
                        Event::Incoming(Incoming::PubComp(_)) => qos == 2,
                        Event::Outgoing(Outgoing::Disconnect) => return,
                        _ => false,
                    };
                    left -= usize::from(done);
                    if done && left == 0 {
                        client.disconnect().unwrap();
                    }
                }
            }
        }
    };
}

rumqttc_module!(old_rumqttc, (RUMQTTC_LARGEST as usize, RUMQTTC_LARGEST as usize), rumqttc);
rumqttc_module!(new_rumqttc, (Some(RUMQTTC_LARGEST)), rumqttc::v5);
