//! The clients of the broker and their sessions.

use super::call::{Call, Page, done, json, limit};
use super::log_filter::LogFilter;
use super::problem::AdminError;
use crate::audit;
use crate::broker::{ClientQuery, ClientView, Presence, Principal, RoleName, SessionKey, UserName};
use crate::protocol::{ClientId, Text};
use crate::store::{Choice, StoredEvent};
use actix_web::HttpResponse;
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::{Value, json as object};

/// A session's name in addresses: who, and as which client. Neither can hold NUL.
fn id_of(key: &SessionKey) -> String {
    let (kind, name) = match &key.principal {
        Principal::User(name) => ('u', name.as_str()),
        Principal::Anonymous(role) => ('a', role.as_str()),
    };
    BASE64URL_NOPAD.encode(format!("{kind}{name}\0{}", key.client_id.as_str()).as_bytes())
}

fn key_of(id: &str) -> Option<SessionKey> {
    let text = String::from_utf8(BASE64URL_NOPAD.decode(id.as_bytes()).ok()?).ok()?;
    let (principal, client_id) = text.split_once('\0')?;
    let principal = match principal.strip_prefix('u') {
        Some(name) => Principal::User(UserName::new(name).ok()?),
        None => Principal::Anonymous(RoleName::new(principal.strip_prefix('a')?).ok()?),
    };
    Some(SessionKey { principal, client_id: ClientId::new(Text::try_from(client_id).ok()?).ok()? })
}

#[derive(Deserialize)]
struct ListQuery {
    search: Option<String>,
    state: Option<String>,
    class: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// A page of the clients that the caller may see, by user and client identifier.
pub async fn list(call: Call) -> Result<HttpResponse, AdminError> {
    let query: ListQuery = call.query()?;
    let limit = limit(query.limit);
    let presence = match query.state.as_deref() {
        None | Some("" | "all") => Presence::Any,
        Some("online") => Presence::Online,
        Some("offline") => Presence::Offline,
        Some(_) => return Err(AdminError::invalid("state", "online, offline or all")),
    };
    let after = query.cursor.as_deref().filter(|cursor| !cursor.is_empty());
    let after = after.map(|id| key_of(id).ok_or_else(|| AdminError::invalid("cursor", "not one that was given out")));
    let owners = match query.class.as_deref().filter(|class| !class.is_empty()) {
        Some(class) => Some(call.sight.users_of(class, &*call.office.directory().await?)?),
        None => call.sight.users(),
    };
    let asked = ClientQuery {
        owners,
        search: query.search.unwrap_or_default(),
        presence,
        after: after.transpose()?,
        limit: limit + 1,
    };
    let mut clients = call.broker()?.clients(asked).await?;
    let more = clients.len() > limit;
    clients.truncate(limit);
    let next = clients.last().filter(|_| more).map(|client| id_of(&client.key));
    let mut items = Vec::with_capacity(clients.len());
    for client in &clients {
        items.push(shown(&call, client).await?);
    }
    json(&Page { items, next })
}

async fn shown(call: &Call, client: &ClientView) -> Result<Value, AdminError> {
    let wall = |moment| call.office.clock.wall_of(moment);
    let directory = call.office.directory().await?;
    let user = client.key.principal.user();
    let role = match &client.key.principal {
        Principal::Anonymous(role) => Some(role.to_string()),
        Principal::User(name) => {
            directory.users.iter().find(|user| user.name == *name).map(|user| user.role.to_string())
        }
    };
    let live = client.live.as_ref();
    Ok(object!({
        "id": id_of(&client.key),
        "client_id": client.key.client_id.as_str(),
        "user": user.map(UserName::as_str),
        "role": role,
        "address": client.address.to_string(),
        "connected": live.is_some(),
        "version": live.map(|live| live.version.to_string()),
        "transport": live.map(|live| live.carrier.name()),
        "encrypted": live.map(|live| live.carrier.is_encrypted()),
        "since": live.map(|live| wall(live.since)),
        "gone_since": client.gone_since.filter(|_| live.is_none()).map(wall),
        // A client may be silent for one and a half times its keep alive.
        "keep_alive": live.map(|live| live.silence_allowed.map_or(0, |silence| silence.as_secs() * 2 / 3)),
        "expiry_s": client.expiry.map_or(0, |expiry| expiry.as_secs()),
        "subscriptions": client.subscriptions,
        "inflight": client.inflight,
        "queued": client.queued,
        "queued_bytes": client.queued_bytes,
        "sent": live.map(|live| live.sent),
        "received": live.map(|live| live.received),
    }))
}

/// The session of an address, if the caller may see it. One of somebody else is not there.
fn asked_for(call: &Call) -> Result<SessionKey, AdminError> {
    let key = key_of(call.path("id")).ok_or(AdminError::NotFound("client"))?;
    if call.sight.sees(key.principal.user()) { Ok(key) } else { Err(AdminError::NotFound("client")) }
}

/// Events shown with a client, and how far back they are looked for.
const EVENTS: usize = 20;
const LOOKED_AT: usize = 10_000;

/// One client with its subscriptions, its will and what happened to it lately.
pub async fn show(call: Call) -> Result<HttpResponse, AdminError> {
    let key = asked_for(&call)?;
    let found = call.broker()?.client(key.clone()).await?.ok_or(AdminError::NotFound("client"))?;
    let mut client = shown(&call, &found.view).await?;
    let filter = LogFilter {
        client: Some(key.client_id.as_str().to_owned()),
        user: key.principal.user().map(|name| name.as_str().to_owned()),
        only: call.sight.users(),
        ..LogFilter::default()
    };
    let mut looked_at = 0;
    let choose = |event: &StoredEvent| {
        looked_at += 1;
        if looked_at > LOOKED_AT { Choice::Stop } else { filter.choice(event) }
    };
    let events = call.office.database.events_before(None, EVENTS, choose).await?.events;
    let subscriptions = found.subscriptions.iter().map(|(filter, options)| {
        let (share, plain) = match filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')) {
            Some((share, plain)) => (Some(share), plain),
            None => (None, filter.as_str()),
        };
        object!({
            "filter": plain, "share": share, "qos": options.qos.bits(),
            "options": { "no_local": options.no_local, "retain_as_published": options.retain_as_published },
        })
    });
    if let Some(object) = client.as_object_mut() {
        object.insert("subscription_list".into(), subscriptions.collect::<Vec<_>>().into());
        let will = found.will.as_ref().map(|will| {
            object!({
                "topic": will.topic.as_str(), "qos": will.qos.bits(), "retain": will.retain,
                "delay_s": will.delay.as_secs(),
            })
        });
        object.insert("will".into(), will.into());
        object.insert("events".into(), events.iter().map(audit::json).collect::<Vec<_>>().into());
    }
    json(&client)
}

