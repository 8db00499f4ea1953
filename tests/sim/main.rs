//! The simulator: whole brokers with their clients, network, disk and clock, each run from one seed.
//!
//! `world` moves everything, `oracle` watches what MQTT promises; the other files are what the world is made of.
//! `cargo test --test sim` runs some fixed seeds and then new ones for `SECUREMQ_SIM_SECONDS` (5). A run is determined by
//! its seed alone; a failing one prints the line that replays it, and the last that happened before.

// Helpers of tests may unwrap, count and print.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod random;
mod rules;
mod disk;
mod network;
mod oracle;
mod client;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime};
use world::{Report, World};

/// Seeds that always run.
const FIXED: std::ops::Range<u64> = 0..100;

#[test]
fn every_promise_is_kept_whatever_happens() {
    if let Some(seed) = number_from("SECUREMQ_SIM_SEED") {
        let report = run(seed, 1);
        println!("seed {seed}: {} inputs to shards", report.inputs);
        return;
    }
    let budget = Duration::from_secs(number_from("SECUREMQ_SIM_SECONDS").unwrap_or(5));
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // New seeds every time, unless the caller wants the same ones again.
    let fresh = number_from("SECUREMQ_SIM_FIRST_SEED")
        .unwrap_or_else(|| u64::try_from(clock.as_nanos() / 1000).unwrap_or_default());
    let began = Instant::now();
    let (mut seeds, mut inputs) = (0_u64, 0);
    for seed in FIXED.chain(fresh..) {
        if seeds >= FIXED.end && began.elapsed() > budget {
            break;
        }
        seeds += 1;
        inputs += run(seed, seeds).inputs;
    }
    println!("{seeds} seeds, {inputs} inputs to shards, {:.1} s", began.elapsed().as_secs_f32());
}

/// Nothing but the seed decides what happens, so a failure can be replayed.
#[test]
fn the_same_seed_does_the_same() {
    for seed in [1, 2, 3] {
        assert_eq!(attempt(seed, false), attempt(seed, false));
    }
    assert_ne!(attempt(1, false).hash, attempt(2, false).hash);
}

/// Runs one seed to its end, and says how to do it again if that goes wrong.
fn run(seed: u64, ordinal: u64) -> Report {
    let report = attempt(seed, false);
    let Some(broken) = &report.broken else { return report };
    let lines = number_from("SECUREMQ_SIM_LINES").unwrap_or(60);
    let trace = attempt(seed, true).trace;
    let skipped = trace.len().saturating_sub(usize::try_from(lines).unwrap_or(usize::MAX));
    trace.iter().skip(skipped).for_each(|line| println!("{}", shortened(line)));
    println!("seed number {ordinal} of this run");
    println!("replay with: SECUREMQ_SIM_SEED={seed} cargo test --test sim");
    panic!("seed {seed}: {broken}");
}

/// A run in which a panic of the broker is a broken promise like any other.
fn attempt(seed: u64, traces: bool) -> Report {
    catch_unwind(AssertUnwindSafe(|| World::new(seed, traces).run())).unwrap_or_else(|_| Report {
        inputs: 0,
        hash: 0,
        broken: Some(String::from("a panic, see above")),
        trace: Vec::new(),
    })
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// A line without the fields that say nothing.
fn shortened(line: &str) -> String {
    let says_something = |field: &&str| ![": None", ": []", ": false"].iter().any(|nothing| field.contains(nothing));
    let fields: Vec<&str> = line.split(", ").filter(says_something).collect();
    fields.join(", ").chars().take(300).collect()
}
