//! Messages from publishers to receivers: connect, warm up, measure, let everything arrive, and count what did not.

use super::calls::{CallCounter, Calls};
use super::crowd;
use super::error::BenchError;
use super::histogram::Histogram;
use super::plan::{CallCounting, Plan, Shape};
use super::progress::Progress;
use super::publisher::Published;
use super::receiver::{Receiver, Seen};
use super::report::{Percentiles, Report, Sample, Unit};
use super::sequence::Faults;
use super::usage::Usage;
use super::wire::{SessionLife, Wire};
use crate::bridge::LinkError;
use crate::protocol::QoS;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Publishers and receivers of a run.
pub struct Traffic<'a> {
    plan: &'a Plan,
    progress: Arc<Progress>,
    tasks: JoinSet<Result<Ended, BenchError>>,
    publishers_left: u32,
    sent_on: Vec<Vec<u32>>,
    acknowledgement: Histogram,
    seen: Vec<Seen>,
    wires: Vec<Wire>,
}

/// What a client hands over when it ends.
enum Ended {
    Publisher(u32, Published),
    Receiver(Box<(Seen, Wire)>),
}

/// Measures, and returns when everything has arrived or nothing more does.
pub async fn measure(plan: &Plan) -> Result<Report, BenchError> {
    let bystanders = crowd::bystanders(plan).await?;
    let progress = Arc::new(Progress::new(plan.publishers));
    let mut traffic = Traffic::new(plan, Arc::clone(&progress));
    for receiver in crowd::receivers(plan, &progress).await? {
        traffic.receive(receiver);
    }
    let mut report = traffic.publish().await?;
    traffic.finish(&mut report).await?;
    for wire in bystanders.into_iter().take(FAREWELLS) {
        wire.close(plan.target.settings.patience).await;
    }
    Ok(report)
}

impl<'a> Traffic<'a> {
    /// Nobody is there yet.
    pub fn new(plan: &'a Plan, progress: Arc<Progress>) -> Self {
        Self {
            plan,
            progress,
            tasks: JoinSet::new(),
            publishers_left: 0,
            sent_on: vec![Vec::new(); usize::try_from(plan.publishers).unwrap_or(0)],
            acknowledgement: Histogram::default(),
            seen: Vec::new(),
            wires: Vec::new(),
        }
    }

    /// One more receives.
    pub fn receive(&mut self, receiver: Receiver) {
        self.tasks.spawn(async { receiver.run().await.map(|ended| Ended::Receiver(Box::new(ended))) });
    }

    /// Lets publishers publish, and tells what moved in the measured span.
    pub async fn publish(&mut self) -> Result<Report, BenchError> {
        for (number, publisher) in (0..).zip(crowd::publishers(self.plan, &self.progress).await?) {
            self.publishers_left += 1;
            self.tasks.spawn(async move { publisher.run().await.map(|ended| Ended::Publisher(number, ended)) });
        }
        self.go_on_for(self.plan.warm_up).await?;
        let counter = match self.plan.pid.filter(|_| self.plan.calls == CallCounting::On) {
            Some(pid) => Some(CallCounter::start(pid).await?),
            None => None,
        };
        self.progress.begin_measuring();
        let begin = sample(self.plan, &self.progress)?;
        self.go_on_for(self.plan.span).await?;
        let end = sample(self.plan, &self.progress)?;
        self.progress.end_measuring();
        let calls: Option<Calls> = counter.map(CallCounter::stop).transpose()?;
        self.progress.stop();
        let last = self.plan.target.settings.patience;
        let is_over = |traffic: &Self| traffic.publishers_left == 0;
        if !self.go_on_until(is_over, last).await? {
            return Err(LinkError::Silent.into());
        }
        Ok(Report::between(self.plan, &begin, &end, self.unit(), calls))
    }

