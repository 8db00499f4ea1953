//! What the system tells a program that goes on for long: to stop, or to read its files again.

use super::error::CliError;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that are listened to.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

/// What was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// To stop.
    Stop,
    /// To read the certificates again.
    Reload,
}

impl Told {
    /// Whether to go on.
    pub fn is_reload(self) -> bool {
        self == Self::Reload
    }
}

impl Signals {
    /// Begins to listen.
    pub fn listen() -> Result<Self, CliError> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                CliError::failed(
                    format_args!("signals cannot be received: {error}"),
                    "raise the limit of open files (`ulimit -n`) or end other processes",
                )
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next.
    pub async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Stop,
            _ = self.hang_up.recv() => Told::Reload,
        }
    }
}
