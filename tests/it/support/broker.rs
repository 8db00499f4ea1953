//! A real broker: the built binary on a folder of its own, on ports that the system chose.

use super::raw::Client;
use super::tls::Trust;
use super::wire::{ConnAck, Connect};
use super::{PATIENCE, mosquitto, tls};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;
use tempfile::TempDir;

/// The binary under test.
pub const SECUREMQ: &str = env!("CARGO_BIN_EXE_securemq");

/// How a broker is to be started.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    listeners: Vec<String>,
    config: String,
    environment: Vec<(String, String)>,
    folder: Option<Arc<TempDir>>,
    /// A program that runs the broker, with its arguments.
    runner: Vec<String>,
}

impl Settings {
    /// A plain listener on which anybody may do anything: for tests of the protocol alone.
    pub fn open() -> Self {
        Self::default().listen("mqtt://127.0.0.1:0").set("AUTH__ANONYMOUS_ROLE", "Admin")
    }

    /// A TLS listener that asks for a user.
    pub fn secure() -> Self {
        Self::default().listen("mqtts://127.0.0.1:0")
    }

    pub fn listen(mut self, url: &str) -> Self {
        self.listeners.push(url.into());
        self
    }

    /// A listener of the configuration file, which may say more than its URL.
    pub fn listen_with(mut self, url: &str, option: &str, value: &str) -> Self {
        self.config += &format!("[[listeners]]\nurl = \"{url}\"\n{option} = \"{value}\"\n");
        self
    }

    /// How many lines will tell where the broker listens.
    fn listener_count(&self) -> usize {
        self.listeners.len() + self.config.matches("[[listeners]]").count()
    }

    /// Sets an option of the configuration, named as in its environment variable behind `SECUREMQ__`.
    pub fn set(mut self, option: &str, value: impl std::fmt::Display) -> Self {
        self.environment.push((format!("SECUREMQ__{option}"), format!("{value}")));
        self
    }

    /// How long a peer may take to send CONNECT.
    pub fn connect_timeout_seconds(self, seconds: u64) -> Self {
        self.set("LIMITS__CONNECT_TIMEOUT_SECONDS", seconds)
    }

    /// How many QoS 1 and 2 messages the broker takes unacknowledged.
    pub fn receive_maximum(self, count: u16) -> Self {
        self.set("LIMITS__RECEIVE_MAXIMUM", count)
    }

    /// The largest packet that the broker takes, in bytes.
    pub fn maximum_packet_size(self, bytes: u32) -> Self {
        self.set("LIMITS__MAX_PACKET_SIZE", bytes).set("LIMITS__PRE_LOGIN_PACKET_SIZE", bytes)
    }

    /// How many user properties a packet may have.
    pub fn max_user_properties(self, count: u16) -> Self {
        self.set("LIMITS__MAX_USER_PROPERTIES", count)
    }

    /// The longest keep alive, which clients that ask for more are told.
    pub fn max_keep_alive_seconds(self, seconds: u16) -> Self {
        self.set("LIMITS__MAX_KEEP_ALIVE_SECONDS", seconds)
    }

    /// The longest that a session is kept without its client.
    pub fn max_session_expiry_seconds(self, seconds: u32) -> Self {
        self.set("LIMITS__MAX_SESSION_EXPIRY_SECONDS", seconds)
    }

    /// How many workers share the work.
    pub fn workers(self, count: u16) -> Self {
        self.set("WORKERS", count)
    }

    /// On a folder that is there, with data or without.
    pub fn on(mut self, folder: impl Into<Arc<TempDir>>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Started by another program, which gets these arguments before the broker's own.
    pub fn run_by(mut self, runner: Vec<String>) -> Self {
        self.runner = runner;
        self
    }

    pub fn start(self) -> Broker {
        Broker::launch(self)
    }
}

/// A running broker; dropped, it is stopped.
pub struct Broker {
    process: Process,
    settings: Settings,
    folder: Arc<TempDir>,
    addresses: Vec<SocketAddr>,
}

impl Broker {
    /// An open broker, the default of the conformance tests.
    pub fn start() -> Self {
        Settings::open().start()
    }

