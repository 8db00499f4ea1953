//! Publishes one payload after the other as fast as the broker takes them, and keeps count of the answers.

use super::client::{GRACE, Interrupt, until};
use super::error::CliError;
use super::output::Output;
use crate::bridge::{Connection, Event, Step, Unsendable};
use crate::protocol::{PacketId, Publish, ReasonCode};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;

/// What is to be published.
pub struct Payloads(Source);

enum Source {
    Repeated {
        payload: Bytes,
        left: u64,
    },
    Lines {
        /// Those that have not come yet, until the end.
        more: Option<Receiver<io::Result<Vec<Bytes>>>>,
        here: VecDeque<Bytes>,
    },
}

impl Payloads {
    /// The same one, so many times.
    pub fn repeated(payload: Bytes, times: u64) -> Self {
        Self(Source::Repeated { payload, left: times })
    }

    /// One after the other as they come.
    pub fn lines(more: Receiver<io::Result<Vec<Bytes>>>) -> Self {
        Self(Source::Lines { more: Some(more), here: VecDeque::new() })
    }

    /// The next one; `None` at the end. Given up half way, it loses nothing.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match &mut self.0 {
            Source::Repeated { left: 0, .. } => Ok(None),
            Source::Repeated { payload, left } => {
                *left -= 1;
                Ok(Some(payload.clone()))
            }
            Source::Lines { more, here } => loop {
                if let Some(line) = here.pop_front() {
                    return Ok(Some(line));
                }
                let Some(receiver) = more else { return Ok(None) };
                match receiver.recv().await {
                    Some(lines) => here.extend(lines?),
                    None => *more = None,
                }
            },
        }
    }

    /// Whether it is known that something is left. Lines may be, but an interruption is how they often end.
    fn has_left(&self) -> bool {
        match &self.0 {
            Source::Repeated { left, .. } => *left > 0,
            Source::Lines { here, .. } => !here.is_empty(),
        }
    }
}

/// A connection on which messages are published.
pub struct Publisher<'a> {
    connection: Connection,
    /// All messages are like this one, but for their payload.
    message: Publish,
    /// What is not answered yet: the number of the message, and its length.
    open: BTreeMap<PacketId, (u64, usize)>,
    /// Their bytes together.
    open_bytes: usize,
    sent: u64,
    /// How many messages were refused for which reason.
    refused: BTreeMap<ReasonCode, u64>,
    output: &'a Output,
}

impl<'a> Publisher<'a> {
    /// Nothing is published yet.
    pub fn new(connection: Connection, message: Publish, output: &'a Output) -> Self {
        let (open, refused) = (BTreeMap::new(), BTreeMap::new());
        Self { connection, message, open, open_bytes: 0, sent: 0, refused, output }
    }

    /// Publishes until the end or an interruption, waits for the answers, and says goodbye. Refusals are an error.
    pub async fn publish_all(mut self, payloads: Payloads, interrupt: Interrupt) -> Result<(), CliError> {
        let ended = self.drive(payloads, interrupt).await;
        self.connection.close(GRACE).await;
        ended.and_then(|()| outcome(self.sent, &self.refused))
    }

    async fn drive(&mut self, mut payloads: Payloads, mut interrupt: Interrupt) -> Result<(), CliError> {
        let mut is_more = true;
        let mut give_up = None;
        while is_more || !self.connection.is_idle() {
            tokio::select! {
                step = self.connection.step() => self.take(&step?),
                next = payloads.next(), if is_more && self.has_room() => match next {
                    Ok(Some(payload)) => self.publish(payload)?,
                    Ok(None) => is_more = false,
                    Err(error) => return Err(self.unreadable(&error)),
                },
                () = interrupt.arrives() => {
                    is_more = false;
                    // A second signal ends the wait.
                    give_up = Some(give_up.map_or_else(|| Instant::now() + GRACE, |_| Instant::now()));
                }
                () = until(give_up) => return Err(self.interrupted()),
            }
        }
        if give_up.is_some() && payloads.has_left() { Err(self.interrupted()) } else { Ok(()) }
    }

    /// Whether another message may be held in memory. A single one always may.
    fn has_room(&self) -> bool {
        self.connection.unsent() < MOST_UNSENT
            && self.open.len() < MOST_OPEN
            && (self.open.is_empty() || self.open_bytes < MOST_OPEN_BYTES)
    }

