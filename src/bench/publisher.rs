//! A client that publishes.

use super::error::BenchError;
use super::glance::Glance;
use super::histogram::Histogram;
use super::pacer::Pacer;
use super::plan::{Pace, Plan, Route};
use super::progress::{Counts, Flow, Progress};
use super::stamp::Stamp;
use super::template::{Retain, Template};
use super::tickets::Tickets;
use super::wire::{Next, Wire};
use crate::bridge::LinkError;
use crate::protocol::{PacketId, PacketType, ProtocolVersion, QoS, decode};
use bytes::Bytes;
use std::pin::pin;
use std::sync::Arc;

/// A publisher that is connected.
pub struct Publisher {
    wire: Wire,
    source: u32,
    template: Template,
    route: Route,
    schedule: Schedule,
    pacer: Pacer,
    answers: Answers,
    sent: u64,
    /// How many messages were sent on each lane.
    sent_on: Vec<u32>,
    progress: Arc<Progress>,
}

/// When a publisher may send.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    pace: Pace,
    qos: QoS,
    /// The most unacknowledged messages that the broker takes.
    receive_maximum: u32,
    publishers: u32,
    /// When its first message is due in an open loop.
    begin_ns: u64,
}

/// What has come back.
struct Answers {
    version: ProtocolVersion,
    tickets: Tickets,
    acknowledged: u64,
    refused: u64,
    times: Histogram,
}

/// What a publisher knows when it ends.
pub struct Published {
    /// How many messages were sent on each lane.
    pub sent_on: Vec<u32>,
    /// From when a message was due until it was fully acknowledged.
    pub times: Histogram,
}

impl Publisher {
    /// On a connection whose broker takes `receive_maximum` unacknowledged messages.
    pub fn new(
        plan: &Plan,
        source: u32,
        wire: Wire,
        receive_maximum: u16,
        progress: Arc<Progress>,
    ) -> Result<Self, BenchError> {
        let route = plan.route(source);
        let version = plan.target.settings.version;
        let template = Template::new(&plan.topic(route.first_topic), plan.payload, plan.qos, version, Retain::No);
        let receive_maximum = u32::from(receive_maximum);
        let under_way = match plan.pace {
            Pace::Window(window) => window.min(receive_maximum),
            Pace::PerSecond(_) => receive_maximum,
        };
        let tickets = if plan.qos > QoS::AtMostOnce { under_way } else { 0 };
        // Side by side, and not all in the same instant.
        let begin_ns = progress.now_ns() + interval_ns(plan.pace, 1, u64::from(source));
        Ok(Self {
            wire,
            source,
            template,
            route,
            schedule: Schedule {
                pace: plan.pace,
                qos: plan.qos,
                receive_maximum,
                publishers: plan.publishers,
                begin_ns,
            },
            pacer: Pacer::new()?,
            answers: Answers {
                version,
                tickets: Tickets::new(tickets),
                acknowledged: 0,
                refused: 0,
                times: Histogram::default(),
            },
            sent: 0,
            sent_on: vec![0; usize::try_from(route.lanes).unwrap_or(1)],
            progress,
        })
    }

    /// Publishes until the run is stopped and everything is acknowledged.
    pub async fn run(mut self) -> Result<Published, BenchError> {
        let progress = Arc::clone(&self.progress);
        let Some(flow) = progress.flow(usize::try_from(self.source).unwrap_or(usize::MAX)) else {
            return Ok(self.end());
        };
        loop {
            let is_stopped = progress.is_stopped();
            if !is_stopped {
                self.fill(flow);
            } else if self.answers.tickets.taken() == 0 && self.wire.outgoing.is_empty() {
                return Ok(self.end());
            }
            let answers = &mut self.answers;
            let (acknowledged, refused) = (answers.acknowledged, answers.refused);
            let can_write = if self.wire.has_room() { CanWrite::Yes } else { CanWrite::No };
            let wait = self.schedule.wait(self.sent, &answers.tickets, self.route.copies, can_write);
            let wake = pin!(wait.over(flow, &self.pacer, &progress));
            let mut now_ns = None;
            self.wire.turn(wake, |packet, out| answers.take(packet, &mut now_ns, &progress, out)).await?;
            progress.add(Counts {
                acknowledged: answers.acknowledged - acknowledged,
                refused: answers.refused - refused,
                ..Counts::default()
            });
        }
    }

