//! What came out of a measurement.

use super::calls::Calls;
use super::histogram::Histogram;
use super::plan::Plan;
use super::progress::Counts;
use super::sequence::Faults;
use super::usage::Usage;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What came out of a measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Which traffic.
    pub shape: &'static str,
    /// The version of MQTT.
    pub mqtt: String,
    /// Of publishing and subscribing.
    pub qos: u8,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// Clients that publish.
    pub publishers: u32,
    /// Clients that receive.
    pub receivers: u32,
    /// What the generator waits for.
    pub pace: String,
    /// How long was measured.
    pub seconds: f64,
    /// What is counted: a delivery, a connection.
    pub unit: &'static str,
    /// How many of it there were.
    pub operations: u64,
    /// And in a second.
    pub per_second: f64,
    /// Messages handed to the network in a second.
    pub published_per_second: f64,
    /// Messages fully acknowledged in a second.
    pub acknowledged_per_second: f64,
    /// Messages that arrived in a second, once for each receiver.
    pub delivered_per_second: f64,
    /// Messages that the broker refused.
    pub refused: u64,
    /// Of the whole run, warm-up and end included.
    #[serde(flatten)]
    pub faults: Faults,
    /// From when a message was due until it was at its receiver; for churn of a whole round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Percentiles>,
    /// From when a message was due until it was fully acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledgement: Option<Percentiles>,
    /// What this program used.
    pub generator: Cost,
    /// What the broker used, if it was watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<Cost>,
    /// System calls of the broker, if they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<CallRates>,
    /// What only this shape of traffic has to tell: what it counts, with its unit, and how many.
    #[serde(flatten)]
    pub figures: BTreeMap<&'static str, f64>,
}

/// Times in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half took at most that.
    pub p50_us: f64,
    /// 90 of 100.
    pub p90_us: f64,
    /// 99 of 100.
    pub p99_us: f64,
    /// 999 of 1,000.
    pub p999_us: f64,
    /// All of them.
    pub longest_us: f64,
}

/// What a process used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// CPU time in microseconds for each operation.
    pub cpu_us_per_operation: f64,
    /// How many cores it kept busy.
    pub cores: f64,
    /// Bytes in memory when the measurement began.
    pub resident_before: u64,
    /// And when it ended.
    pub resident_after: u64,
}

/// System calls of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CallRates {
    /// For each operation.
    pub per_operation: f64,
    /// Calls that wait for the disk, in a second.
    pub syncs_per_second: f64,
}

/// One moment of a measurement.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// What had moved.
    pub counts: Counts,
    /// What this program had used.
    pub own: Usage,
    /// What the broker had used.
    pub broker: Option<Usage>,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Each message at each receiver.
    Delivery,
    /// Each message that is acknowledged.
    Acknowledgement,
    /// Each message that is handed to the network.
    Publication,
}

impl Report {
    /// Of what moved between two moments.
    pub fn between(plan: &Plan, begin: &Sample, end: &Sample, unit: Unit, calls: Option<Calls>) -> Self {
        let counts = end.counts.since(&begin.counts);
        let (unit, operations) = match unit {
            Unit::Delivery => ("delivered message", counts.delivered),
            Unit::Acknowledgement => ("acknowledged message", counts.acknowledged),
            Unit::Publication => ("published message", counts.published),
        };
        Self::of(plan, begin, end, (unit, operations), calls)
    }

    /// Of so many operations between two moments.
    pub fn of(
        plan: &Plan,
        begin: &Sample,
        end: &Sample,
        (unit, operations): (&'static str, u64),
        calls: Option<Calls>,
    ) -> Self {
        let counts = end.counts.since(&begin.counts);
        let took = end.at.duration_since(begin.at);
        let per_second = |count: u64| rate(count, took);
        Self {
            shape: plan.shape.name(),
            mqtt: plan.target.settings.version.to_string(),
            qos: plan.qos.bits(),
            payload_bytes: plan.payload,
            publishers: plan.publishers,
            receivers: plan.receivers,
            pace: plan.pace.to_string(),
            seconds: took.as_secs_f64(),
            unit,
            operations,
            per_second: per_second(operations),
            published_per_second: per_second(counts.published),
            acknowledged_per_second: per_second(counts.acknowledged),
            delivered_per_second: per_second(counts.delivered),
            refused: end.counts.refused,
            faults: Faults::default(),
            latency: None,
            acknowledgement: None,
            generator: Cost::between(&begin.own, &end.own, took, operations),
            broker: begin.broker.zip(end.broker).map(|(begin, end)| Cost::between(&begin, &end, took, operations)),
            calls: calls.map(|calls| CallRates {
                per_operation: ratio(calls.all, operations),
                syncs_per_second: per_second(calls.syncs),
            }),
            figures: BTreeMap::new(),
        }
    }
}

impl Percentiles {
    /// Nothing if nothing was measured.
    pub fn of(times: &Histogram) -> Option<Self> {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let at = |per_100_000| times.percentile(per_100_000).map(micros);
        Some(Self {
            p50_us: at(50_000)?,
            p90_us: at(90_000)?,
            p99_us: at(99_000)?,
            p999_us: at(99_900)?,
            longest_us: times.longest().map(micros)?,
        })
    }
}

impl Cost {
    fn between(begin: &Usage, end: &Usage, took: Duration, operations: u64) -> Self {
        let cpu = end.cpu.saturating_sub(begin.cpu).as_secs_f64();
        Self {
            cpu_us_per_operation: cpu * 1e6 / float(operations.max(1)),
            cores: cpu / took.as_secs_f64().max(f64::MIN_POSITIVE),
            resident_before: begin.resident,
            resident_after: end.resident,
        }
    }
}

/// So many in a second.
pub fn rate(count: u64, took: Duration) -> f64 {
    float(count) / took.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// So many for each.
pub fn ratio(count: u64, of: u64) -> f64 {
    float(count) / float(of.max(1))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people: 15 digits are plenty")]
fn float(number: u64) -> f64 {
    number as f64
}