    fn launch(settings: Settings) -> Self {
        let folder = settings.folder.clone().unwrap_or_else(|| Arc::new(TempDir::new().unwrap()));
        if mosquitto::is_asked_for() {
            let (child, address) = mosquitto::start(folder.path());
            return Self { process: Process::new(child), settings, folder, addresses: vec![address] };
        }
        let mut command = securemq_run_by(&settings.runner, folder.path());
        command.arg("serve");
        for url in &settings.listeners {
            command.args(["--listen", url]);
        }
        if !settings.config.is_empty() {
            let path = folder.path().join("config.toml");
            std::fs::write(&path, &settings.config).unwrap();
            command.arg("--config").arg(path);
        }
        command.envs(settings.environment.iter().map(|(name, value)| (name, value)));
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut process = Process::new(child);
        let expected = settings.listener_count();
        process.wait_until("the listeners", |output| listeners(output).len() >= expected);
        let addresses = listeners(&process.output());
        Self { process, settings, folder, addresses }
    }

    /// Where the broker listens, in the order of the settings.
    pub fn address_of(&self, listener: usize) -> SocketAddr {
        self.addresses[listener]
    }

    /// Where the first listener is.
    pub fn address(&self) -> SocketAddr {
        self.address_of(0)
    }

    pub fn port(&self) -> u16 {
        self.address().port()
    }

    pub fn process_id(&self) -> u32 {
        self.process.child.id()
    }

    /// How much memory the process occupies.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// The folder of the database, the keys and the certificates.
    pub fn data(&self) -> PathBuf {
        data_folder(self.folder.path())
    }

    /// The folder of the test, which outlives the broker.
    pub fn folder(&self) -> Arc<TempDir> {
        Arc::clone(&self.folder)
    }

    /// A folder for files of the test, outside the data of the broker.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// Everything that the broker has printed so far.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Waits until the broker has printed something.
    pub fn wait_for_output(&mut self, text: &str) {
        self.process.wait_until(text, |output| output.contains(text));
    }

    /// A TCP connection to the first listener.
    pub fn open(&self) -> Client {
        Client::open(self.address())
    }

    /// A connected client on the first listener, which is plain.
    pub fn connect(&self, connect: &Connect) -> Client {
        self.open().connect(connect)
    }

    /// A connected client of 5.0 with a clean session.
    pub fn client(&self, client_id: &str) -> Client {
        self.connect(&Connect::v5(client_id))
    }

    /// The answer to a CONNECT that is refused.
    pub fn refused(&self, connect: &Connect) -> ConnAck {
        let mut client = self.open();
        let answer = client.try_connect(connect);
        assert_ne!(answer.code, 0, "CONNECT was accepted");
        client.expect_closed();
        answer
    }

    /// Asks the broker to stop, insists that it does so with exit code 0, and starts it again.
    pub fn restart(mut self) -> Self {
        self.stop();
        self.again()
    }

    /// Starts it again after [`Broker::stop`].
    pub fn restart_stopped(self) -> Self {
        self.again()
    }

    /// The same with one more option.
    pub fn restart_with(mut self, option: &str, value: impl std::fmt::Display) -> Self {
        self.settings = self.settings.set(option, value);
        self.restart()
    }

    /// Asks the broker to stop and insists that it does so with exit code 0.
    pub fn stop(&mut self) {
        let status = self.process.terminate();
        assert!(status.success(), "the broker ended with {status}:\n{}", self.output());
    }

    /// Kills the broker as a power cut would, and starts it again.
    pub fn crash(mut self) -> Self {
        self.process.kill();
        self.again()
    }

    /// From the next start on with one more option.
    pub fn then_with(mut self, option: &str, value: impl std::fmt::Display) -> Self {
        self.settings = self.settings.set(option, value);
        self
    }

    /// Starts of the broker on the folder of a test that end at a call to the system: the process is killed there.
    /// Returns how many did; the others were ready before, and are killed then.
    pub fn start_and_kill(data: &Path, workers: u16, at: impl IntoIterator<Item = u32>) -> usize {
        let killed = at.into_iter().filter(|number| {
            let mut command = killed_at(data.parent().unwrap(), *number);
            command.args(["serve", "--listen", "mqtt://127.0.0.1:0"]).env("SECUREMQ__WORKERS", workers.to_string());
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let is_ready = lines.any(|line| line.is_ok_and(|line| line.contains("listening on")));
            // It may be gone.
            let _ = child.kill();
            child.wait().unwrap();
            !is_ready
        });
        killed.count()
    }