    /// Writes as many messages as may be sent now.
    fn fill(&mut self, flow: &Flow) {
        let begin = self.sent;
        let now_ns = self.progress.now_ns();
        let room = self.schedule.room(self.sent, &self.answers.tickets, self.route.copies, flow, now_ns);
        for _ in 0..room {
            if !self.wire.has_room() || !self.write_one(now_ns) {
                break;
            }
        }
        self.progress.add(Counts { published: self.sent - begin, ..Counts::default() });
    }

    #[inline]
    fn write_one(&mut self, now_ns: u64) -> bool {
        let due_ns = self.schedule.due_ns(self.sent).unwrap_or(now_ns);
        let packet_id = match self.schedule.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce | QoS::ExactlyOnce => match self.answers.tickets.take(due_ns) {
                Some(packet_id) => Some(packet_id),
                None => return false,
            },
        };
        let mut lane = 0;
        if self.route.topics > 1 {
            let number = u32::try_from(self.sent % u64::from(self.route.topics)).unwrap_or(0);
            self.template.renumber(self.route.first_topic + number);
            lane = usize::try_from(number % self.route.lanes).unwrap_or(0);
        }
        let Some(sent_on) = self.sent_on.get_mut(lane) else { return false };
        let stamp = Stamp { source: self.source, sequence: *sent_on, due_ns };
        *sent_on = sent_on.wrapping_add(1);
        self.template.write(stamp, packet_id, &mut self.wire.outgoing);
        self.sent += 1;
        true
    }

    fn end(self) -> Published {
        Published { sent_on: self.sent_on, times: self.answers.times }
    }
}

impl Schedule {
    /// When a message is due in an open loop.
    fn due_ns(&self, number: u64) -> Option<u64> {
        match self.pace {
            Pace::Window(_) => None,
            Pace::PerSecond(_) => Some(self.begin_ns + interval_ns(self.pace, self.publishers, number)),
        }
    }

    /// How many messages may be sent now.
    fn room(&self, sent: u64, tickets: &Tickets, copies: u32, flow: &Flow, now_ns: u64) -> u64 {
        let by_answers = match self.qos {
            QoS::AtMostOnce => u64::MAX,
            QoS::AtLeastOnce | QoS::ExactlyOnce => u64::from(self.receive_maximum.saturating_sub(tickets.taken())),
        };
        match self.pace {
            Pace::Window(window) => {
                let unanswered = u64::from(window).saturating_sub(u64::from(tickets.taken()));
                let undelivered = match copies {
                    0 => u64::from(window),
                    copies => (flow.delivered() / u64::from(copies) + u64::from(window)).saturating_sub(sent),
                };
                by_answers.min(unanswered).min(undelivered)
            }
            Pace::PerSecond(rate) => {
                let passed = u128::from(now_ns.saturating_sub(self.begin_ns)) * u128::from(rate);
                let due = passed / (u128::from(self.publishers) * NANOS_PER_SECOND);
                let due = u64::try_from(due).unwrap_or(u64::MAX).saturating_add(1);
                let has_begun = now_ns >= self.begin_ns;
                if has_begun { by_answers.min(due.saturating_sub(sent)) } else { 0 }
            }
        }
    }