    fn publish(&mut self, payload: Bytes) -> Result<(), CliError> {
        let length = payload.len();
        let number = self.sent + 1;
        let packet_id = self
            .connection
            .publish(Publish { payload, ..self.message.clone() })
            .map_err(|why| CliError::failed(format_args!("message {number} is not sent: {why}"), remedy(why)))?;
        self.sent = number;
        if let Some(packet_id) = packet_id {
            self.open.insert(packet_id, (number, length));
            self.open_bytes += length;
        }
        Ok(())
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Event(Event::Published { packet_id, reason }) => {
                let Some((number, length)) = self.open.remove(packet_id) else { return };
                self.open_bytes -= length;
                if reason.is_error() {
                    self.refused(number, *reason);
                }
            }
            // One connection long, nothing is given up and no session is lost; nothing was subscribed.
            Step::Event(
                Event::Connected(_)
                | Event::Refused(_)
                | Event::Disconnected(_)
                | Event::Message(_)
                | Event::GivenUp { .. }
                | Event::Unconfirmed { .. }
                | Event::Subscribed { .. }
                | Event::Unsubscribed { .. },
            )
            | Step::Sent => {}
        }
    }

    /// Said at once for the first ones: a stream may go on for days.
    fn refused(&mut self, number: u64, reason: ReasonCode) {
        if self.refused.values().sum::<u64>() < MOST_REFUSALS_SHOWN {
            self.output.note(format_args!("message {number} is refused: {reason}"));
        }
        *self.refused.entry(reason).or_default() += 1;
    }

    fn interrupted(&self) -> CliError {
        let open = self.open.len();
        CliError::failed(
            format_args!("interrupted: messages sent {}, not answered {open}", self.sent),
            "publish again what must arrive",
        )
    }

    fn unreadable(&self, error: &io::Error) -> CliError {
        CliError::failed(
            format_args!("standard input cannot be read: {error}"),
            format_args!("{} messages were published before", self.sent),
        )
    }
}

fn outcome(sent: u64, refused: &BTreeMap<ReasonCode, u64>) -> Result<(), CliError> {
    let count: u64 = refused.values().sum();
    if count == 0 {
        return Ok(());
    }
    let reasons: Vec<String> = refused.keys().map(ReasonCode::to_string).collect();
    let message = match sent {
        1 => format!("the broker refuses the message: {}", reasons.join(", ")),
        sent => format!("the broker refused {count} of {sent} messages: {}", reasons.join(", ")),
    };
    Err(match refused.contains_key(&ReasonCode::NotAuthorized) {
        true => CliError::denied(
            message,
            "ask for the right to publish there: `securemq acl check` tells which rule decides",
        ),
        false => CliError::failed(message, "`securemq logs --failed` on the broker tells more"),
    })
}

fn remedy(why: Unsendable) -> &'static str {
    match why {
        Unsendable::PacketTooLarge(_) => "make the message smaller, or raise limits.max_packet_size of the broker",
        Unsendable::QoSNotSupported(_) => "ask for less with --qos",
        Unsendable::RetainNotSupported => "leave out --retain",
        Unsendable::BadTopic(_) => "name another topic with --topic",
        Unsendable::NotConnected | Unsendable::QueueFull(_) | Unsendable::NoPacketId => "try again",
    }
}

/// Bytes that wait for the network before no more messages are taken: enough to keep it busy.
const MOST_UNSENT: usize = 256 * 1024;

/// Messages without their last answer; the client queues as many.
const MOST_OPEN: usize = 1000;

/// Their bytes, which are kept for as long.
const MOST_OPEN_BYTES: usize = 16 * 1024 * 1024;

/// Refusals that get a line of their own.
const MOST_REFUSALS_SHOWN: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::error::Exit;

    #[test]
    fn refusals_decide_the_exit_code() {
        let exit = |sent, reasons: &[(ReasonCode, u64)]| {
            outcome(sent, &reasons.iter().copied().collect()).map_err(|error| error.exit())
        };
        assert_eq!(exit(2, &[]), Ok(()));
        assert_eq!(exit(2, &[(ReasonCode::QuotaExceeded, 1)]), Err(Exit::Failed));
        assert_eq!(exit(2, &[(ReasonCode::NotAuthorized, 1), (ReasonCode::QuotaExceeded, 1)]), Err(Exit::Denied));
    }
}