    /// Kills the broker, does something to its data, and starts it again.
    pub fn crash_and(mut self, meanwhile: impl FnOnce(&Path)) -> Self {
        self.process.kill();
        meanwhile(&self.data());
        self.again()
    }

    /// Stops the broker, does something to its data, and starts it again.
    pub fn restart_and(mut self, meanwhile: impl FnOnce(&Path)) -> Self {
        self.stop();
        meanwhile(&self.data());
        self.again()
    }

    fn again(self) -> Self {
        let mut settings = self.settings.clone();
        settings.folder = Some(Arc::clone(&self.folder));
        Self::launch(settings)
    }

    /// Sends the signal that makes the broker read its files again.
    pub fn reload(&self) {
        self.process.signal(Signal::HUP);
    }

    /// Runs a command of ours on the data of this broker.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = securemq(self.folder.path());
        command.args(arguments);
        command
    }

    /// Runs a command and insists that it succeeds; returns what it printed.
    pub fn run(&self, arguments: &[&str]) -> String {
        self.run_with_input(arguments, "")
    }

    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> String {
        let output = finish(self.command(arguments), input);
        assert!(
            output.status.success(),
            "securemq {arguments:?} failed with {}:\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Makes a user; like every change it holds in the running broker when the command returns.
    pub fn add_user(&self, name: &str, role: &str, password: &str) {
        self.run_with_input(&["user", "add", name, "--role", role, "--password-stdin"], &format!("{password}\n"));
    }

    /// Adds a rule: `subject` and what it allows or denies as on the command line.
    pub fn add_rule(&self, arguments: &[&str]) {
        self.run(&[&["acl", "add"], arguments].concat());
    }

    /// The password of the user `admin`, which the first start prints behind the listeners.
    pub fn admin_password(&self) -> String {
        let output = self.process.wait_for("with the password ");
        let (_, rest) = output.split_once("with the password ").unwrap();
        rest.split_whitespace().next().expect("the password is printed").to_owned()
    }

    /// All files of the data folder.
    pub fn files(&self) -> Vec<PathBuf> {
        files_in(&self.data())
    }

    /// Makes another server certificate in the place of the one that is served.
    pub fn replace_server_certificate(&self) {
        self.run(&["cert", "issue", "--server", "localhost", "--server", "127.0.0.1"]);
    }

    /// The certificate of our own authority.
    pub fn ca(&self) -> PathBuf {
        self.data().join("tls/ca.crt")
    }

    /// Trusts the broker's authority.
    pub fn trust(&self) -> Trust {
        Trust::anonymous(&self.ca())
    }

    /// Issues a client certificate; returns the files of certificate and key.
    pub fn issue_certificate(&self, user: &str) -> (PathBuf, PathBuf) {
        self.run(&["cert", "issue", "--user", user]);
        let clients = self.data().join("tls/clients");
        (clients.join(format!("{user}.crt")), clients.join(format!("{user}.key")))
    }

    /// A client over TLS with a password.
    pub fn connect_securely(&self, connect: &Connect) -> Client {
        self.trust().open(self.address()).connect(connect)
    }

    /// A client over WebSocket on a listener.
    pub fn open_websocket(&self, listener: usize) -> Client {
        tls::open_websocket(self.address_of(listener))
    }
}

/// Runs to the end with this input.
pub fn finish(mut command: Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that needs no input may be gone before it gets some.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The binary, on the data folder of a test and nothing else of this machine.
pub fn securemq(folder: &Path) -> Command {
    securemq_run_by(&[], folder)
}

fn securemq_run_by(runner: &[String], folder: &Path) -> Command {
    let mut words = runner.iter().map(String::as_str).chain([SECUREMQ]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).current_dir(folder);
    let inherited = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SECUREMQ"));
    for (name, _) in inherited {
        command.env_remove(name);
    }
    command.env("SECUREMQ_DATA_DIR", data_folder(folder));
    command
}

fn data_folder(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// A command on the folder of a test that is killed at its call of this number that changes a file.
pub fn killed_at(folder: &Path, number: u32) -> Command {
    let calls = "pwrite64,fsync,fdatasync,ftruncate,unlink,rename,renameat2,linkat,link";
    injected(folder, calls, &format!("signal=SIGKILL:when={number}"), &["-f"])
}

/// Whose calls are counted; each thread has its own count.
#[derive(Debug, Clone, Copy)]
pub enum Threads {
    Main,
    All,
}

/// A command on the folder of a test to which the disk does not confirm the sync of this number of a file of its data.
pub fn unsynced_at(folder: &Path, file: &str, threads: Threads, number: u32) -> Command {
    let file = data_folder(folder).join(file);
    let words = match threads {
        Threads::Main => ["-P", file.to_str().unwrap()].to_vec(),
        Threads::All => ["-P", file.to_str().unwrap(), "-f"].to_vec(),
    };
    injected(folder, "fsync,fdatasync", &format!("error=EIO:when={number}"), &words)
}

fn injected(folder: &Path, calls: &str, what: &str, more: &[&str]) -> Command {
    let (trace, injection) = (format!("trace={calls}"), format!("inject={calls}:{what}"));
    let words = ["strace", "-D", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &injection];
    let words: Vec<_> = words.iter().chain(more).map(|&word| word.to_owned()).collect();
    securemq_run_by(&words, folder)
}

/// A folder as the broker makes its own.
pub fn make_private_folder(path: &Path) {
    DirBuilder::new().mode(0o700).create(path).unwrap();
}

/// A file as the broker makes its own.
pub fn write_private_file(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut folders = vec![folder.to_path_buf()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                // The socket of the administration holds nothing.
                files.push(path);
            }
        }
    }
    files
}

/// The addresses in lines like `listening on mqtts://0.0.0.0:8883`.
fn listeners(output: &str) -> Vec<SocketAddr> {
    let urls = output.lines().filter_map(|line| line.split_once("listening on ")).map(|(_, url)| url);
    let addresses = urls.filter_map(|url| {
        let (_, rest) = url.split_once("://")?;
        rest.split(|end: char| end == '/' || end.is_whitespace()).next()?.parse().ok()
    });
    addresses.collect()
}

/// A child process whose output is collected.
struct Process {
    child: Child,
    printed: Arc<(Mutex<String>, Condvar)>,
}

impl Process {
    fn new(mut child: Child) -> Self {
        let printed = Arc::new((Mutex::new(String::new()), Condvar::new()));
        for pipe in [
            child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
            child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        ] {
            let Some(pipe) = pipe else { continue };
            let printed = Arc::clone(&printed);
            std::thread::spawn(move || collect(pipe, &printed));
        }
        Self { child, printed }
    }

    fn output(&self) -> String {
        self.printed.0.lock().unwrap().clone()
    }

    /// Waits until the output satisfies, the process ends, or patience does.
    fn wait_until(&mut self, what: &str, satisfied: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let (text, changed) = &*self.printed;
        let mut text = text.lock().unwrap();
        while !satisfied(&text) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the broker ended with {} before it printed {what}:\n{text}", ended.unwrap());
            assert!(Instant::now() < deadline, "the broker does not print {what}:\n{text}");
            text = changed.wait_timeout(text, PATIENCE / 100).unwrap().0;
        }
    }

    /// Waits for words in the output of a process that goes on; returns all of it.
    fn wait_for(&self, words: &str) -> String {
        let (text, changed) = &*self.printed;
        let missing = |text: &mut String| !text.contains(words);
        let (text, _) = changed.wait_timeout_while(text.lock().unwrap(), PATIENCE, missing).unwrap();
        // Released, for who fails here prints the output once more.
        let printed = text.clone();
        drop(text);
        assert!(printed.contains(words), "the broker does not print {words:?}:\n{printed}");
        printed
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, and SIGKILL for a broker that does not listen to it.
    fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::park_timeout(PATIENCE / 2000);
        }
        self.kill();
        panic!("the broker does not stop after SIGTERM:\n{}", self.output());
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_some() {
            return;
        }
        if std::thread::panicking() {
            self.kill();
            eprintln!("-- the broker printed:\n{}", self.output());
        } else {
            self.terminate();
        }
    }
}

fn collect(pipe: impl Read, printed: &(Mutex<String>, Condvar)) {
    for line in BufReader::new(pipe).lines() {
        let Ok(line) = line else { return };
        let mut text = printed.0.lock().unwrap();
        text.push_str(&line);
        text.push('\n');
        printed.1.notify_all();
    }
}
