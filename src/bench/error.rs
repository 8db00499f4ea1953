//! Why a measurement ends without a result.

use crate::bridge::LinkError;
use crate::protocol::{PacketTooLarge, ReasonCode, Violation};
use std::io;

/// Why a measurement ends without a result.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A connection cannot be made, or ends.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A subscription is not granted.
    #[error("the broker refuses the subscription to {filter:?}: {reason}")]
    SubscriptionRefused {
        /// The first of those that are refused.
        filter: String,
        /// Why.
        reason: ReasonCode,
    },
    /// The broker publishes what nobody of the run has sent.
    #[error("a message arrived that is none of this run")]
    ForeignMessage,
    /// What was kept does not come.
    #[error("{left} {what} do not arrive")]
    Missing {
        /// What it is.
        what: &'static str,
        /// How many.
        left: u32,
    },
    /// The process of the broker is not there, or is somebody else's.
    #[error("process {pid} cannot be watched: {source}")]
    NoProcess {
        /// Its number.
        pid: u32,
        /// Why not.
        source: io::Error,
    },
    /// A time of the schedule cannot be waited for.
    #[error("the system gives no timer: {0}")]
    NoTimer(#[source] io::Error),
    /// The program that counts system calls does not run.
    #[error("perf cannot be run: {0}")]
    NoPerf(#[source] io::Error),
    /// It runs and counts nothing.
    #[error("perf does not count system calls here: {0}")]
    NoCalls(String),
    /// A thread of the generator does not start, or ends.
    #[error("a thread of the generator ended: {0}")]
    Thread(#[source] io::Error),
}

impl BenchError {
    /// What a read or a write failed with.
    pub fn of_network(error: io::Error) -> Self {
        Self::Link(LinkError::of_network(error))
    }
}

impl From<Violation> for BenchError {
    fn from(violation: Violation) -> Self {
        Self::Link(violation.into())
    }
}

impl From<PacketTooLarge> for BenchError {
    fn from(too_large: PacketTooLarge) -> Self {
        Self::Link(too_large.into())
    }
}
