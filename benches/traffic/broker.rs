//! The brokers that are measured: each on a folder of its own, plain, on loopback, keeping nothing on disk.

use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What Linux counts CPU time in towards programs, whatever its own clock does.
const TICKS_PER_SECOND: u32 = 100;

/// Which broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Ours.
    Securemq,
    /// Debian's Mosquitto.
    Mosquitto,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Securemq, Self::Mosquitto];
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Securemq => "securemq",
            Self::Mosquitto => "mosquitto",
        })
    }
}

/// A running broker; dropped, it is stopped.
pub struct Broker {
    child: Child,
    pub address: SocketAddr,
    _folder: TempDir,
}

impl Broker {
    pub fn start(kind: Kind) -> Self {
        let folder = TempDir::new().unwrap();
        let (child, address) = match kind {
            Kind::Securemq => start_securemq(folder.path()),
            Kind::Mosquitto => start_mosquitto(folder.path()),
        };
        Self { child, address, _folder: folder }
    }

    /// CPU time that the process has used so far, in user and system mode.
    pub fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name in parentheses may hold spaces; user and system time are the 12th and 13th fields behind it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_secs(ticks) / TICKS_PER_SECOND
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}

fn start_securemq(folder: &Path) -> (Child, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_securemq"))
        .args(["serve", "--listen", "mqtt://127.0.0.1:0", "--data-dir"])
        .arg(folder.join("data"))
        .env("SECUREMQ__AUTH__ANONYMOUS_ROLE", "Admin")
        .env("SECUREMQ__LIMITS__MAX_QUEUED_MESSAGES", "1000000")
        .env("SECUREMQ__LOG__PUBLISH", "false")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.find_map(|line| line.split_once("listening on mqtt://")?.1.trim().parse().ok());
    // The rest has to go somewhere, or the broker would wait for a reader.
    std::thread::spawn(move || lines.count());
    (child, address.expect("the broker says where it listens"))
}

fn start_mosquitto(folder: &Path) -> (Child, SocketAddr) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = folder.join("mosquitto.conf");
    let lines = [
        &format!("listener {} 127.0.0.1", address.port()),
        "allow_anonymous true",
        "persistence false",
        "set_tcp_nodelay true",
        "max_queued_messages 0",
        "max_inflight_messages 1024",
        "log_type none",
    ];
    std::fs::write(&config, lines.join("\n") + "\n").unwrap();
    let child = Command::new("/usr/sbin/mosquitto").arg("-c").arg(&config).stderr(Stdio::null()).spawn();
    let child = child.expect("mosquitto runs: scripts/bench installs it");
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "mosquitto does not listen");
        std::thread::yield_now();
    }
    (child, address)
}

/// As many open files as the system allows.
pub fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
