//! What a broker asks of the system, in the order in which the system answers, and answers that are errors: both with
//! Debian's strace.

use super::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// The arguments that make a recording, before those of the program, and further ones of strace. The tracer is not the
/// parent of the program, so that signals reach the program itself.
pub fn recording(to: &Path, more: &[&str]) -> Vec<String> {
    let calls = "trace=openat,mkdir,rename,renameat2,linkat,unlink,pwrite64,write,sendto,ftruncate,fallocate,fsync,\
                 fdatasync,accept4";
    let to = to.to_str().unwrap();
    let usual = ["-f", "-D", "--seccomp-bpf", "--quiet=attach", "-xx", "-s", "10000000", "-e", "signal=none"];
    let words = ["strace"].into_iter().chain(usual).chain(["-e", calls, "-o", to]).chain(more.iter().copied());
    words.map(str::to_owned).collect()
}

/// One call that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The line of the recording on which it begins: from here on it may have happened.
    pub begin: usize,
    /// The line on which it has ended: from here on it has happened.
    pub end: usize,
    pub what: What,
}

/// What was asked for; numbers are file descriptors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Open {
        path: PathBuf,
        creates: bool,
        truncates: bool,
        fd: u32,
    },
    MakeFolder(PathBuf),
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Link {
        from: PathBuf,
        to: PathBuf,
    },
    Unlink(PathBuf),
    /// At an offset, or where the last one ended.
    Write {
        fd: u32,
        offset: Option<u64>,
        bytes: Vec<u8>,
    },
    Truncate {
        fd: u32,
        len: u64,
    },
    Sync(u32),
    /// A sync that failed: nobody knows what of it is on the disk, and no later sync of the same writes will tell.
    FailedSync(u32),
    /// A connection from a port.
    Accept {
        fd: u32,
        port: u16,
    },
    Send {
        fd: u32,
        bytes: Vec<u8>,
    },
}

/// Reads the whole recording of a program that has ended.
pub fn read_recording(path: &Path) -> Vec<Call> {
    let deadline = Instant::now() + PATIENCE;
    let mut text = std::fs::read_to_string(path).unwrap();
    // The tracer ends after the program.
    while !text.ends_with(" +++\n") {
        assert!(Instant::now() < deadline, "strace does not end its recording");
        std::thread::yield_now();
        text = std::fs::read_to_string(path).unwrap();
    }
    let mut begun: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    let mut calls = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (thread, line) = line.split_once(' ').unwrap();
        let line = line.trim_start();
        let (begin, whole) = if let Some(start) = line.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, (number, start.to_owned()));
            continue;
        } else if let Some((_, rest)) = line.strip_prefix("<... ").and_then(|line| line.split_once(" resumed>")) {
            let Some((begin, start)) = begun.remove(thread) else { continue };
            (begin, start + rest)
        } else {
            (number, line.to_owned())
        };
        if let Some(what) = parse(&whole) {
            calls.push(Call { begin, end: number, what });
        }
    }
    calls
}

/// A call of interest that did not fail, or whose failure is of interest.
fn parse(line: &str) -> Option<What> {
    let (name, rest) = line.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    if matches!(name, "fsync" | "fdatasync") && result.starts_with("-1 EIO") {
        return Some(What::FailedSync(arguments.trim_end().strip_suffix(')')?.parse().unwrap()));
    }
    let result: u32 = result.split_whitespace().next()?.parse().ok()?;
    let arguments: Vec<&str> = arguments.trim_end().strip_suffix(')')?.split(", ").collect();
    let number = |at: usize| arguments[at].parse::<u32>().unwrap();
    let long = |at: usize| arguments[at].parse::<u64>().unwrap();
    Some(match name {
        "openat" => {
            let flags = arguments[2];
            let (creates, truncates) = (flags.contains("O_CREAT"), flags.contains("O_TRUNC"));
            What::Open { path: path(arguments[1]), creates, truncates, fd: result }
        }
        "mkdir" => What::MakeFolder(path(arguments[0])),
        "rename" => What::Rename { from: path(arguments[0]), to: path(arguments[1]) },
        "renameat2" => What::Rename { from: path(arguments[1]), to: path(arguments[3]) },
        "linkat" => What::Link { from: path(arguments[1]), to: path(arguments[3]) },
        "unlink" => What::Unlink(path(arguments[0])),
        "pwrite64" | "write" | "sendto" => {
            let mut bytes = bytes(arguments[1]);
            bytes.truncate(result.try_into().unwrap());
            match name {
                "pwrite64" => What::Write { fd: number(0), offset: Some(long(3)), bytes },
                "write" => What::Write { fd: number(0), offset: None, bytes },
                _ => What::Send { fd: number(0), bytes },
            }
        }
        "ftruncate" => What::Truncate { fd: number(0), len: long(1) },
        "fsync" | "fdatasync" => What::Sync(number(0)),
        "accept4" => {
            let port = arguments.iter().find_map(|argument| argument.strip_prefix("sin_port=htons("))?;
            What::Accept { fd: result, port: port.strip_suffix(')')?.parse().unwrap() }
        }
        other => panic!("{other} is recorded and not understood: {line}"),
    })
}

fn path(quoted: &str) -> PathBuf {
    PathBuf::from(String::from_utf8(bytes(quoted)).unwrap())
}

/// `"\x41\x42"` as bytes.
fn bytes(quoted: &str) -> Vec<u8> {
    let inner = quoted.strip_prefix('"').and_then(|quoted| quoted.strip_suffix('"'));
    let inner = inner.unwrap_or_else(|| panic!("strace cut it off: {quoted}"));
    inner.split("\\x").skip(1).map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect()
}

/// Calls of a process that fail as long as this lives.
pub struct Fault(Child);

impl Fault {
    /// From now on a process gets this error from these calls on these files, which are there.
    pub fn begin(process: u32, calls: &str, error: &str, files: &[PathBuf]) -> Self {
        let mut command = Command::new("strace");
        command.args(["-f", "-p", &process.to_string(), "-o", "/dev/null"]);
        command.args(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:error={error}")]);
        for file in files {
            command.arg("-P").arg(file.canonicalize().unwrap());
        }
        let mut child = command.stderr(Stdio::piped()).spawn().expect("strace runs: apt-get install strace");
        let mut said = String::new();
        BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert!(said.contains("attached"), "strace does not attach: {said}");
        Self(child)
    }

    /// From now on the calls do what they should.
    pub fn end(self) {
        drop(self);
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // It detaches and ends.
        let pid = Pid::from_raw(self.0.id().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        self.0.wait().unwrap();
    }
}
