//! The two commands as the tests run them.

use crate::support::broker::{Broker, Settings, finish};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Output, Stdio};

/// A broker with TLS on which anybody is a student: who may read `school/#` and publish below `students/`.
pub fn school() -> Broker {
    Settings::secure().set("AUTH__ANONYMOUS_ROLE", "Student").start()
}

/// A broker with a listener of each kind, on which anybody may do anything.
pub fn open() -> Broker {
    Settings::open()
        .listen("mqtts://127.0.0.1:0")
        .listen("wss://127.0.0.1:0/mqtt")
        .listen("ws://127.0.0.1:0/mqtt")
        .start()
}

/// A broker with TLS that asks for a user, with the admin's password in the file `password` beside its data.
pub fn secure() -> Broker {
    let broker = Settings::secure().start();
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(broker.scratch().join("password"));
    writeln!(file.unwrap(), "{}", broker.admin_password()).unwrap();
    broker
}

pub fn password(broker: &Broker) -> String {
    fs::read_to_string(broker.scratch().join("password")).unwrap().trim_end().to_owned()
}

/// `pub` or `sub` on the first listener of a broker. The CA is found in the data folder.
pub fn client(broker: &Broker, arguments: &[&str]) -> Command {
    let mut command = broker.command(arguments);
    command.args(["--port", &broker.port().to_string()]);
    command
}

pub fn admin(broker: &Broker, arguments: &[&str]) -> Command {
    let mut command = client(broker, arguments);
    command.args(["--user", "admin", "--password-file", "password"]);
    command
}

/// How a command ended: its exit code and what it printed.
#[derive(Debug)]
pub struct Ended {
    pub exit: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ended {
    pub fn of(output: Output) -> Self {
        let err = String::from_utf8(output.stderr).unwrap();
        Self { exit: output.status.code().unwrap(), out: output.stdout, err }
    }

    pub fn out(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    /// Insists on an exit code, and on words in what was said of it.
    #[track_caller]
    pub fn says(&self, exit: i32, words: &[&str]) {
        assert_eq!(self.exit, exit, "{}", self.err);
        for words in words {
            assert!(self.err.contains(words), "{words:?} is not in:\n{}", self.err);
        }
    }
}

pub fn run(command: Command, input: &str) -> Ended {
    Ended::of(finish(command, input))
}

#[track_caller]
pub fn published(command: Command, input: &str) {
    let ended = run(command, input);
    assert_eq!((ended.exit, ended.out(), ended.err.as_str()), (0, "", ""));
}

/// A `sub` that has subscribed; dropped, it is killed.
pub struct Subscriber {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
    heard: String,
}

impl Subscriber {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut subscriber = Self { child, said, heard: String::new() };
        while !subscriber.heard.contains("subscribed to") {
            let more = subscriber.said.read_line(&mut subscriber.heard).unwrap();
            assert!(more > 0, "it does not subscribe:\n{}", subscriber.heard);
        }
        subscriber
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id().try_into().unwrap()).unwrap(), signal).unwrap();
    }

    pub fn end(mut self) -> Ended {
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
