//! How an event is shown: one line for people, one JSON object for programs.

use super::visible::{field, quoted, visible};
use crate::broker::{Action, EventKind, Reason, RuleId};
use crate::protocol::Text;
use crate::store::{StoredEvent, UnixMillis};
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// The action of that name, in upper or lower case.
pub fn action_named(name: &str) -> Option<Action> {
    Action::ALL.into_iter().find(|action| action.name().eq_ignore_ascii_case(name))
}

/// A moment in UTC with milliseconds: `2026-11-05T12:34:56.789Z`.
pub fn time(at: UnixMillis) -> String {
    let moment = i64::try_from(at.as_millis()).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    // Beyond the year 9999 a number says more than nothing.
    moment.map_or_else(|| format!("@{}", at.as_millis()), |moment| format!("{moment:.3}"))
}

/// The event on one line: time, action, outcome, who, and what happened in words. Nothing in it can forge another line.
pub fn line(stored: &StoredEvent) -> String {
    let event = &stored.event;
    let outcome = if event.kind.is_failure() { "failed" } else { "ok" };
    let mut line = format!("{} {:<11} {outcome:<6}", time(stored.at), event.kind.action().name());
    // Writing to a string does not fail.
    if let Some(user) = &event.who.user {
        let _ = write!(line, " user={}", field(user.as_str()));
    }
    if let Some(client_id) = &event.who.client_id {
        let _ = write!(line, " client={}", field(client_id.as_str()));
    }
    if let Some(address) = &event.who.address {
        let _ = write!(line, " from={address}");
    }
    let _ = write!(line, "  {}", words(&event.kind));
    line
}

/// The event as an object: what every event has, then what its kind adds.
pub fn json(stored: &StoredEvent) -> Value {
    let event = &stored.event;
    let mut object = Map::new();
    object.insert("time".into(), time(stored.at).into());
    object.insert("action".into(), event.kind.action().name().into());
    object.insert("event".into(), event.kind.number().into());
    object.insert("ok".into(), (!event.kind.is_failure()).into());
    object.insert("user".into(), event.who.user.as_ref().map(Text::as_str).into());
    object.insert("client".into(), event.who.client_id.as_ref().map(Text::as_str).into());
    object.insert("address".into(), event.who.address.map(|address| address.to_string()).into());
    object.insert("text".into(), words(&event.kind).into());
    if let Value::Object(details) = details(&event.kind) {
        object.extend(details);
    }
    Value::Object(object)
}

fn words(kind: &EventKind) -> String {
    match kind {
        EventKind::Connected { version, session_present, encrypted } => format!(
            "MQTT {version}, {}, {}",
            if *encrypted { "encrypted" } else { "not encrypted" },
            if *session_present { "session resumed" } else { "new session" },
        ),
        EventKind::ConnectRefused { reason, detail } | EventKind::Disconnected { reason, detail } => match detail {
            Some(detail) => format!("{reason}: {}", visible(detail)),
            None => reason.to_string(),
        },
        EventKind::Subscribed { filter, qos } => format!("{}, QoS {qos}", quoted(filter.as_str())),
        EventKind::SubscribeRefused { filter, reason, rule } => {
            format!("{}: {}", quoted(filter.as_str()), because(*reason, *rule))
        }
        EventKind::Unsubscribed { filter } => quoted(filter.as_str()),
        EventKind::Published { topic, size, qos, retain, delivered, durability } => format!(
            "{}, {}, QoS {qos}{}{}, delivered to {delivered}",
            quoted(topic.as_str()),
            counted(u64::from(*size), "byte"),
            if *retain { ", retained" } else { "" },
            durability.map(|class| format!(", durability {class}")).unwrap_or_default(),
        ),
        EventKind::PublishRefused { topic, size, reason, rule } => {
            format!("{}, {}: {}", quoted(topic.as_str()), counted(u64::from(*size), "byte"), because(*reason, *rule))
        }
        EventKind::Dropped { topic, reason, count } => {
            format!("{}, {} not delivered: {reason}", quoted(topic.as_str()), counted(u64::from(*count), "message"))
        }
        EventKind::SessionEnded { reason } => format!("session ended: {reason}"),
        EventKind::Administered { action, target } => format!("{} {}", visible(action), field(target)),
        EventKind::Started { version } => format!("securemq {} started", visible(version)),
        EventKind::Stopped => "securemq stopped".into(),
        EventKind::Notice { text } => visible(text).into_owned(),
        EventKind::LeftOut { count } => {
            format!("{} left out: more happened than could be kept", counted(*count, "event"))
        }
    }
}

