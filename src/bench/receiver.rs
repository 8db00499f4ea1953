//! A client that subscribes and looks at what arrives.

use super::error::BenchError;
use super::glance::Glance;
use super::histogram::Histogram;
use super::plan::Plan;
use super::progress::{Counts, Progress};
use super::publisher::{acknowledgement, why_not};
use super::sequence::{Faults, Sequence};
use super::stamp::Stamp;
use super::wire::{Next, Wire};
use crate::protocol::{PacketType, ProtocolVersion, QoS};
use std::pin::pin;
use std::sync::Arc;

/// A receiver that is connected and has subscribed.
pub struct Receiver {
    wire: Wire,
    seen: Seen,
}

/// What a receiver has seen.
pub struct Seen {
    receiver: u32,
    version: ProtocolVersion,
    /// Of the publishers that it hears, which are `stride` apart.
    sequences: Vec<Sequence>,
    stride: usize,
    /// From when a message was due until it was here.
    pub times: Histogram,
    progress: Arc<Progress>,
    /// Of the publisher that the last messages came from; told in one.
    arrived: (usize, u64),
}

impl Receiver {
    /// On a connection that has subscribed.
    pub fn new(plan: &Plan, receiver: u32, wire: Wire, progress: Arc<Progress>) -> Self {
        let seen = Seen {
            receiver,
            version: plan.target.settings.version,
            sequences: vec![Sequence::default(); plan.sources_per_receiver()],
            stride: plan.stride(plan.shape),
            times: Histogram::default(),
            progress,
            arrived: (0, 0),
        };
        Self { wire, seen }
    }

    /// Receives until nothing more will come.
    pub async fn run(mut self) -> Result<(Seen, Wire), BenchError> {
        let finished = self.seen.progress.finished.clone();
        let mut finish = pin!(finished.cancelled());
        while !finished.is_cancelled() {
            let seen = &mut self.seen;
            let mut now_ns = None;
            self.wire.turn(finish.as_mut(), |packet, out| seen.take(packet, &mut now_ns, out)).await?;
            seen.tell();
        }
        Ok((self.seen, self.wire))
    }
}

impl Seen {
    /// What went wrong, if publishers have sent so many on each lane.
    pub fn faults(&self, plan: &Plan, sent_on: &[Vec<u32>]) -> Faults {
        let first = if self.stride > 1 { usize::try_from(self.receiver).unwrap_or(0) } else { 0 };
        let lane = plan.lane_of(self.receiver);
        let mut all = Faults::default();
        for (sent_on, sequence) in sent_on.iter().skip(first).step_by(self.stride).zip(&self.sequences) {
            all.add(sequence.faults(sent_on.get(lane).copied().unwrap_or(0)));
        }
        all
    }

    /// The clock is read once for all that one read has brought.
    #[inline]
    fn take(&mut self, packet: &[u8], now_ns: &mut Option<u64>, out: &mut Vec<u8>) -> Result<Next, BenchError> {
        match Glance::at(packet, self.version) {
            Glance::Publish { qos, packet_id, payload } => {
                let stamp = Stamp::read(payload).ok_or(BenchError::ForeignMessage)?;
                let source = usize::try_from(stamp.source).unwrap_or(usize::MAX);
                let sequence = self.sequences.get_mut(source / self.stride).ok_or(BenchError::ForeignMessage)?;
                sequence.take(stamp.sequence);
                if self.progress.is_measured(stamp.due_ns) {
                    let now_ns = *now_ns.get_or_insert_with(|| self.progress.now_ns());
                    self.times.record(now_ns.saturating_sub(stamp.due_ns));
                }
                if source != self.arrived.0 {
                    self.tell();
                    self.arrived.0 = source;
                }
                self.arrived.1 += 1;
                if let Some(packet_id) = packet_id {
                    let answer = if qos == QoS::AtLeastOnce { PacketType::PubAck } else { PacketType::PubRec };
                    out.extend_from_slice(&acknowledgement(answer, packet_id));
                }
            }
            Glance::Acknowledgement { packet: PacketType::PubRel, packet_id, .. } => {
                out.extend_from_slice(&acknowledgement(PacketType::PubComp, packet_id));
            }
            Glance::Acknowledgement { .. } => {}
            Glance::Other => why_not(packet, self.version)?,
        }
        Ok(Next::More)
    }

    /// Lets the publisher know.
    #[inline]
    fn tell(&mut self) {
        let (source, count) = std::mem::take(&mut self.arrived);
        if count > 0 {
            if let Some(flow) = self.progress.flow(source) {
                flow.arrived(count);
            }
            self.progress.add(Counts { delivered: count, ..Counts::default() });
        }
    }
}
