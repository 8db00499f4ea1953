//! Many retained messages, and somebody who subscribes to all of them while two others talk.

use super::crowd;
use super::error::BenchError;
use super::glance::Glance;
use super::plan::{Pace, Plan, Shape};
use super::progress::Progress;
use super::publisher::{acknowledgement, why_not};
use super::report::{Report, rate};
use super::stamp::Stamp;
use super::template::{Retain, Template};
use super::tickets::Tickets;
use super::traffic::{Traffic, sample};
use super::wire::{Next, SessionLife, Wire};
use crate::protocol::{Packet, PacketId, PacketType, QoS, RetainHandling, Subscribe, SubscribeRequest, Text};
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

/// Retains `amount` messages, subscribes to all of them, and takes them away again. Meanwhile two clients talk at the
/// pace of the plan: their latency shows whether the broker has time for others.
pub async fn measure(plan: &Plan) -> Result<Report, BenchError> {
    let talk = talk_of(plan);
    let progress = Arc::new(Progress::new(talk.publishers));
    let begin = Instant::now();
    retain(plan, plan.payload).await?;
    let retained_in = begin.elapsed();
    let fetch = async {
        let before = sample(plan, &progress)?;
        fetch(plan).await?;
        Ok::<_, BenchError>((before, sample(plan, &progress)?))
    };
    let talk = async {
        let mut traffic = Traffic::new(&talk, Arc::clone(&progress));
        for receiver in crowd::receivers(&talk, &progress).await? {
            traffic.receive(receiver);
        }
        let mut report = traffic.publish().await?;
        traffic.finish(&mut report).await?;
        Ok::<_, BenchError>(report)
    };
    let (before_and_after, talked) = tokio::try_join!(fetch, talk)?;
    let (before, after) = before_and_after;
    let unit = ("retained message", u64::from(plan.amount));
    let mut report = Report::of(plan, &before, &after, unit, None);
    (report.latency, report.faults) = (talked.latency, talked.faults);
    report.figures.insert("retained_per_second", rate(unit.1, retained_in));
    report.figures.insert("talk_per_second", talked.delivered_per_second);
    retain(plan, 0).await?;
    Ok(report)
}

/// Two who talk beside it, on topics of their own.
fn talk_of(plan: &Plan) -> Plan {
    Plan {
        shape: Shape::Pairs,
        qos: QoS::AtMostOnce,
        publishers: 1,
        receivers: 1,
        pace: match plan.pace {
            Pace::Window(_) => Pace::PerSecond(TALK_PER_SECOND),
            pace @ Pace::PerSecond(_) => pace,
        },
        prefix: format!("{}-talk", plan.prefix),
        filters: 0,
        idle: 0,
        ..plan.clone()
    }
}

/// Publishes a retained message to each topic; an empty one takes it away.
async fn retain(plan: &Plan, payload: usize) -> Result<(), BenchError> {
    let version = plan.target.settings.version;
    let (mut wire, connack) = Wire::open(&plan.target, &crowd::client_id("p", 0), SessionLife::Connection).await?;
    let window = u32::from(connack.properties.receive_maximum.unwrap_or(u16::MAX)).min(WINDOW);
    let qos = QoS::AtLeastOnce;
    let mut template = match payload {
        0 => Template::empty(&plan.topic(0), qos, version),
        length => Template::new(&plan.topic(0), length, qos, version, Retain::Yes),
    };
    let (mut tickets, mut sent) = (Tickets::new(window), 0);
    while sent < plan.amount || tickets.taken() > 0 {
        while sent < plan.amount && tickets.taken() < window && wire.has_room() {
            let Some(packet_id) = tickets.take(0) else { break };
            template.renumber(sent);
            let stamp = Stamp { source: 0, sequence: sent, due_ns: 0 };
            template.write(stamp, Some(packet_id), &mut wire.outgoing);
            sent += 1;
        }
        let take = |packet: &[u8], _: &mut Vec<u8>| {
            match Glance::at(packet, version) {
                Glance::Acknowledgement { packet_id, .. } => drop(tickets.give_back(packet_id)),
                Glance::Publish { .. } => return Err(BenchError::ForeignMessage),
                Glance::Other => why_not(packet, version)?,
            }
            Ok(Next::More)
        };
        wire.turn(pin!(pending()), take).await?;
    }
    wire.close(plan.target.settings.patience).await;
    Ok(())
}

/// Subscribes to all of them, and returns when all are there.
async fn fetch(plan: &Plan) -> Result<(), BenchError> {
    let version = plan.target.settings.version;
    let (mut wire, _) = Wire::open(&plan.target, &crowd::client_id("k", 0), SessionLife::Connection).await?;
    let filter = Text::try_from(format!("{}/#", plan.prefix).as_str()).unwrap_or_default();
    let request = SubscribeRequest { retain_handling: RetainHandling::Send, ..SubscribeRequest::new(filter, plan.qos) };
    wire.put(&Packet::Subscribe(Subscribe {
        packet_id: PacketId::FIRST,
        subscription_id: None,
        user_properties: Vec::new(),
        requests: vec![request],
    }))?;
    let mut left = plan.amount;
    while left > 0 {
        let take = |packet: &[u8], out: &mut Vec<u8>| {
            match Glance::at(packet, version) {
                Glance::Publish { qos, packet_id, .. } => {
                    left = left.saturating_sub(1);
                    let answer = if qos == QoS::AtLeastOnce { PacketType::PubAck } else { PacketType::PubRec };
                    if let Some(packet_id) = packet_id {
                        out.extend_from_slice(&acknowledgement(answer, packet_id));
                    }
                }
                Glance::Acknowledgement { packet_id, .. } => {
                    out.extend_from_slice(&acknowledgement(PacketType::PubComp, packet_id));
                }
                Glance::Other => why_not(packet, version)?,
            }
            Ok(Next::More)
        };
        let mut never = pin!(pending());
        let turn = wire.turn(never.as_mut(), take);
        tokio::time::timeout(plan.target.settings.patience, turn)
            .await
            .map_err(|_| BenchError::Missing { what: "retained messages", left })??;
    }
    wire.close(plan.target.settings.patience).await;
    Ok(())
}

/// How many messages are under way while they are retained.
const WINDOW: u32 = 1000;

/// What the two say in a second, unless the plan says otherwise.
const TALK_PER_SECOND: u32 = 1000;