fn because(reason: Reason, rule: Option<RuleId>) -> String {
    match rule {
        Some(rule) => format!("{reason} (rule {rule})"),
        None => reason.to_string(),
    }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn details(kind: &EventKind) -> Value {
    let rule_number = |rule: &Option<RuleId>| rule.map(|rule| rule.0);
    match kind {
        EventKind::Connected { version, session_present, encrypted } => {
            json!({ "version": version.to_string(), "session_present": session_present, "encrypted": encrypted })
        }
        EventKind::ConnectRefused { reason, detail } | EventKind::Disconnected { reason, detail } => {
            json!({ "reason": reason.number(), "detail": detail })
        }
        EventKind::Subscribed { filter, qos } => json!({ "topic": filter.as_str(), "qos": qos.bits() }),
        EventKind::SubscribeRefused { filter, reason, rule } => {
            json!({ "topic": filter.as_str(), "reason": reason.number(), "rule": rule_number(rule) })
        }
        EventKind::Unsubscribed { filter } => json!({ "topic": filter.as_str() }),
        EventKind::Published { topic, size, qos, retain, delivered, durability } => {
            let mut fields = json!({
                "topic": topic.as_str(), "size": size, "qos": qos.bits(), "retain": retain, "delivered": delivered,
            });
            if let Some(class) = durability {
                fields["durability"] = class.name().into();
            }
            fields
        }
        EventKind::PublishRefused { topic, size, reason, rule } => json!({
            "topic": topic.as_str(), "size": size, "reason": reason.number(), "rule": rule_number(rule),
        }),
        EventKind::Dropped { topic, reason, count } => {
            json!({ "topic": topic.as_str(), "reason": reason.number(), "count": count })
        }
        EventKind::SessionEnded { reason } => json!({ "reason": reason.number() }),
        EventKind::Administered { action, target } => json!({ "command": action, "target": target }),
        EventKind::Started { version } => json!({ "version": version }),
        EventKind::Stopped | EventKind::Notice { .. } => Value::Null,
        EventKind::LeftOut { count } => json!({ "count": count }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Address, AuditEvent, Durability, Who};
    use crate::protocol::{ProtocolVersion, QoS};

    fn text(text: &str) -> Text {
        Text::try_from(text).unwrap()
    }

    fn stored(who: Who, kind: EventKind) -> StoredEvent {
        StoredEvent { at: UnixMillis::from_millis(1_793_882_096_789), event: AuditEvent { who, kind } }
    }

    fn alice() -> Who {
        Who {
            user: Some(text("alice")),
            client_id: Some(text("sensor 1")),
            address: Some(Address::Network("192.0.2.7:51234".parse().unwrap())),
        }
    }

    #[test]
    fn every_kind_of_event_has_its_line() {
        let published = |durability| {
            let (topic, qos) = (text("a"), QoS::ExactlyOnce);
            EventKind::Published { topic, size: 1, qos, retain: true, delivered: 3, durability }
        };
        let cases = [
            (
                EventKind::Connected { version: ProtocolVersion::V5, session_present: false, encrypted: true },
                "CONNECT     ok     …  MQTT 5.0, encrypted, new session",
            ),
            (
                EventKind::Connected { version: ProtocolVersion::V3_1, session_present: true, encrypted: false },
                "CONNECT     ok     …  MQTT 3.1, not encrypted, session resumed",
            ),
            (
                EventKind::ConnectRefused { reason: Reason::ForeignProtocol, detail: Some("HTTP: \"GET /\"".into()) },
                "CONNECT     failed …  the peer speaks another protocol: HTTP: \"GET /\"",
            ),
            (
                EventKind::Disconnected { reason: Reason::ClientDisconnected, detail: None },
                "DISCONNECT  ok     …  the client disconnected",
            ),
            (
                EventKind::Disconnected { reason: Reason::KeepAliveTimeout, detail: None },
                "DISCONNECT  failed …  nothing came for one and a half times the keep alive",
            ),
            (
                EventKind::Subscribed { filter: text("a/#"), qos: QoS::AtLeastOnce },
                "SUBSCRIBE   ok     …  \"a/#\", QoS 1",
            ),
            (
                EventKind::SubscribeRefused { filter: text("a/#"), reason: Reason::Denied, rule: Some(RuleId(7)) },
                "SUBSCRIBE   failed …  \"a/#\": a rule denies it (rule 7)",
            ),
            (EventKind::Unsubscribed { filter: text("a/#") }, "UNSUBSCRIBE ok     …  \"a/#\""),
            (published(None), "PUBLISH     ok     …  \"a\", 1 byte, QoS 2, retained, delivered to 3"),
            (
                published(Some(Durability::Memory)),
                "PUBLISH     ok     …  \"a\", 1 byte, QoS 2, retained, durability memory, delivered to 3",
            ),
            (
                EventKind::PublishRefused { topic: text("a"), size: 12, reason: Reason::NotAllowed, rule: None },
                "PUBLISH     failed …  \"a\", 12 bytes: no rule allows it",
            ),
            (
                EventKind::Dropped { topic: text("a"), reason: Reason::QueueFull, count: 2 },
                "PUBLISH     failed …  \"a\", 2 messages not delivered: the session's queue is full",
            ),
            (
                EventKind::SessionEnded { reason: Reason::SessionExpired },
                "DISCONNECT  ok     …  session ended: the session expired",
            ),
            (
                EventKind::Administered { action: "user add".into(), target: "bob b".into() },
                "ADMIN       ok     …  user add \"bob b\"",
            ),
            (EventKind::Started { version: "0.1.0".into() }, "BROKER      ok     …  securemq 0.1.0 started"),
            (EventKind::Stopped, "BROKER      ok     …  securemq stopped"),
            (EventKind::Notice { text: "look\nhere".into() }, "BROKER      ok     …  look\\nhere"),
            (
                EventKind::LeftOut { count: 1 },
                "BROKER      failed …  1 event left out: more happened than could be kept",
            ),
        ];
        for (kind, expected) in cases {
            let expected = expected.replace('…', "user=alice client=\"sensor 1\" from=192.0.2.7:51234");
            assert_eq!(line(&stored(alice(), kind)), format!("2026-11-05T12:34:56.789Z {expected}"));
        }
    }

    #[test]
    fn an_unknown_who_is_left_out() {
        let line = line(&stored(Who::default(), EventKind::Stopped));
        assert_eq!(line, "2026-11-05T12:34:56.789Z BROKER      ok      securemq stopped");
    }

    #[test]
    fn no_name_or_topic_forges_a_line_or_a_field() {
        let evil = "x\n2026-01-01T00:00:00.000Z ADMIN ok user=root\x1b[2J\u{202e}\" from=1.2.3.4";
        let who = Who { user: Some(text(evil)), client_id: Some(text(evil)), address: None };
        let event = stored(who, EventKind::Unsubscribed { filter: text(evil) });
        let shown = line(&event);
        assert_eq!(shown.lines().count(), 1);
        assert!(!shown.contains('\x1b') && !shown.contains('\u{202e}'));
        // Every quote of the stranger is escaped, so only ours end a field.
        assert_eq!(shown.replace("\\\"", "").matches('"').count(), 6);
        assert_eq!(json(&event)["client"], evil);
    }

    #[test]
    fn json_has_what_the_line_has_as_values() {
        let kind =
            EventKind::PublishRefused { topic: text("a/b"), size: 12, reason: Reason::Denied, rule: Some(RuleId(7)) };
        let expected = json!({
            "time": "2026-11-05T12:34:56.789Z", "action": "PUBLISH", "event": 8, "ok": false,
            "user": "alice", "client": "sensor 1", "address": "192.0.2.7:51234",
            "text": "\"a/b\", 12 bytes: a rule denies it (rule 7)",
            "topic": "a/b", "size": 12, "reason": 31, "rule": 7,
        });
        assert_eq!(json(&stored(alice(), kind)), expected);
    }

    #[test]
    fn actions_are_found_by_name_in_any_case() {
        for action in Action::ALL {
            assert_eq!(action_named(action.name()), Some(action));
            assert_eq!(action_named(&action.name().to_lowercase()), Some(action));
        }
        assert_eq!(action_named("PUB"), None);
    }

    #[test]
    fn times_are_shown_in_utc_with_milliseconds() {
        assert_eq!(time(UnixMillis::from_millis(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(UnixMillis::from_millis(1_793_882_096_007)), "2026-11-05T12:34:56.007Z");
        assert_eq!(time(UnixMillis::from_millis(u64::MAX)), format!("@{}", u64::MAX));
    }
}
