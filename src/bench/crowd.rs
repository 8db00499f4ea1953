//! Many clients at once: connecting them, and connections that only are there.

use super::error::BenchError;
use super::plan::Plan;
use super::progress::Progress;
use super::publisher::Publisher;
use super::receiver::Receiver;
use super::template::topic_number;
use super::wire::{SessionLife, Wire};
use crate::protocol::{QoS, Text};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::future::Future;
use std::sync::Arc;

/// Does `one` for each number, some at a time, and keeps the order.
pub async fn each<T, F: Future<Output = Result<T, BenchError>>>(
    count: u32,
    at_once: usize,
    one: impl FnMut(u32) -> F,
) -> Result<Vec<T>, BenchError> {
    stream::iter(0..count).map(one).buffered(at_once.max(1)).try_collect().await
}

/// All receivers, subscribed.
pub async fn receivers(plan: &Plan, progress: &Arc<Progress>) -> Result<Vec<Receiver>, BenchError> {
    let one = async |number| {
        let (mut wire, _) = Wire::open(&plan.target, &client_id("r", number), plan.receiver_life).await?;
        wire.subscribe(&plan.filters_of(number), plan.qos, plan.target.settings.patience).await?;
        Ok(Receiver::new(plan, number, wire, Arc::clone(progress)))
    };
    each(plan.receivers, plan.at_once, one).await
}

/// All publishers, connected.
pub async fn publishers(plan: &Plan, progress: &Arc<Progress>) -> Result<Vec<Publisher>, BenchError> {
    let wires = each(plan.publishers, plan.at_once, async |number| {
        Wire::open(&plan.target, &client_id("p", number), SessionLife::Connection).await
    });
    let wires = wires.await?;
    let publisher = |(number, (wire, connack)): (u32, (Wire, crate::protocol::ConnAck))| {
        let receive_maximum = connack.properties.receive_maximum.unwrap_or(u16::MAX);
        Publisher::new(plan, number, wire, receive_maximum, Arc::clone(progress))
    };
    (0..).zip(wires).map(publisher).collect()
}

/// Connections that have subscribed to something that nobody publishes, and do nothing: what they cost those that work
/// is what one wants to know.
pub async fn bystanders(plan: &Plan) -> Result<Vec<Wire>, BenchError> {
    let mut wires = idle(plan, plan.idle).await?;
    if plan.shape != super::plan::Shape::Wildcard && plan.filters > 0 {
        let one = async |number: u32| {
            let (mut wire, _) = Wire::open(&plan.target, &client_id("f", number), SessionLife::Connection).await?;
            let numbers = number * FILTERS_OF_ONE..plan.filters.min((number + 1) * FILTERS_OF_ONE);
            let filters = numbers.map(|number| format!("{}/none/+/{}", plan.prefix, topic_number(number)));
            let filters: Vec<Text> = filters.filter_map(|filter| Text::try_from(filter.as_str()).ok()).collect();
            wire.subscribe(&filters, QoS::AtMostOnce, plan.target.settings.patience).await?;
            Ok(wire)
        };
        wires.extend(each(plan.filters.div_ceil(FILTERS_OF_ONE), plan.at_once, one).await?);
    }
    Ok(wires)
}

/// So many connections, each with a subscription of its own.
pub async fn idle(plan: &Plan, count: u32) -> Result<Vec<Wire>, BenchError> {
    let one = async |number| {
        let (mut wire, _) = Wire::open(&plan.target, &client_id("i", number), SessionLife::Connection).await?;
        wire.subscribe(&[idle_filter(plan, number)], QoS::AtMostOnce, plan.target.settings.patience).await?;
        Ok(wire)
    };
    each(count, plan.at_once, one).await
}

/// What an idle connection subscribes to.
pub fn idle_filter(plan: &Plan, number: u32) -> Text {
    Text::try_from(format!("{}/idle/{}", plan.prefix, topic_number(number)).as_str()).unwrap_or_default()
}

/// Short enough for MQTT 3.1, and different from those of other runs.
pub fn client_id(kind: &str, number: u32) -> String {
    format!("b{}{kind}{number}", std::process::id())
}

/// Filters of one bystander: brokers bound what one session may have.
const FILTERS_OF_ONE: u32 = 50_000;
