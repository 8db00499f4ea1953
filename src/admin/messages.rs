//! Publishing and watching at the pages.

use super::call::{Body, Call, json};
use super::guests::{Outgoing, enter, key_of, leave, publish as publish_as, refusal, verdict};
use super::problem::AdminError;
use super::watcher::{Turn, Watcher};
use crate::protocol::{
    Packet, PacketId, Publish, QoS, RetainHandling, Subscribe, SubscribeRequest, Text, TopicName, Unsubscribe,
    UserProperties,
};
use crate::server::GuestClient;
use actix_web::HttpResponse;
use bytes::Bytes;
use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::{Value, json as object};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Text,
    Base64,
}

/// A message out of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedMessage {
    #[serde(default)]
    topic: String,
    #[serde(default)]
    payload: String,
    #[serde(default)]
    encoding: Encoding,
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
}

impl AskedMessage {
    /// To be published there, or where it says itself.
    pub fn parse(self, topic: Option<TopicName>) -> Result<Outgoing, AdminError> {
        let topic = match topic {
            Some(topic) => topic,
            None => {
                TopicName::try_from(self.topic.as_str()).map_err(|problem| AdminError::invalid("topic", problem))?
            }
        };
        let payload = match self.encoding {
            Encoding::Text => self.payload.into_bytes(),
            Encoding::Base64 => {
                BASE64.decode(self.payload.as_bytes()).map_err(|problem| AdminError::invalid("payload", problem))?
            }
        };
        let qos = match self.qos {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            2 => QoS::ExactlyOnce,
            _ => return Err(AdminError::invalid("qos", "0, 1 or 2")),
        };
        Ok(Outgoing { topic, payload: Bytes::from(payload), qos, retain: self.retain })
    }
}

/// Publishes as the caller and says how many it reaches; or which rule is against it. The broker refuses and logs it as
/// with any other client.
pub async fn publish(call: Call) -> Result<HttpResponse, AdminError> {
    let message = call.json::<AskedMessage>()?.parse(None)?;
    let key = key_of(&call)?;
    let topic = message.topic.clone();
    let verdict = verdict(&call, &key, &topic).await?;
    // How many listen is told to those only who may speak there.
    let matched = if verdict.is_allowed() { call.broker()?.receivers(topic.clone()).await? } else { 0 };
    publish_as(&call, &key, vec![message]).await?;
    if !verdict.is_allowed() {
        return Err(refusal(&call, &key, &topic).await?);
    }
    json(&object!({ "matched": matched, "reason": Value::Null }))
}

/// What a page says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(default)]
    subscribe: Vec<String>,
    #[serde(default)]
    unsubscribe: Vec<String>,
}

/// Messages of one batch; more in a tenth of a second are counted and left out.
const PER_MESSAGE: usize = 500;
/// Bytes of their payloads.
const BYTES_PER_MESSAGE: usize = 1 << 20;
/// Bytes of one payload that are shown.
const PAYLOAD: usize = 16 << 10;
/// Filters of one page.
const FILTERS: usize = 64;

/// Messages as they pass, for a page whose user is subscribed to them.
pub async fn watch(mut call: Call) -> Result<HttpResponse, AdminError> {
    let key = key_of(&call)?;
    let guest = enter(&call, &key).await?;
    let Body::Stream(payload) = std::mem::replace(&mut call.body, Body::Whole(Bytes::new())) else {
        return Err(AdminError::MethodNotAllowed);
    };
    let (response, session, messages) =
        actix_ws::handle(&call.request, payload).map_err(|_| AdminError::MethodNotAllowed)?;
    let mut watcher = Watcher::new(call, session, messages);
    actix_web::rt::spawn(async move {
        let mut feed = Feed { guest, filters: 0, next_id: 1, asked: BTreeMap::new(), batch: Batch::default() };
        feed.run(&mut watcher).await;
        leave(feed.guest).await;
        watcher.close().await;
    });
    Ok(response)
}

struct Feed {
    guest: GuestClient,
    filters: usize,
    next_id: u16,
    /// What was asked for and is not answered yet.
    asked: BTreeMap<PacketId, Vec<String>>,
    batch: Batch,
}

/// What is sent with the next turn.
#[derive(Default)]
struct Batch {
    messages: Vec<Value>,
    bytes: usize,
    dropped: u64,
    answers: Vec<Value>,
}

impl Feed {
    /// Until the page, the broker or the login ends it.
    async fn run(&mut self, watcher: &mut Watcher) {
        loop {
            // The broker is always listened to first: whoever does not keep up is the page, and is told so.
            let turn = tokio::select! {
                biased;
                packet = self.guest.hear() => {
                    match packet {
                        None | Some(Packet::Disconnect(_)) => return,
                        Some(packet) => self.take(watcher, packet),
                    }
                    continue;
                }
                turn = watcher.turn() => turn,
            };
            let goes_on = match turn {
                None => false,
                Some(Turn::Send) => self.send(watcher).await,
                Some(Turn::Said(text)) => self.wish(&text).await,
            };
            if !goes_on {
                return;
            }
        }
    }

