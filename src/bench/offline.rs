//! Receivers that are away: they subscribe and go, messages are published, they come again and fetch them.

use super::crowd;
use super::error::BenchError;
use super::plan::Plan;
use super::progress::Progress;
use super::receiver::Receiver;
use super::report::{Report, rate};
use super::traffic::{Traffic, forget_sessions};
use super::wire::{SessionLife, Wire};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Measures publishing to nobody who is there, then how fast it is fetched, and whether everything is there.
pub async fn measure(plan: &Plan) -> Result<Report, BenchError> {
    let bystanders = crowd::bystanders(plan).await?;
    let patience = plan.target.settings.patience;
    let subscribe = async |number| {
        let id = crowd::client_id("r", number);
        let (mut wire, _) = Wire::open(&plan.target, &id, SessionLife::Durable).await?;
        wire.subscribe(&plan.filters_of(number), plan.qos, patience).await?;
        wire.close(patience).await;
        Ok(())
    };
    crowd::each(plan.receivers, plan.at_once, subscribe).await?;
    let progress = Arc::new(Progress::new(plan.publishers));
    let mut traffic = Traffic::new(plan, Arc::clone(&progress));
    let mut report = traffic.publish().await?;
    let begin = Instant::now();
    let come_again = async |number| {
        let (wire, _) = Wire::open(&plan.target, &crowd::client_id("r", number), SessionLife::Durable).await?;
        Ok(Receiver::new(plan, number, wire, Arc::clone(&progress)))
    };
    for receiver in crowd::each(plan.receivers, plan.at_once, come_again).await? {
        traffic.receive(receiver);
    }
    traffic.go_on_until(Traffic::has_all_arrived, QUIET).await?;
    let fetched = progress.counts().delivered;
    report.figures.insert("queued_messages", rate(fetched, Duration::from_secs(1)));
    report.figures.insert("fetched_per_second", rate(fetched, begin.elapsed()));
    traffic.finish(&mut report).await?;
    // From publishing to fetching is no latency of the broker.
    report.latency = None;
    forget_sessions(plan).await?;
    drop(bystanders);
    Ok(report)
}

/// After that long nothing more will be fetched.
const QUIET: Duration = Duration::from_secs(3);