    /// Waits until everything has arrived, or nothing has for a while, and counts.
    pub async fn finish(&mut self, report: &mut Report) -> Result<(), BenchError> {
        self.go_on_until(Self::has_all_arrived, QUIET).await?;
        self.progress.finished.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            self.note(ended)?;
        }
        let (mut faults, mut latency) = (Faults::default(), Histogram::default());
        for seen in &self.seen {
            faults.add(seen.faults(self.plan, &self.sent_on));
            latency.merge(&seen.times);
        }
        report.faults = faults;
        report.latency = Percentiles::of(&latency);
        report.acknowledgement = Percentiles::of(&self.acknowledgement);
        report.refused = self.progress.counts().refused;
        for wire in self.wires.drain(..).take(FAREWELLS) {
            wire.close(self.plan.target.settings.patience).await;
        }
        Ok(())
    }

    /// Whether every receiver has what was sent to it.
    pub fn has_all_arrived(&self) -> bool {
        self.progress.counts().delivered >= self.expected()
    }

    /// Deliveries of everything that was sent.
    pub fn expected(&self) -> u64 {
        let copies = |publisher| match self.plan.shape {
            Shape::Offline => 1,
            _ => u64::from(self.plan.route(publisher).copies),
        };
        let sent = |sent_on: &Vec<u32>| sent_on.iter().map(|sent| u64::from(*sent)).sum::<u64>();
        (0..).zip(&self.sent_on).map(|(publisher, sent_on)| sent(sent_on) * copies(publisher)).sum()
    }

    /// Waits until `is_over`, as long as something moves at least once in `quiet`.
    pub async fn go_on_until(&mut self, is_over: impl Fn(&Self) -> bool, quiet: Duration) -> Result<bool, BenchError> {
        let (mut moved_at, mut before) = (Instant::now(), self.progress.counts());
        while !is_over(self) {
            self.watch(WATCH).await?;
            let counts = self.progress.counts();
            if counts != before {
                (moved_at, before) = (Instant::now(), counts);
            } else if moved_at.elapsed() > quiet {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Lets the traffic go on. Where messages were lost and publishers wait for them, they are told not to.
    async fn go_on_for(&mut self, span: Duration) -> Result<(), BenchError> {
        let begin = Instant::now();
        let (mut moved_at, mut before) = (begin, self.progress.counts());
        while let Some(left) = span.checked_sub(begin.elapsed()).filter(|left| !left.is_zero()) {
            self.watch(left.min(WATCH)).await?;
            let counts = self.progress.counts();
            if counts != before {
                (moved_at, before) = (Instant::now(), counts);
            } else if moved_at.elapsed() > STALL {
                self.progress.forgive();
                moved_at = Instant::now();
            }
        }
        Ok(())
    }

    /// Waits, and notes who ends meanwhile.
    async fn watch(&mut self, span: Duration) -> Result<(), BenchError> {
        tokio::select! {
            () = sleep(span) => Ok(()),
            Some(ended) = self.tasks.join_next() => self.note(ended),
        }
    }

    fn note(&mut self, ended: Result<Result<Ended, BenchError>, tokio::task::JoinError>) -> Result<(), BenchError> {
        match ended.map_err(|error| BenchError::Thread(io::Error::other(error)))?? {
            Ended::Publisher(number, published) => {
                self.publishers_left = self.publishers_left.saturating_sub(1);
                self.acknowledgement.merge(&published.times);
                if let Some(sent_on) = self.sent_on.get_mut(usize::try_from(number).unwrap_or(usize::MAX)) {
                    *sent_on = published.sent_on;
                }
            }
            Ended::Receiver(ended) => {
                let (seen, wire) = *ended;
                self.seen.push(seen);
                self.wires.push(wire);
            }
        }
        Ok(())
    }

    fn unit(&self) -> Unit {
        match self.plan.shape {
            Shape::Pairs | Shape::FanOut | Shape::FanIn | Shape::Wildcard | Shape::PingPong => Unit::Delivery,
            Shape::Offline | Shape::Retained | Shape::Connections | Shape::Churn => match self.plan.qos {
                QoS::AtMostOnce => Unit::Publication,
                QoS::AtLeastOnce | QoS::ExactlyOnce => Unit::Acknowledgement,
            },
        }
    }
}

/// What has moved, and what it has cost so far.
pub fn sample(plan: &Plan, progress: &Progress) -> Result<Sample, BenchError> {
    Ok(Sample {
        broker: plan.pid.map(Usage::of).transpose()?,
        own: Usage::own()?,
        counts: progress.counts(),
        at: Instant::now(),
    })
}

/// Takes away what receivers with durable sessions leave behind.
pub async fn forget_sessions(plan: &Plan) -> Result<(), BenchError> {
    let one = async |number| {
        let id = crowd::client_id("r", number);
        let (wire, _) = Wire::open(&plan.target, &id, SessionLife::Connection).await?;
        wire.close(plan.target.settings.patience).await;
        Ok(())
    };
    crowd::each(plan.receivers, plan.at_once, one).await.map(drop)
}

/// How often is looked whether something moves.
const WATCH: Duration = Duration::from_millis(50);

/// After that long without anything moving, what is under way counts as lost.
const STALL: Duration = Duration::from_secs(2);

/// After that long nothing more will arrive.
const QUIET: Duration = Duration::from_secs(3);

/// Connections that are closed with a farewell; the rest is dropped, so that a run of many ends soon.
const FAREWELLS: usize = 1000;
