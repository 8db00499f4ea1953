//! Waits until a moment to the microsecond. tokio's own timer rounds up to a millisecond, which would stand in every
//! latency of an open loop.

use super::error::BenchError;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;

/// A timer of the system.
pub struct Pacer {
    /// It is read as a pipe is: eight bytes come out of it when the time has come.
    timer: Receiver,
}

impl Pacer {
    /// A timer that is not set.
    pub fn new() -> Result<Self, BenchError> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(io::Error::from);
        let timer = timer.and_then(Receiver::from_owned_fd_unchecked).map_err(BenchError::NoTimer)?;
        Ok(Self { timer })
    }

    /// Waits that long. Given up half way, it can be asked again.
    pub async fn pause(&self, span: Duration) -> Result<(), BenchError> {
        self.set(span.max(SHORTEST))?;
        let mut expiries = [0; 8];
        loop {
            self.timer.readable().await.map_err(BenchError::NoTimer)?;
            match self.timer.try_read(&mut expiries) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(BenchError::NoTimer(error)),
            }
        }
    }

    fn set(&self, span: Duration) -> Result<(), BenchError> {
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec {
            tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(span.subsec_nanos()),
        };
        let once = Itimerspec { it_interval: never, it_value: value };
        let set = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once);
        set.map(|_| ()).map_err(|error| BenchError::NoTimer(error.into()))
    }
}

/// Messages that are due within this span are sent together: a timer for each would cost more than sending it. Also,
/// zero would switch the timer off.
const SHORTEST: Duration = Duration::from_micros(50);

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn a_pause_is_never_too_short_and_may_be_given_up() {
        let pacer = Pacer::new().unwrap();
        let given_up = tokio::time::timeout(Duration::from_millis(1), pacer.pause(Duration::from_secs(60)));
        given_up.await.unwrap_err();
        for micros in [0, 50, 3000] {
            let (begin, span) = (Instant::now(), Duration::from_micros(micros));
            pacer.pause(span).await.unwrap();
            assert!(begin.elapsed() >= span);
        }
    }
}