    fn take(&mut self, watcher: &Watcher, packet: Packet) {
        match packet {
            Packet::Publish(publish) => {
                let clock = watcher.call().office.clock;
                self.batch.take(clock.wall_of(clock.now()), &publish);
            }
            Packet::SubAck(ack) => {
                let filters = self.asked.remove(&ack.packet_id).unwrap_or_default();
                for (filter, reason) in filters.into_iter().zip(&ack.reasons) {
                    let is_refused = reason.is_error();
                    self.filters -= usize::from(is_refused && self.filters > 0);
                    let reason = is_refused.then(|| reason.byte());
                    self.batch.answers.push(object!({ "filter": filter, "ok": !is_refused, "reason": reason }));
                }
            }
            _ => {}
        }
    }

    /// Passes a wish of the page on to the broker. Whether the page is to be listened to any longer.
    async fn wish(&mut self, text: &str) -> bool {
        let Ok(Wish { subscribe, unsubscribe }) = serde_json::from_str(text) else { return false };
        if self.filters.saturating_add(subscribe.len()) > FILTERS {
            let answers = subscribe.iter().map(|filter| object!({ "filter": filter, "ok": false, "reason": 0x97 }));
            self.batch.answers.extend(answers);
            return true;
        }
        let texts = |filters: &[String]| {
            filters.iter().map(|filter| Text::try_from(filter.as_str()).ok()).collect::<Option<Vec<_>>>()
        };
        let (Some(wanted), Some(unwanted)) = (texts(&subscribe), texts(&unsubscribe)) else { return false };
        if !wanted.is_empty() {
            self.filters = self.filters.saturating_add(wanted.len());
            let packet_id = self.packet_id();
            self.asked.insert(packet_id, subscribe);
            let request = |filter| SubscribeRequest {
                filter,
                qos: QoS::AtMostOnce,
                no_local: false,
                retain_as_published: true,
                retain_handling: RetainHandling::Send,
            };
            let requests = wanted.into_iter().map(request).collect();
            let subscribe =
                Subscribe { packet_id, subscription_id: None, user_properties: UserProperties::new(), requests };
            if self.guest.say(Packet::Subscribe(subscribe)).await.is_err() {
                return false;
            }
        }
        if !unwanted.is_empty() {
            self.filters = self.filters.saturating_sub(unwanted.len());
            let packet_id = self.packet_id();
            let unsubscribe = Unsubscribe { packet_id, user_properties: UserProperties::new(), filters: unwanted };
            return self.guest.say(Packet::Unsubscribe(unsubscribe)).await.is_ok();
        }
        true
    }

    fn packet_id(&mut self) -> PacketId {
        let id = PacketId::new(self.next_id).unwrap_or(PacketId::FIRST);
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        id
    }

    async fn send(&mut self, watcher: &mut Watcher) -> bool {
        let batch = std::mem::take(&mut self.batch);
        if batch.messages.is_empty() && batch.dropped == 0 && batch.answers.is_empty() {
            return true;
        }
        let said = object!({ "messages": batch.messages, "dropped": batch.dropped, "subscribed": batch.answers });
        watcher.send(said.to_string()).await
    }
}

impl Batch {
    fn take(&mut self, at: u64, publish: &Publish) {
        let shown = publish.payload.get(..PAYLOAD).unwrap_or(&publish.payload);
        if self.messages.len() == PER_MESSAGE || self.bytes.saturating_add(shown.len()) > BYTES_PER_MESSAGE {
            self.dropped += 1;
            return;
        }
        self.bytes = self.bytes.saturating_add(shown.len());
        self.messages.push(object!({
            "at": at,
            "topic": publish.topic.as_str(),
            "payload_b64": BASE64.encode(shown),
            "text": text_of(shown),
            "size": publish.payload.len(),
            "qos": publish.qos.bits(),
            "retain": publish.retain,
        }));
    }
}

/// The payload as text, if it is some.
pub fn text_of(payload: &[u8]) -> Option<&str> {
    std::str::from_utf8(payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Rare;

    fn publish(len: usize) -> Publish {
        Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: Text::try_from("t").unwrap(),
            packet_id: None,
            properties: Rare::NOTHING,
            payload: vec![b'x'; len].into(),
        }
    }

    #[test]
    fn what_is_too_much_for_a_page_is_counted() {
        let mut many = Batch::default();
        (0..600).for_each(|_| many.take(0, &publish(1)));
        assert_eq!((many.messages.len(), many.dropped), (500, 100));
        let mut large = Batch::default();
        (0..100).for_each(|_| large.take(0, &publish(1 << 20)));
        assert_eq!((large.messages.len(), large.dropped), (64, 36));
        assert_eq!(large.messages[0]["size"], 1 << 20);
    }
}