    /// What may come next for a publisher that has sent what it may.
    fn wait(&self, sent: u64, tickets: &Tickets, copies: u32, can_write: CanWrite) -> Wait {
        let most = match self.pace {
            Pace::Window(window) => window.min(self.receive_maximum),
            Pace::PerSecond(_) => self.receive_maximum,
        };
        let is_unanswered = self.qos > QoS::AtMostOnce && tickets.taken() >= most;
        match self.pace {
            _ if is_unanswered || can_write == CanWrite::No => Wait::ForBroker,
            Pace::PerSecond(_) => self.due_ns(sent).map_or(Wait::ForBroker, Wait::Until),
            Pace::Window(_) if copies == 0 => Wait::ForBroker,
            Pace::Window(window) => {
                let enough = (sent + u64::from(window.div_ceil(REFILL))).saturating_sub(u64::from(window));
                Wait::ForArrivals(enough * u64::from(copies))
            }
        }
    }
}

/// What a publisher waits for, besides packets and the end of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// That it answers, or reads what is written.
    ForBroker,
    /// That so many deliveries have arrived: a part of the window, so that messages go out in batches.
    ForArrivals(u64),
    /// That the next message is due.
    Until(u64),
}

/// Whether more may be written to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CanWrite {
    Yes,
    No,
}

impl Wait {
    async fn over(self, flow: &Flow, pacer: &Pacer, progress: &Progress) {
        match self {
            Self::ForArrivals(delivered) if !progress.is_stopped() => flow.wait_for(delivered).await,
            Self::Until(due_ns) if !progress.is_stopped() => tokio::select! {
                // Without a timer an acknowledgement or the end of the run wakes it.
                Ok(()) = pacer.pause(progress.until(due_ns)) => {}
                () = flow.wait_for_stop() => {}
            },
            Self::ForBroker | Self::ForArrivals(_) | Self::Until(_) => flow.wait_for_stop().await,
        }
    }
}

impl Answers {
    #[inline]
    fn take(
        &mut self,
        packet: &[u8],
        now_ns: &mut Option<u64>,
        progress: &Progress,
        out: &mut Vec<u8>,
    ) -> Result<Next, BenchError> {
        match Glance::at(packet, self.version) {
            Glance::Acknowledgement { packet: PacketType::PubRec, packet_id, is_success: true } => {
                out.extend_from_slice(&acknowledgement(PacketType::PubRel, packet_id));
            }
            Glance::Acknowledgement { packet_id, is_success, .. } => {
                let Some(due_ns) = self.tickets.give_back(packet_id) else { return Ok(Next::More) };
                if is_success {
                    self.acknowledged += 1;
                } else {
                    self.refused += 1;
                }
                if progress.is_measured(due_ns) {
                    // Read once for all that one read has brought.
                    let now_ns = *now_ns.get_or_insert_with(|| progress.now_ns());
                    self.times.record(now_ns.saturating_sub(due_ns));
                }
            }
            Glance::Publish { .. } => return Err(BenchError::ForeignMessage),
            Glance::Other => why_not(packet, self.version)?,
        }
        Ok(Next::More)
    }
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP, as short as every version takes it.
pub fn acknowledgement(packet: PacketType, packet_id: PacketId) -> [u8; 4] {
    let [high, low] = packet_id.number().to_be_bytes();
    [packet.first_byte(), 2, high, low]
}

/// A packet that is none of the traffic: says what it means if it ends the connection.
pub fn why_not(packet: &[u8], version: ProtocolVersion) -> Result<(), BenchError> {
    use crate::protocol::Packet;
    match decode(&mut Bytes::copy_from_slice(packet), Some(version), u32::MAX)? {
        Some(Packet::Disconnect(disconnect)) => Err(LinkError::Disconnected(disconnect).into()),
        Some(_) | None => Ok(()),
    }
}

/// When the message with this number is due after the first, if so many publishers keep this pace together.
fn interval_ns(pace: Pace, publishers: u32, number: u64) -> u64 {
    match pace {
        Pace::Window(_) => 0,
        Pace::PerSecond(rate) => {
            let nanos = u128::from(number) * u128::from(publishers) * NANOS_PER_SECOND / u128::from(rate.max(1));
            u64::try_from(nanos).unwrap_or(u64::MAX)
        }
    }
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// A closed loop goes on when this part of its window is free.
const REFILL: u32 = 4;
