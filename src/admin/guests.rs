//! The caller as a client of the broker: what is published and watched at the pages is published and watched by the
//! person who is logged in, under the same rules as with any other client.

use super::call::Call;
use super::problem::AdminError;
use super::rules::client_id;
use super::sessions::random;
use crate::broker::{Carrier, Permission, SessionKey, Verdict};
use crate::protocol::{Disconnect, Packet, PacketId, PubAck, Publish, QoS, Rare, ReasonCode, TopicName};
use crate::server::{GuestClient, Unanswered};
use bytes::Bytes;
use std::time::Duration;

/// Who the caller is to the broker. Every guest is a client of its own, so that two pages do not end each other.
pub fn key_of(call: &Call) -> Result<SessionKey, AdminError> {
    let principal = call.scope.principal().ok_or(AdminError::Broken)?;
    Ok(SessionKey { principal, client_id: client_id(&format!("web-{}", random::<9>()?))? })
}

/// The caller as a client of the broker.
pub async fn enter(call: &Call, key: &SessionKey) -> Result<GuestClient, AdminError> {
    let carrier = if call.door.is_encrypted() { Carrier::SecurePages } else { Carrier::Pages };
    let guest = call.broker()?.guest(key.principal.clone(), key.client_id.clone(), call.address, carrier);
    Ok(guest.await?)
}

/// A message to publish.
pub struct Outgoing {
    /// Where.
    pub topic: TopicName,
    /// What.
    pub payload: Bytes,
    /// How surely.
    pub qos: QoS,
    /// Whether for later subscribers, too.
    pub retain: bool,
}

/// The broker has to have answered by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Publishes one message after the other and waits until the broker has taken each over; what that promises is the
/// broker's own acknowledgement.
pub async fn publish(call: &Call, key: &SessionKey, messages: Vec<Outgoing>) -> Result<(), AdminError> {
    let mut guest = enter(call, key).await?;
    for message in messages {
        let topic = message.topic.clone();
        match tokio::time::timeout(PATIENCE, say(&mut guest, message)).await {
            Ok(Ok(reason)) if !reason.is_error() => {}
            Ok(Ok(_)) => return Err(refusal(call, key, &topic).await?),
            Ok(Err(unanswered)) => return Err(unanswered.into()),
            Err(_) => return Err(Unanswered.into()),
        }
    }
    leave(guest).await;
    Ok(())
}

/// Ends it as a client does that has done what it came for: nothing was lost, and the log does not say so.
pub async fn leave(guest: GuestClient) {
    // It may be gone by itself.
    let _ = guest.say(Packet::Disconnect(Box::new(Disconnect::new(ReasonCode::Success)))).await;
}

/// Why the caller may not publish there: asked again, because an acknowledgement names no rule.
pub async fn refusal(call: &Call, key: &SessionKey, topic: &TopicName) -> Result<AdminError, AdminError> {
    let verdict = verdict(call, key, topic).await?;
    let rule = if let Verdict::Denied(rule) = verdict { Some(rule) } else { None };
    Ok(AdminError::NotAllowed { reason: verdict.reason(), rule })
}

/// What the rules say about the caller publishing there.
pub async fn verdict(call: &Call, key: &SessionKey, topic: &TopicName) -> Result<Verdict, AdminError> {
    let rights = call.office.directory().await?.policy().rights(&key.principal, &key.client_id);
    Ok(rights.verdict(Permission::Publish, topic))
}

async fn say(guest: &mut GuestClient, message: Outgoing) -> Result<ReasonCode, Unanswered> {
    let packet_id = (message.qos > QoS::AtMostOnce).then_some(PacketId::FIRST);
    guest
        .say(Packet::Publish(Publish {
            dup: false,
            qos: message.qos,
            retain: message.retain,
            topic: message.topic.text().clone(),
            packet_id,
            properties: Rare::NOTHING,
            payload: message.payload,
        }))
        .await?;
    if packet_id.is_none() {
        // What is answered behind it was dealt with after it.
        guest.say(Packet::PingReq).await?;
    }
    loop {
        match guest.hear().await {
            Some(Packet::PubAck(ack)) => return Ok(ack.reason),
            Some(Packet::PubRec(ack)) if ack.reason.is_error() => return Ok(ack.reason),
            Some(Packet::PubRec(ack)) => {
                guest.say(Packet::PubRel(PubAck::new(ack.packet_id, ReasonCode::Success))).await?;
            }
            Some(Packet::PubComp(_) | Packet::PingResp) => return Ok(ReasonCode::Success),
            Some(Packet::Disconnect(_)) | None => return Err(Unanswered),
            Some(_) => {}
        }
    }
}
