//! Retained messages: what the caller may receive is listed, and what it may publish is replaced and cleared.

use super::call::{Call, Page, done, json, limit};
use super::guests::{Outgoing, key_of, publish, refusal, verdict};
use super::messages::{AskedMessage, text_of};
use super::problem::AdminError;
use crate::broker::{Message, Origin, RetainedQuery, Timestamp, UserName};
use crate::protocol::{QoS, TopicFilter, TopicName};
use actix_web::HttpResponse;
use bytes::Bytes;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde::Deserialize;
use serde_json::{Value, json as object};
use std::sync::Arc;

#[derive(Deserialize)]
struct ListQuery {
    filter: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// A page of the retained messages that the caller may receive, by topic.
pub async fn list(call: Call) -> Result<HttpResponse, AdminError> {
    let query: ListQuery = call.query()?;
    let limit = limit(query.limit);
    let filter = query.filter.as_deref().filter(|filter| !filter.is_empty()).unwrap_or("#");
    let filter = TopicFilter::try_from(filter).map_err(|problem| AdminError::invalid("filter", problem))?;
    let after = query
        .cursor
        .as_deref()
        .filter(|cursor| !cursor.is_empty())
        .map(|cursor| topic_of(cursor).ok_or_else(|| AdminError::invalid("cursor", "not one that was given out")));
    let mut found = find(&call, filter, after.transpose()?, limit + 1).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|message| id_of(&message.topic));
    json(&Page { items: found.iter().map(|message| shown(&call, message)).collect(), next })
}

async fn find(
    call: &Call,
    filter: TopicFilter,
    after: Option<TopicName>,
    limit: usize,
) -> Result<Vec<Arc<Message>>, AdminError> {
    Ok(call.broker()?.retained(RetainedQuery { filter, after, limit }, key_of(call)?).await?)
}

fn id_of(topic: &TopicName) -> String {
    BASE64URL_NOPAD.encode(topic.as_str().as_bytes())
}

fn topic_of(id: &str) -> Option<TopicName> {
    let text = String::from_utf8(BASE64URL_NOPAD.decode(id.as_bytes()).ok()?).ok()?;
    TopicName::try_from(text.as_str()).ok()
}

fn shown(call: &Call, message: &Message) -> Value {
    let publisher = match &message.origin {
        Origin::Client(key) if call.sight.sees(key.principal.user()) => {
            Some(object!({ "user": key.principal.user().map(UserName::as_str), "client_id": key.client_id.as_str() }))
        }
        Origin::Client(_) | Origin::System => None,
    };
    let wall = |moment: Timestamp| call.office.clock.wall_of(moment);
    object!({
        "id": id_of(&message.topic),
        "topic": message.topic.as_str(),
        "size": message.payload.len(),
        "qos": message.qos.bits(),
        "publisher": publisher,
        "expires": message.expires_at.map(wall),
    })
}

fn asked_for(call: &Call) -> Result<TopicName, AdminError> {
    topic_of(call.path("topic")).ok_or(AdminError::NotFound("retained message"))
}

/// One retained message with its payload.
pub async fn show(call: Call) -> Result<HttpResponse, AdminError> {
    let topic = asked_for(&call)?;
    let filter = TopicFilter::new(topic.text().clone()).map_err(|_| AdminError::NotFound("retained message"))?;
    let found = find(&call, filter, None, 1).await?;
    let message = found.first().ok_or(AdminError::NotFound("retained message"))?;
    let mut answer = shown(&call, message);
    if let Some(object) = answer.as_object_mut() {
        object.insert("payload".into(), BASE64.encode(&message.payload).into());
        object.insert("text".into(), text_of(&message.payload).into());
    }
    json(&answer)
}

/// Replaces a retained message, as the caller.
pub async fn replace(call: Call) -> Result<HttpResponse, AdminError> {
    let topic = asked_for(&call)?;
    let message = call.json::<AskedMessage>()?.parse(Some(topic))?;
    if message.payload.is_empty() {
        return Err(AdminError::invalid("payload", "an empty one would clear the topic; DELETE does that"));
    }
    publish_all(&call, vec![Outgoing { retain: true, qos: message.qos.max(QoS::AtLeastOnce), ..message }]).await?;
    done()
}

/// Clears a retained message, as the caller.
pub async fn clear(call: Call) -> Result<HttpResponse, AdminError> {
    let topic = asked_for(&call)?;
    publish_all(&call, vec![clearing(topic)]).await?;
    done()
}

fn clearing(topic: TopicName) -> Outgoing {
    Outgoing { topic, payload: Bytes::new(), qos: QoS::AtLeastOnce, retain: true }
}

async fn publish_all(call: &Call, messages: Vec<Outgoing>) -> Result<(), AdminError> {
    let key = key_of(call)?;
    for message in &messages {
        // Before the first of several is published.
        if !verdict(call, &key, &message.topic).await?.is_allowed() {
            return Err(refusal(call, &key, &message.topic).await?);
        }
    }
    publish(call, &key, messages).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Branch {
    filter: String,
    #[serde(default = "yes")]
    preview: bool,
}

fn yes() -> bool {
    true
}

/// So many are cleared at once.
const MOST: usize = 1000;

/// Clears a whole branch, or says how many messages that would be.
pub async fn clear_branch(call: Call) -> Result<HttpResponse, AdminError> {
    let Branch { filter, preview } = call.json()?;
    let filter = TopicFilter::try_from(filter.as_str()).map_err(|problem| AdminError::invalid("filter", problem))?;
    let mut found = find(&call, filter, None, MOST + 1).await?;
    let more = found.len() > MOST;
    found.truncate(MOST);
    let count = found.len();
    if !preview {
        publish_all(&call, found.iter().map(|message| clearing(message.topic.clone())).collect()).await?;
    }
    json(&object!({ "count": count, "more": more, "cleared": if preview { 0 } else { count } }))
}
