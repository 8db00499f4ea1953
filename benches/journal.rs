//! What acknowledged messages cost: frames through the writer onto the disk, `cargo bench --bench journal`.
//!
//! *Full* frames hold 1,000 records of 200 bytes and four are under way; *tiny* ones hold one record of 200 bytes, and one
//! or 64 are under way. Each frame lets the journal be cut behind those under way, as it is when clients keep up. CPU time
//! is that of the whole process. A bare write of 4 KiB with `fdatasync` is measured beside it.
//!
//! Helpers unwrap: a measurement that can't go on has failed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "see above")]
#![allow(clippy::print_stdout, reason = "the table is what this program is for")]

use clap::Parser;
use securemq::broker::{Durability, Frame, FrameNumber};
use securemq::store::{Batch, Database, MasterKey, StoreOp, Writer, WriterHandle};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Measures the journal.
#[derive(Debug, Parser)]
struct Options {
    /// Seconds that each measurement takes
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Folder on the disk to measure
    #[arg(long, default_value = "target")]
    folder: PathBuf,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// One way to use the journal.
struct Load {
    name: &'static str,
    records: u32,
    under_way: u64,
}

const LOADS: [Load; 3] = [
    Load { name: "full, 4 under way", records: 1000, under_way: 4 },
    Load { name: "tiny, 1 under way", records: 1, under_way: 1 },
    Load { name: "tiny, 64 under way", records: 1, under_way: 64 },
];

const RECORD_LEN: usize = 200;

struct Outcome {
    frames: u32,
    commits: u64,
    took: Duration,
    cpu: Duration,
    latencies: Vec<Duration>,
    file_mib: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = Options::parse();
    let span = Duration::from_secs(options.seconds);
    println!("write and fdatasync of 4 KiB: {:?} (median)\n", bare_sync(&options.folder));
    println!("| class | frames | messages/s | commits/s | p50 | p99 | CPU per message | CPU per commit | file |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for durability in [Durability::Commit, Durability::Os] {
        for load in &LOADS {
            let outcome = measure(&options.folder, durability, load, span).await;
            println!("{}", row(durability, load, outcome));
        }
    }
}

async fn measure(folder: &PathBuf, durability: Durability, load: &Load, span: Duration) -> Outcome {
    let folder = tempfile::tempdir_in(folder).unwrap();
    let database = Database::create(folder.path(), &MasterKey::generate().unwrap()).await.unwrap();
    let run = database.begin_run().await.unwrap();
    let writer = Writer::start_with(database.clone(), durability);
    let handle = writer.handle();
    handle.store(vec![StoreOp::Begin { run, shards: 1 }]).await.unwrap();
    let commits_before = handle.counters().commits;
    let records: Vec<u8> = (0..RECORD_LEN * load.records as usize).map(|n| (n * 31 % 251) as u8).collect();
    let mut source =
        Source { handle: handle.clone(), durability, run, under_way: load.under_way, records: records.into(), next: 1 };
    let (sender, mut stored) = mpsc::unbounded_channel();
    let mut latencies = Vec::new();
    let (begin, cpu) = (Instant::now(), cpu_time());
    for _ in 0..load.under_way {
        source.submit(&sender);
    }
    while begin.elapsed() < span {
        latencies.push(stored.recv().await.unwrap());
        source.submit(&sender);
    }
    let (took, cpu) = (begin.elapsed(), cpu_time() - cpu);
    let frames = u32::try_from(latencies.len()).unwrap();
    let commits = handle.counters().commits - commits_before;
    writer.close().await;
    let file_mib = std::fs::metadata(database.path()).unwrap().len() >> 20;
    Outcome { frames, commits, took, cpu, latencies, file_mib }
}

/// Makes frames, each of which lets go of those that are no longer under way.
struct Source {
    handle: WriterHandle,
    durability: Durability,
    run: u64,
    under_way: u64,
    records: bytes::Bytes,
    next: u64,
}

impl Source {
    fn submit(&mut self, stored: &mpsc::UnboundedSender<Duration>) {
        let frame = Frame {
            number: FrameNumber(self.next),
            records: self.records.clone(),
            cut_before: FrameNumber(self.next.saturating_sub(self.under_way)),
            is_past_covered: true,
            ..Frame::default()
        };
        self.next += 1;
        let (begin, stored) = (Instant::now(), stored.clone());
        let ops = vec![StoreOp::Frame { run: self.run, shard: 0, frame, retained: Vec::new() }];
        let done = Box::new(move |result: Result<(), _>| {
            result.unwrap();
            let _ = stored.send(begin.elapsed());
        });
        self.handle.submit(Batch { ops, durability: self.durability, done });
    }
}

fn row(durability: Durability, load: &Load, mut outcome: Outcome) -> String {
    let messages = outcome.frames * load.records;
    let seconds = outcome.took.as_secs_f64();
    outcome.latencies.sort_unstable();
    let percentile = |percent: usize| outcome.latencies[(outcome.latencies.len() - 1) * percent / 100];
    let micros = |of: f64| outcome.cpu.as_secs_f64() * 1e6 / of;
    format!(
        "| {durability:?} | {} | {:.0} | {:.0} | {:.2?} | {:.2?} | {:.2} µs | {:.0} µs | {} MiB |",
        load.name,
        f64::from(messages) / seconds,
        outcome.commits as f64 / seconds,
        percentile(50),
        percentile(99),
        micros(f64::from(messages)),
        micros(outcome.commits as f64),
        outcome.file_mib,
    )
}

/// What the disk alone takes.
fn bare_sync(folder: &PathBuf) -> Duration {
    let mut file = tempfile::tempfile_in(folder).unwrap();
    let mut times: Vec<_> = (0..500)
        .map(|_| {
            let begin = Instant::now();
            file.write_all(&[7; 4096]).unwrap();
            file.sync_data().unwrap();
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// CPU time of all threads so far, in user and system mode. The kernel counts it in nanoseconds for each thread.
fn cpu_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let nanos = tasks.map(|task| {
        let stat = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        stat.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    });
    Duration::from_nanos(nanos.sum())
}
