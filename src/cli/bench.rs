//! `securemq bench`: measures a broker, this one or another.

use super::client::{PlaceArguments, qos_parser, version_parser};
use super::context::Context;
use super::error::CliError;
use super::login::LoginArguments;
use super::output::Format;
use crate::bench::{CallCounting, Pace, Percentiles, Plan, Report, SessionLife, Shape, Target, run};
use crate::bridge::ClientSettings;
use crate::protocol::{ProtocolVersion, QoS, Text};
use clap::{Args, ValueEnum};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::num::NonZeroUsize;
use std::time::Duration;

/// Measure a broker
#[derive(Debug, Args)]
#[command(after_help = "\
A closed loop (--window) tells how much a broker can do and, with --pid, what a message costs it. An open loop (--rate) \
tells how long messages take: from when they were due, not from when they were sent.

  securemq bench pairs --plain --port 1883 --user bench --password-file pw --qos 1 --pid \"$(pidof securemq)\"
  securemq bench fan-out --plain --receivers 100
  securemq bench pairs --plain --rate 20000 --qos 1
  securemq bench connections --ca ca.crt --amount 20000 --pid \"$(pidof securemq)\"")]
pub struct BenchCommand {
    /// The shape of the traffic
    #[arg(value_enum, default_value_t = ShapeName::Pairs)]
    shape: ShapeName,
    #[command(flatten)]
    load: LoadArguments,
    #[command(flatten)]
    watch: WatchArguments,
    #[command(flatten)]
    place: PlaceArguments,
    #[command(flatten)]
    login: LoginArguments,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
struct LoadArguments {
    /// Version of MQTT
    #[arg(long, value_name = "VERSION", default_value = "5", value_parser = version_parser())]
    mqtt: ProtocolVersion,
    /// Of publishing and of subscribing
    #[arg(long, value_name = "QOS", default_value = "0", value_parser = qos_parser())]
    qos: QoS,
    /// Bytes of a payload; at least 16, which say who sent it, which one it is and when it was due
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(16..=16_777_216))]
    payload: u32,
    /// Clients that publish [default: 10 for pairs, 50 for fan-in, 1 for fan-out, 4 for wildcard, 64 for offline]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    publishers: Option<u32>,
    /// Clients that receive [default: as many as publish for pairs and offline, 100 for fan-out, 1 for fan-in, 10 for wildcard]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    receivers: Option<u32>,
    /// Closed loop: messages of each publisher that are under way
    #[arg(long, value_name = "MESSAGES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=30_000))]
    window: u32,
    /// Open loop instead: messages that all publishers together send in a second
    #[arg(long, value_name = "MESSAGES", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rate: Option<u32>,
    /// Seconds to measure
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    seconds: Duration,
    /// Seconds before that
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    warm_up: Duration,
    /// What topics begin with; a level of their own follows
    #[arg(long, value_name = "TOPIC", default_value = "bench")]
    topic: String,
    /// Let the sessions of receivers outlive their connections, so that messages for them are stored
    #[arg(long)]
    durable: bool,
    /// Connections beside them that do nothing
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    idle: u32,
    /// Subscriptions beside them that match nothing; for wildcard all of them, of which one in a hundred matches
    #[arg(long, value_name = "COUNT")]
    filters: Option<u32>,
    /// Connections to make, or messages to retain [default: 1000 connections, 100000 retained messages]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=9_999_999))]
    amount: Option<u32>,
    /// Connections that are made at the same time, and clients of churn
    #[arg(long, value_name = "COUNT", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    at_once: u16,
    /// Go on with TLS sessions instead of making a whole handshake for each connection
    #[arg(long)]
    resume: bool,
    /// Threads of the generator
    #[arg(long, value_name = "COUNT", default_value_t = NonZeroUsize::MIN)]
    threads: NonZeroUsize,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Watching")]
struct WatchArguments {
    /// Process of the broker: tells its CPU time and memory
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Count its system calls with perf as well, which costs it a little
    #[arg(long, requires = "pid")]
    calls: bool,
}

/// [`Shape`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ShapeName {
    /// Each publisher has one receiver
    Pairs,
    /// Every receiver gets everything
    FanOut,
    /// Many publishers, and receivers that subscribe to all of them with #
    FanIn,
    /// Many wildcard subscriptions, of which each message matches one
    Wildcard,
    /// One message at a time
    PingPong,
    /// Durable subscribers that are away, come again and fetch
    Offline,
    /// Many retained messages and somebody who subscribes to all of them
    Retained,
    /// Connections that are made and then do nothing
    Connections,
    /// Clients that connect, subscribe and disconnect
    Churn,
}

