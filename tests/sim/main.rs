//! The simulator: whole brokers with their clients, network, disk and clock, each run from one seed.
//!
//! `world` moves everything, `oracle` watches what MQTT promises; the other files are what the world is made of.
//! `cargo test --test sim` runs for `SECUREMQ_SIM_SECONDS` (5): a quarter of that with seeds from 0 on, the rest with those
//! from `SECUREMQ_SIM_FIRST_SEED` on, which are new ones if nothing is said. A run is determined by its seed alone; every
//! failing one prints the line that replays it, the first also what happened last.

// Helpers of tests may unwrap, count and print.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod random;
mod rules;
mod bounds;
mod disk;
mod network;
mod oracle;
mod client;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime};
use world::{Report, World};

/// Seeds that always run; more of the same follow for a quarter of the time.
const ALWAYS: u64 = 100;

/// Failing seeds after which no more are looked for.
const ENOUGH: usize = 10;

#[test]
fn every_promise_is_kept_whatever_happens() {
    if let Some(seed) = number_from("SECUREMQ_SIM_SEED") {
        let mut sum = Sum::default();
        sum.add(seed);
        return sum.tell("replayed");
    }
    let budget = Duration::from_secs(number_from("SECUREMQ_SIM_SECONDS").unwrap_or(5));
    let fixed = number_from("SECUREMQ_SIM_FIRST_SEED");
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let first = fixed.unwrap_or_else(|| u64::try_from(clock.as_nanos() / 1000).unwrap_or_default());
    let mut sum = Sum::default();
    let began = Instant::now();
    for seed in 0.. {
        if (seed >= ALWAYS && began.elapsed() > budget / 4) || sum.failing.len() >= ENOUGH {
            break;
        }
        sum.add(seed);
    }
    println!("{} seeds from 0 on; more from {first} on", sum.seeds);
    for seed in first.. {
        if began.elapsed() > budget || sum.failing.len() >= ENOUGH {
            break;
        }
        sum.add(seed);
    }
    sum.tell(&format!("{:.1} s", began.elapsed().as_secs_f32()));
}

/// What the runs of some seeds came to.
#[derive(Default)]
struct Sum {
    seeds: u64,
    inputs: u64,
    starts: u64,
    failing: Vec<(u64, String)>,
}

impl Sum {
    /// Runs a seed to its end; of the first that fails, the last that happened before is told.
    fn add(&mut self, seed: u64) {
        let report = attempt(seed, false);
        self.seeds += 1;
        self.inputs += report.inputs;
        self.starts += report.starts;
        let Some(broken) = report.broken else { return };
        if self.failing.is_empty() {
            tell_how(seed);
        }
        println!("seed {seed}, the {}th: {broken}", self.seeds);
        println!("replay with: SECUREMQ_SIM_SEED={seed} cargo test --test sim");
        self.failing.push((seed, broken));
    }

    /// Says what was done, and which seeds fail.
    fn tell(&self, how_long: &str) {
        println!("{} seeds, {} inputs to shards, {} starts, {how_long}", self.seeds, self.inputs, self.starts);
        let failing: Vec<String> = self.failing.iter().map(|(seed, broken)| format!("{seed}: {broken}")).collect();
        assert!(failing.is_empty(), "promises are broken by seed\n{}", failing.join("\n"));
    }
}

/// Nothing but the seed decides what happens, so a failure can be replayed.
#[test]
fn the_same_seed_does_the_same() {
    for seed in [1, 2, 3] {
        assert_eq!(attempt(seed, false), attempt(seed, false));
    }
    assert_ne!(attempt(1, false).hash, attempt(2, false).hash);
}

/// The last that happened before a seed failed.
fn tell_how(seed: u64) {
    let lines = number_from("SECUREMQ_SIM_LINES").unwrap_or(60);
    let trace = attempt(seed, true).trace;
    let skipped = trace.len().saturating_sub(usize::try_from(lines).unwrap_or(usize::MAX));
    trace.iter().skip(skipped).for_each(|line| println!("{}", shortened(line)));
}

/// A run in which a panic of the broker is a broken promise like any other.
fn attempt(seed: u64, traces: bool) -> Report {
    catch_unwind(AssertUnwindSafe(|| World::new(seed, traces).run())).unwrap_or_else(|_| Report {
        inputs: 0,
        starts: 0,
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
