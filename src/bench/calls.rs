//! How many system calls a process makes, as `perf stat` counts them.

use super::error::BenchError;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// A count that is under way.
pub struct CallCounter {
    perf: Child,
}

/// System calls of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Calls {
    /// All of them.
    pub all: u64,
    /// Those that wait until data is on the disk.
    pub syncs: u64,
}

const EVERY: &str = "raw_syscalls:sys_enter";
const SYNCS: [&str; 2] = ["syscalls:sys_enter_fsync", "syscalls:sys_enter_fdatasync"];

impl CallCounter {
    /// Counts the calls of this process, and of no other. Returns when perf has begun to.
    pub async fn start(pid: u32) -> Result<Self, BenchError> {
        let events = [EVERY, SYNCS[0], SYNCS[1]].join(",");
        let perf = Command::new("perf")
            .args(["stat", "--field-separator", ",", "--event", &events, "--pid", &pid.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let counter = Self { perf: perf.map_err(BenchError::NoPerf)? };
        // If it does not come to that, what it prints tells why.
        let deadline = Instant::now() + PATIENCE;
        while !counter.has_begun() && Instant::now() < deadline {
            sleep(Duration::from_millis(5)).await;
        }
        Ok(counter)
    }

    /// Whether perf has opened a counter for each of the events.
    fn has_begun(&self) -> bool {
        let open = fs::read_dir(format!("/proc/{}/fd", self.perf.id())).into_iter().flatten().flatten();
        let targets = open.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
        targets.filter(|target| target.to_string_lossy().contains("perf_event")).count() > SYNCS.len()
    }

    /// Ends the count.
    pub fn stop(mut self) -> Result<Calls, BenchError> {
        let pid = i32::try_from(self.perf.id()).ok().and_then(Pid::from_raw);
        // One that has ended already is not there to be asked; what it printed tells why.
        let _ = pid.map(|pid| kill_process(pid, Signal::INT));
        let mut printed = Vec::new();
        if let Some(stderr) = &mut self.perf.stderr {
            io::Read::read_to_end(stderr, &mut printed).map_err(BenchError::NoPerf)?;
        }
        self.perf.wait().map_err(BenchError::NoPerf)?;
        let printed = String::from_utf8_lossy(&printed);
        parse(&printed).ok_or_else(|| BenchError::NoCalls(printed.trim().to_owned()))
    }
}

/// How long perf may take until it counts.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lines are `count,unit,event,...`.
fn parse(printed: &str) -> Option<Calls> {
    let count_of = |event: &str| {
        let line = printed.lines().find(|line| line.split(',').nth(2) == Some(event))?;
        line.split(',').next()?.parse::<u64>().ok()
    };
    Some(Calls { all: count_of(EVERY)?, syncs: count_of(SYNCS[0])?.checked_add(count_of(SYNCS[1])?)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_read_and_anything_else_is_not() {
        let printed = "1234,,raw_syscalls:sys_enter,100,100.00,,\n5,,syscalls:sys_enter_fsync,1,100.00,,\n\
                       7,,syscalls:sys_enter_fdatasync,1,100.00,,\n";
        assert_eq!(parse(printed), Some(Calls { all: 1234, syncs: 12 }));
        assert_eq!(parse("<not counted>,,raw_syscalls:sys_enter,0,100.00,,\n"), None);
        assert_eq!(parse("Error: Permission denied"), None);
    }
}