/// Ends a client's connection with 0x98; it may come back.
pub async fn disconnect(call: Call) -> Result<HttpResponse, AdminError> {
    let key = asked_for(&call)?;
    if !call.broker()?.disconnect(key.clone()).await? {
        return Err(AdminError::NotFound("connection"));
    }
    call.record("client disconnect", in_words(&key)).await?;
    done()
}

/// Ends a client's connection and its session.
pub async fn end(call: Call) -> Result<HttpResponse, AdminError> {
    let key = asked_for(&call)?;
    if !call.broker()?.end_session(key.clone()).await? {
        return Err(AdminError::NotFound("client"));
    }
    call.record("client remove", in_words(&key)).await?;
    done()
}

fn in_words(key: &SessionKey) -> String {
    match key.principal.user() {
        Some(user) => format!("{} of {user}", key.client_id.as_str()),
        None => key.client_id.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_by_its_name_in_addresses() {
        for (principal, client_id) in [
            (Principal::User(UserName::new("sam").unwrap()), "lamp"),
            (Principal::User(UserName::new("ü €").unwrap()), "<img src=x onerror=alert(1)>/../?#&"),
            (Principal::Anonymous(RoleName::new("Student").unwrap()), "u\u{202e}x"),
        ] {
            let client_id = ClientId::new(Text::try_from(client_id).unwrap()).unwrap();
            let key = SessionKey { principal, client_id };
            let id = id_of(&key);
            assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{id}");
            assert_eq!(key_of(&id), Some(key));
        }
        for id in ["", "x", "dQ", "!!!", "dXNhbQ"] {
            assert_eq!(key_of(id), None, "{id}");
        }
    }
}
