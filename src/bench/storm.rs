//! Many connections: how fast they are made, what one costs that does nothing, and clients that come and go.

use super::crowd;
use super::error::BenchError;
use super::histogram::Histogram;
use super::plan::Plan;
use super::progress::Progress;
use super::report::{Percentiles, Report, ratio};
use super::traffic::sample;
use super::usage::Usage;
use super::wire::{SessionLife, Wire};
use crate::protocol::QoS;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Makes `amount` connections as fast as the broker takes them, each with one subscription, and lets them be for the
/// measured span.
pub async fn measure_connections(plan: &Plan) -> Result<Report, BenchError> {
    let progress = Progress::new(0);
    let begin = sample(plan, &progress)?;
    let wires = crowd::idle(plan, plan.amount).await?;
    let end = sample(plan, &progress)?;
    let mut report = Report::of(plan, &begin, &end, ("connection", u64::from(plan.amount)), None);
    sleep(plan.span).await;
    if let Some(pid) = plan.pid {
        let (before, settled) = (report.broker.map_or(0, |broker| broker.resident_before), Usage::of(pid)?);
        let idle_cpu = settled.cpu.saturating_sub(end.broker.map_or(settled.cpu, |usage| usage.cpu));
        let bytes = ratio(settled.resident.saturating_sub(before), u64::from(plan.amount));
        report.figures.insert("bytes_per_connection", bytes);
        report.figures.insert("idle_cores", idle_cpu.as_secs_f64() / plan.span.as_secs_f64().max(f64::MIN_POSITIVE));
        drop(wires);
        sleep(SETTLE).await;
        let left = ratio(Usage::of(pid)?.resident.saturating_sub(before), u64::from(plan.amount));
        report.figures.insert("bytes_per_connection_after", left);
    }
    Ok(report)
}

/// Clients that connect, subscribe and disconnect, `at_once` of them all the time.
pub async fn measure_churn(plan: &Plan) -> Result<Report, BenchError> {
    let bystanders = crowd::bystanders(plan).await?;
    let progress = Arc::new(Progress::new(0));
    let rounds = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for number in (0..).take(plan.at_once) {
        clients.spawn(come_and_go(plan.clone(), number, Arc::clone(&progress), Arc::clone(&rounds)));
    }
    pause(plan.warm_up, &mut clients).await?;
    progress.begin_measuring();
    let (begin, rounds_before) = (sample(plan, &progress)?, rounds.load(Ordering::Relaxed));
    pause(plan.span, &mut clients).await?;
    let (end, rounds_after) = (sample(plan, &progress)?, rounds.load(Ordering::Relaxed));
    progress.end_measuring();
    progress.stop();
    let mut times = Histogram::default();
    while let Some(ended) = clients.join_next().await {
        times.merge(&ended.map_err(|error| BenchError::Thread(std::io::Error::other(error)))??);
    }
    let unit = ("connect, subscribe and disconnect", rounds_after.saturating_sub(rounds_before));
    let mut report = Report::of(plan, &begin, &end, unit, None);
    report.latency = Percentiles::of(&times);
    drop(bystanders);
    Ok(report)
}

async fn come_and_go(
    plan: Plan,
    number: u32,
    progress: Arc<Progress>,
    rounds: Arc<AtomicU64>,
) -> Result<Histogram, BenchError> {
    let (patience, filter) = (plan.target.settings.patience, crowd::idle_filter(&plan, number));
    let mut times = Histogram::default();
    while !progress.is_stopped() {
        let begin_ns = progress.now_ns();
        let id = crowd::client_id("c", number);
        let (mut wire, _) = Wire::open(&plan.target, &id, SessionLife::Connection).await?;
        wire.subscribe(std::slice::from_ref(&filter), QoS::AtMostOnce, patience).await?;
        wire.close(patience).await;
        rounds.fetch_add(1, Ordering::Relaxed);
        if progress.is_measured(begin_ns) {
            times.record(progress.now_ns().saturating_sub(begin_ns));
        }
    }
    Ok(times)
}

/// Waits; ends early with whatever ends a client.
async fn pause(span: Duration, clients: &mut JoinSet<Result<Histogram, BenchError>>) -> Result<(), BenchError> {
    tokio::select! {
        () = sleep(span) => Ok(()),
        Some(ended) = clients.join_next() => {
            ended.map_err(|error| BenchError::Thread(std::io::Error::other(error)))?.map(drop)
        }
    }
}

/// How long a broker may take to give memory back.
const SETTLE: Duration = Duration::from_secs(3);