impl BenchCommand {
    /// Measures, and prints what came out.
    pub async fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        raise_descriptor_limit();
        let threads = self.load.threads;
        let report = run(self.plan(context)?, threads).await?;
        if !report.faults.is_none() || report.refused > 0 {
            context.output.warning("not every message arrived once and in order: these are no figures to compare with");
        }
        match context.output.format() {
            Format::Json => context.output.json(&report),
            Format::Text => context.output.listing(&["what", "figure"], &rows(&report), |(name, figure)| {
                vec![(*name).to_owned(), figure.clone()]
            }),
        }
    }

    fn plan(&self, context: &Context) -> Result<Plan, CliError> {
        let load = &self.load;
        let (publishers, receivers, filters, amount) = self.shape.usual_sizes();
        let publishers = load.publishers.unwrap_or(publishers);
        Ok(Plan {
            target: self.target(context)?,
            shape: self.shape.shape(),
            qos: load.qos,
            payload: usize::try_from(load.payload).unwrap_or(usize::MAX),
            publishers,
            receivers: load.receivers.unwrap_or_else(|| receivers.unwrap_or(publishers)),
            pace: match (self.shape, load.rate) {
                (ShapeName::PingPong, _) => Pace::Window(1),
                (_, Some(rate)) => Pace::PerSecond(rate),
                (_, None) => Pace::Window(load.window),
            },
            warm_up: load.warm_up,
            span: load.seconds,
            prefix: format!("{}/{}", load.topic, std::process::id()),
            receiver_life: if load.durable { SessionLife::Durable } else { SessionLife::Connection },
            idle: load.idle,
            filters: load.filters.unwrap_or(filters),
            amount: load.amount.unwrap_or(amount),
            at_once: usize::from(load.at_once),
            pid: self.watch.pid,
            calls: if self.watch.calls { CallCounting::On } else { CallCounting::Off },
        })
    }

    fn target(&self, context: &Context) -> Result<Target, CliError> {
        let url = self.place.url();
        let trust = self.place.trust(&self.login, context)?;
        let trust = if self.load.resume { trust } else { trust.map(crate::bridge::Trust::without_resumption) };
        let mut settings = ClientSettings::new(self.load.mqtt, Text::default());
        settings.credentials = self.login.credentials()?;
        settings.keep_alive = 0;
        settings.patience = PATIENCE;
        Ok(Target { url, trust, settings })
    }
}

impl ShapeName {
    fn shape(self) -> Shape {
        match self {
            Self::Pairs => Shape::Pairs,
            Self::FanOut => Shape::FanOut,
            Self::FanIn => Shape::FanIn,
            Self::Wildcard => Shape::Wildcard,
            Self::PingPong => Shape::PingPong,
            Self::Offline => Shape::Offline,
            Self::Retained => Shape::Retained,
            Self::Connections => Shape::Connections,
            Self::Churn => Shape::Churn,
        }
    }

    /// Publishers, receivers (as many as publish, if there is no number), filters, and connections or retained
    /// messages, unless they are asked for.
    fn usual_sizes(self) -> (u32, Option<u32>, u32, u32) {
        match self {
            Self::Pairs => (10, None, 0, 0),
            Self::FanOut => (1, Some(100), 0, 0),
            Self::FanIn => (50, Some(1), 0, 0),
            Self::Wildcard => (4, Some(10), 100_000, 0),
            Self::PingPong => (1, None, 0, 0),
            Self::Offline => (64, None, 0, 0),
            Self::Retained => (1, Some(1), 0, 100_000),
            Self::Connections => (0, Some(0), 0, 1000),
            Self::Churn => (0, Some(0), 0, 0),
        }
    }
}

/// The report as lines for people.
fn rows(report: &Report) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        (
            "traffic",
            format!("{}, MQTT {}, QoS {}, {} bytes", report.shape, report.mqtt, report.qos, report.payload_bytes),
        ),
        ("clients", format!("{} publish, {} receive, {}", report.publishers, report.receivers, report.pace)),
        (report.unit, format!("{:.0} in {:.1} s, {:.0}/s", report.operations, report.seconds, report.per_second)),
        ("published", format!("{:.0}/s", report.published_per_second)),
        ("acknowledged", format!("{:.0}/s", report.acknowledged_per_second)),
        ("delivered", format!("{:.0}/s", report.delivered_per_second)),
        ("lost", report.faults.lost.to_string()),
        ("twice", report.faults.duplicates.to_string()),
        ("out of order", report.faults.out_of_order.to_string()),
        ("refused", report.refused.to_string()),
    ];
    let percentiles = |times: &Percentiles| {
        let Percentiles { p50_us, p90_us, p99_us, p999_us, longest_us } = times;
        format!("50% {p50_us:.0}, 90% {p90_us:.0}, 99% {p99_us:.0}, 99.9% {p999_us:.0}, all {longest_us:.0} µs")
    };
    rows.extend(report.latency.as_ref().map(|times| ("latency", percentiles(times))));
    rows.extend(report.acknowledgement.as_ref().map(|times| ("acknowledged after", percentiles(times))));
    let costs = [("this program", Some(&report.generator)), ("broker", report.broker.as_ref())];
    for (name, cost) in costs.into_iter().filter_map(|(name, cost)| Some((name, cost?))) {
        let memory = |bytes: u64| bytes >> 10;
        rows.push((
            name,
            format!(
                "{:.2} µs CPU each, {:.2} cores, {} to {} KiB",
                cost.cpu_us_per_operation,
                cost.cores,
                memory(cost.resident_before),
                memory(cost.resident_after)
            ),
        ));
    }
    if let Some(calls) = report.calls {
        let text = format!("{:.3} each, {:.0} syncs/s", calls.per_operation, calls.syncs_per_second);
        rows.push(("system calls", text));
    }
    rows.extend(report.figures.iter().map(|(name, figure)| (*name, format!("{figure:.2}"))));
    rows
}

/// Every connection needs a descriptor. Where the limit stays lower, the connection that is one too many says so.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Never above what is allowed, so that there is nothing to refuse.
    let _ = setrlimit(Resource::Nofile, limit);
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is not a number of seconds")?;
    let span = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
    if span > LONGEST { Err(format!("it is more than {}", LONGEST.as_secs())) } else { Ok(span) }
}

/// How long a broker under load may take for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of a measurement.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
