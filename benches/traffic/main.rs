//! Traffic through a real broker, ours beside Debian's Mosquitto: `scripts/bench`, or
//! `cargo bench --bench traffic -- --rounds 5`.
//!
//! Two things are measured. *Pairs*: one publisher to one subscriber, QoS 0 and 1, messages per second and CPU time of
//! the broker per message, the brokers in turns so that a busy machine is busy for both. *Size*: a client with many
//! subscriptions, many connections, a burst; each once with half and once with all of it, because a path that is
//! quadratic takes four times as long for twice as much.
//!
//! Helpers unwrap: a measurement that can't go on has failed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "see above")]
#![allow(clippy::print_stdout, reason = "the table is what this program is for")]

mod broker;
mod peer;
mod pair;
mod size;

use broker::Kind;
use clap::Parser;

/// Measures brokers.
#[derive(Debug, Parser)]
struct Options {
    /// Messages of one run of a pair
    #[arg(long, default_value_t = 500_000)]
    messages: u32,
    /// Bytes of a payload
    #[arg(long, default_value_t = 64)]
    payload: usize,
    /// Messages that may be under way
    #[arg(long, default_value_t = 200)]
    window: u32,
    /// Runs of each pair; the table shows the median and the range
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Subscriptions, connections and messages of the measurements of size
    #[arg(long, default_value_t = 10_000)]
    size: u32,
    /// Measure this broker alone; may be given for each
    #[arg(long = "broker", value_enum, default_values_t = Kind::ALL)]
    brokers: Vec<Kind>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    // Every connection needs a descriptor here and one in the broker, which inherits the limit.
    broker::raise_descriptor_limit();
    let load = pair::Load { messages: options.messages, payload: options.payload, window: options.window };
    println!("One publisher, one subscriber, {} bytes, {} messages under way:\n", load.payload, load.window);
    println!("| broker | QoS | messages/s | range | broker CPU per message |");
    println!("| --- | --- | --- | --- | --- |");
    for qos in [0, 1] {
        let mut results = vec![Vec::new(); options.brokers.len()];
        for _ in 0..options.rounds {
            for (&kind, results) in options.brokers.iter().zip(&mut results) {
                results.push(pair::measure(kind, qos, &load));
            }
        }
        for (&kind, results) in options.brokers.iter().zip(results) {
            println!("{}", pair::row(kind, qos, results));
        }
    }
    println!("\nSize, half and whole; twice as much should take about twice as long:\n");
    println!("| broker | what | {} | {} | ratio |", options.size / 2, options.size);
    println!("| --- | --- | --- | --- | --- |");
    for measurement in size::ALL {
        for &kind in &options.brokers {
            let [half, whole] = [options.size / 2, options.size].map(|count| measurement.run(kind, count));
            let ratio = whole.as_secs_f64() / half.as_secs_f64();
            println!("| {kind} | {} | {half:.2?} | {whole:.2?} | {ratio:.1} |", measurement.name);
        }
    }
}
