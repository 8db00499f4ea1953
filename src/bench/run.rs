//! Carries a plan out, on as many threads as it is given.

use super::error::BenchError;
use super::offline;
use super::plan::{Plan, Shape};
use super::report::Report;
use super::retained;
use super::storm;
use super::traffic;
use super::wire::SessionLife;
use std::io;
use std::num::NonZeroUsize;
use tokio::runtime::Builder;

/// Measures. One thread is the one that calls.
pub async fn run(plan: Plan, threads: NonZeroUsize) -> Result<Report, BenchError> {
    if threads.get() == 1 {
        return measure(&plan).await;
    }
    let runtime = Builder::new_multi_thread().worker_threads(threads.get()).enable_all().build();
    let runtime = runtime.map_err(BenchError::Thread)?;
    let measured = runtime.spawn(async move { measure(&plan).await }).await;
    // Waiting for its threads would block the one that calls.
    runtime.shutdown_background();
    measured.map_err(|error| BenchError::Thread(io::Error::other(error)))?
}

async fn measure(plan: &Plan) -> Result<Report, BenchError> {
    match plan.shape {
        Shape::Pairs | Shape::FanOut | Shape::FanIn | Shape::Wildcard | Shape::PingPong => {
            let report = traffic::measure(plan).await?;
            if plan.receiver_life == SessionLife::Durable {
                traffic::forget_sessions(plan).await?;
            }
            Ok(report)
        }
        Shape::Offline => offline::measure(plan).await,
        Shape::Retained => retained::measure(plan).await,
        Shape::Connections => storm::measure_connections(plan).await,
        Shape::Churn => storm::measure_churn(plan).await,
    }
}
