//! What a process costs: CPU time and memory, as Linux counts them.

use super::error::BenchError;
use std::fs;
use std::io;
use std::time::Duration;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// In user and system mode, all threads together, those that have ended too.
    pub cpu: Duration,
    /// Bytes in memory.
    pub resident: u64,
}

impl Usage {
    /// Of the process with this number.
    pub fn of(pid: u32) -> Result<Self, BenchError> {
        read(&pid.to_string()).map_err(|source| BenchError::NoProcess { pid, source })
    }

    /// Of this process.
    pub fn own() -> Result<Self, BenchError> {
        read("self").map_err(|source| BenchError::NoProcess { pid: std::process::id(), source })
    }
}

/// What Linux counts CPU time in towards programs, whatever its own clock does.
const TICKS_PER_SECOND: u64 = 100;

fn read(process: &str) -> io::Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    parse(&stat, u64::try_from(rustix::param::page_size()).unwrap_or(4096))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its stat file is of another form"))
}

fn parse(stat: &str, page_size: u64) -> Option<Usage> {
    // The name in parentheses may hold spaces. Behind it user and system time are the 12th and 13th field, pages in
    // memory the 22nd.
    let (_, fields) = stat.rsplit_once(')')?;
    let number = |place: usize| fields.split_ascii_whitespace().nth(place)?.parse::<u64>().ok();
    let ticks = number(11)?.checked_add(number(12)?)?;
    Some(Usage {
        cpu: Duration::from_millis(ticks.checked_mul(1000 / TICKS_PER_SECOND)?),
        resident: number(21)?.checked_mul(page_size)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_a_name_with_spaces_and_parentheses() {
        let stat = "4711 (a (b) c) S 1 4711 4711 0 -1 4194560 10 11 12 13 250 51 16 17 20 0 4 0 99 1000000 300 1844";
        let expected = Usage { cpu: Duration::from_millis(3010), resident: 300 * 4096 };
        assert_eq!(parse(stat, 4096), Some(expected));
        assert_eq!(parse("4711 (a", 4096), None);
    }

    #[test]
    fn a_process_that_works_uses_cpu_time_and_memory() {
        let before = Usage::own().unwrap();
        assert!(before.resident > 100_000);
        // A tick is a hundredth of a second: until one has passed, work on.
        while Usage::own().unwrap().cpu == before.cpu {
            std::hint::black_box(vec![1_u8; 10_000]);
        }
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        let error = Usage::of(u32::MAX).unwrap_err();
        assert!(error.to_string().contains(&u32::MAX.to_string()), "{error}");
    }
}
